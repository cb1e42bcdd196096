"""Ctrl-C, and whatever else asks the launcher to end: nothing it started lives on, and nothing is lost."""

from pathlib import Path

import pytest
from command_line import call, end_of, started
from interrupted_sessions import ENDINGS, PLUGINS, RUN, hangs, interrupted_in, press, story, wait_for, works_again
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests

# Each starts the whole program at a terminal, or sends it signals.
pytestmark = pytest.mark.integration


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, PLUGINS, names={n: n.title() for n in ("looks", "pushes", "patient", "sees")})


# Before the acquisition


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
@pytest.mark.parametrize("name", ENDINGS)
def test_during_the_checks_the_session_is_cancelled_and_nothing_acquired(
    lab: TaskRepositoryForTests, name: str
) -> None:
    assert interrupted_in(lab, "a check", by=name).code == 130
    record, _, steps = story(lab)
    assert (record.state, record.exit_code, record.message) == ("cancelled", 130, "interrupted by the operator")
    assert ("run_session", "instant-rig") not in steps
    assert not lab.data.exists()
    works_again(lab)
    assert call(*RUN, cwd=lab.path).code == 0


# After the acquisition


def is_left_to_resume(lab: TaskRepositoryForTests) -> None:
    record, _, steps = story(lab)
    assert record.state == "incomplete"
    assert (steps["post_session", "pushes"].state, steps["post_session", "pushes"].error) == ("failed", "interrupted")
    works_again(lab)
    assert call("resume", "--all", cwd=lab.path).code == 0
    assert story(lab)[2]["post_session", "pushes"].result == "pushed"
    assert lab.stage() == "rung2"


@pytest.mark.posix_only("Windows cannot send Ctrl-C to one process alone")
def test_after_the_acquisition_ctrl_c_gives_up_the_step_and_hands_off(lab: TaskRepositoryForTests) -> None:
    run = interrupted_in(lab, "a push")
    record, session, steps = story(lab)
    assert (run.code, record.exit_code, session.handed_off) == (1, 1, True), run.err
    assert f"post session (pushes) was given up; `aind-launch resume {record.name}` does it." in run.err
    assert steps["transfer_session", "sees"].state == "done"
    is_left_to_resume(lab)


@pytest.mark.posix_only("Windows cannot send Ctrl-C to one process alone")
def test_ctrl_c_gives_up_an_endless_step_of_a_resume_too(lab: TaskRepositoryForTests) -> None:
    for command in (RUN, ("resume", "--all")):
        assert interrupted_in(lab, "a push", command=command).code == 1
    is_left_to_resume(lab)


@pytest.mark.posix_only("Windows cannot send Ctrl-C to one process alone")
def test_a_second_ctrl_c_in_the_next_step_ends_the_launcher(lab: TaskRepositoryForTests) -> None:
    mark = hangs(lab, "a push")
    hangs(lab, "a hand-off")
    with started(*RUN, cwd=lab.path) as process:
        wait_for(process, mark.exists)
        mark.unlink()
        press(process)
        wait_for(process, mark.exists)
        press(process)
        run = end_of(process)
    record, _, steps = story(lab)
    assert (run.code, record.exit_code, record.state) == (130, 130, "incomplete")
    assert f"Session {record.name} is safe; `aind-launch resume {record.name}` goes on." in run.err
    assert steps["transfer_session", "sees"].error == "interrupted"
    is_left_to_resume(lab)


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
@pytest.mark.parametrize("name", [name for name in ENDINGS if name != "SIGINT"])
def test_after_the_acquisition_whatever_ends_the_program_leaves_the_step_to_resume(
    lab: TaskRepositoryForTests, name: str
) -> None:
    assert interrupted_in(lab, "a push", by=name).code == 130
    record, session, _ = story(lab)
    assert (record.exit_code, session.handed_off) == (130, False)
    is_left_to_resume(lab)


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
def test_a_plugin_that_swallows_ctrl_c_is_ended_by_the_second(lab: TaskRepositoryForTests) -> None:
    mark = hangs(lab, "patience")
    with started(*RUN, cwd=lab.path) as process:
        wait_for(process, mark.exists)
        press(process)
        wait_for(process, (lab.root / "swallowed").exists)
        press(process)
        assert end_of(process).code == 130
    assert story(lab)[0].state == "incomplete"
    works_again(lab)
    assert call("resume", "--all", cwd=lab.path).code == 0
