"""The answer in an output: the last JSON object with certain keys, whatever is printed before, between and after it.

An object counts if it is not part of another: one in a larger well-formed object (a log line that quotes an answer)
does not count, one in an object that is cut off does.
"""

import re
from typing import Final

from aind_launcher.model.json_text import skimming

# How an object with members begins, so that `json` need not try at the other braces.
_BEGIN: Final = re.compile(r'\{[ \t\n\r]*"[^"\\]*(?:"[ \t\n\r]*:|\\)')


class Output(str):
    """What a program printed, one character a byte: Latin-1, whatever it is."""

    __slots__ = ()

    def count(self, *_: object) -> int:
        """Nothing. `json` counts the lines before each error, and most braces of a log are errors to it."""
        return 0


def last_object(output: Output, first: str, second: str) -> str | None:
    """The text of the last object with the keys `first` and `second`, or None.

    :param first: the key that is less likely to occur elsewhere.
    """
    last_chance = output.rfind(f'"{first}"')
    decoder = skimming(lambda pairs: {first, second} <= {key for key, _ in pairs})
    found, here = None, 0
    while (begin := _BEGIN.search(output, here)) and begin.start() < last_chance:
        here = begin.start()
        try:
            answers, end = decoder.raw_decode(output, here)
            # In other objects, too: one with bytes that are not UTF-8 is noise, and the answer may be in it.
            text = output[here:end].encode("latin-1").decode("utf-8")
            found = text if answers else found
        except (ValueError, RecursionError):
            end = here + 1
        here = end
    return found
