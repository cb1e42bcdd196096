"""A plugin asks the person at the rig; where nobody is there it gets the default, or its step waits."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any, assert_type

import pytest
from command_line import launch
from task_repositories import laboratory

from aind_launcher import ask
from aind_launcher.errors import LauncherError
from aind_launcher.journal.journal import Journal
from aind_launcher.lifecycle import step_thread
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.person import Person
from aind_launcher.model.question import Question
from aind_launcher.testing import TaskRepositoryForTests, answering

PLUGINS = """
    from aind_launcher import TransientError, ask, hookimpl, now

    def asks():
        return ask("weight", "What does the animal weigh, in g?", float)

    class Weighs:
        @hookimpl
        def post_session(self):
            return asks()

    class WeighsInAWindow:
        interactive = True

        @hookimpl
        def pre_session(self):
            raise OSError("there is no screen")

        @hookimpl
        def post_session(self):
            return "of a window"

    class Notes:
        @hookimpl
        def post_session(self):
            return ask("note", "What is to be noted?", default="nothing")

    class Early:
        @hookimpl
        def load_animal_state(self):
            asks()

        @hookimpl
        def prepare_session(self):
            asks()

        @hookimpl
        def pre_session(self):
            asks()

        @hookimpl
        def begin_session(self):
            asks()

    class Runs:
        @hookimpl(tryfirst=True)
        def run_session(self, session):
            (session.folder / "behavior" / "lick.csv").write_text("1")
            asks()

    class Swallows:
        @hookimpl
        def post_session(self):
            try:
                return asks()
            except Exception as error:
                return str(error)

    class Wraps:
        @hookimpl
        def post_session(self):
            try:
                return asks()
            except Exception as error:
                raise RuntimeError("not pushed") from error

    class Shaky:
        tries = 0

        @hookimpl
        def post_session(self):
            self.tries += 1
            given = [ask("rewards", "How many rewards?", int), ask("again", "And by hand?", int)]
            if self.tries < 3:
                raise TransientError("not now")
            return given

    class Wrong:
        @hookimpl
        def post_session(self):
            ask("side", "Which side?", choices=("left", "right"), default="lef")

    class Loud:
        @hookimpl
        def post_session(self):
            import os, subprocess, sys
            print("printed")
            print("past the launcher", file=sys.__stdout__)
            os.write(1, b"to the descriptor\\n")
            subprocess.run([sys.executable, "-c", "print('of a program')"], check=True)
            raise OSError("as a resume has more to do then")

    class Sees:
        @hookimpl
        def transfer_session(self):
            return "seen"
"""
QUESTION = 'A person has to answer "What does the animal weigh, in g?".'


def lab_with(root: Path, *plugins: str, settings: str = "") -> TaskRepositoryForTests:
    return laboratory(root, PLUGINS, settings, {name.lower(): name for name in (*plugins, "Sees")})


def test_a_person_answers(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Weighs", "Notes")
    outcome = lab.run(answers={"weight": 21})
    steps = lab.steps(outcome.session.name)
    assert steps["post_session", "weighs"].result == 21.0
    assert (steps["post_session", "notes"].result, outcome.state) == ("nothing", "completed")


@pytest.mark.parametrize(
    ("plugin", "what", "result"),
    [
        ("Weighs", QUESTION, 21.5),
        ("Swallows", QUESTION, 21.5),
        ("Wraps", QUESTION, 21.5),
        ("WeighsInAWindow", "Plugin weighsinawindow asks a person.", "of a window"),
    ],
)
def test_without_anybody_the_step_waits_and_the_data_leaves(
    tmp_path: Path, plugin: str, what: str, result: object
) -> None:
    lab = lab_with(tmp_path, plugin)
    outcome = lab.run()
    name = outcome.session.name
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    step = lab.steps(name)["post_session", plugin.lower()]
    assert (step.state, step.error) == ("waiting", f"{what} Run `aind-launch resume {name}` at a terminal.")
    assert lab.steps(name)["transfer_session", "sees"].state == "done"
    with Journal.open(lab.journal) as journal:
        (record,) = journal.unfinished()
    assert record.message == f"post_session ({plugin.lower()}): {step.error}"

    lab.write("more.py", PLUGINS.replace('raise OSError("there is no screen")', "pass"))
    assert lab.resume(name).state == "incomplete"
    assert lab.resume(name, answers={"weight": 21.5}).state == "completed"
    assert lab.steps(name)["post_session", plugin.lower()].result == result


def test_a_step_that_is_required_and_waits_holds_the_hand_off(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Weighs", settings='required-steps = ["weighs"]')
    outcome = lab.run()
    assert outcome.held == "weighs must be done before the hand-off"
    assert lab.resume(outcome.session.name, answers={"weight": 21.5}).state == "completed"


def test_no_session_is_refused_since_nobody_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = lab_with(tmp_path, "Early", "WeighsInAWindow")
    outcome = lab.run()
    steps = lab.steps(outcome.session.name)
    early = {hook: steps[hook, "early"] for hook, plugin in steps if plugin == "early"}
    assert len(early) == 4
    assert {(step.state, step.error) for step in early.values()} == {
        ("skipped", f"left out, since nobody is there: {QUESTION}")
    }
    assert steps["pre_session", "weighsinawindow"].state == "skipped"
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"pre session (early): left out, since nobody is there: {QUESTION}" in warned


def test_an_acquisition_that_needs_a_person_has_failed_and_its_data_stays(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Runs")
    outcome = lab.run()
    assert outcome.session.acquisition
    assert (outcome.state, outcome.session.acquisition.message) == ("failed", QUESTION)
    assert lab.steps(outcome.session.name)["transfer_session", "sees"].state == "done"


def test_a_default_counts_where_nobody_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = lab_with(tmp_path, "Notes")
    with caplog.at_level("INFO"):
        assert lab.run().state == "completed"
    assert 'nobody is there to answer "What is to be noted?"; it counts as nothing' in caplog.messages


def test_a_step_that_is_tried_again_asks_nothing_twice(tmp_path: Path) -> None:
    asked: list[str] = []

    class Somebody(Operator):
        attended = True

        def ask_for_plugin(self, question: Question) -> Any:
            asked.append(question.name)
            return len(asked)

    lab = lab_with(tmp_path, "Shaky")
    name = lab.run(operator=Somebody()).session.name
    step = lab.steps(name)["post_session", "shaky"]
    assert (step.result, step.attempt, asked) == ([1, 2], 3, ["rewards", "again"])


def test_a_question_that_makes_no_sense_is_an_error_of_its_plugin(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Wrong")
    error = lab.steps(lab.run().session.name)["post_session", "wrong"].error
    assert str(error).startswith("ValueError: The question 'side' is wrong: lef is not one of left, right. (more.py:")


def test_what_a_test_does_not_answer_is_named(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Weighs")
    error = lab.steps(lab.run(answers={}).session.name)["post_session", "weighs"].error
    assert error == "The test has no answer to the question 'weight'. Give it: answers={'weight': ...}."


@pytest.mark.integration
def test_whatever_a_plugin_writes_the_answer_stands_alone_on_stdout(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Loud")
    run = launch("run", "--subject", "123456", "--json", cwd=lab.path)
    resume = launch("resume", "--json", cwd=lab.path)
    assert [json.loads(run.out)["state"], json.loads(resume.out)[0]["state"]] == ["incomplete"] * 2
    for said in ("printed", "past the launcher", "to the descriptor", "of a program"):
        assert said in run.err.splitlines()


def test_outside_of_a_session_nobody_can_be_asked_unless_a_test_answers() -> None:
    with pytest.raises(LauncherError, match=r"ask\('calm', \.\.\.\) was called .* `aind_launcher.testing.answer"):
        ask("calm", "Is it calm?", bool)
    with answering({"calm": True, "side": "left", "rewards": 3}):
        assert_type(ask("calm", "Is it calm?", bool), bool)
        assert_type(ask("rewards", "How many?", int, choices=(3, 4)), int)
        assert_type(ask("weight", "What does it weigh?", float, default=21), float)
        assert_type(ask("side", "Which side?", choices=("left", "right")), str)
        with pytest.raises(ValueError, match="'left' is not a number"):
            ask("side", "Which side?", float)


TYPED: list[tuple[Question, str, object]] = [
    (Question("n", "?", float), "21,5", "21,5 is not a number. Write it as 21.5."),
    (Question("n", "?", float), " 21 ", 21.0),
    (Question("n", "?", float), "nan", "nan is not a number."),
    (Question("n", "?", float), "heavy", "heavy is not a number."),
    (Question("n", "?", int), "2.5", "2.5 is not a whole number."),
    (Question("n", "?", int, choices=(1, 2)), "3", "3 is not one of 1, 2."),
    (Question("n", "?", bool), "Y", True),
    (Question("n", "?", bool), "no", False),
    (Question("n", "?", bool), "maybe", "maybe is not yes or no."),
    (Question("n", "?", choices=("Left", "Right")), "left", "Left"),
    (Question("n", "?", choices=("Left", "Right")), "r", "Right"),
    (Question("n", "?", choices=("keep", "keep all")), "keep", "keep"),
    (Question("n", "?", choices=("score", "skip")), "s", "s is not one of score, skip."),
    (Question("n", "?", choices=("Left", "Right")), "up", "up is not one of Left, Right."),
    (Question("n", "?"), "  ", "An answer is needed."),
    (Question("n", "?", default=""), "  ", ""),
]


@pytest.mark.parametrize(("question", "typed", "read"), TYPED, ids=[f"{q.kind.__name__} {t}" for q, t, _ in TYPED])
def test_what_is_typed_is_an_answer_or_is_told_why_not(question: Question, typed: str, read: object) -> None:
    try:
        answer: object = question.read(typed)
    except ValueError as error:
        answer = str(error)
    assert (type(answer), answer) == (type(read), read)


def test_the_time_that_a_person_thinks_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    threads: list[threading.Thread] = []

    class Slow(Operator):
        def ask_for_plugin(self, question: Question) -> Any:
            threads.append(threading.current_thread())
            clock[0] += 3600
            return True

    def step() -> bool:
        with Person(Slow()).asked():
            # Also from a thread that has the step's context.
            return ask("calm", "Is it calm?", bool) and asyncio.run(asyncio.to_thread(ask, "calm", "Is it calm?", bool))

    assert step_thread.call(step, 60, may_answer=True) is True
    assert threads == [threading.main_thread()] * 2
