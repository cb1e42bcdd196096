"""Builds that fail, that are interrupted, and that meet another build."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from environments import BACKEND_FILES, built, output, the_spec
from hypothesis import given
from hypothesis import strategies as st
from repositories import (
    curriculum_files,
    make_task_with_submodule,
    write,
)

from aind_launcher.curriculum.build import complaint
from aind_launcher.curriculum.environments import (
    ensure_environment,
    find_environment,
    prune,
)
from aind_launcher.errors import EnvironmentBuildError

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

LAUNCHER = """\
import pathlib, sys
from aind_launcher.curriculum.environments import ensure_environment
from aind_launcher.curriculum.specification import specify
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import find_sources

(source,) = find_sources(pathlib.Path(sys.argv[1]))
spec = specify(source, pin(source), pathlib.Path(sys.argv[2]))
environment = ensure_environment(spec, lambda line: print(line, flush=True))
print("built", environment.built.isoformat(), flush=True)
"""


class TestFailures:
    @pytest.fixture
    def needy_task(self, tmp_path: Path) -> Path:
        return make_task_with_submodule(tmp_path / "my rig", curriculum_files(dependencies=["surely-not-a-package"]))

    def test_a_dependency_that_does_not_exist_is_named_in_one_sentence(
        self, needy_task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_OFFLINE", "1")
        spec = the_spec(needy_task, cache)

        with pytest.raises(EnvironmentBuildError, match="surely-not-a-package was not found") as caught:
            ensure_environment(spec)

        assert "\n" not in str(caught.value)
        log = spec.folder.with_suffix(".log")
        assert str(log) in str(caught.value.hint)
        assert "surely-not-a-package" in log.read_text(encoding="utf-8")
        assert find_environment(spec.folder) is None
        assert not spec.folder.exists()

    def test_an_index_that_is_not_reached_is_told_with_what_to_do_once_it_is(
        self, needy_task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")

        with pytest.raises(EnvironmentBuildError, match="was not reached: .*surely-not-a-package") as caught:
            ensure_environment(the_spec(needy_task, cache))

        assert "`aind-launch curricula sync` when this machine is connected" in str(caught.value.hint)

    def test_an_index_that_cannot_be_reached_is_named(
        self, needy_task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{port}/simple")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")

        with pytest.raises(EnvironmentBuildError, match=f"http://127.0.0.1:{port}/simple/surely-not-a-package"):
            built(needy_task, cache)

    def test_a_build_backend_that_fails_is_quoted(self, tmp_path: Path, cache: Path) -> None:
        files = {**BACKEND_FILES, "backend.py": "def build_wheel(*a): raise RuntimeError('out of luck')"}

        with pytest.raises(EnvironmentBuildError, match=r"RuntimeError: out of luck\."):
            built(make_task_with_submodule(tmp_path, files), cache)

    def test_a_python_that_is_not_there_is_named_with_both_mends(self, task: Path, cache: Path) -> None:
        with pytest.raises(EnvironmentBuildError, match=r"Python 3\.99, which is not on this machine") as caught:
            ensure_environment(the_spec(task, cache, python="3.99"))

        assert "uv python install" in str(caught.value.hint)
        assert "'python'" in str(caught.value.hint)

    def test_a_uv_that_is_gone_is_not_taken_for_a_full_disk(
        self, task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone() -> str:
            raise FileNotFoundError("/usr/bin/uv")

        monkeypatch.setattr("uv.find_uv_bin", gone)
        with pytest.raises(EnvironmentBuildError, match="uv is not installed. Install the launcher again"):
            ensure_environment(the_spec(task, cache))

    def test_a_cache_that_cannot_be_written_is_one_sentence(self, task: Path, tmp_path: Path) -> None:
        write(tmp_path, {"a file": ""})

        with pytest.raises(EnvironmentBuildError, match="cannot be built in") as caught:
            built(task, tmp_path / "a file")

        assert "cache-directory" in str(caught.value.hint)


@pytest.mark.integration
class TestInterruptedAndConcurrent:
    @pytest.fixture
    def slow_task(self, tmp_path: Path) -> Path:
        return make_task_with_submodule(tmp_path / "my rig", BACKEND_FILES)

    @pytest.fixture
    def backend(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
        """Where each build of `slow_task` calls, and waits for one byte."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(60)
            monkeypatch.setenv("TEST_BACKEND_PORT", str(server.getsockname()[1]))
            yield server

    @pytest.fixture
    def launchers(self) -> Iterator[list["subprocess.Popen[str]"]]:
        started: list[subprocess.Popen[str]] = []
        yield started
        for process in started:
            with process:
                process.kill()

    def launcher(self, task: Path, cache: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", LAUNCHER, str(task), str(cache)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def test_a_build_that_is_killed_is_built_from_nothing(
        self, slow_task: Path, cache: Path, backend: socket.socket, launchers: list["subprocess.Popen[str]"]
    ) -> None:
        launchers.append(self.launcher(slow_task, cache))
        connection, _ = backend.accept()
        spec = the_spec(slow_task, cache)
        assert (spec.folder / "venv").is_dir()
        write(spec.folder, {"venv/left behind": ""})
        for process in [*psutil.Process(launchers[0].pid).children(recursive=True), psutil.Process(launchers[0].pid)]:
            process.kill()
        launchers[0].wait()
        connection.close()
        assert find_environment(spec.folder) is None

        launchers.append(self.launcher(slow_task, cache))
        connection, _ = backend.accept()
        connection.sendall(b"x")
        assert launchers[1].wait(60) == 0
        connection.close()

        environment = find_environment(spec.folder)
        assert environment is not None
        assert output(environment, "curriculum") == "0"
        assert not (spec.folder / "venv" / "left behind").exists()

    def test_two_processes_at_once_build_once(
        self, slow_task: Path, cache: Path, backend: socket.socket, launchers: list["subprocess.Popen[str]"]
    ) -> None:
        launchers.append(self.launcher(slow_task, cache))
        connection, _ = backend.accept()
        launchers.append(self.launcher(slow_task, cache))
        assert launchers[1].stdout is not None
        assert launchers[1].stdout.readline() == "Another launcher is building this environment; waiting for it.\n"
        connection.sendall(b"x")
        first, second = (process.communicate(timeout=60)[0].splitlines() for process in launchers)
        connection.close()

        assert first[-1] == second[-1]
        assert len(second) == 1
        backend.setblocking(False)
        with pytest.raises(BlockingIOError):
            backend.accept()

    def test_a_folder_that_is_being_built_is_not_pruned(
        self, slow_task: Path, cache: Path, backend: socket.socket, launchers: list["subprocess.Popen[str]"]
    ) -> None:
        launchers.append(self.launcher(slow_task, cache))
        connection, _ = backend.accept()

        prune(cache, timedelta(0), ())

        assert the_spec(slow_task, cache).folder.is_dir()
        connection.sendall(b"x")
        assert launchers[0].wait(60) == 0
        connection.close()


class TestComplaints:
    def test_frames_causes_and_hints_become_one_sentence(self) -> None:
        plain = ["Resolved 1 package", "error: Request failed", "  cause: Failed to fetch: x", "", "hint: try again"]
        framed = [
            "  \u00d7 No solution found:",
            "  ├─▶ because of this",
            "  ╰─▶ and because",
            "      of that",
            "hint: no",
        ]

        assert complaint(plain) == "Request failed: Failed to fetch: x."
        assert complaint(framed) == "No solution found:: because of this: and because of that."

    def test_of_a_captured_traceback_only_the_last_line_is_told(self) -> None:
        lines = [
            "error: Failed to build",
            "  cause: It failed",
            "  [stderr]",
            "  Traceback",
            "  ValueError: no",
            "hint: x",
        ]

        assert complaint(lines) == "Failed to build: It failed: ValueError: no."

    def test_without_an_error_the_last_line_is_told(self) -> None:
        assert complaint(["one", "two"]) == "two."
        assert complaint([]) == "it gave no reason."

    @given(st.lists(st.text()))
    def test_a_complaint_is_always_one_short_line(self, lines: list[str]) -> None:
        told = complaint([" ".join(line.split()) for line in lines])

        assert told
        assert "\n" not in told
        assert len(told) < 500
