"""stdout and stderr: they take any text, and say in one way that nobody reads them any more."""

import errno
import io
import sys
from collections.abc import Callable
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
