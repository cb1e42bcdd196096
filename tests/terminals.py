"""The real program at a real terminal, with what is shown and typed there, and a window that can be closed."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from command_line import SCRIPT


class Window:
    """A terminal and the program in it."""

    def __init__(self, process: "subprocess.Popen[bytes]", rig: int) -> None:
        self.process = process
        self.shown = ""
        self._rig = rig
        self._is_open = True

    def until(self, text: str, *, after: int = 0) -> None:
        """Read what is shown up to `text`.

        :param after: how many characters, from the start, are passed over.
        """
        while text not in self.shown[after:]:
            assert self._read(), f"{text!r} is not shown, and the program has ended:\n{self.shown}"

    def type(self, text: str) -> None:
        os.write(self._rig, text.encode())

    def close(self) -> None:
        """Close the window, as with a click on its cross: the terminal is gone and the program gets SIGHUP."""
        if self._is_open:
            os.close(self._rig)
        self._is_open = False

    def end(self, again: str = "") -> int:
        """The exit code, once all is read that was shown.

        :param again: typed again where nothing more is shown.
        """
        while self._is_open:
            if again and not select.select([self._rig], [], [], 5)[0]:
                self.type(again)
            elif not self._read():
                break
        return self.process.wait()

    def _read(self) -> bool:
        part = b""
        with suppress(OSError):  # Linux says so where the program has ended
            part = os.read(self._rig, 65536)
        self.shown += part.decode("utf-8", "replace")
        return bool(part)


@contextmanager
def at_terminal(
    *arguments: str,
    cwd: Path,
    columns: int = 120,
    term: str = "xterm",
    hears_closing: bool = True,
    stdout: IO[str] | None = None,
) -> Iterator[Window]:
    """The program at a terminal of its own.

    :param hears_closing: whether it gets SIGHUP when the window is closed; not under nohup, or behind some programs.
    :param stdout: where its answer goes; the terminal, unless it is given.
    """
    assert sys.platform != "win32"
    import fcntl
    import struct
    import termios

    rig, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def prepare() -> None:
        # The terminal's own Ctrl-C reaches the launcher.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if not hears_closing:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=cwd,
        env={**os.environ, "TERM": term, "COLUMNS": "", "LINES": ""},
        stdin=terminal,
        stdout=stdout or terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=prepare,
    ) as process:
        os.close(terminal)
        window = Window(process, rig)
        try:
            yield window
        finally:
            window.close()
            process.kill()
