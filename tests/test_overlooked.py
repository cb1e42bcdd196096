"""What git overlooks in the working tree decides nothing: not whether there is a lock, and not which Python."""

from pathlib import Path

import pytest
from environments import OWN_PYTHON
from repositories import (
    add_submodule,
    curriculum_files,
    inside,
    library_files,
    make_nested_task,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    the_source,
    write,
)

from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import Source
from aind_launcher.curriculum.specification import is_locked, python_request

LOCKED = {**curriculum_files(), "uv.lock": "version = 1\n", "docs/read me.md": ""}


@pytest.fixture
def nested_task(tmp_path: Path) -> Path:
    return make_nested_task(tmp_path)


def hide(repository: Path, path: str, flag: str) -> None:
    """Have git overlook that `path` is not there."""
    (repository / path).unlink()
    run_git("update-index", f"--{flag}", path, cwd=repository)


def overlooked_hint(source: Source, shown: str) -> str:
    pinned = pin(source)
    assert f"git was told to overlook changes in {shown}." in str(pinned.problem)
    assert pinned.dirty
    return str(pinned.problem.hint)


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
@pytest.mark.parametrize("path", ["uv.lock", "docs/read me.md"])
def test_a_submodule_of_which_git_overlooks_something_is_not_as_pinned(tmp_path: Path, path: str, flag: str) -> None:
    source = the_source(make_task_with_submodule(tmp_path, LOCKED))
    assert pin(source).problem is None
    hide(source.checkout, path, flag)

    hint = overlooked_hint(source, path)

    shown = f'"{path}"' if " " in path else path
    assert f"`git -C {source.checkout} update-index --no-{flag} {shown}`" in hint
    run_git("update-index", f"--no-{flag}", path, cwd=source.checkout)
    run_git("checkout", "--quiet", "--", path, cwd=source.checkout)
    assert pin(source).problem is None


def test_a_sparse_checkout_without_the_lock_is_not_as_pinned(tmp_path: Path) -> None:
    source = the_source(make_task_with_submodule(tmp_path, LOCKED))
    run_git("sparse-checkout", "set", "--no-cone", "/*", "!/uv.lock", cwd=source.checkout)

    assert f"`git -C {source.checkout} sparse-checkout disable`" in overlooked_hint(source, "uv.lock")
    run_git("sparse-checkout", "disable", cwd=source.checkout)
    assert pin(source).problem is None


def test_a_submodule_of_the_submodule_counts_too(nested_task: Path) -> None:
    hide(nested_task / "curricula" / "vendor" / "lib", "pyproject.toml", "skip-worktree")

    assert str(Path("curricula/vendor/lib")) in overlooked_hint(the_source(nested_task), "vendor/lib/pyproject.toml")


@pytest.mark.parametrize("path", ["uv.lock", "pyproject.toml", "packages/lib/src/lib/__init__.py"])
def test_of_a_directory_what_it_is_built_from_counts(tmp_path: Path, path: str) -> None:
    task = make_workspace(tmp_path)
    source = Source("curriculum", task / "packages" / "curriculum", task, task)
    hide(task, "README.md", "skip-worktree")
    assert pin(source).problem is None
    hide(task, path, "assume-unchanged")

    assert f"--no-assume-unchanged {path}`" in overlooked_hint(source, path)


def test_what_git_overlooks_is_built_as_it_stands_where_that_is_allowed(tmp_path: Path) -> None:
    source = the_source(make_task_with_submodule(tmp_path, LOCKED))
    before = pin(source)
    hide(source.checkout, "uv.lock", "assume-unchanged")

    assert pin(source).changes == ("uv.lock",)
    assert pin(source).identity != before.identity


def test_a_python_version_that_git_ignores_does_not_count(tmp_path: Path) -> None:
    files = {**curriculum_files(), ".gitignore": ".python-version\nuv.lock\n"}
    source = the_source(make_task_with_submodule(tmp_path, files))
    write(source.path, {".python-version": "3.99\n", "uv.lock": ""})

    assert pin(source).problem is None
    assert python_request(source) == OWN_PYTHON
    assert not is_locked(source)
    run_git("add", "--force", ".python-version", "uv.lock", cwd=source.path)
    assert python_request(source) == "3.99"
    assert is_locked(source)


def test_a_workspace_that_git_ignores_has_no_members(tmp_path: Path) -> None:
    files = {".gitignore": "/packages/pyproject.toml\n", **inside("packages/own", LOCKED)}
    task = make_task_repository(tmp_path, files)
    source = Source("own", task / "packages" / "own", task, task)
    write(task, {"packages/pyproject.toml": '[tool.uv.workspace]\nmembers = ["own"]\n'})

    assert pin(source).problem is None
    assert is_locked(source)


class TestNotCheckedOut:
    def test_a_submodule_of_the_submodule_blocks_the_pin_until_it_is_there(self, nested_task: Path) -> None:
        run_git("submodule", "--quiet", "deinit", "--force", "vendor/lib", cwd=nested_task / "curricula")
        pinned = pin(the_source(nested_task))

        assert "The submodule curricula, or one inside it, is not checked out." in str(pinned.blocked)
        assert pinned.blocked.hint == "Run `git submodule update --init --recursive curricula`."
        run_git("submodule", "--quiet", "update", "--init", "--recursive", "curricula", cwd=nested_task)
        assert pin(the_source(nested_task)).problem is None

    def test_one_within_a_directory_blocks_it_and_one_elsewhere_does_not(self, tmp_path: Path) -> None:
        task = make_task_repository(tmp_path / "task", inside("own", curriculum_files()))
        library = make_repository(tmp_path / "lib", library_files("lib"))
        for path in ("docs", "own/my lib"):
            add_submodule(task, library, path)
        source = Source("own", task / "own", task, task)
        run_git("submodule", "--quiet", "deinit", "--force", "docs", cwd=task)
        assert pin(source).problem is None
        run_git("submodule", "--quiet", "deinit", "--force", "own/my lib", cwd=task)

        blocked = pin(source).blocked

        assert "The submodule own/my lib, or one inside it, is not checked out." in str(blocked)
        assert blocked.hint == 'Run `git submodule update --init --recursive "own/my lib"`.'
