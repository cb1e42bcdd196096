"""`aind-launch demo`: try everything on a simulated animal."""

from pathlib import Path
from typing import Any

import click


@click.command(
    epilog="""\b
Examples:
  aind-launch demo                     in the folder aind-launcher-demo
  aind-launch demo D:/try --fresh      once more from the beginning
  aind-launch demo --with-services     with SLIMS, the watchdog and metadata, where their plugins are installed
"""
)
@click.argument("folder", metavar="[DIR]", default="aind-launcher-demo", type=click.Path(path_type=Path))
@click.option("--sessions", type=click.IntRange(1, 100), default=7, show_default=True, help="How many to run.")
@click.option("--fresh", is_flag=True, help="Remove a previous demo in DIR first; nothing else is ever removed.")
@click.option("--with-services", is_flag=True, help="Also push and hand off, to services that run while it lasts.")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as JSON.")
def command(folder: Path, **options: Any) -> int:
    """Try everything on a simulated animal.

    Makes a task repository with a curriculum as its submodule in DIR, enrols an animal that learns, and runs
    sessions until it has moved through several stages. In one of them a file is lost on purpose. Needs the
    package index once, to build the curriculum's environment.
    """
    from aind_launcher.cli.demo_sessions import show_demo

    return show_demo(folder, **options)
