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
from contextlib import contextmanager, suppress
from math import inf
from types import FrameType
from typing import Any, Final, NoReturn

from aind_launcher.errors import LauncherError

# Seconds after which who presses again is heard everywhere: a disk may hang.
_PATIENCE: Final = 2.0
# Seconds after a step was given up in which Ctrl-C ends the launcher, and not the next step alone.
_SOON: Final = 5.0


class InterruptedAgain(KeyboardInterrupt):
    """Ctrl-C was pressed again while what it interrupted was closing: whoever pressed it has no more patience."""


class _Interrupts:
    """A signal handler that raises KeyboardInterrupt now, or when the next context in which it is heard begins."""

    def __init__(self, held: bool = False) -> None:
        self.held = held
        self.patience = _PATIENCE
        self.count = 0
        self.ends_program = False
        self.gave_up_at = -inf
        self._waiting_since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.ends_program |= number != signal.SIGINT
        now = time.monotonic()
        if not self.held or (self._waiting_since is not None and now - self._waiting_since > self.patience):
            self._waiting_since = None
            raise KeyboardInterrupt
        self._waiting_since = self._waiting_since or now

    def deliver(self) -> None:
        """Raise for what waited, if it may be heard."""
        if not self.held:
            self.raise_waiting()

    def raise_waiting(self) -> None:
        """Raise for what waited."""
        if self._waiting_since is not None:
            self._waiting_since = None
            raise KeyboardInterrupt


class ThreadInterrupts(_Interrupts):
    """The interrupts of a thread that no signal reaches. They are held but where the thread hears them with `heard`."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        super().__init__(held=True)

    @property
    def held(self) -> bool:
        return self._held

    @held.setter
    def held(self, value: bool) -> None:
        # What was asked before is raised here, and not within what holds it.
        with self._changing:
            self._held = value

    def ask(self, thread: int) -> None:
        """Raise KeyboardInterrupt in the thread with this identifier, now or when it hears it."""
        with self._changing:
            self.count += 1
            if self._held:
                self._waiting_since = time.monotonic()
            else:
                _raise_in(thread)


def _raise_in(thread: int) -> None:
    import ctypes  # only here: no command that ends in time pays for it

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def hold_from_now_on() -> None:
    """Hear Ctrl-C only in `heard`, until the program has ended: who leaves already cannot be told to leave."""
    if _in_place() is None:
        _take_over(_Interrupts(held=True))


def end_program(code: int) -> NoReturn:
    """End the program, without waiting for calls that were asked to end and did not, or for threads of theirs."""
    if any(isinstance(getattr(thread, "interrupts", None), ThreadInterrupts) for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            # There may be none, or its reader may have left.
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def held(*, however_long: bool = False) -> Iterator[None]:
    """Let Ctrl-C wait until the context is left, or until one that hears it begins within.

    :param however_long: also one that is pressed again later; for what must not be left half-done at any price.
    :raises KeyboardInterrupt: at the end, for what waited.
    """
    with _handled() as interrupts:
        before, interrupts.patience = interrupts.patience, inf if however_long else interrupts.patience
        try:
            with _holding(interrupts, True):
                yield
        finally:
            interrupts.patience = before


@contextmanager
def heard() -> Iterator[None]:
    """Hear Ctrl-C within the context, though it is held around it.

    :raises KeyboardInterrupt: also in the place of an error that it became on its way through foreign code.
    """
    with _handled() as interrupts:
        before = interrupts.count
        try:
            with _holding(interrupts, False):
                yield
        except LauncherError:
            # Said on purpose by who knew of the interrupt.
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
            # What comes later around this context has nothing to do with what was heard within.
            interrupts.count = before


def heard_now() -> None:
    """Hear what waits, while Ctrl-C is held; for who waits in pieces.

    Raised between any two instructions, it can be lost: Python drops what is raised while it clears an object away.

    :raises KeyboardInterrupt: it was pressed since.
    """
    with _handled() as interrupts:
        interrupts.raise_waiting()


def ends_one_step() -> bool:
    """Whether the Ctrl-C that was just heard ends a step alone, and not the launcher.

    It ends the launcher soon after another one that ended a step; so does any other signal to end the program.
    """
    with _handled() as interrupts:
        before, interrupts.gave_up_at = interrupts.gave_up_at, time.monotonic()
        return not interrupts.ends_program and interrupts.gave_up_at - before > _SOON


@contextmanager
def _holding(interrupts: _Interrupts, held: bool) -> Iterator[None]:
    before, interrupts.held = interrupts.held, held
    try:
        interrupts.deliver()
        yield
    finally:
        interrupts.held = before
        interrupts.deliver()


@contextmanager
def _handled() -> Iterator[_Interrupts]:
    """The handler in place, or a new one for as long as the context lasts."""
    in_place = _in_place()
    if in_place is not None:
        yield in_place
        return
    interrupts = _Interrupts()
    # Signals go to the main thread alone.
    before = _take_over(interrupts) if threading.current_thread() is threading.main_thread() else {}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_place() -> _Interrupts | None:
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        own = getattr(thread, "interrupts", None)
        return own if isinstance(own, _Interrupts) else None
    handlers = (signal.getsignal(number) for number in _numbers())
    return next((handler for handler in handlers if isinstance(handler, _Interrupts)), None)


def _take_over(interrupts: _Interrupts) -> dict[int, Any]:
    """Handle with `interrupts` whatever asks the launcher to end; the handlers before are returned.

    Who closes its window is heard like Ctrl-C. What whoever started it has turned off, as nohup does, stays off.
    """
    before = {number: signal.getsignal(number) for number in _numbers()}
    hearing = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in hearing:
        signal.signal(number, interrupts)
    return hearing


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
