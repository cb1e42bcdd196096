"""What commands print on stdout: tables for people, JSON for programs. Every command imports this file."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import click

# Control characters but tab and line feed, and those that turn the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
STYLES = {
    "passed": "green",
    "done": "green",
    "completed": "green",
    "warning": "yellow",
    "skipped": "dim",
    "running": "cyan",
    "incomplete": "yellow",
    "not handed off": "yellow",
    "stale": "yellow",
    "failed": "red",
    "refused": "red",
    "unreadable": "red",
}


def plain(text: str) -> str:
    """`text` without what would steer a terminal: curricula and tasks may print anything."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def local_time(moment: datetime) -> str:
    """A moment by this machine's clock."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def print_json(data: Any) -> None:
    """Data for another program, on stdout."""
    click.echo(json.dumps(data, indent=2, default=str, ensure_ascii=False))


def print_facts(facts: Mapping[str, object]) -> None:
    """Indented lines on stdout, one for each fact that is known."""
    print_table(("", ""), [(f"  {name}", value) for name, value in facts.items() if value], empty="")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table on stdout, without colours and not cut in a pipe; `empty` where there are no rows."""
    listed = [["" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    if not listed:
        click.echo(empty)
    elif sys.stdout is not None and sys.stdout.isatty():
        _print_fitting(columns, listed)
    else:
        lines = [line for row in listed for line in zip_longest(*(cell.split("\n") for cell in row), fillvalue="")]
        headed = [tuple(columns), *lines] if any(columns) else lines
        widths = [max(map(_cells, column)) for column in zip(*headed, strict=True)]
        for line in headed:
            padded = (f"{cell}{' ' * (width - _cells(cell))}" for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())


def _cells(text: str) -> int:
    """How wide a terminal shows `text`."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _print_fitting(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that is folded where it is wider than the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())
