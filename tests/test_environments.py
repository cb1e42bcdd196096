"""Environments of curricula, built by the real uv and virtualenv from real git repositories."""

import errno
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from repositories import (
    add_submodule,
    commit,
    curriculum_files,
    inside,
    library_files,
    lock,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    write,
)

from aind_launcher.curriculum.build import complaint, executable, remove_tree, satisfies, scripts_folder
from aind_launcher.curriculum.environments import (
    Environment,
    EnvironmentSpec,
    alteration,
    condemn,
    ensure_environment,
    find_environment,
    health_check,
    list_environments,
    prune,
    python_requests,
    specify,
)
from aind_launcher.curriculum.sources import Source, find_sources, pin
from aind_launcher.errors import EnvironmentBuildError, SourceError

OWN_PYTHON = "{}.{}".format(*sys.version_info[:2])
OWN_MODULE = "my_curricula/__init__.py"

# A build backend inside its own source tree: needs no network, tells the test that it was called, and waits for it.
BACKEND = """\
import os, pathlib, socket, subprocess, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    if port := os.environ.get("TEST_BACKEND_PORT"):
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            assert connection.recv(1) == b"x"
    described = subprocess.run(["git", "describe", "--tags"], capture_output=True, text=True).stdout.strip()
    version = described.removeprefix("v") or "0"
    info = f"my_curricula-{version}.dist-info"
    files = {
        "my_curricula.py": f"def main(): print({version!r})",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: my-curricula\\nVersion: {version}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\ncurriculum = my_curricula:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = f"my_curricula-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
BACKEND_FILES = {
    "backend.py": BACKEND,
    "pyproject.toml": '[project]\nname = "my-curricula"\ndynamic = ["version"]\n'
    '[project.scripts]\ncurriculum = "my_curricula:main"\n'
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
}

LAUNCHER = """\
import pathlib, sys
from aind_launcher.curriculum.environments import ensure_environment, specify
from aind_launcher.curriculum.sources import find_sources, pin

(source,) = find_sources(pathlib.Path(sys.argv[1]))
spec = specify(source, pin(source), pathlib.Path(sys.argv[2]))
environment = ensure_environment(spec, lambda line: print(line, flush=True))
print("built", environment.built.isoformat(), flush=True)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "my cache"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task_with_submodule(tmp_path / "my rig", path="the curricula")


@pytest.fixture
def locked_task(tmp_path: Path) -> Path:
    origin = write(tmp_path / "my rig" / "origin", curriculum_files())
    lock(origin)
    files = {"uv.lock": (origin / "uv.lock").read_text(encoding="utf-8"), **curriculum_files()}
    return make_task_with_submodule(tmp_path / "my rig", files, path="the curricula")


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One environment for tests that work on copies of it."""
    folder = tmp_path_factory.mktemp("once")
    return built(make_task_with_submodule(folder), folder / "cache")


def the_source(task: Path, member: str | None = None) -> Source:
    (source,) = find_sources(task, {"member": Path(member)} if member else {})
    return source


def the_spec(
    task: Path, cache: Path, member: str | None = None, extras: tuple[str, ...] = (), python: str | None = None
) -> EnvironmentSpec:
    source = the_source(task, member)
    return specify(source, pin(source), cache, extras, python)


def built(task: Path, cache: Path, member: str | None = None, extras: tuple[str, ...] = ()) -> Environment:
    return ensure_environment(the_spec(task, cache, member, extras))


def output(environment: Environment, *arguments: str) -> str:
    """What a program of the environment prints, run from its private clone."""
    program, *rest = arguments or ("curriculum", "version")
    command = [str(environment.scripts / executable(program, sys.platform)), *rest]
    ended = subprocess.run(command, cwd=environment.source_folder, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def files_of(environment: Environment, module: str) -> Path:
    return Path(output(environment, "python", "-I", "-c", f"import {module}; print({module}.__file__)"))


class TestBuilding:
    def test_an_environment_runs_the_curriculum_of_the_pinned_commit(self, task: Path, cache: Path) -> None:
        environment = built(task, cache)

        assert output(environment) == "1.0.0"
        assert environment.commit == run_git("rev-parse", "HEAD", cwd=task / "the curricula")
        assert environment.url == (task.parent / "origin").as_posix()
        assert environment.source == "the curricula"
        assert not environment.dirty
        assert sys.version.startswith(environment.python_version)
        assert health_check(environment) is None

    def test_a_built_environment_is_found_and_not_built_again(self, task: Path, cache: Path) -> None:
        lines: list[str] = []
        first = built(task, cache)
        second = ensure_environment(the_spec(task, cache), lines.append)

        assert second == first == find_environment(the_spec(task, cache))
        assert lines == []

    def test_nothing_is_found_before_it_is_built(self, task: Path, cache: Path) -> None:
        assert find_environment(the_spec(task, cache)) is None
        assert list_environments(cache) == ()
        assert prune(cache, timedelta(0), ()) == ()

    def test_building_leaves_submodule_and_task_repository_clean(self, locked_task: Path, cache: Path) -> None:
        built(locked_task, cache)

        for repository in (locked_task, locked_task / "the curricula"):
            assert run_git("status", "--porcelain", "--ignored", cwd=repository) == ""

    def test_a_source_that_is_edited_after_the_build_does_not_reach_it(self, task: Path, cache: Path) -> None:
        environment = built(task, cache)
        write(task / "the curricula", {"src/" + OWN_MODULE: "def main(): print('edited')"})

        assert output(environment) == "1.0.0"
        assert not files_of(environment, "my_curricula").is_relative_to(task)
        assert the_spec(task, cache).key != environment.key

    def test_progress_and_log_say_what_uv_says(self, task: Path, cache: Path) -> None:
        lines: list[str] = []
        environment = ensure_environment(the_spec(task, cache), lines.append)

        assert lines[0].startswith("Cloning the curricula at ")
        assert any(line.startswith("Installed 1 package") for line in lines)
        assert "Installed 1 package" in environment.log.read_text(encoding="utf-8")

    def test_variables_of_another_environment_do_not_lead_the_build_astray(
        self, locked_task: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        write(elsewhere, {"virtualenv.py": "raise SystemExit('shadowed')"})
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PROJECT", "PYTHONPATH", "GIT_DIR", "CONDA_PREFIX"):
            monkeypatch.setenv(name, str(elsewhere))
        monkeypatch.setenv("UV_FROZEN", "1")
        monkeypatch.setenv("VIRTUALENV_SYSTEM_SITE_PACKAGES", "1")

        environment = built(locked_task, cache)

        configuration = (environment.folder / "venv" / "pyvenv.cfg").read_text(encoding="utf-8")
        assert "include-system-site-packages = false" in configuration
        assert list(elsewhere.iterdir()) == [elsewhere / "virtualenv.py"]

    def test_hooks_of_the_account_have_no_part_in_what_is_built(self, task: Path, cache: Path, tmp_path: Path) -> None:
        hook = write(tmp_path / "hooks", {"post-checkout": "#!/bin/sh\ntouch hooked\n"}) / "post-checkout"
        hook.chmod(0o755)
        run_git("config", "--global", "core.hooksPath", hook.parent.as_posix(), cwd=tmp_path)
        try:
            environment = built(task, cache)
        finally:
            run_git("config", "--global", "--unset", "core.hooksPath", cwd=tmp_path)

        assert not (environment.source_folder / "hooked").exists()

    def test_history_and_tags_come_along(self, tmp_path: Path, cache: Path) -> None:
        origin = make_repository(tmp_path / "origin", BACKEND_FILES, tag="v1.2.3")
        task = make_task_repository(tmp_path / "task")
        add_submodule(task, origin, "curricula")

        assert output(built(task, cache), "curriculum") == "1.2.3"

    @pytest.mark.integration
    def test_a_published_version_tool_finds_the_tag(self, tmp_path: Path, cache: Path) -> None:
        build_system = '[build-system]\nrequires = ["setuptools-scm>=8", "setuptools>=77"]\n'
        pyproject = (
            '[project]\nname = "my-curricula"\ndynamic = ["version"]\n[project.scripts]\n'
            f'curriculum = "my_curricula:main"\n{build_system}build-backend = "setuptools.build_meta"\n'
            "[tool.setuptools_scm]\n"
        )
        code = 'import importlib.metadata as m\ndef main(): print(m.version("my-curricula"))\n'
        files = {"pyproject.toml": pyproject, "src/my_curricula/__init__.py": code}
        origin = make_repository(tmp_path / "origin", files, tag="v3.2.1")
        task = make_task_repository(tmp_path / "task")
        add_submodule(task, origin, "curricula")

        assert output(built(task, cache), "curriculum") == "3.2.1"

    def test_submodules_of_the_submodule_come_along(self, tmp_path: Path, cache: Path) -> None:
        more = '[tool.uv.sources]\nlib = { path = "vendor/lib" }\n'
        origin = make_repository(tmp_path / "origin", curriculum_files(dependencies=["lib"], more=more))
        add_submodule(origin, make_repository(tmp_path / "lib", library_files("lib")), "vendor/lib")
        task = make_task_repository(tmp_path / "task")
        add_submodule(task, origin, "curricula")
        run_git("submodule", "--quiet", "update", "--init", "--recursive", cwd=task)

        assert files_of(built(task, cache), "lib").name == "__init__.py"

    def test_a_shallow_submodule_is_enough(self, task: Path, tmp_path: Path, cache: Path) -> None:
        commit(task.parent / "origin", {"more.txt": ""})
        shallow = make_task_repository(tmp_path / "shallow")
        url = (task.parent / "origin").as_uri()
        run_git("submodule", "--quiet", "add", "--depth", "1", "--", url, "curricula", cwd=shallow)
        commit(shallow)
        assert (shallow / ".git" / "modules" / "curricula" / "shallow").exists()

        assert output(built(shallow, cache)) == "1.0.0"


@pytest.mark.integration
class TestLocks:
    def test_what_the_lock_says_is_installed_and_not_as_a_link_to_the_source(
        self, locked_task: Path, cache: Path
    ) -> None:
        environment = built(locked_task, cache)

        assert output(environment) == "1.0.0"
        assert "sync --locked" in environment.log.read_text(encoding="utf-8")
        assert files_of(environment, "my_curricula").is_relative_to(environment.folder / "venv")

    def test_a_lock_that_is_out_of_date_is_refused_with_its_mend(self, locked_task: Path, cache: Path) -> None:
        submodule = locked_task / "the curricula"
        commit(submodule, {"pyproject.toml": curriculum_files(requires_python=">=3.10")["pyproject.toml"]})
        commit(locked_task)

        with pytest.raises(EnvironmentBuildError, match="lock file of the curricula does not fit") as caught:
            built(locked_task, cache)

        assert "uv lock" in str(caught.value.hint)
        assert list_environments(cache) == ()

    def test_a_differing_python_version_file_does_not_throw_the_environment_away(
        self, locked_task: Path, cache: Path
    ) -> None:
        commit(locked_task / "the curricula", {".python-version": "3.99\n"})
        commit(locked_task)

        environment = ensure_environment(the_spec(locked_task, cache, python=OWN_PYTHON))

        # Only virtualenv writes this line; an environment that uv made in its place would lack it.
        assert "virtualenv = " in (environment.folder / "venv" / "pyvenv.cfg").read_text(encoding="utf-8")
        assert output(environment) == "1.0.0"

    def test_a_project_whose_scripts_are_not_installed_is_refused(self, tmp_path: Path, cache: Path) -> None:
        origin = write(tmp_path / "origin", {"pyproject.toml": curriculum_files()["pyproject.toml"].split("[build")[0]})
        lock(origin)
        files = {path.name: path.read_text(encoding="utf-8") for path in origin.iterdir()}
        task = make_task_with_submodule(tmp_path, files)

        with pytest.raises(EnvironmentBuildError, match="has no command `curriculum`") as caught:
            built(task, cache)

        assert "[build-system]" in str(caught.value.hint)

    def test_a_source_that_settings_say_how_to_run_needs_no_command(self, tmp_path: Path, cache: Path) -> None:
        task = make_task_with_submodule(tmp_path, library_files("lib"))
        (source,) = find_sources(task, {"mine": Path("curricula")}, configured={"mine"})

        environment = ensure_environment(specify(source, pin(source), cache))

        assert files_of(environment, "lib").name == "__init__.py"


@pytest.mark.integration
class TestDirectories:
    def test_a_workspace_member_is_built_with_what_it_depends_on_and_nothing_else(
        self, tmp_path: Path, cache: Path
    ) -> None:
        workspace = make_workspace(tmp_path / "my workspace")
        environment = built(workspace, cache, "packages/curriculum")

        assert output(environment) == "1.0.0"
        assert files_of(environment, "lib").is_relative_to(environment.folder / "venv")
        assert environment.source_folder == environment.folder / "source" / "packages" / "curriculum"
        assert "sync --locked" in environment.log.read_text(encoding="utf-8")
        with pytest.raises(subprocess.CalledProcessError):
            files_of(environment, "other")
        assert run_git("status", "--porcelain", "--ignored", cwd=workspace) == ""

    def test_a_commit_elsewhere_needs_no_other_environment(self, tmp_path: Path, cache: Path) -> None:
        workspace = make_workspace(tmp_path / "my workspace")
        first = built(workspace, cache, "packages/curriculum")
        commit(workspace, {"README.md": "Changed\n"})

        assert built(workspace, cache, "packages/curriculum") == first

    def test_a_member_in_a_submodule_is_there_when_uv_reads_the_workspace(self, tmp_path: Path, cache: Path) -> None:
        workspace = make_workspace(tmp_path / "my workspace")
        add_submodule(workspace, make_repository(tmp_path / "extra", library_files("extra")), "packages/extra")
        add_submodule(workspace, make_repository(tmp_path / "bulky", {"a.bonsai": ""}), "bulky")
        lock(workspace)
        commit(workspace)

        environment = built(workspace, cache, "packages/curriculum")

        assert (environment.folder / "source" / "packages" / "extra" / "pyproject.toml").exists()
        assert list((environment.folder / "source" / "bulky").iterdir()) == []

    def test_a_folder_without_lock_is_installed_plainly(self, tmp_path: Path, cache: Path) -> None:
        task = make_task_repository(tmp_path / "task", inside("own curricula", curriculum_files()))

        environment = built(task, cache, "own curricula")

        assert output(environment) == "1.0.0"
        assert "pip install" in environment.log.read_text(encoding="utf-8")

    @pytest.mark.parametrize("with_lock", [True, False], ids=["lock", "no lock"])
    def test_extras_are_installed_where_they_are_asked_for(self, tmp_path: Path, cache: Path, with_lock: bool) -> None:
        more = '[tool.uv.sources]\nlib = { path = "../lib" }\n'
        own = curriculum_files(extras={"plots": ["lib"]}, more=more)
        task = make_task_repository(tmp_path / "task", {**inside("own", own), **inside("lib", library_files("lib"))})
        if with_lock:
            lock(task / "own")
            commit(task)

        without, with_extra = built(task, cache, "own"), built(task, cache, "own", ("plots",))

        assert without.key != with_extra.key
        assert files_of(with_extra, "lib").name == "__init__.py"
        with pytest.raises(subprocess.CalledProcessError):
            files_of(without, "lib")


@pytest.mark.integration
class TestUnreviewed:
    def test_uncommitted_changes_are_built_as_they_are(self, task: Path, cache: Path, tmp_path: Path) -> None:
        submodule = task / "the curricula"
        commit(submodule, {"gone.txt": "", "kept.txt": ""})
        commit(task)
        clean = built(task, cache)
        write(
            submodule, {"src/" + OWN_MODULE: "from .new import main", "src/my_curricula/new.py": "def main(): print(2)"}
        )
        (submodule / "gone.txt").unlink()
        make_repository(submodule / "nested", {"a.txt": ""})

        dirty = built(task, cache)

        assert output(dirty) == "2"
        assert output(clean) == "1.0.0"
        assert dirty.dirty
        assert not (dirty.source_folder / "gone.txt").exists()
        assert (dirty.source_folder / "nested" / "a.txt").exists()
        assert (dirty.source_folder / "kept.txt").exists()

    def test_a_moved_submodule_is_built_where_it_is(self, task: Path, cache: Path) -> None:
        head = commit(task / "the curricula", curriculum_files(mark="2.0.0"))

        environment = built(task, cache)

        assert environment.commit == head
        assert output(environment) == "2.0.0"

    def test_a_source_that_is_not_there_cannot_be_specified(self, task: Path, tmp_path: Path, cache: Path) -> None:
        run_git("clone", "--quiet", str(task), "fresh", cwd=tmp_path)

        with pytest.raises(SourceError, match="not initialised"):
            the_spec(tmp_path / "fresh", cache)

    def test_an_edit_during_the_build_is_never_taken_for_what_was_specified(self, task: Path, cache: Path) -> None:
        write(task / "the curricula", {"new.txt": "one"})
        spec = the_spec(task, cache)
        write(task / "the curricula", {"new.txt": "two"})

        with pytest.raises(EnvironmentBuildError, match="was changed while it was being built"):
            ensure_environment(spec)

        assert find_environment(spec) is None


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
        assert find_environment(spec) is None
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
        with pytest.raises(EnvironmentBuildError, match=r"Python 3\.99 is not on this machine") as caught:
            ensure_environment(the_spec(task, cache, python="3.99"))

        assert "uv python install" in str(caught.value.hint)
        assert "'python'" in str(caught.value.hint)

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
        assert find_environment(spec) is None

        launchers.append(self.launcher(slow_task, cache))
        connection, _ = backend.accept()
        connection.sendall(b"x")
        assert launchers[1].wait(60) == 0
        connection.close()

        environment = find_environment(spec)
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


class TestHealth:
    @pytest.fixture
    def copied(self, built_once: Environment, tmp_path: Path) -> Environment:
        shutil.copytree(built_once.folder, tmp_path / built_once.key, symlinks=True)
        shutil.copy(built_once.folder.with_suffix(".json"), tmp_path)
        return built_once.model_copy(update={"folder": tmp_path / built_once.key})

    def test_a_missing_python_is_told(self, copied: Environment) -> None:
        assert health_check(copied) is None
        copied.python.unlink()

        assert health_check(copied) == f"Its Python, {copied.python}, is missing."

    def test_a_base_python_that_is_gone_is_told(self, copied: Environment) -> None:
        write(copied.folder, {"venv/pyvenv.cfg": "home = /gone\nbase-executable = /gone/python3\n"})
        assert health_check(copied) == f"The Python that it was made from, {Path('/gone/python3')}, is gone."

        (copied.folder / "venv" / "pyvenv.cfg").unlink()
        assert health_check(copied) == "The Python that it was made from is gone."

    def test_a_missing_clone_is_told(self, copied: Environment) -> None:
        remove_tree(copied.folder / "source")

        assert str(health_check(copied)).startswith("Its clone of the source, ")

    def test_an_ill_environment_is_built_anew(self, task: Path, cache: Path) -> None:
        first = built(task, cache)
        remove_tree(first.folder / "source")
        lines: list[str] = []

        second = ensure_environment(the_spec(task, cache), lines.append)

        assert "is built anew. Its clone of the source" in lines[0]
        assert second.built > first.built
        assert health_check(second) is None

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("site-packages/my_curricula/__init__.py", "site-packages/my_curricula/__init__.py"),
            ("site-packages/sitecustomize.py", "site-packages/sitecustomize.py"),
            ("site-packages/another_package/__init__.py", "site-packages/another_package"),
            ("venv/pyvenv.cfg", "venv/pyvenv.cfg"),
            ("source/pyproject.toml", "source/pyproject.toml"),
        ],
    )
    def test_what_was_changed_or_installed_by_hand_is_told(self, copied: Environment, path: str, told: str) -> None:
        assert alteration(copied) is None
        site = next((copied.folder / "venv").rglob("site-packages"))
        changed = (site.parent if path.startswith("site-packages") else copied.folder) / path
        changed.parent.mkdir(exist_ok=True)
        with changed.open("a", encoding="utf-8") as file:
            file.write("\n")

        told_of = re.fullmatch(r"(\S+) in (.+) was changed after it was built\.", str(alteration(copied)))
        assert told_of is not None
        assert told_of[1].endswith(told)
        assert Path(told_of[2]) == copied.folder

    def test_what_is_gone_is_told(self, copied: Environment) -> None:
        next((copied.folder / "venv").rglob("my_curricula/__init__.py")).unlink()
        assert "my_curricula/__init__.py" in str(alteration(copied))

        copied.folder.joinpath("contents.json").write_bytes(b"{")
        assert "cannot be compared with what was built" in str(alteration(copied))

    def test_using_an_environment_does_not_change_it(self, copied: Environment) -> None:
        package = next((copied.folder / "venv").rglob("site-packages/my_curricula"))
        for left in (copied.folder / "source" / "debug_log", package / "tables.py", package.parent / ".DS_Store"):
            left.touch()
        compiling = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([copied.python, "-c", "import my_curricula"], env=compiling, check=True)
        run_git("status", cwd=copied.folder / "source")

        assert any(copied.folder.rglob("my_curricula/__pycache__"))
        assert alteration(copied) is None

    def test_an_environment_that_was_changed_is_built_anew(self, task: Path, cache: Path) -> None:
        first = built(task, cache)
        changed = next((first.folder / "venv").rglob("my_curricula/__init__.py"))
        reviewed = changed.read_text("utf-8")
        changed.write_text("def main(): print('up you go')\n", encoding="utf-8")
        lines: list[str] = []

        assert ensure_environment(the_spec(task, cache), lines.append, compared=False).built == first.built
        ensure_environment(the_spec(task, cache), lines.append)

        assert re.search(r"is built anew\. \S*my_curricula/__init__\.py in", lines[0])
        assert changed.read_text("utf-8") == reviewed

    def test_one_that_was_built_anew_is_another_and_is_spared(self, task: Path, cache: Path) -> None:
        first = built(task, cache)
        assert alteration(first) is None
        condemn(first)
        second = built(task, cache)

        assert alteration(first) == f"{first.folder} was built anew meanwhile."
        condemn(first)
        assert find_environment(the_spec(task, cache)) == second

    def test_one_that_is_in_use_stays_as_it_is(self, task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first, rename = built(task, cache), Path.rename
        next((first.folder / "venv").rglob("my_curricula/__init__.py")).touch()

        def in_use(path: Path, target: Path) -> Path:
            # As Windows does while a program runs from it.
            if path == first.folder:
                raise PermissionError(errno.EACCES, "Access is denied", str(path))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", in_use)
        with pytest.raises(EnvironmentBuildError, match=r"cannot be moved away \(Access is denied\).*no other session"):
            built(task, cache)
        assert find_environment(the_spec(task, cache)) == first
        assert health_check(first) is None

    @pytest.mark.parametrize("text", ["", "[]", "{}", "\ud800"], ids=["empty", "list", "no fields", "not UTF-8"])
    def test_a_marker_that_cannot_be_read_marks_nothing(self, task: Path, cache: Path, text: str) -> None:
        spec = the_spec(task, cache)
        spec.folder.mkdir(parents=True)
        spec.folder.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogatepass"))

        assert find_environment(spec) is None
        assert list_environments(cache) == ()


class TestPruning:
    def aged(self, environment: Environment, days: int) -> Environment:
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(environment.folder.with_suffix(".json"), (then, then))
        return environment

    @pytest.fixture
    def environment(self, task: Path, cache: Path) -> Environment:
        return self.aged(built(task, cache), days=40)

    def test_what_was_not_used_for_long_goes_with_all_that_is_beside_it(
        self, environment: Environment, cache: Path
    ) -> None:
        assert prune(cache, timedelta(days=30), ()) == (environment,)
        assert list_environments(cache) == ()
        assert {path.suffix for path in environment.folder.parent.iterdir()} <= {".lock"}

    def test_what_was_used_since_stays(self, environment: Environment, task: Path, cache: Path) -> None:
        built(task, cache)

        assert prune(cache, timedelta(days=30), ()) == ()
        assert health_check(environment) is None

    def test_what_is_still_pinned_stays(self, environment: Environment, cache: Path) -> None:
        assert prune(cache, timedelta(days=30), {environment.key}) == ()
        assert health_check(environment) is None

    def test_what_is_locked_stays(self, environment: Environment, cache: Path) -> None:
        with FileLock(environment.folder.with_suffix(".lock")):
            assert prune(cache, timedelta(days=30), ()) == ()

        assert list_environments(cache) == (environment,)

    def test_what_an_interrupted_build_or_removal_left_goes_too(self, environment: Environment, cache: Path) -> None:
        self.aged(environment, days=0)
        write(environment.folder.parent, {"0123456789abcdef/venv/x": "", "fedcba-discarded-01/x": "", "fedcba.log": ""})

        assert prune(cache, timedelta(0), {environment.key}) == ()
        assert [path.name for path in environment.folder.parent.iterdir() if path.is_dir()] == [environment.key]

    def test_what_another_version_of_the_launcher_used_since_stays(self, environment: Environment, cache: Path) -> None:
        then = (datetime.now(UTC) - timedelta(days=40)).timestamp()
        os.utime(environment.folder, (then, then))
        marker = environment.folder.with_suffix(".json")
        marker.write_text('{"of": "another version"}', encoding="utf-8")
        prune(cache, timedelta(days=30), ())
        assert environment.folder.exists()

        os.utime(marker, (then, then))
        prune(cache, timedelta(days=30), ())
        assert not environment.folder.exists()

    def test_the_last_used_is_listed_first(self, environment: Environment, task: Path, cache: Path) -> None:
        commit(task / "the curricula", {"more.txt": ""})

        later = built(task, cache)

        assert list_environments(cache) == (later, environment)

    def test_a_tree_with_read_only_files_is_removed(self, tmp_path: Path) -> None:
        write(tmp_path / "tree", {"objects/ab/cdef": "", "objects/pack/x.pack": ""})
        for path in sorted((tmp_path / "tree").rglob("*"), reverse=True):
            path.chmod(stat.S_IREAD | (stat.S_IEXEC if path.is_dir() else 0))

        remove_tree(tmp_path / "tree")

        assert not (tmp_path / "tree").exists()


class TestPython:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        workspace = make_workspace(tmp_path)
        return the_source(workspace, "packages/curriculum")

    def test_the_setting_comes_first(self, source: Source) -> None:
        write(source.path, {".python-version": "3.12"})

        assert python_requests(source, "3.13") == ("3.13",)

    def test_then_the_sources_own_file_which_may_list_several(self, source: Source) -> None:
        write(source.path, {".python-version": "\ufeff3.99\n# a comment\n\n  3.12 # another\n"})
        write(source.repository, {".python-version": "3.13"})

        assert python_requests(source) == ("3.99", "3.12")

    def test_then_that_of_the_workspace(self, source: Source) -> None:
        write(source.repository, {".python-version": "3.13"})

        assert python_requests(source) == ("3.13",)

    def test_then_the_launchers_own_where_it_will_do(self, source: Source) -> None:
        assert python_requests(source) == (OWN_PYTHON,)

    def test_else_what_is_required(self, source: Source) -> None:
        write(source.path, {"pyproject.toml": curriculum_files(requires_python=">=3.98,<4")["pyproject.toml"]})

        assert python_requests(source) == (">=3.98,<4",)

    def test_of_several_the_first_that_is_there_is_taken(self, task: Path, cache: Path) -> None:
        commit(task / "the curricula", {".python-version": f"3.99\n{OWN_PYTHON}\n"})
        commit(task)

        assert built(task, cache).python_version.startswith(OWN_PYTHON)

    def test_an_interpreter_may_be_named_by_its_path(self, task: Path, cache: Path) -> None:
        path = getattr(sys, "_base_executable", sys.executable)

        assert ensure_environment(the_spec(task, cache, python=path)).python_version.startswith(OWN_PYTHON)

    @pytest.mark.parametrize(
        ("wanted", "fits"),
        [
            ("3", True),
            ("3.11", True),
            ("3.11.7", True),
            ("3.1", False),
            ("3.11.70", False),
            (">=3.11", True),
            (">=3.10,<3.11.7", False),
            ("==3.11.*", True),
            ("~=3.11", True),
            ("pypy3.11", False),
            ("/usr/bin/python3.11", False),
        ],
    )
    def test_a_version_is_compared_part_by_part(self, wanted: str, fits: bool) -> None:
        assert satisfies((3, 11, 7), wanted) is fits

    @given(st.text())
    def test_any_text_may_be_asked_for(self, wanted: str) -> None:
        assert satisfies((3, 11, 7), wanted) in (True, False)


class TestPlatforms:
    def test_programs_lie_in_scripts_on_windows_and_in_bin_elsewhere(self) -> None:
        assert scripts_folder(Path("venv"), "win32") == Path("venv", "Scripts")
        assert scripts_folder(Path("venv"), "linux") == Path("venv", "bin")
        assert executable("curriculum", "win32") == "curriculum.exe"
        assert executable("curriculum", "darwin") == "curriculum"


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
