"""Questions at a real terminal: what was typed before them, and windows that are closed."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from interrupted_sessions import PLUGINS, RUN, hangs, press, story, wait_for
from task_repositories import laboratory
from terminals import Window, at_terminal

from aind_launcher.testing import TaskRepositoryForTests

# Each starts the whole program at a terminal.
pytestmark = [pytest.mark.integration, pytest.mark.posix_only("Windows has no terminals that a test can make")]

# A task that ends with an error once the test lets it.
TASK = """
    import pathlib, sys, time

    folder = pathlib.Path(sys.argv[1])
    (folder / "running.txt").write_text("running")
    while not (folder / "go on").exists():
        time.sleep(0.01)
    sys.exit("the camera broke")
"""


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return lab_with(tmp_path, PLUGINS, {"pushes": "Pushes", "sees": "Sees"}, TASK)


def lab_with(root: Path, plugins: str, names: Mapping[str, str], task: str) -> TaskRepositoryForTests:
    command = json.dumps([sys.executable, "{repository}/task.py", "{session_directory}"])
    made = laboratory(
        root,
        plugins,
        f"""disable = ["isolated-curriculum", "instant-rig"]
[tool.aind-launcher.plugin.acquisition]
command = {command}
""",
        names=names,
    )
    made.write("task.py", task)
    made.commit()
    return made


def running(lab: TaskRepositoryForTests, window: Window) -> Path:
    """The file that lets the task end, once it runs."""
    wait_for(window.process, lambda: any(lab.data.glob("*/running.txt")))
    (told,) = lab.data.glob("*/running.txt")
    return told.with_name("go on")


def type_during_the_task(lab: TaskRepositoryForTests, window: Window) -> None:
    """What would answer a later question is typed and shown before the task ends."""
    go_on = running(lab, window)
    window.type("score\n")
    window.until("score")
    go_on.touch()


def test_what_is_typed_while_the_task_runs_answers_no_question(lab: TaskRepositoryForTests) -> None:
    with at_terminal(*RUN, cwd=lab.path) as window:
        type_during_the_task(lab, window)
        window.until("Answer")
        window.type("discard\n")
        assert window.end() == 4
    assert story(lab)[0].state == "discarded"


def test_what_is_typed_while_the_launcher_starts_answers_no_question(lab: TaskRepositoryForTests) -> None:
    with at_terminal(*RUN, cwd=lab.path) as window:
        running(lab, window).touch()
        window.until("Answer")
        window.type("\x03")
        assert window.end() == 130
    with at_terminal(*RUN, cwd=lab.path) as window:
        # Before Python itself has started.
        window.type("score\n")
        window.until("Finish them now?")
        window.until("Answer")
        window.type("yes\n")
        window.until("What becomes of its data?")
        window.close()
        assert window.end() == 130
    assert "is not one of" not in window.shown


@pytest.mark.parametrize("asks", ['ask("weight", "What does it weigh?")', 'input("What does it weigh? ")'])
def test_what_is_typed_while_the_task_runs_answers_no_plugin_either(tmp_path: Path, asks: str) -> None:
    plugin = f"""
    from aind_launcher import ask, hookimpl

    class Weighs:
        interactive = {"input" in asks}

        @hookimpl
        def post_session(self, session):
            return {asks}
"""
    lab = lab_with(tmp_path, plugin, {"weighs": "Weighs"}, TASK.replace("sys.exit", "print"))
    with at_terminal(*RUN, cwd=lab.path) as window:
        type_during_the_task(lab, window)
        window.until("What does it weigh? ")
        window.type("21 g\n")
        assert window.end() == 0
    assert story(lab)[2]["post_session", "weighs"].result == "21 g"
    # Nothing else is drawn where the answer is typed.
    assert "What does it weigh? 21 g\r\n" in window.shown


# The window is closed. Whether the program hears of it (SIGHUP) makes no difference at a question.


def is_asked_again(lab: TaskRepositoryForTests) -> None:
    """The session waits, its data where it was, and the next resume asks what the closed window left open."""
    record, session, steps = story(lab)
    assert (record.state, record.exit_code, record.message) == ("incomplete", 130, "interrupted by the operator")
    assert (session.acquisition, session.handed_off) == (None, False)
    assert ("transfer_session", "sees") not in steps
    with at_terminal("resume", cwd=lab.path) as window:
        window.until("Answer")
        window.type("score\n")
        assert window.end() == 0
    assert lab.stage() == "rung2"


@pytest.mark.parametrize("hears_closing", [True, False])
def test_a_window_closed_at_a_question_leaves_it_open(lab: TaskRepositoryForTests, hears_closing: bool) -> None:
    with at_terminal(*RUN, cwd=lab.path, hears_closing=hears_closing) as window:
        running(lab, window).touch()
        window.until("Answer")
        window.close()
        assert window.end() == 130
    is_asked_again(lab)


@pytest.mark.parametrize("hears_closing", [True, False])
def test_a_window_closed_while_the_task_runs_leaves_the_question_open(
    lab: TaskRepositoryForTests, hears_closing: bool
) -> None:
    with at_terminal(*RUN, cwd=lab.path, hears_closing=hears_closing) as window:
        go_on = running(lab, window)
        window.close()
        if not hears_closing:
            go_on.touch()
        assert window.end() == 130
    is_asked_again(lab)


def closed_during_a_push(lab: TaskRepositoryForTests, hears_closing: bool) -> int:
    lab.write("task.py", "print('done')")
    lab.commit()
    mark = hangs(lab, "a push")
    with at_terminal(*RUN, cwd=lab.path, hears_closing=hears_closing) as window:
        wait_for(window.process, mark.exists)
        window.close()
        if not hears_closing:
            press(window.process, "SIGINT")
        return window.end()


def test_a_window_closed_during_a_step_leaves_it_to_resume(lab: TaskRepositoryForTests) -> None:
    assert closed_during_a_push(lab, hears_closing=True) == 130
    record, _, steps = story(lab)
    assert (record.state, record.exit_code, record.message) == ("incomplete", 130, "interrupted by the operator")
    assert ("transfer_session", "sees") not in steps


def test_a_window_whose_closing_is_not_heard_changes_nothing_that_a_session_does(lab: TaskRepositoryForTests) -> None:
    # Ctrl-C gives up the step that hangs; the session goes on to its end, whose summary nobody sees.
    assert closed_during_a_push(lab, hears_closing=False) == 1
    record, _, steps = story(lab)
    assert (record.exit_code, steps["transfer_session", "sees"].state) == (1, "done")
