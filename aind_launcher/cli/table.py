"""How a table stands in a given width: no word is broken, so that names and paths can be read and copied."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, zip_longest
from math import inf
from pathlib import PurePath
from typing import Final

_GAP: Final = 2
_INDENT: Final = 4
# A column is wrapped at its blanks where it is wider than the first, and gets at least the second.
_NEVER_WRAPPED: Final = 32
_LEAST: Final = 24


class Table:
    """A table of texts and paths, laid out for a terminal's width or, where that is infinite, for a pipe.

    Columns that do not fit beside the others stand in further lines of their row, indented.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str | PurePath]], width: float) -> None:
        self._columns = columns
        self._rows = rows
        # The columns of each line of a row, with their widths.
        self._lines = list(_fitted([list(column) for column in zip(columns, *rows, strict=True)], width))

    def head(self) -> Iterator[list[str]]:
        """The lines of the columns' names, each as its cells."""
        if any(self._columns):
            yield from self._laid_out(self._columns)

    def body(self, room: float = inf) -> Iterator[list[str]]:
        """The lines of the rows, each as its cells.

        :param room: lines for which there is room; a row that would be cut, and those after it, are left out.
        """
        for row in self._rows[: self.fitting(room)]:
            yield from self._laid_out(row)

    def fitting(self, room: float) -> int:
        """How many of the first rows there is room for."""
        heights = accumulate(sum(1 for _ in self._laid_out(row)) for row in self._rows)
        return sum(height <= room for height in heights)

    def _laid_out(self, row: Sequence[str | PurePath]) -> Iterator[list[str]]:
        for number, line in enumerate(self._lines):
            wrapped = [_wrapped(row[column], width) for column, width in line.items()]
            if number and not any(map(any, wrapped)):
                continue
            indent = [" " * (_INDENT - _GAP)] if number else []
            for cells in zip_longest(*wrapped, fillvalue=""):
                yield [*indent, *map(_padded, cells, line.values())]


def _fitted(columns: Sequence[Sequence[str | PurePath]], width: float) -> Iterator[dict[int, int]]:
    """Which columns stand in which line of a row, and how wide."""
    natural = [max(_cells(line) for cell in column for line in str(cell).split("\n")) for column in columns]
    line: dict[int, int] = {}
    left = width
    for number, (column, wide) in enumerate(zip(columns, natural, strict=True)):
        breaks = any(" " in cell for cell in column if isinstance(cell, str))
        least = _LEAST if breaks and wide > _NEVER_WRAPPED else wide
        if line and least > left:
            yield _spread(line, natural, left)
            line, left = {}, width - _INDENT
        line[number] = least
        left -= least + _GAP
    yield _spread(line, natural, left)


def _spread(line: dict[int, int], natural: Sequence[int], left: float) -> dict[int, int]:
    """`line` with the columns that want more as wide as what is left allows."""
    spread = {}
    left += _GAP
    for number, width in line.items():
        more = max(0, min(natural[number] - width, left))
        spread[number] = width + int(more)
        left -= more
    return spread


def _wrapped(cell: str | PurePath, width: int) -> list[str]:
    """The lines of a cell, cut at blanks alone."""
    if isinstance(cell, PurePath):
        return [str(cell)]
    return [part for line in cell.split("\n") for part in _parts(line, width)]


def _parts(line: str, width: int) -> Iterator[str]:
    part, *words = line.split(" ")
    for word in words:
        if _cells(part) + 1 + _cells(word) > width:
            yield part
            part = word
        else:
            part = f"{part} {word}"
    yield part


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _cells(cell))


def _cells(text: str) -> int:
    """How wide a terminal shows `text`."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
