"""Whoever sits at the rig sees which animal this is before its session, and agrees, or does not."""

import json
from pathlib import Path

import pytest
from command_line import call, launch
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.model.session import SessionContext
from aind_launcher.testing import TaskRepositoryForTests, ladder_state

# Each starts the whole program at a terminal.
pytestmark = [pytest.mark.integration, pytest.mark.posix_only("Windows has no pseudo-terminals that Python opens")]

RUN = ("run", "--subject", "123456")
QUESTION = "Start this session?"


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    made = laboratory(tmp_path)
    made.data.mkdir()
    return made


def states(lab: TaskRepositoryForTests) -> list[str]:
    return [session["state"] for session in json.loads(call("sessions", "list", "--json", cwd=lab.path).out)]


def entries(lab: TaskRepositoryForTests) -> list[Path]:
    """Those of the animal's register."""
    return sorted((lab.subjects / "123456" / "sessions").glob("*.json"))


def test_enter_starts_an_animal_of_which_nothing_is_unusual(lab: TaskRepositoryForTests) -> None:
    with at_terminal(*RUN, "-e", "ana", cwd=lab.path, columns=80) as window:
        window.until("Answer [yes]")
        assert "Animal 123456" in window.shown and "╭─" in window.shown
        assert "rung1" in window.shown and "ana" in window.shown
        assert entries(lab) == []
        window.type("\n")
        assert window.end() == 0
    assert states(lab) == ["completed"]


@pytest.mark.parametrize("answer", ["no\n", "\n"], ids=["no", "only Enter"])
def test_what_is_unusual_starts_only_with_a_yes(lab: TaskRepositoryForTests, answer: str) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    known = entries(lab)
    with at_terminal(*RUN, cwd=lab.path, columns=80) as window:
        window.until("Answer [no]")
        assert window.shown.index("last session") < window.shown.index("ran today") < window.shown.index(QUESTION)
        window.type(answer)
        assert window.end() == 3
        assert "The session was not started. " in " ".join(window.shown.split())
    assert sorted(states(lab)) == ["completed", "refused"]
    assert (entries(lab), lab.stage()) == (known, "rung2")
    assert len([path for path in lab.data.iterdir() if path.name[0] != "."]) == 1
    with at_terminal(*RUN, cwd=lab.path, columns=80) as window:
        window.until("Answer [no]")
        window.type("yes\n")
        assert window.end() == 0
    assert lab.stage() == "rung3"


def test_a_task_for_an_animal_that_nobody_knows_starts_only_with_a_yes(lab: TaskRepositoryForTests) -> None:
    task = lab.root / "task.json"
    task.write_text('{"name": "Habituation"}', encoding="utf-8")
    with at_terminal("run", "-s", "12345b", "--task", str(task), cwd=lab.path, columns=80) as window:
        window.until("Answer [no]")
        assert "unknown animal" in window.shown
        window.type("\n")
        assert window.end() == 3
    assert states(lab) == ["refused"]


def test_an_animal_that_is_moved_during_the_question_is_asked_about_again(lab: TaskRepositoryForTests) -> None:
    with at_terminal(*RUN, cwd=lab.path, columns=200) as window:
        window.until("Answer [yes]")
        Library(lab.root / "library", "climbing").move("123456", ladder_state("rung5"), "ready", "ben")
        window.type("yes\n")
        window.until("Answer [no]")
        again = window.shown.split(QUESTION)[1]
        assert "asked again: Animal 123456 was put at rung5 since it was loaded." in again
        window.type("\n")
        assert window.end() == 3
    assert lab.stage() == "rung5"


def test_ctrl_c_at_the_question_cancels_the_session(lab: TaskRepositoryForTests) -> None:
    class Leaves(Operator):
        def confirms(self, session: SessionContext) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.run(operator=Leaves())
    assert (states(lab), entries(lab)) == (["cancelled"], [])


@pytest.mark.parametrize("option", ["--yes", "--unattended"])
def test_who_is_not_to_be_asked_sees_the_card_all_the_same(lab: TaskRepositoryForTests, option: str) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    with at_terminal(*RUN, option, cwd=lab.path, columns=80) as window:
        assert window.end() == 0
    assert "Animal 123456" in window.shown and "╭─" in window.shown and QUESTION not in window.shown


def test_in_a_pipe_the_card_is_plain_and_on_stderr(lab: TaskRepositoryForTests) -> None:
    run = launch(*RUN, "-e", "ana", cwd=lab.path)
    assert run.code == 0
    assert "Animal 123456\n  curriculum     Ladder 1.0.0\n" in run.err
    assert "Animal 123456" not in run.out
    assert "\x1b" not in run.err + run.out and "─" not in run.err


def test_whoever_wants_data_is_asked_and_gets_it_alone_on_stdout(lab: TaskRepositoryForTests) -> None:
    with at_terminal(*RUN, "--json", cwd=lab.path, columns=80) as window:
        window.until("Answer [yes]")
        window.type("no\n")
        assert window.end() == 3


def test_the_animals_own_unfinished_session_is_finished_first_and_others_are_only_named(
    lab: TaskRepositoryForTests,
) -> None:
    lab.add_animal("654321")
    lab.break_curriculum()
    for subject in ("123456", "654321"):
        assert call("run", "--subject", subject, cwd=lab.path).code == 1
    lab.repair_curriculum()
    with at_terminal(*RUN, "--yes", cwd=lab.path, columns=80) as window:
        window.until("of other animals are unfinished")
        window.until("of 123456 are unfinished")
        window.until("Answer [yes]")
        window.type("\n")
        assert window.end() == 0
    assert window.shown.count("Finish them now?") == 1
    assert (lab.stage(), lab.stage("654321")) == ("rung3", "rung1")
    assert sorted(states(lab)) == ["completed", "completed", "incomplete"]


def test_where_nobody_is_there_its_own_unfinished_session_waits(lab: TaskRepositoryForTests) -> None:
    lab.break_curriculum()
    assert call(*RUN, cwd=lab.path).code == 1
    lab.repair_curriculum()
    run = call(*RUN, "--unattended", cwd=lab.path)
    assert (run.code, "of 123456 are unfinished" in run.err) == (0, True)
    assert sorted(states(lab)) == ["completed", "incomplete"]


@pytest.mark.parametrize(("answer", "code"), [("no\n", 3), ("yes\n", 2)])
def test_enrolling_a_number_that_looks_like_another_is_asked_about(
    lab: TaskRepositoryForTests, answer: str, code: int
) -> None:
    lab.add_animal("801001")
    with at_terminal("curricula", "enroll", "80100l", "-c", "Ladder", cwd=lab.path) as window:
        window.until("80100l looks like 801001")
        window.until("Answer [no]")
        window.type(answer)
        # There is no curriculum here to enrol it in.
        assert window.end() == code
    assert not (lab.subjects / "80100l").exists()
