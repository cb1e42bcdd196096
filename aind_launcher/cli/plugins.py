"""`aind-launch plugins`: what is installed, and whether it is sound."""

from typing import TYPE_CHECKING

import click

from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import echo, print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import ExitCode

if TYPE_CHECKING:
    from aind_launcher.plugins import Plugin


@click.group(cls=CommandGroup, epilog="Example: aind-launch plugins check")
def command() -> None:
    """List and check plugins."""


@command.command("list", epilog="Example: aind-launch plugins list --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, as_json: bool) -> None:
    """List every plugin: what provides it, the hooks it implements, and what is wrong with it."""
    _print(repository.plugins().all, as_json)


@command.command("check", epilog="Example: aind-launch plugins check")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(repository: TaskRepository, as_json: bool) -> int:
    """Load every plugin as a session would; exit code 2 where one is broken."""
    plugins = repository.plugins()
    problems = plugins.problems()
    if as_json or problems:
        _print(problems, as_json)
    else:
        names = (plugin.name for plugin in plugins.all if not plugin.blocked)
        echo(f"All plugins are sound: {', '.join(names)}.")
    return ExitCode.USAGE if problems else ExitCode.DONE


def _print(plugins: "tuple[Plugin, ...]", as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": p.name,
                    "target": p.candidate.target or None,
                    "distribution": p.candidate.distribution,
                    "version": p.candidate.version,
                    "hooks": p.hooks,
                    "state": _state(p),
                    "error": str(p.error) if p.error else None,
                }
                for p in plugins
            ]
        )
        return
    rows = [
        (p.name, _state(p), p.candidate.provider if p.candidate.target else "", ", ".join(p.hooks) or p.error or "")
        for p in plugins
    ]
    print_table(("plugin", "state", "from", "hooks, or what is wrong"), rows, empty="No plugin is installed.")


def _state(plugin: "Plugin") -> str:
    return "failed" if plugin.error else "left out" if plugin.blocked else "sound"
