"""What goes on now, as a terminal shows it while it lasts: for how long, what, and the last lines of the task."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from rich.console import Console, ConsoleOptions
from rich.text import Text

_LINES: Final = 3


class Now:
    """A title with the time since it was made, and below it the last lines that were added. What is too wide is cut."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._since = time.monotonic()
        self._lines: tuple[str, ...] = ()

    def add(self, line: str) -> None:
        """Show `line` as the last one."""
        # A new tuple, since another thread may be drawing the old one.
        self._lines = (*self._lines, line)[-_LINES:]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        elapsed = timedelta(seconds=int(time.monotonic() - self._since))
        for line, style in ((f"{elapsed} {self._title}", "green"), *((line, "dim") for line in self._lines)):
            yield Text(line.replace("\n", " "), style=style, no_wrap=True, overflow="ellipsis")
