"""What commands print on stdout: tables for people, JSON for programs. Every command imports this file."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from pathlib import PurePath
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aind_launcher.cli.table import Table

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
    "waiting": "yellow",
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


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, room: float = inf, others: str = ""
) -> None:
    """A table on stdout, without colours and not wrapped in a pipe; `empty` where there are no rows.

    :param room: lines of a terminal for which there is room.
    :param others: what to say of the rows that are left out then, after how many they are.
    """
    from aind_launcher.cli.table import Table

    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        click.echo(empty)
    elif sys.stdout is not None and sys.stdout.isatty():
        # A line that fills the last column as well would be followed by an empty one on some consoles of Windows.
        table = Table(columns, listed, get_terminal_size().columns - 1)
        room -= sum(1 for _ in table.head())
        is_cut = table.fitting(room) < len(listed)
        _print_coloured(table, room - is_cut)
        if is_cut:
            click.echo(f"and {len(listed) - table.fitting(room - 1)} more {others}")
    else:
        table = Table(columns, listed, inf)
        for line in (*table.head(), *table.body()):
            click.echo("  ".join(line).rstrip())


def table_height(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """How many lines of a terminal a table takes, with its head."""
    from aind_launcher.cli.table import Table

    table = Table(columns, [[_cell(value) for value in row] for row in rows], get_terminal_size().columns - 1)
    return sum(1 for _ in (*table.head(), *table.body()))


def _cell(value: object) -> str | PurePath:
    text = "" if value is None else plain(str(value))
    return PurePath(text) if isinstance(value, PurePath) else text


def _print_coloured(table: "Table", room: float) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in table.head():
        console.print(Text("  ".join(line).rstrip(), style="bold"), soft_wrap=True)
    for line in table.body(room):
        coloured = Text("  ").join(Text(cell, style=STYLES.get(cell.rstrip(), "")) for cell in line)
        coloured.rstrip()
        console.print(coloured, soft_wrap=True)
