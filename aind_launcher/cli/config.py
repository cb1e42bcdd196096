"""`aind-launch config`: the settings in force, and their schema."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository

if TYPE_CHECKING:
    from aind_launcher.settings.layers import Resolved


@click.group(cls=CommandGroup, epilog="Example: aind-launch config show")
def command() -> None:
    """Show the settings and where each comes from."""


@command.command("show", epilog="Example: AIND_LAUNCHER_DATA_DIRECTORY=D:/data aind-launch config show")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(repository: TaskRepository, as_json: bool) -> None:
    """Show each setting with its value and source; secrets are hidden."""
    plugins = repository.plugins()
    plugins.require_sound()
    rows = _rows(repository.resolved)
    for plugin in plugins.all:
        if plugin.settings:
            rows += _rows(plugin.settings, f"plugin.{plugin.name}.")
    if as_json:
        print_json([{"key": key, "value": value, "source": source} for key, value, source in rows])
        return
    print_table(("setting", "value", "source"), [(key, _shown(value), source) for key, value, source in rows], empty="")


@command.command(
    "schema",
    epilog="""\b
Examples:
  aind-launch config schema > aind-launcher.schema.json
  aind-launch config schema --pyproject    for the whole pyproject.toml
""",
)
@in_task_repository
@click.option("--pyproject", is_flag=True, help="Nest it as an editor needs it for pyproject.toml.")
def schema(repository: TaskRepository, pyproject: bool) -> None:
    """Print the JSON Schema of the settings, with the sections of installed plugins."""
    from aind_launcher.settings.schema import json_schema

    types = {plugin.name: plugin.settings_type for plugin in repository.plugins().all if plugin.settings_type}
    document = json_schema(types)
    if pyproject:
        # References lead to the top of a document.
        top = {key: document.pop(key) for key in ("$schema", "$defs")}
        tool = {"type": "object", "properties": {"aind-launcher": document}}
        document = {**top, "type": "object", "properties": {"tool": tool}}
    print_json(document)


def _shown(value: Any) -> str:
    """A value as a file would have it; text without its quotation marks."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(resolved: "Resolved[Any]", prefix: str = "") -> list[tuple[str, Any, str]]:
    shown = resolved.settings.model_dump(mode="json", by_alias=True)
    return [(f"{prefix}{key}", value, source) for key, value, source in _leaves(shown, resolved.origins)]


def _leaves(table: dict[str, Any], origins: Mapping[str, str], path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each value with its dotted key and its source; the items of a table, unless all of it has one source."""
    for name, value in table.items():
        key = f"{path}{name}"
        if isinstance(value, dict) and value and key not in origins:
            yield from _leaves(value, origins, f"{key}.")
        else:
            yield key, value, origins.get(key, "default")
