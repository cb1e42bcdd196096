"""When Ctrl-C is heard and when it waits: what is being written down is written whole, whoever writes it."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from command_line import call, hearing_signals_as_before, launch
from pydantic import BaseModel, field_serializer
from pydantic_core import PydanticSerializationError
from task_repositories import laboratory

from aind_launcher.errors import LauncherError
from aind_launcher.journal.journal import Journal
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.steps import NOT_BEGUN
from aind_launcher.model.session import Check
from aind_launcher.system import interrupts, processes

pytestmark = pytest.mark.usefixtures("interrupts_held")

# Plugins that have Ctrl-C pressed in the middle of a serializer: their own, and the launcher's.
PLUGINS = """
    import signal
    import time
    from pathlib import Path
    from pydantic import BaseModel, field_serializer
    from aind_launcher import Check, hookimpl

    def wait_to_be_ended():
        # Signals reach the main thread alone, which asks a step to end.
        for _ in range(6000):
            time.sleep(0.01)

    class Answer(BaseModel):
        mark: Path

        @field_serializer("mark")
        def pressed(self, mark):
            if not mark.exists():
                mark.touch()
                signal.raise_signal(signal.SIGINT)
            return "whole"

    class Tells:
        @hookimpl
        def post_session(self, session):
            with (session.repository.path.parent / "told").open("a") as told:
                told.write("told\\n")
            return Answer(mark=session.repository.path.parent / "pressed while it is written down")

    class Looks:
        @hookimpl
        def pre_session(self, session):
            # With `yield` it is a generator, and does its work when it is asked for the first check.
            yield Check(name="pressed", outcome="passed", message="")
            signal.raise_signal(signal.SIGINT)
            wait_to_be_ended()
            (session.repository.path.parent / "went on").touch()

    class Slow(Answer):
        @field_serializer("mark")
        def pressed(self, mark):
            if super().pressed(mark) and not (mark.parent / "not slow").exists():
                (mark.parent / "not slow").touch()
                wait_to_be_ended()
            return "whole"

    class Writes:
        @hookimpl
        def post_session(self, session):
            return Slow(mark=session.repository.path.parent / "pressed while it writes").model_dump_json()
"""


class Pressed(BaseModel):
    """Something during whose serialization Ctrl-C is pressed."""

    value: int = 1

    @field_serializer("value")
    def press(self, value: int) -> int:
        signal.raise_signal(signal.SIGINT)
        return value


def test_without_help_it_becomes_another_error() -> None:
    with hearing_signals_as_before(), pytest.raises(PydanticSerializationError):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        Pressed().model_dump_json()


def test_heard_it_is_what_it_was() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.heard():
        Pressed().model_dump_json()


def test_held_it_waits_for_the_end() -> None:
    written = ""
    with pytest.raises(KeyboardInterrupt), interrupts.heard(), interrupts.held():
        written = Pressed().model_dump_json()
        written += "\n"
    assert written == '{"value":1}\n'


def test_held_it_waits_for_whoever_hears_it() -> None:
    reached: list[str] = []
    with interrupts.held():
        signal.raise_signal(signal.SIGINT)
        reached.append("held")
        with pytest.raises(KeyboardInterrupt), interrupts.heard():
            reached.append("heard")
        with interrupts.heard():
            reached.append("heard once")
    assert reached == ["held", "heard once"]


def test_what_is_held_within_is_heard_where_that_ends() -> None:
    reached: list[str] = []
    with interrupts.held(), pytest.raises(KeyboardInterrupt), interrupts.heard():
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            reached.append("held")
        reached.append("heard")
    assert reached == ["held"]


@pytest.mark.parametrize(("seconds", "heard"), [(0.1, False), (1.9, False), (2.1, True), (60, True)])
def test_who_presses_again_after_two_seconds_is_heard_everywhere(
    monkeypatch: pytest.MonkeyPatch, seconds: float, heard: bool
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupts.heard(), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        clock[0] += seconds
        signal.raise_signal(signal.SIGINT)
        reached.append("end")
    assert reached == ([] if heard else ["end"])


@pytest.mark.parametrize("name", [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)])
def test_who_ends_the_launcher_is_heard_like_ctrl_c(name: str) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.heard():
        signal.raise_signal(signal.Signals[name])


def test_what_whoever_started_us_turned_off_stays_off() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interrupts.hold_from_now_on()
    with interrupts.heard():
        signal.raise_signal(signal.SIGTERM)


def test_an_error_that_has_nothing_to_do_with_it_stays() -> None:
    with interrupts.held(), pytest.raises(ValueError, match="another"), interrupts.heard():
        raise ValueError("another")


def test_an_error_after_one_that_was_answered_is_an_error() -> None:
    with pytest.raises(ValueError, match="another"), interrupts.heard():
        with pytest.raises(KeyboardInterrupt), interrupts.heard():
            signal.raise_signal(signal.SIGINT)
        raise ValueError("another")


def test_heard_in_a_group_of_tasks_it_is_what_it_was() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.heard():
        try:
            # One of the tasks asks somebody, for instance.
            with interrupts.heard():
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as pressed:
            raise BaseExceptionGroup("of tasks", [pressed, ValueError("another")]) from None


def test_what_is_said_on_purpose_is_still_said() -> None:
    with pytest.raises(LauncherError, match="nothing was kept"), interrupts.heard():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise LauncherError("Interrupted, and nothing was kept.") from None


def test_ctrl_c_while_a_program_is_being_started_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def pressed(pid: int) -> float:
        started.append(pid)
        signal.raise_signal(signal.SIGINT)
        return 0.0

    monkeypatch.setattr(processes, "_created", pressed)
    with pytest.raises(KeyboardInterrupt):
        processes.run_child(
            processes.Program(
                [sys.executable, "-c", "import time; time.sleep(600)"],
                cwd=tmp_path,
                env=os.environ,
                stdout=tmp_path / "out",
                stderr=tmp_path / "err",
            )
        )
    (pid,) = started
    assert not psutil.pid_exists(pid)


def test_a_program_that_is_slow_to_start_is_ended_however_often_it_is_pressed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock, later, created, started = time.monotonic, [0.0], processes._created, list[int]()

    def pressed_twice(pid: int) -> float:
        started.append(pid)
        signal.raise_signal(signal.SIGINT)
        later[0] = 60.0
        signal.raise_signal(signal.SIGINT)
        return created(pid)

    monkeypatch.setattr(processes, "_created", pressed_twice)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + later[0])
    command, output = [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "output.txt"
    with pytest.raises(KeyboardInterrupt):
        processes.run_child(
            processes.Program(command, cwd=tmp_path, env=dict(os.environ), stdout=output, stderr=tmp_path / "error.txt")
        )
    assert [psutil.pid_exists(pid) for pid in started] == [False]


def test_pressed_just_before_the_acquisition_it_leaves_nothing_to_hand_off(tmp_path: Path) -> None:
    class Somebody(Operator):
        def checks(self, checks: Sequence[Check]) -> None:
            signal.raise_signal(signal.SIGINT)

    lab = laboratory(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        lab.run(operator=Somebody())
    with Journal.open(lab.journal) as journal:
        (session,) = journal.sessions()
        steps = [(step.id.hook, step.error) for step in journal.steps(session.name)][-1:]
    assert (session.state, steps) == ("cancelled", [("begin_session", NOT_BEGUN)])
    assert list(session.folder.rglob("trials.txt")) == []
    assert call("resume", "--all", cwd=lab.path).code == 0
    assert lab.run().state == "completed"


def test_a_check_that_answers_bit_by_bit_is_interrupted_like_any_other(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"looks": "Looks"})
    run = launch("run", "--subject", "123456", cwd=lab.path)
    assert (run.code, (tmp_path / "went on").exists()) == (130, False), run.err
    assert re.search(r"Session 123456_\S+ is cancelled: nothing was acquired\.\s+Interrupted\.", run.err)
    with Journal.open(lab.journal) as journal:
        (session,) = journal.sessions()
        (step,) = [step for step in journal.steps(session.name) if step.id.plugin == "looks"]
    assert (session.state, step.error) == ("cancelled", "interrupted")


def test_in_another_thread_there_is_nothing_to_hear() -> None:
    held = threading.Event(), threading.Event()

    def hold() -> None:
        with interrupts.held():
            held[0].set()
            held[1].wait()

    thread = threading.Thread(target=hold)
    with interrupts.heard():
        thread.start()
        held[0].wait()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        held[1].set()
    thread.join()


def test_what_a_plugin_answered_is_in_the_journal_whole(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"tells": "Tells"})
    run = launch("run", "--subject", "123456", cwd=lab.path)
    # It came when the step was over, and gave up the only plugin's step that came after it.
    assert (run.code, "session finished (local-store) was given up" in run.err) == (1, True), run.err
    resumed = call("resume", "--all", cwd=lab.path)
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "told").read_text() == "told\n"
    with Journal.open(lab.state / "journal.sqlite") as journal:
        (session,) = journal.sessions()
        (step,) = [step for step in journal.steps(session.name) if step.id.plugin == "tells"]
    assert (session.state, step.state, step.result) == ("completed", "done", {"mark": "whole"})


@pytest.mark.integration
def test_a_plugin_that_was_writing_is_left_to_resume(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"writes": "Writes"})
    run = launch("run", "--subject", "123456", cwd=lab.path)
    assert (run.code, "does not know" in run.err) == (1, False), run.err
    assert re.search(r"post session \(writes\) was given up; `aind-launch resume 123456_\S+` does it\.", run.err)
    with Journal.open(lab.state / "journal.sqlite") as journal:
        (session,) = journal.sessions()
        (step,) = [step for step in journal.steps(session.name) if step.id.plugin == "writes"]
    assert (session.state, step.state, step.error) == ("incomplete", "failed", "interrupted")
    assert call("resume", "--all", cwd=lab.path).code == 0
