"""What is built: locks, workspaces, extras, and uncommitted changes."""

import subprocess
from pathlib import Path

import pytest
from environments import OWN_MODULE, OWN_PYTHON, built, files_of, output, the_spec
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

from aind_launcher.curriculum.environments import (
    ensure_environment,
    find_environment,
    list_environments,
)
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import find_sources
from aind_launcher.curriculum.specification import specify
from aind_launcher.errors import EnvironmentBuildError


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

        assert environment.python_version.startswith(OWN_PYTHON)
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

    def test_a_member_in_a_submodule_is_there_when_uv_reads_the_workspace(self, tmp_path: Path, cache: Path) -> None:
        workspace = make_workspace(tmp_path / "my workspace")
        add_submodule(workspace, make_repository(tmp_path / "extra", library_files("extra")), "packages/extra")
        add_submodule(workspace, make_repository(tmp_path / "bulky", {"a.bonsai": ""}), "bulky")
        lock(workspace)
        commit(workspace)

        environment = built(workspace, cache, "packages/curriculum")

        assert (environment.folder / "source" / "packages" / "extra" / "pyproject.toml").exists()
        assert not list((environment.folder / "source" / "bulky").glob("*"))

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

    def test_an_edit_during_the_build_is_never_taken_for_what_was_specified(self, task: Path, cache: Path) -> None:
        write(task / "the curricula", {"new.txt": "one"})
        spec = the_spec(task, cache)
        write(task / "the curricula", {"new.txt": "two"})

        with pytest.raises(EnvironmentBuildError, match="was changed while it was being built"):
            ensure_environment(spec)

        assert find_environment(spec.folder) is None
