"""A plugin's call with an end: in a thread of its own, which is asked to end and, if it does not, is abandoned.

Python cannot end a thread. It can raise an exception in one, but only between two instructions of Python code: a wait
inside C code, as for the answer of a service, has to return first.

What only the waiting thread can do, such as asking the operator, a call has done there: see `done_by_caller`.
"""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Final

from aind_launcher.system import interrupts

logger = logging.getLogger(__name__)

# Seconds that a call has to end by itself once it was asked to: a curriculum ends its processes first.
_GRACE: Final = 5.0
# Seconds after which it is looked whether Ctrl-C was pressed.
_PIECE: Final = 0.1


class TookTooLong(Exception):
    """A call was given up at its limit."""


@dataclass(frozen=True)
class _Ended:
    answer: Any = None
    problem: BaseException | None = None


class _Request:
    """What a call has done by the thread that waits for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.ended = _Ended()
        self.over = threading.Event()

    def do(self) -> None:
        try:
            self.ended = _Ended(answer=self._function())
        except Exception as problem:  # the call's own; Ctrl-C is for the thread that waits
            self.ended = _Ended(problem=problem)
        self.over.set()


class _StepThread(threading.Thread):
    """Calls a function; as a daemon, so that the program can end before the function does."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.interrupts = interrupts.ThreadInterrupts()
        self._function = function
        self._context = copy_context()
        self._ended: _Ended | None = None
        self._over = threading.Event()
        self._requests = deque[_Request]()
        self._is_given_up = False

    def run(self) -> None:
        try:
            with interrupts.heard():
                self._ended = _Ended(answer=self._context.run(self._called))
        except BaseException as problem:  # whatever a plugin raises is for the main thread to judge
            self._ended = self._ended or _Ended(problem=problem)
        self._over.set()

    def _called(self) -> Any:
        _call.set(self)
        return self._function()

    def wait(self, seconds: float) -> _Ended | None:
        """How the call ended; None if it has not ended within `seconds`, without the time that its requests took.

        :raises KeyboardInterrupt: Ctrl-C was pressed.
        """
        deadline = time.monotonic() + seconds
        while not self._over.is_set() and (left := deadline - time.monotonic()) > 0:
            interrupts.heard_now()
            if self._requests and not self._is_given_up:
                begun = time.monotonic()
                self._requests.popleft().do()
                deadline += time.monotonic() - begun
            else:
                self._over.wait(min(left, _PIECE))
        return self._ended if self._over.is_set() else None

    def ask_to_end(self) -> None:
        """Raise KeyboardInterrupt in the call, as Ctrl-C would in the main thread, and answer no more requests."""
        if self.ident is not None:
            self.interrupts.ask(self.ident)
        self._is_given_up = True

    def ask_caller(self, request: _Request) -> Any:
        """What the thread that waits for the call does for it."""
        self._requests.append(request)
        while not request.over.wait(_PIECE):
            if self._is_given_up:
                raise KeyboardInterrupt
        return _answered(request.ended)


_call: ContextVar[_StepThread | None] = ContextVar("aind_launcher_call", default=None)


def done_by_caller(function: Callable[[], Any]) -> Any:
    """Within a call, what `function` returns or raises in the thread that waits for it; else what it does here."""
    thread = _call.get()
    return thread.ask_caller(_Request(function)) if thread else function()


def call(function: Callable[[], Any], limit: float, *, may_answer: bool) -> Any:
    """What `function` returns or raises, unless it is given up.

    :param limit: seconds after which it is given up.
    :param may_answer: an answer counts though Ctrl-C was pressed before it came.
    :raises TookTooLong: it was given up at its limit.
    :raises KeyboardInterrupt: it was given up at a Ctrl-C.
    :raises InterruptedAgain: Ctrl-C was pressed again before it had ended.
    """
    streams = sys.stdout, sys.stderr
    thread = _StepThread(function)
    given_up: BaseException = TookTooLong()
    with interrupts.held():
        thread.start()
        try:
            ended = thread.wait(limit)
        except KeyboardInterrupt as interrupt:
            ended, given_up = None, interrupt
        if ended is not None:
            return _answered(ended)
        interrupted = isinstance(given_up, KeyboardInterrupt)
        try:
            thread.ask_to_end()
            if interrupted:
                logger.warning("Ctrl-C: asked to end")
            ended = thread.wait(_GRACE)
        except KeyboardInterrupt as interrupt:
            raise interrupts.InterruptedAgain if interrupted else interrupt from None
    if ended is None:
        # The abandoned call may have redirected them, and will not put them back.
        sys.stdout, sys.stderr = streams
    elif isinstance(given_up, interrupts.QuestionInterrupted):
        pass  # What it says without its answer does not count.
    elif not isinstance(ended.problem, KeyboardInterrupt) and (may_answer or not interrupted):
        # It came to its own end, or says on purpose why not. One that is pressed soon after still ends the launcher.
        if interrupted:
            interrupts.ends_one_step()
        return _answered(ended)
    raise given_up


def not_the_operator(interrupt: KeyboardInterrupt) -> RuntimeError:
    """The error of a call that raised KeyboardInterrupt by itself, with the line that it came from."""
    error = RuntimeError("it raised KeyboardInterrupt, though nobody pressed Ctrl-C")
    return error.with_traceback(interrupt.__traceback__)


def _answered(ended: _Ended) -> Any:
    if isinstance(ended.problem, KeyboardInterrupt):
        raise not_the_operator(ended.problem)
    if ended.problem is not None:
        raise ended.problem
    return ended.answer
