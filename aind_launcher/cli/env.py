"""`aind-launch env`: the environments that curricula were built into."""

from datetime import timedelta

import click

from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository


@click.group(cls=CommandGroup, epilog="Example: aind-launch env list")
def command() -> None:
    """List and prune the environments of curricula."""


@command.command("list", epilog="Example: aind-launch env list --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, as_json: bool) -> None:
    """List every environment on this machine, the last used first."""
    found = repository.curriculum_sources().environments()
    if as_json:
        print_json([environment.model_dump(mode="json") for environment in found])
        return
    print_table(
        ("environment", "source", "commit", "python", "last used", "pinned here", "folder"),
        [
            (
                *(e.key, e.source, e.commit[:10] + (" modified" if e.dirty else ""), e.python_version),
                *(f"{e.used.astimezone():%Y-%m-%d %H:%M}", "yes" if e.pinned else "no", e.folder),
            )
            for e in found
        ],
        empty="No environment is built yet; `aind-launch curricula sync` builds what is pinned.",
    )


@command.command("prune", epilog="Example: aind-launch env prune --older-than 90")
@in_task_repository
@click.option(
    "--older-than", type=click.IntRange(0, 36_500), default=30, show_default=True, help="Days since last used."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the environments that were removed.")
def prune_(repository: TaskRepository, older_than: int, as_json: bool) -> None:
    """Remove environments that were not used for a while and that this repository no longer pins."""
    removed = repository.curriculum_sources().prune(timedelta(days=older_than))
    if as_json:
        print_json([environment.model_dump(mode="json") for environment in removed])
        return
    for environment in removed:
        click.echo(f"Removed {environment.key} ({environment.source} at {environment.commit[:10]}).")
    if not removed:
        click.echo("Nothing to remove.")
