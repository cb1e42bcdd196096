"""stdout and stderr: they take any text, and say in one way that nobody reads them any more."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from typing import Any, TextIO

from aind_launcher.errors import LauncherError


def prepare_streams() -> None:
    """Let stdout and stderr take any text, say a closed pipe in one way on every platform, and outlast a terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if sys.platform == "win32" and isinstance(getattr(stream.buffer, "raw", None), io.FileIO):
            stream = told_of_its_reader(stream)
            setattr(sys, name, stream)
        # A pipe on Windows has the code page of the country: a name that it lacks is escaped, and ends nothing.
        stream.reconfigure(errors="backslashreplace")
        if stream.isatty():
            setattr(sys, name, LastingStream(stream))
        elif name == "stdout":
            setattr(sys, name, ResultStream(stream))


_kept: ContextVar[ExitStack | None] = ContextVar("aind_launcher_kept_stdout", default=None)


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Send what is written to stdout to stderr until `give_stdout_back`: nothing must come before the JSON.

    This holds for the descriptor, too, which programs that a plugin starts inherit. A terminal keeps its descriptor:
    nobody parses what is shown there.
    """
    with ExitStack() as stack:
        stack.enter_context(_stdout_elsewhere())
        _kept.set(stack)
        yield


def give_stdout_back() -> None:
    """Let stdout be as it was before `stdout_kept`, if it is kept."""
    if stack := _kept.get():
        stack.close()


@contextmanager
def _stdout_elsewhere() -> Iterator[None]:
    stdout, stderr = sys.__stdout__, sys.__stderr__
    with redirect_stdout(sys.stderr):
        # A descriptor that Python did not find open may be another file's by now.
        if stdout is None or stdout.isatty():
            yield
            return
        stdout.flush()
        kept = os.dup(1)
        elsewhere = os.dup(2) if stderr else os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(elsewhere, 1)
            yield
        finally:
            with suppress(OSError, ValueError):
                stdout.flush()
            os.dup2(kept, 1)
            for descriptor in (kept, elsewhere):
                os.close(descriptor)


class ResultStream:
    """A stdout that says in a sentence what keeps it from being written, such as a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda: self._stream.flush())

    def _try(self, operation: Callable[[], object]) -> None:
        try:
            operation()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise LauncherError(
                f"What is printed cannot be written: {error.strerror or error}.", "Send it to another disk or program."
            ) from None


class LastingStream(ResultStream):
    """A stream that falls silent once it takes no more: a terminal that is gone, a log on a full disk.

    What an operator sees must not decide what a session records: an error here, raised as the line that says what goes
    on is taken away, would make a hand-off that is done a failed one.
    """

    _lost = False

    def _try(self, operation: Callable[[], object]) -> None:
        try:
            if not self._lost:
                operation()
        except (OSError, ValueError, AttributeError):  # it may be closed, or none at all
            self._lost = True


class _Pipe(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EBADF:
                # A detached process has handles of a console that it does not share: there is nobody to tell.
                return len(data)
            if error.errno == errno.EINVAL:
                raise BrokenPipeError(errno.EPIPE, "The reader of the pipe has left") from None
            raise


def told_of_its_reader(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """`stream` that raises BrokenPipeError where its reader has left; for Windows, which calls that EINVAL."""
    stream.flush()
    pipe = io.BufferedWriter(_Pipe(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(pipe, encoding=stream.encoding, line_buffering=stream.line_buffering)
