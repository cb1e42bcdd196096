"""What is typed at the terminal before anybody asks."""

import sys
from contextlib import suppress
from typing import TextIO


def drop_typed(terminal: TextIO) -> None:
    """Drop what was typed and not yet read: it was meant for something else than the question that follows."""
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        # A terminal that is gone is noticed by who reads it.
        with suppress(termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)
