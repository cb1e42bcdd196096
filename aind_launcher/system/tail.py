"""Shows the lines of a child's output while it grows."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, Literal

from aind_launcher.system import interrupts

logger = logging.getLogger(__name__)
# What the task prints, line by line. A terminal shows its last lines only.
task_output: Final = logging.getLogger("aind_launcher.acquisition")

OnLine = Callable[[Literal["stdout", "stderr"], str], None]

_LONGEST_LINE: Final = 8192
# What is shown at most of one burst of output; all of it is kept in any case.
_MOST_LINES: Final = 200
# Seconds from one look at the files to the next.
_PAUSE: Final = 0.1


class Tail:
    """Shows the lines of two files while they grow."""

    def __init__(self, stdout: Path, stderr: Path, on_line: OnLine) -> None:
        self._on_line = on_line
        self._finished = threading.Event()
        self._files: list[tuple[Literal["stdout", "stderr"], Path]] = [("stdout", stdout), ("stderr", stderr)]
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Show what is left and stop; Ctrl-C is heard, since a terminal may not take the lines."""
        self._finished.set()
        with interrupts.heard():
            self._thread.join()

    def _follow(self) -> None:
        try:
            with ExitStack() as opened:
                streams = [(name, opened.enter_context(path.open("rb")), bytearray()) for name, path in self._files]
                is_last = False
                while not is_last:
                    is_last = self._finished.wait(_PAUSE)
                    for name, file, pending in streams:
                        self._show(name, file, pending, is_last)
        except Exception as error:  # isolates the display: a terminal that cannot show a line must not end the child
            logger.warning("The program's output is not shown any more (%s); it is written to its files.", error)

    def _show(self, name: Literal["stdout", "stderr"], file: BinaryIO, pending: bytearray, is_last: bool) -> None:
        """Show what came since the last round; of a flood only its beginning, so that nobody waits for a terminal.

        :param pending: the beginning of a line whose end has not come yet.
        :param is_last: its end will not come.
        """
        count = 0
        while (part := file.readline(_LONGEST_LINE - len(pending))) or (is_last and pending):
            pending += part
            if part and not part.endswith(b"\n") and len(pending) < _LONGEST_LINE:
                continue
            count += 1
            if count <= _MOST_LINES:
                self._on_line(name, pending.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace"))
            pending.clear()
        if count > _MOST_LINES:
            self._on_line(name, f"... {count - _MOST_LINES} more lines are in {Path(file.name).name}")
