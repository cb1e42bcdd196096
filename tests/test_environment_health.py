"""An environment is what was built, and is built again if it is not; old ones are removed."""

import errno
import os
import re
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from environments import built, the_spec
from filelock import FileLock
from repositories import (
    commit,
    make_task_with_submodule,
    run_git,
    write,
)

from aind_launcher.curriculum.build import remove_tree
from aind_launcher.curriculum.environments import (
    Environment,
    ensure_environment,
    find_environment,
    health_check,
    list_environments,
    prune,
)
from aind_launcher.errors import EnvironmentBuildError

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One environment for tests that work on copies of it."""
    folder = tmp_path_factory.mktemp("once")
    return built(make_task_with_submodule(folder), folder / "cache")


def import_package(environment: Environment) -> None:
    compiling = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([environment.python, "-c", "import my_curricula"], env=compiling, check=True)


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
        write(copied.folder, {"venv/pyvenv.cfg": "home = /gone\n"})
        assert health_check(copied) == "The Python that it was made from, in /gone, is gone."

        (copied.folder / "venv" / "pyvenv.cfg").unlink()
        assert health_check(copied) == "The Python that it was made from is gone."

    def test_an_ill_environment_is_built_anew(self, task: Path, cache: Path) -> None:
        first = built(task, cache)
        remove_tree(first.folder / "source")
        lines: list[str] = []

        second = ensure_environment(the_spec(task, cache), lines.append)

        assert "is built again. source/.gitignore in " in lines[0]
        assert second.built > first.built
        assert health_check(second) is None

    @pytest.mark.parametrize(
        "path",
        [
            "site-packages/my_curricula/__init__.py",
            "site-packages/my_curricula/rules/__init__.py",
            "site-packages/my_curricula/tables.py",
            "site-packages/sitecustomize.py",
            "site-packages/.hidden.pth",
            "site-packages/another_package/__init__.py",
            "venv/pyvenv.cfg",
            "source/pyproject.toml",
        ],
    )
    def test_what_was_changed_or_installed_by_hand_is_told(self, copied: Environment, path: str) -> None:
        assert health_check(copied) is None
        site = next((copied.folder / "venv").rglob("site-packages"))
        changed = (site.parent if path.startswith("site-packages") else copied.folder) / path
        changed.parent.mkdir(exist_ok=True)
        with changed.open("a", encoding="utf-8") as file:
            file.write("\n")

        told_of = re.fullmatch(r"(\S+) in (.+) was changed after it was built\.", str(health_check(copied)))
        assert told_of is not None
        assert told_of[1].endswith(path)
        assert Path(told_of[2]) == copied.folder

    @pytest.mark.parametrize("name", ["__init__", "rules"])
    def test_bytecode_that_was_changed_or_put_there_is_told(self, copied: Environment, name: str) -> None:
        import_package(copied)
        assert health_check(copied) is None
        (compiled,) = copied.folder.rglob("my_curricula/__pycache__/__init__.*.pyc")
        bytecode = compiled.with_name(compiled.name.replace("__init__", name))
        bytecode.write_bytes(b"")

        assert str(health_check(copied)).startswith(bytecode.relative_to(copied.folder).as_posix())

    def test_what_is_gone_is_told(self, copied: Environment) -> None:
        next((copied.folder / "venv").rglob("my_curricula/__init__.py")).unlink()
        assert "my_curricula/__init__.py" in str(health_check(copied))

        copied.folder.joinpath("contents.json").write_bytes(b"{")
        assert "cannot be compared with what was built" in str(health_check(copied))

    def test_using_an_environment_does_not_change_it(self, copied: Environment) -> None:
        package = next((copied.folder / "venv").rglob("site-packages/my_curricula"))
        for left in (copied.folder / "source" / "debug_log", package / "tables.csv", package.parent / ".DS_Store"):
            left.touch()
        import_package(copied)
        run_git("status", cwd=copied.folder / "source")

        assert any(copied.folder.rglob("my_curricula/__pycache__"))
        assert health_check(copied) is None

    def test_an_environment_that_was_changed_is_built_anew(self, task: Path, cache: Path) -> None:
        first = built(task, cache)
        changed = next((first.folder / "venv").rglob("my_curricula/__init__.py"))
        reviewed = changed.read_text("utf-8")
        changed.write_text("def main(): print('up you go')\n", encoding="utf-8")
        lines: list[str] = []

        assert ensure_environment(the_spec(task, cache), lines.append, compared=False).built == first.built
        ensure_environment(the_spec(task, cache), lines.append)

        assert re.search(r"is built again\. \S*my_curricula/__init__\.py in", lines[0])
        assert changed.read_text("utf-8") == reviewed

    def test_one_that_is_in_use_stays_as_it_is(self, task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first, replace = built(task, cache), Path.replace
        next((first.folder / "venv").rglob("my_curricula/__init__.py")).touch()

        def in_use(path: Path, target: Path) -> Path:
            # As Windows does while a program runs from it.
            if path == first.folder:
                raise PermissionError(errno.EACCES, "Access is denied", str(path))
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", in_use)
        with pytest.raises(EnvironmentBuildError, match=r"cannot be moved away \(Access is denied\).*no other session"):
            built(task, cache)
        assert find_environment(the_spec(task, cache).folder) == first
        assert health_check(first, compared=False) is None

    @pytest.mark.parametrize("text", ["", "[]", "{}", "\ud800"], ids=["empty", "list", "no fields", "not UTF-8"])
    def test_a_marker_that_cannot_be_read_marks_nothing(self, task: Path, cache: Path, text: str) -> None:
        spec = the_spec(task, cache)
        spec.folder.mkdir(parents=True)
        spec.folder.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogatepass"))

        assert find_environment(spec.folder) is None
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
