"""Ctrl-C: heard while the launcher waits for others, held while it writes down what happened.

Python raises KeyboardInterrupt between any two instructions. Inside a serializer or a callback it comes out as another
error, or not at all, and what was being written down is lost with it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType
from typing import Final, NoReturn

from aind_launcher.errors import LauncherError

# Seconds after which a second Ctrl-C interrupts at once though it is held: a disk may hang.
_HOLD: Final = 2.0
# Seconds after a step was given up in which Ctrl-C ends the launcher, and not the next step alone.
_SOON: Final = 5.0


class InterruptedAgain(KeyboardInterrupt):
    """Ctrl-C was pressed again while what it interrupted was closing."""


class QuestionInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, or the window closed, at a plugin's question: this ends the launcher, not its step alone."""


class _Interrupts:
    """A signal handler that raises KeyboardInterrupt now, or when the next context in which it is heard begins.

    :param hold: the seconds for which it is held; 0 where it is heard.
    """

    def __init__(self, hold: float = 0) -> None:
        self.hold = hold
        self.count = 0
        self.pressed = 0
        self.ends_program = False
        self.gave_up_at = -inf
        self._waiting_since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.pressed += 1
        self.ends_program |= number != signal.SIGINT
        waiting_since = self._waiting_since or time.monotonic()
        if not self.hold or time.monotonic() - waiting_since > self.hold:
            self._waiting_since = None
            raise KeyboardInterrupt
        self._waiting_since = waiting_since

    def set_hold(self, seconds: float) -> float:
        """Hold interrupts for `seconds` from now on, and return the seconds that held before."""
        before, self.hold = self.hold, seconds
        return before

    def raise_waiting(self) -> None:
        """Raise for what waits."""
        if self._waiting_since is not None:
            self._waiting_since = None
            raise KeyboardInterrupt


class ThreadInterrupts(_Interrupts):
    """The interrupts of a thread, which signals do not reach. They are held except within `heard`."""

    def __init__(self) -> None:
        super().__init__(_HOLD)
        self._changing = threading.Lock()

    def set_hold(self, seconds: float) -> float:
        # An interrupt that was asked for before is raised here, and not in the code that holds it from now on.
        with self._changing:
            return super().set_hold(seconds)

    def ask(self, thread: int) -> None:
        """Raise KeyboardInterrupt in the thread with this identifier, now or when it hears it."""
        import ctypes  # only here: no command that ends in time pays for it

        with self._changing:
            self.count += 1
            if self.hold:
                self._waiting_since = time.monotonic()
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def hold_from_now_on() -> None:
    """Handle whatever asks the launcher to end, and hear it only in `heard`, until the program has ended.

    A closed window is heard like Ctrl-C. A signal that is ignored already, as with nohup, stays ignored.
    """
    interrupts = _current()
    interrupts.set_hold(_HOLD)
    for number in _signals():
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, interrupts)


def end_program(code: int) -> NoReturn:
    """End the program without waiting for calls that were asked to end and did not, or for their threads."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except (OSError, ValueError, AttributeError):
            # There may be none, its reader may have left, its disk may be full. Python's own flush would end with 120.
            setattr(sys, name, None)
    if any(isinstance(getattr(thread, "interrupts", None), ThreadInterrupts) for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


@contextmanager
def held(seconds: float = _HOLD) -> Iterator[None]:
    """Let Ctrl-C wait until the context is left, or until one that hears it begins within.

    :param seconds: after which a second Ctrl-C interrupts at once; infinite for what must not be left half-done.
    :raises KeyboardInterrupt: at the end, for what waited.
    """
    interrupts = _current()
    with _holding(interrupts, max(interrupts.hold, seconds)):
        yield


@contextmanager
def heard() -> Iterator[None]:
    """Hear Ctrl-C within the context, though it is held around it.

    :raises KeyboardInterrupt: also in the place of an error that it became on its way through foreign code.
    """
    interrupts = _current()
    before = interrupts.count
    try:
        with _holding(interrupts, 0):
            yield
    except LauncherError:
        # Raised on purpose by code that knew of the interrupt.
        raise
    except Exception as error:
        if interrupts.count > before:
            raise KeyboardInterrupt from error
        raise
    except BaseExceptionGroup as errors:
        if errors.subgroup(KeyboardInterrupt):
            raise KeyboardInterrupt from errors
        raise
    finally:
        # An error that comes later, outside this context, has nothing to do with the interrupt that was heard within.
        interrupts.count = before


def heard_now() -> None:
    """Hear a Ctrl-C that waits, while it is held; for code that waits in pieces.

    Raised between any two instructions, it can be lost: Python drops what is raised while it clears an object away.

    :raises KeyboardInterrupt: it was pressed since.
    """
    _current().raise_waiting()


def pressed() -> int | None:
    """How often Ctrl-C was pressed; None where that cannot be told, since another program or plugin handles it."""
    handler = signal.getsignal(signal.SIGINT)
    return handler.pressed if isinstance(handler, _Interrupts) else None


def ends_one_step() -> bool:
    """Whether the Ctrl-C that was just heard ends a step alone, and not the launcher.

    It ends the launcher soon after another one that ended a step; so does any other signal to end the program.
    """
    interrupts = _current()
    before, interrupts.gave_up_at = interrupts.gave_up_at, time.monotonic()
    return not interrupts.ends_program and interrupts.gave_up_at - before > _SOON


@contextmanager
def _holding(interrupts: _Interrupts, seconds: float) -> Iterator[None]:
    before = interrupts.set_hold(seconds)
    try:
        if not seconds:
            interrupts.raise_waiting()
        yield
    finally:
        interrupts.set_hold(before)
        if not before:
            interrupts.raise_waiting()


def _current() -> _Interrupts:
    """The interrupts of this thread; where nobody handles them, as in a test, new ones that never come."""
    thread = threading.current_thread()
    if thread is threading.main_thread():
        found = [signal.getsignal(number) for number in _signals()]
    else:
        found = [getattr(thread, "interrupts", None)]
    return next((each for each in found if isinstance(each, _Interrupts)), _Interrupts())


def _signals() -> list[int]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
