"""A call in a thread of its own: what goes in and comes out, and what becomes of one that has to be given up."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest

from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle import step_thread
from aind_launcher.lifecycle.log import Unbroken, current_step, session_log
from aind_launcher.system import interrupts, processes
from aind_launcher.system.redaction import Redactor

pytestmark = pytest.mark.usefixtures("interrupts_held")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a call waits for that cannot be reached; it is let go at the end."""
    monkeypatch.setattr(step_thread, "_GRACE", 0.05)
    before = set(threading.enumerate())
    event = threading.Event()
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def call(function: Callable[[], Any], limit: float = inf, *, may_answer: bool = True) -> Any:
    return step_thread.call(function, limit, may_answer=may_answer)


def asked() -> bool:
    """Within a call: whether it was asked to end."""
    count: int = threading.current_thread().interrupts.count  # type: ignore[attr-defined]
    return count > 0


def waits() -> None:
    """Wait as Python code does that can be reached."""
    while True:
        time.sleep(0.001)


def test_it_answers_as_if_called_here() -> None:
    token = current_step.set("post_session/slims")
    try:
        assert call(lambda: (current_step.get(), threading.current_thread().daemon)) == ("post_session/slims", True)
    finally:
        current_step.reset(token)


@pytest.mark.parametrize(
    "problem",
    [ValueError("x"), LauncherError("x"), SystemExit(3), BaseExceptionGroup("x", [OSError()])],
)
def test_what_it_raises_is_what_comes_out(problem: BaseException) -> None:
    def raises() -> None:
        raise problem

    with pytest.raises(type(problem)) as raised:
        call(raises)
    assert raised.value is problem


def test_what_it_raises_is_not_the_operators_ctrl_c() -> None:
    def raises() -> None:
        raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="it raised KeyboardInterrupt, though nobody pressed Ctrl-C"):
        call(raises)


def test_at_its_limit_it_is_asked_to_end_and_clears_up() -> None:
    cleared = []

    def function() -> None:
        try:
            waits()
        finally:
            cleared.append(True)

    with pytest.raises(step_thread.TookTooLong):
        call(function, 0)
    assert cleared == [True]


def test_what_cannot_be_reached_is_abandoned_and_its_late_answer_ignored(stuck: threading.Event) -> None:
    before = sys.stdout

    def function() -> str:
        with redirect_stdout(StringIO()):
            stuck.wait()
        return "late"

    with pytest.raises(step_thread.TookTooLong):
        call(function, 0.05)
    assert sys.stdout is before


def test_what_must_not_be_left_half_done_is_done_before_it_ends() -> None:
    done = []

    def function() -> None:
        with interrupts.held():
            while not asked():
                time.sleep(0.001)
            done.append("whole")
        done.append("went on")

    with pytest.raises(step_thread.TookTooLong):
        call(function, 0)
    assert done == ["whole"]


def test_a_program_that_it_waits_for_ends_with_it(tmp_path: Path) -> None:
    program = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'told'); time.sleep(600)"

    def function() -> None:
        processes.run_child(
            processes.Program(
                [sys.executable, "-c", program],
                cwd=tmp_path,
                env=os.environ,
                stdout=tmp_path / "out.txt",
                stderr=tmp_path / "err.txt",
            )
        )

    def press_when_it_runs() -> None:
        while not (tmp_path / "told").exists():
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    presses = threading.Thread(target=press_when_it_runs)
    with pytest.raises(KeyboardInterrupt), interrupts.heard():
        presses.start()
        call(function)
    presses.join()
    assert not psutil.pid_exists(int((tmp_path / "told").read_text(encoding="utf-8")))


@pytest.mark.parametrize("may_answer", [True, False])
def test_an_answer_after_ctrl_c_counts_where_it_may(may_answer: bool) -> None:
    def function() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
            waits()
        except KeyboardInterrupt:
            return "answer"
        return "never"

    if may_answer:
        assert call(function) == "answer"
    else:
        with pytest.raises(KeyboardInterrupt):
            call(function, may_answer=False)


def test_a_reason_that_is_given_on_purpose_is_passed_on() -> None:
    def function() -> None:
        try:
            waits()
        except KeyboardInterrupt:
            raise LauncherError("Nothing was kept.") from None

    with pytest.raises(LauncherError, match="Nothing was kept."):
        call(function, 0)


def test_an_interrupt_that_became_another_error_is_still_one() -> None:
    def function() -> None:
        try:
            waits()
        except KeyboardInterrupt:
            raise ValueError("lost its meaning") from None

    with pytest.raises(step_thread.TookTooLong):
        call(function, 0)


def test_ctrl_c_pressed_again_while_it_ends_is_told_apart() -> None:
    released = threading.Event()

    def function() -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            waits()
        signal.raise_signal(signal.SIGINT)
        released.wait()

    with pytest.raises(interrupts.InterruptedAgain), interrupts.held(), interrupts.heard():
        call(function)
    released.set()
    for thread in threading.enumerate():
        # What is left behind would let the program end without its usual clearing up.
        if thread is not threading.main_thread() and hasattr(thread, "interrupts"):
            thread.join()


def test_an_answer_counts_though_ctrl_c_was_pressed_again_and_the_launcher_then_ends() -> None:
    def function() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
            waits()
        except KeyboardInterrupt:
            return "pushed"
        raise AssertionError

    with interrupts.held():
        assert call(function) == "pushed"
        assert not interrupts.ends_one_step()


@pytest.mark.parametrize(("seconds", "alone"), [(1, False), (4, False), (6, True)])
def test_ctrl_c_soon_after_one_that_ended_a_step_ends_the_launcher(
    monkeypatch: pytest.MonkeyPatch, seconds: float, alone: bool
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with interrupts.held():
        assert interrupts.ends_one_step()
        clock[0] += seconds
        assert interrupts.ends_one_step() is alone


@pytest.mark.parametrize("name", [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)])
def test_another_signal_ends_the_launcher(name: str) -> None:
    with interrupts.held():
        with pytest.raises(KeyboardInterrupt), interrupts.heard():
            signal.raise_signal(signal.Signals[name])
        assert not interrupts.ends_one_step()


class Trap:
    """A lock of a log's handler; Ctrl-C comes just when the step's thread has taken it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def acquire(self) -> None:
        self.lock.acquire()
        if threading.current_thread() is not threading.main_thread() and not asked():
            signal.raise_signal(signal.SIGINT)
            while not asked():
                time.sleep(0.001)
            # Here an exception that is raised in this thread comes out.
            for _ in range(20):
                time.sleep(0.005)

    def release(self) -> None:
        self.lock.release()


def test_ctrl_c_in_a_plugins_log_line_leaves_the_log_to_everybody(tmp_path: Path) -> None:
    with session_log(tmp_path / "log.jsonl", "1_x", Redactor()):
        (handler,) = (each for each in logging.getLogger().handlers if isinstance(each, Unbroken))
        handler.lock = Trap()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt), interrupts.held(), interrupts.heard():
            call(lambda: logging.getLogger("a plugin").warning("hello"), may_answer=False)
        assert handler.lock.lock.acquire(blocking=False)
        handler.lock.lock.release()
