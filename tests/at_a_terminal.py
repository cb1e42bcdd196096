"""The real command line at a terminal, with somebody who reads and answers."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_line import SCRIPT

COLUMNS = 80
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


@dataclass
class Operator:
    """Whoever sits at the terminal.

    :param shown: all that the program has shown so far, without colours.
    """

    process: "subprocess.Popen[bytes]"
    rig: int
    shown: str = ""
    _chunks: bytes = b""

    def reads(self, text: str) -> None:
        """Wait until the program shows `text`; the test fails where it ends without."""
        while text not in self.shown:
            if not self._read():
                raise AssertionError(f"{text!r} was not shown:\n{self.shown}")

    def types(self, text: str) -> None:
        """Press these keys."""
        os.write(self.rig, text.encode())

    def sees_it_end(self) -> int:
        """The program's exit code, with all shown."""
        while self._read():
            """Until its end of the terminal is closed."""
        return self.process.wait()

    def _read(self) -> bool:
        try:
            chunk = os.read(self.rig, 4096)
        except OSError:  # so Linux says that nobody has the other end open
            return False
        self._chunks += chunk
        self.shown = _COLOURS.sub("", self._chunks.decode(errors="replace").replace("\r\n", "\n"))
        return bool(chunk)


@contextmanager
def at_a_terminal(*arguments: str, cwd: Path) -> Iterator[Operator]:
    """Call the program at a terminal of 80 columns, and kill it if it still runs when the context ends."""
    rig, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS)}
    with subprocess.Popen(
        [SCRIPT, *arguments], cwd=cwd, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        try:
            yield Operator(process, rig)
        finally:
            process.kill()
            os.close(rig)
