"""A plugin's question at a real terminal: nothing fights it, and it can be left open."""

import json
from pathlib import Path

import pytest
from interrupted_sessions import RUN, story
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.testing import TaskRepositoryForTests

# Each starts the whole program at a terminal.
pytestmark = [pytest.mark.integration, pytest.mark.posix_only("Windows has no terminals that a test can make")]

PLUGINS = """
    import time
    from aind_launcher import Acquisition, ask, hookimpl, now

    class Weighs:
        @hookimpl
        def post_session(self, session):
            return {"weight": ask("weight", "What does the animal weigh, in g?", float, default=20.5),
                    "calm": ask("calm", "Was it calm?", bool), "side": ask("side", "Side", choices=("left", "right"))}

    class Runs:
        @hookimpl(tryfirst=True)
        def run_session(self, session):
            start, side = now(), ask("side", "Which side?")
            (session.folder / "behavior" / "side.txt").write_text(side)
            (session.folder / "asked").touch()
            while not (session.folder / "go on").exists():
                time.sleep(0.01)
            return Acquisition(outcome="completed", start=start, end=now())

    class Sees:
        @hookimpl
        def transfer_session(self):
            return "seen"
"""


def lab_with(root: Path, *names: str) -> TaskRepositoryForTests:
    return laboratory(root, PLUGINS, names={name.lower(): name for name in (*names, "Sees")})


def test_what_is_no_answer_is_told_and_asked_again(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Weighs")
    with at_terminal(*RUN, cwd=lab.path) as window:
        for label, typed in (
            ("What does the animal weigh, in g? [20.5]: ", "heavy"),
            ("heavy is not a number.", ""),
            ("Was it calm? (yes, no): ", "Yes"),
            ("Side (left, right): ", "up"),
            ("up is not one of left, right.", "RIGHT"),
        ):
            window.until(label)
            window.type(f"{typed}\n")
        assert window.end() == 0
    assert story(lab)[2]["post_session", "weighs"].result == {"weight": 20.5, "calm": True, "side": "right"}


def test_what_goes_on_is_shown_again_after_a_question(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Runs")
    with at_terminal(*RUN, cwd=lab.path) as window:
        window.until("Which side? ")
        window.type("left\n")
        window.until("Which side? left\r\n")
        window.until("run session (runs)", after=window.shown.index("Which side? left"))
        (session,) = lab.data.glob("123456_*")
        (session / "go on").touch()
        assert window.end() == 0


@pytest.mark.parametrize("is_closed", [False, True])
def test_ctrl_c_or_a_closed_window_leaves_the_question_to_resume(tmp_path: Path, is_closed: bool) -> None:
    lab = lab_with(tmp_path, "Weighs")
    with at_terminal(*RUN, cwd=lab.path) as window:
        window.until("[20.5]: ")
        if is_closed:
            window.close()
        else:
            window.type("\x03")
        assert window.end() == 130
    record, session, steps = story(lab)
    assert (record.state, record.exit_code, record.message) == ("incomplete", 130, "interrupted by the operator")
    assert (steps["post_session", "weighs"].error, session.handed_off) == ("interrupted", False)
    assert ("transfer_session", "sees") not in steps
    with at_terminal("resume", cwd=lab.path) as window:
        for label, typed in (("[20.5]: ", "21"), ("Was it calm?", "n"), ("Side", "left")):
            window.until(label)
            window.type(f"{typed}\n")
        assert window.end() == 0
    assert story(lab)[2]["post_session", "weighs"].result == {"weight": 21, "calm": False, "side": "left"}


def test_with_json_the_question_is_on_the_terminal_and_stdout_is_one_document(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "Weighs")
    answer = tmp_path / "answer.json"
    with answer.open("w", encoding="utf-8") as file, at_terminal(*RUN, "--json", cwd=lab.path, stdout=file) as window:
        for label, typed in (("[20.5]: ", "21"), ("Was it calm?", "n"), ("Side", "left")):
            window.until(label)
            window.type(f"{typed}\n")
        assert window.end() == 0
    assert json.loads(answer.read_text(encoding="utf-8"))["state"] == "completed"
