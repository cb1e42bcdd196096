"""One limit for a whole call, however many waits it consists of."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises.

    The time-outs of `requests` and of sockets begin anew with each byte, so that only another thread sees the whole.
    A call that takes longer is left to itself: its result is ignored, and it does not keep the program from ending.

    :raises TimeoutError: it takes longer.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # raised again where the caller waits
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result(seconds)
