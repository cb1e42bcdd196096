"""Environments of curricula: what is built from the pinned commit, with which Python."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from environments import BACKEND_FILES, OWN_MODULE, OWN_PYTHON, built, files_of, output, the_source, the_spec
from hypothesis import given
from hypothesis import strategies as st
from repositories import (
    add_submodule,
    commit,
    curriculum_files,
    library_files,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    write,
)

from aind_launcher.curriculum.build import executable, scripts_folder
from aind_launcher.curriculum.environments import (
    ensure_environment,
    find_environment,
    health_check,
    list_environments,
    prune,
)
from aind_launcher.curriculum.sources import Source
from aind_launcher.curriculum.specification import python_request, satisfies


@pytest.mark.integration
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

        assert second == first == find_environment(the_spec(task, cache).folder)
        assert lines == []

    def test_nothing_is_found_before_it_is_built(self, task: Path, cache: Path) -> None:
        assert find_environment(the_spec(task, cache).folder) is None
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

    def test_an_environment_shares_no_file_with_uvs_cache(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UV_LINK_MODE", "hardlink")
        task = make_task_with_submodule(tmp_path, curriculum_files(dependencies=["typing-extensions"]))
        site = files_of(built(task, cache), "typing_extensions").parent

        files = [path for path in site.rglob("*") if path.is_file()]
        assert [path for path in files if path.is_symlink() or path.stat().st_nlink > 1] == []

    def test_variables_of_another_environment_do_not_lead_the_build_astray(
        self, locked_task: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        write(elsewhere, {"encodings.py": "raise SystemExit('shadowed')"})
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PROJECT", "PYTHONPATH", "GIT_DIR", "CONDA_PREFIX"):
            monkeypatch.setenv(name, str(elsewhere))
        monkeypatch.setenv("UV_FROZEN", "1")
        monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")

        environment = built(locked_task, cache)

        configuration = (environment.folder / "venv" / "pyvenv.cfg").read_text(encoding="utf-8")
        assert "include-system-site-packages = false" in configuration
        assert list(elsewhere.iterdir()) == [elsewhere / "encodings.py"]

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


class TestPython:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        workspace = make_workspace(tmp_path)
        return the_source(workspace, "packages/curriculum")

    def test_the_setting_comes_first(self, source: Source) -> None:
        write(source.path, {".python-version": "3.12"})

        assert python_request(source, "3.13") == "3.13"

    def test_then_the_first_of_the_sources_own_file(self, source: Source) -> None:
        write(source.path, {".python-version": "\ufeff3.99\n# a comment\n\n  3.12 # another\n"})
        write(source.repository, {".python-version": "3.13"})

        assert python_request(source) == "3.99"

    def test_then_that_of_the_workspace(self, source: Source) -> None:
        write(source.repository, {".python-version": "3.13"})

        assert python_request(source) == "3.13"

    def test_then_the_launchers_own_where_it_will_do(self, source: Source) -> None:
        assert python_request(source) == OWN_PYTHON

    def test_else_what_is_required(self, source: Source) -> None:
        write(source.path, {"pyproject.toml": curriculum_files(requires_python=">=3.98,<4")["pyproject.toml"]})

        assert python_request(source) == ">=3.98,<4"

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
