"""Curriculum sources are pinned and judged in real git repositories."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import (
    add_submodule,
    commit,
    curriculum_files,
    inside,
    library_files,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    the_source,
    write,
)

from aind_launcher.curriculum.pins import Pin, pin
from aind_launcher.curriculum.sources import Source, find_sources
from aind_launcher.errors import SourceError


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task_with_submodule(tmp_path / "my rig", path="code/the curricula")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "my workspace")


def the_member(workspace: Path) -> Source:
    (source,) = find_sources(workspace, {"member": Path("packages/curriculum")})
    return source


def the_mend(pinned: Pin) -> str:
    assert pinned.problem is not None
    return str(pinned.problem.hint)


class TestSubmodulePin:
    def test_a_clean_submodule_is_pinned_by_the_commit_that_head_records(self, task: Path) -> None:
        pinned = pin(the_source(task))

        assert pinned.problem is None
        assert not pinned.dirty
        assert pinned.commit == pinned.head == run_git("rev-parse", "HEAD", cwd=task / "code" / "the curricula")
        assert pinned.url == (task.parent / "origin").as_posix()
        pinned.require()

    def test_credentials_in_its_url_are_not_repeated(self, task: Path) -> None:
        url = "https://me:secret@example.org/curricula.git"
        run_git("remote", "set-url", "origin", url, cwd=task / "code" / "the curricula")

        assert pin(the_source(task)).url == "https://example.org/curricula.git"

    def test_one_that_is_not_initialised_is_refused_whatever_is_allowed(self, task: Path, tmp_path: Path) -> None:
        run_git("clone", "--quiet", str(task), "fresh", cwd=tmp_path)
        pinned = pin(the_source(tmp_path / "fresh"))

        assert the_mend(pinned) == 'Run `git submodule update --init --recursive "code/the curricula"`.'
        assert pinned.commit == run_git("rev-parse", "HEAD", cwd=task / "code" / "the curricula")
        assert pinned.url == (task.parent / "origin").as_posix()
        with pytest.raises(SourceError, match="is not initialised"):
            pinned.require(allow_dirty=True)

    def test_its_mend_mends_it(self, task: Path, tmp_path: Path) -> None:
        run_git("clone", "--quiet", str(task), "fresh", cwd=tmp_path)
        run_git("submodule", "--quiet", "update", "--init", "code/the curricula", cwd=tmp_path / "fresh")

        assert pin(the_source(tmp_path / "fresh")).problem is None

    def test_one_that_was_moved_names_both_commits(self, task: Path) -> None:
        before = run_git("rev-parse", "HEAD", cwd=task / "code" / "the curricula")
        after = commit(task / "code" / "the curricula", {"new.txt": ""})
        pinned = pin(the_source(task))

        assert pinned.dirty
        assert before[:10] in str(pinned.problem)
        assert after[:10] in str(pinned.problem)
        assert the_mend(pinned) == (
            'Run `git submodule update "code/the curricula"`. A new pin is reviewed and committed elsewhere.'
        )
        assert (pinned.commit, pinned.head) == (before, after)
        pinned.require(allow_dirty=True)

    def test_one_that_was_modified_lists_some_files(self, task: Path) -> None:
        write(task / "code" / "the curricula", {name: "" for name in ("a.py", "b.py", "c.py", "d.py")})
        pinned = pin(the_source(task))

        assert "has uncommitted changes: a.py, b.py, c.py and 1 more." in str(pinned.problem)
        assert f'git -C "{task / "code" / "the curricula"}" stash -u' in the_mend(pinned)
        with pytest.raises(SourceError):
            pinned.require()
        pinned.require(allow_dirty=True)

    def test_one_that_was_never_committed_says_how(self, task: Path) -> None:
        origin = (task.parent / "origin").as_posix()
        run_git("submodule", "--quiet", "add", origin, "second", cwd=task)
        second = next(source for source in find_sources(task) if source.name == "second")
        pinned = pin(second)

        assert the_mend(pinned) == "When it is reviewed, run `git add .gitmodules second` and `git commit`."
        assert pinned.dirty
        assert pinned.commit is None

    def test_one_of_another_account_is_refused_with_gits_own_command(
        self, task: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = the_source(task)
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        pinned = pin(source)

        assert "git config --global --add safe.directory" in the_mend(pinned)
        assert not pinned.dirty

    def test_one_whose_command_went_away_is_refused(self, task: Path) -> None:
        source = the_source(task)
        submodule = task / "code" / "the curricula"
        commit(submodule, {"pyproject.toml": '[project]\nname = "x"\nversion = "1"\n'})
        commit(task)

        assert "does not provide the command `curriculum`" in str(pin(source).problem)
        run_git("rm", "--quiet", "pyproject.toml", cwd=submodule)
        commit(submodule)
        commit(task)
        assert "has no pyproject.toml" in str(pin(source).problem)

    def test_one_that_is_not_toml_is_refused_by_name(self, task: Path) -> None:
        source = the_source(task)
        commit(source.path, {"pyproject.toml": "not toml"})
        commit(task)

        assert "pyproject.toml is not valid TOML" in str(pin(source).problem)

    def test_one_that_needs_what_is_not_pinned_with_it_is_refused(self, tmp_path: Path) -> None:
        more = '[tool.uv.sources]\nlib = { path = "../lib" }'
        task = make_task_with_submodule(tmp_path, curriculum_files(dependencies=["lib"], more=more))

        pinned = pin(the_source(task))

        assert "which is not pinned with it" in str(pinned.problem)
        with pytest.raises(SourceError):
            pinned.require(allow_dirty=True)

    def test_a_source_that_settings_say_how_to_run_needs_no_command(self, tmp_path: Path) -> None:
        task = make_task_with_submodule(tmp_path, library_files("library"))

        named = {"mine": Path("curricula")}
        (without,) = find_sources(task, named)
        (configured,) = find_sources(task, named, configured={"mine"})

        assert "does not provide the command" in str(pin(without).problem)
        assert pin(configured).problem is None


class TestDirectoryPin:
    def test_a_member_of_a_clean_workspace_is_pinned_by_head(self, workspace: Path) -> None:
        pinned = pin(the_member(workspace))

        assert pinned.problem is None
        assert pinned.commit == pinned.head == run_git("rev-parse", "HEAD", cwd=workspace)

    def test_a_commit_elsewhere_changes_the_pin_but_not_what_is_built(self, workspace: Path) -> None:
        before = pin(the_member(workspace))
        commit(workspace, {"README.md": "Changed\n", "packages/other/new.py": ""})
        after = pin(the_member(workspace))

        assert after.commit != before.commit
        assert after.identity == before.identity

    @pytest.mark.parametrize(
        "path",
        [
            "packages/curriculum/src/my_curricula/__init__.py",
            "packages/lib/src/lib/__init__.py",
            "uv.lock",
            "pyproject.toml",
            ".python-version",
        ],
    )
    def test_what_it_is_built_from_is_modified_before_and_another_pin_after_its_commit(
        self, workspace: Path, path: str
    ) -> None:
        before = pin(the_member(workspace))
        file = workspace / path
        file.write_text((file.read_text(encoding="utf-8") if file.exists() else "3.11") + "\n#\n", encoding="utf-8")
        changed = pin(the_member(workspace))

        assert changed.dirty
        assert changed.changes == (path,)
        commit(workspace)
        after = pin(the_member(workspace))
        assert after.problem is None
        assert after.identity != before.identity

    def test_a_commit_elsewhere_is_another_pin_where_the_version_may_come_from_history(self, tmp_path: Path) -> None:
        files = curriculum_files()
        files["pyproject.toml"] = files["pyproject.toml"].replace('version = "1.0.0"', 'dynamic = ["version"]')
        task = make_task_repository(tmp_path, inside("own", files))
        (source,) = find_sources(task, {"own": Path("own")})
        before = pin(source)

        commit(task, {"README.md": "Changed\n"})

        assert pin(source).identity != before.identity

    def test_what_it_declares_that_it_reads_beside_itself_is_pinned_with_it(self, tmp_path: Path) -> None:
        more = (
            '[tool.uv]\ncache-keys = [{ file = "pyproject.toml" }, { file = "../shared/*.csv" }, { dir = "../.." }]\n'
        )
        files = {**inside("parts/own", curriculum_files(more=more)), "parts/shared/a.csv": "1", "README.md": ""}
        task = make_task_repository(tmp_path, files)
        (source,) = find_sources(task, {"own": Path("parts/own")})
        before = pin(source)
        assert before.problem is None
        assert "." in before.paths

        write(task, {"parts/shared/a.csv": "2"})
        assert pin(source).changes == ("parts/shared/a.csv",)
        commit(task)
        assert pin(source).identity != before.identity

    def test_what_it_declares_outside_the_repository_is_refused(self, tmp_path: Path) -> None:
        more = '[tool.uv]\ncache-keys = ["../../elsewhere"]\n'
        task = make_task_repository(tmp_path, inside("own", curriculum_files(more=more)))
        (source,) = find_sources(task, {"own": Path("own")})

        assert "which is not pinned with it" in str(pin(source).problem)

    def test_changes_elsewhere_are_none_of_its_business(self, workspace: Path) -> None:
        write(workspace, {"README.md": "Changed\n", "notes.txt": "", "packages/other/x.py": ""})

        assert pin(the_member(workspace)).problem is None

    def test_path_dependencies_are_followed(self, tmp_path: Path) -> None:
        def depends_on(name: str, path: str) -> str:
            return f'[tool.uv.sources]\n{name} = {{ path = "{path}", editable = true }}\n'

        middle = library_files("middle")
        middle["pyproject.toml"] += depends_on("last", "../last")
        first = curriculum_files(dependencies=["middle"], more=depends_on("middle", "../libs/middle"))
        files = {
            **inside("first", first),
            **inside("libs/middle", middle),
            **inside("libs/last", library_files("last")),
        }
        task = make_task_repository(tmp_path, files)
        (source,) = find_sources(task, {"first": Path("first")})
        assert pin(source).problem is None

        write(task, {"libs/last/new.py": ""})

        assert pin(source).changes == ("libs/last/new.py",)

    def test_a_dependency_in_a_submodule_is_pinned_with_the_submodule(self, tmp_path: Path) -> None:
        task = make_task_repository(tmp_path / "task")
        library = add_submodule(task, make_repository(tmp_path / "origin", inside("lib", library_files("lib"))), "sub")
        more = '[tool.uv.sources]\nlib = { path = "../sub/lib" }\n'
        commit(task, inside("first", curriculum_files(dependencies=["lib"], more=more)))
        (source,) = find_sources(task, {"first": Path("first")})
        before = pin(source)
        assert before.problem is None

        commit(library, {"lib/new.py": ""})
        assert pin(source).changes == ("sub",)

        commit(task)
        assert pin(source).problem is None
        assert pin(source).identity != before.identity

    def test_a_folder_that_was_never_committed_is_dirty(self, tmp_path: Path) -> None:
        task = make_task_repository(tmp_path, {".gitignore": "hidden/\n"})
        write(task, {**inside("own", curriculum_files()), **inside("hidden", curriculum_files())})
        hidden, own = find_sources(task, {"own": Path("own"), "hidden": Path("hidden")})

        assert pin(own).dirty
        assert the_mend(pin(hidden)) == "When it is reviewed, run `git add hidden` and `git commit`."

    def test_the_repository_itself_can_be_a_source(self, tmp_path: Path) -> None:
        task = make_repository(tmp_path, curriculum_files(more="[tool.aind-launcher]"))
        (source,) = find_sources(task, {"self": Path()})
        before = pin(source)
        assert before.problem is None

        commit(task, {"x.py": ""})

        assert pin(source).identity != before.identity

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        task = make_task_repository(tmp_path)
        (source,) = find_sources(task, {"mine": Path("nowhere")})

        assert "has no folder nowhere" in str(pin(source).problem)

    def test_a_task_repository_without_a_commit_pins_nothing(self, tmp_path: Path) -> None:
        run_git("init", "--quiet", cwd=tmp_path)
        write(tmp_path, inside("own", curriculum_files()))
        (source,) = find_sources(tmp_path, {"own": Path("own")})

        assert "has no commit yet" in str(pin(source).problem)


class TestIdentity:
    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: write(folder, {"new file.py": "x"}),
            lambda folder: write(folder, {"pyproject.toml": "x"}),
            lambda folder: (folder / "pyproject.toml").unlink(),
            lambda folder: make_repository(folder / "nested", {"a": ""}),
        ],
        ids=["untracked", "modified", "deleted", "nested repository"],
    )
    def test_every_change_names_something_else_until_it_is_undone(
        self, task: Path, change: Callable[[Path], object]
    ) -> None:
        source = the_source(task)
        clean = pin(source).identity

        change(source.path)
        dirty = pin(source).identity
        again = pin(source).identity
        run_git("reset", "--quiet", "--hard", cwd=source.path)
        run_git("clean", "-ffdq", cwd=source.path)

        assert dirty == again
        assert dirty != clean
        assert pin(source).identity == clean

    def test_a_change_of_a_change_is_another(self, task: Path) -> None:
        source = the_source(task)
        write(source.path, {"new.py": "one"})
        one = pin(source).identity

        write(source.path, {"new.py": "two"})

        assert pin(source).identity != one

    def test_a_change_that_cannot_be_read_is_refused(self, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source, read_bytes = the_source(task), Path.read_bytes
        write(source.path, {"new.py": "one"})

        def in_use(path: Path) -> bytes:
            # As Windows does while another program has it open for itself alone.
            if path.name == "new.py":
                raise PermissionError(errno.EACCES, "Access is denied", str(path))
            return read_bytes(path)

        monkeypatch.setattr(Path, "read_bytes", in_use)

        assert "cannot be read: " in str(pin(source).problem)

    def test_ignored_files_do_not_count(self, task: Path) -> None:
        source = the_source(task)
        write(source.path, {"__pycache__/x.pyc": "", ".venv/y": ""})

        assert pin(source).problem is None
