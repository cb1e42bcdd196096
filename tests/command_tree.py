"""All commands and subcommands of the program, by what is typed to reach them."""

from collections.abc import Iterator

import click

from aind_launcher.cli import launch as root


def commands(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found
                yield from commands(found, (*path, name))


COMMANDS = dict(commands())
