"""What commands print on stdout: tables for people, JSON for programs. Every command imports this file."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf
from pathlib import PurePath
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli.plain import escaped, plain
from aind_launcher.cli.streams import give_stdout_back
from aind_launcher.errors import LauncherError

if TYPE_CHECKING:
    from aind_launcher.cli.table import Table

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


def echo(text: str = "", *, err: bool = False) -> None:
    """A line for people, on stdout or stderr."""
    click.echo(plain(text), err=err)


def local_time(moment: datetime) -> str:
    """A moment by this machine's clock."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def print_json(data: Any) -> None:
    """Data for another program, on stdout."""
    from aind_launcher.model.json_text import without_constants

    echo_json(without_constants(json.dumps(data, indent=2, default=str, ensure_ascii=False)))


def echo_json(text: str) -> None:
    """JSON text on stdout: what would steer a terminal is escaped, and means the same."""
    give_stdout_back()
    click.echo(escaped(text))


def print_error(message: str, hint: str | None, code: int) -> None:
    """What ended this call, on stdout for a program that asked for JSON; people read it on stderr."""
    if "--json" in sys.argv:
        # Who does not read it gets the exit code all the same.
        with suppress(BrokenPipeError, LauncherError):
            print_json({"error": message, "hint": hint, "exit_code": code})


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
        echo(empty)
    elif sys.stdout is not None and sys.stdout.isatty():
        # A line that fills the last column as well would be followed by an empty one on some consoles of Windows.
        table = Table(columns, listed, get_terminal_size().columns - 1)
        room -= sum(1 for _ in table.head())
        is_cut = table.fitting(room) < len(listed)
        _print_coloured(table, room - is_cut)
        if is_cut:
            echo(f"and {len(listed) - table.fitting(room - 1)} more {others}")
    else:
        table = Table(columns, listed, inf)
        for line in (*table.head(), *table.body()):
            echo("  ".join(line).rstrip())


def table_height(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """How many lines of a terminal a table takes, with its head."""
    from aind_launcher.cli.table import Table

    table = Table(columns, [[_cell(value) for value in row] for row in rows], get_terminal_size().columns - 1)
    return sum(1 for _ in (*table.head(), *table.body()))


def _cell(value: object) -> str | PurePath:
    text = "" if value is None else plain(str(value))
    return PurePath(text) if isinstance(value, PurePath) else text


def _print_coloured(table: "Table", room: float) -> None:
    from rich.text import Text

    from aind_launcher.cli.console import Screen

    console = Screen()
    for line in table.head():
        console.print(Text("  ".join(line).rstrip(), style="bold"), soft_wrap=True)
    for line in table.body(room):
        coloured = Text("  ").join(Text(cell, style=STYLES.get(cell.rstrip(), "")) for cell in line)
        coloured.rstrip()
        console.print(coloured, soft_wrap=True)
