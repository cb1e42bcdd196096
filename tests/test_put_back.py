"""A submodule that is not as pinned is as pinned again after the commands that its hint names."""

from pathlib import Path

import pytest
from repositories import commit, make_nested_task, make_task_with_submodule, run_git, the_source

from aind_launcher.curriculum.pins import Pin, pin


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task_with_submodule(tmp_path / "my rig", path="code/the curricula")


def the_mend(pinned: Pin) -> str:
    assert pinned.problem is not None
    return str(pinned.problem.hint)


def test_a_move_that_is_only_staged_is_still_a_move_and_its_mend_mends_it(task: Path) -> None:
    commit(task / "code" / "the curricula", {"new.txt": ""})
    run_git("add", "code/the curricula", cwd=task)
    pinned = pin(the_source(task))

    assert pinned.dirty
    assert the_mend(pinned).startswith(
        'Run `git reset -- "code/the curricula"` and `git submodule update "code/the curricula"`.'
    )
    run_git("reset", "--quiet", "--", "code/the curricula", cwd=task)
    run_git("submodule", "--quiet", "update", "code/the curricula", cwd=task)
    assert pin(the_source(task)).problem is None


def test_one_whose_git_directory_is_gone_is_mended_as_it_says(task: Path) -> None:
    source, gone = the_source(task), task / ".git" / "modules" / "code" / "the curricula"
    gone.rename(task.parent / "elsewhere")
    pinned = pin(source)

    assert f"{source.checkout} has lost its git directory, {gone}." in str(pinned.problem)
    parent = source.checkout.parent
    command = f'git -C "{parent}" submodule update --init --recursive "the curricula"'
    assert f"move the folder aside and run `{command}`" in the_mend(pinned)
    source.checkout.rename(task.parent / "aside")
    run_git("submodule", "--quiet", "update", "--init", "the curricula", cwd=parent)
    assert pin(source).problem is None


def test_files_in_the_place_of_one_that_is_not_initialised_are_moved_first(task: Path) -> None:
    source = the_source(task)
    (source.checkout / ".git").unlink()

    assert the_mend(pin(source)) == (
        'Move what is in "code/the curricula" aside, because git needs an empty folder. '
        'Run `git submodule update --init --recursive "code/the curricula"`.'
    )


def test_a_submodule_of_it_at_another_commit_is_put_back(tmp_path: Path) -> None:
    task = make_nested_task(tmp_path)
    commit(task / "curricula" / "vendor" / "lib", {"new.txt": ""})
    pinned = pin(the_source(task))

    assert "The submodule curricula has submodules that are not as it pins them: vendor/lib." in str(pinned.problem)
    assert the_mend(pinned).startswith("Run `git submodule update --recursive curricula`.")
    run_git("submodule", "--quiet", "update", "--recursive", "curricula", cwd=task)
    assert pin(the_source(task)).problem is None
