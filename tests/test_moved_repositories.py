"""A task repository that was moved, or is reached by another way, goes on with its sessions; another clone does not."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call
from repositories import run_git
from task_repositories import laboratory

from aind_launcher.curriculum.build import remove_tree
from aind_launcher.journal.journal import Journal
from aind_launcher.lifecycle.home import Home
from aind_launcher.testing import TaskRepositoryForTests

WITNESS = """
    from aind_launcher import hookimpl

    class Witness:
        @hookimpl
        def post_session(self, session):
            return str(session.repository.path)
"""


def unfinished(root: Path, settings: str = "") -> tuple[TaskRepositoryForTests, str]:
    """A task repository, and a session whose curriculum failed and would answer by now."""
    lab = laboratory(root, WITNESS, settings, names={"witness": "Witness"})
    lab.break_curriculum()
    name = lab.run().session.name
    lab.repair_curriculum()
    return lab, name


def renamed(lab: TaskRepositoryForTests) -> Path:
    return lab.path.rename(lab.root / "renamed")


def behind_a_link(lab: TaskRepositoryForTests) -> Path:
    there = renamed(lab)
    lab.path.symlink_to(there, target_is_directory=True)
    return there


def put_another_in_its_place(lab: TaskRepositoryForTests) -> Path:
    """Where the task repository is now, with another git repository where it was."""
    there = renamed(lab)
    shutil.copytree(there, lab.path, ignore=shutil.ignore_patterns(".git"))
    run_git("init", "--quiet", cwd=lab.path)
    run_git("add", "--all", cwd=lab.path)
    run_git("commit", "--quiet", "--message", "another", cwd=lab.path)
    return there


def cloned_before_it_went(lab: TaskRepositoryForTests) -> Path:
    run_git("clone", "--quiet", str(lab.path), str(lab.root / "clone"), cwd=lab.root)
    remove_tree(lab.path)
    return lab.root / "clone"


NEEDS_RIGHTS = pytest.mark.posix_only("Windows lets only administrators and developers make links")


@pytest.mark.integration
@pytest.mark.parametrize(
    "move", [renamed, pytest.param(behind_a_link, marks=NEEDS_RIGHTS), put_another_in_its_place, cloned_before_it_went]
)
def test_a_moved_task_repository_goes_on_with_its_sessions_and_says_so(
    tmp_path: Path, move: Callable[[TaskRepositoryForTests], Path]
) -> None:
    lab, name = unfinished(tmp_path)
    there = move(lab)
    assert f"unfinished, the newest {name}" in call("doctor", cwd=there).out
    assert "1 earlier session(s) of 123456 are unfinished" in call("run", "-s", "123456", cwd=there).err
    planned = json.loads(call("resume", name, "--dry-run", "--json", cwd=there).out)
    assert planned[0]["hook"] == "curriculum_suggest"
    ended = call("resume", "--all", cwd=there)
    assert ended.code == 0, ended.err
    assert f"Session {name} was begun in {lab.path}; that task repository is now {there}." in ended.err
    assert lab.steps(name)["post_session", "witness"].result == str(there)
    with Journal.open(lab.journal) as journal:
        record = journal.session(name)
    assert record
    assert (record.state, record.repository) == ("completed", there)
    assert "that task repository is now" not in call("resume", name, cwd=there).err


@pytest.mark.integration
def test_what_was_put_in_its_place_neither_takes_its_sessions_nor_gives_its_own(tmp_path: Path) -> None:
    lab, moved = unfinished(tmp_path)
    there = put_another_in_its_place(lab)
    left = call("resume", "--all", cwd=lab.path)
    assert (left.code, lab.stage()) == (0, "rung1")
    belongs = f"belongs to another task repository, which was in {lab.path} before"
    assert f"{moved} is unfinished, too; it {belongs}" in left.err
    refused = call("resume", moved, cwd=lab.path)
    assert (refused.code, belongs in refused.err) == (3, True)
    assert re.search(r"Put the task repository back there and resume, .* sessions close", refused.err)

    lab.break_curriculum()
    own = lab.run().session.name
    lab.repair_curriculum()
    with Journal.open(lab.journal) as journal:
        for folder, theirs in ((there, moved), (lab.path, own)):
            for order in (journal.sessions(), reversed(journal.sessions())):
                home = Home(journal, folder)
                assert [record.name for record in order if home.has(record)] == [theirs]
            assert [record.name for record in Home(journal, folder).unfinished()] == [theirs]


def test_one_that_was_cloned_anew_without_the_sessions_commit_is_still_the_same(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    run_git("remote", "add", "origin", "https://git.example/lab/task.git", cwd=lab.path)
    lab.break_curriculum()
    name = lab.run().session.name
    lab.repair_curriculum()
    remove_tree(lab.path / ".git")
    run_git("init", "--quiet", cwd=lab.path)
    run_git("remote", "add", "origin", "https://git.example/lab/task.git", cwd=lab.path)
    lab.commit()
    assert lab.resume(name).state == "completed"


def test_what_lies_within_a_moved_repository_moves_with_it(tmp_path: Path) -> None:
    lab, name = unfinished(tmp_path)
    inside = {"AIND_LAUNCHER_DATA_DIRECTORY": "data", "AIND_LAUNCHER_STATE_DIRECTORY": "state"}
    lab.write(".gitignore", "data\nstate\n__pycache__/\n*-is-broken\n")
    lab.commit()
    lab.break_curriculum()
    name = json.loads(call("run", "-s", "123456", "--json", cwd=lab.path, environment=inside).out)["session"]
    lab.repair_curriculum()
    there = renamed(lab)
    assert call("resume", "--all", cwd=there, environment=inside).code == 0
    assert (there / "data" / name / "behavior" / "metrics.json").is_file()


def clone(lab: TaskRepositoryForTests) -> Path:
    run_git("clone", "--quiet", str(lab.path), str(lab.root / "clone"), cwd=lab.root)
    return lab.root / "clone"


def fork(lab: TaskRepositoryForTests) -> Path:
    lab.path.rename(lab.root / "gone")
    run_git("clone", "--quiet", str(lab.root / "gone"), str(lab.root / "fork"), cwd=lab.root)
    return lab.root / "fork"


@pytest.mark.integration
@pytest.mark.parametrize("other", [clone, fork])
def test_another_clone_leaves_the_sessions_to_the_one_that_they_were_begun_in(
    tmp_path: Path, other: Callable[[TaskRepositoryForTests], Path]
) -> None:
    lab = laboratory(tmp_path)
    run_git("remote", "add", "origin", "https://git.example/lab/task.git", cwd=lab.path)
    lab.break_curriculum()
    name = lab.run().session.name
    lab.repair_curriculum()
    there = other(lab)
    assert "that task repository" not in call("run", "-s", "123456", cwd=there).err
    refused = call("resume", name, cwd=there)
    assert (refused.code, f"belongs to {lab.path}" in refused.err) == (3, True)
    if other is fork:
        assert re.search(r"which is gone\.\s+Put the task repository back .* sessions close", refused.err)
    left = call("resume", "--all", cwd=there)
    assert "Nothing is left undone" in left.out
    assert f"{name} is unfinished, too; it belongs to {lab.path}" in left.err


def test_two_task_repositories_of_one_git_repository_are_not_taken_for_each_other(tmp_path: Path) -> None:
    lab, name = unfinished(tmp_path)
    outer = lab.root / "outer"
    for folder in ("first", "second"):
        shutil.copytree(lab.path, outer / folder, ignore=shutil.ignore_patterns(".git"))
    run_git("init", "--quiet", cwd=outer)
    run_git("add", "--all", cwd=outer)
    run_git("commit", "--quiet", "--message", "both", cwd=outer)
    lab.break_curriculum()
    shutil.copy(lab.path / "curriculum-is-broken", outer / "first")
    name = json.loads(call("run", "-s", "123456", "--json", cwd=outer / "first").out)["session"]
    remove_tree(outer / "first")
    for elsewhere in (outer, outer.with_name("moved")):
        if elsewhere != outer:
            outer.rename(elsewhere)
        assert call("resume", name, cwd=elsewhere / "second").code == 3
