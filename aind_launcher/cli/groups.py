"""A group of commands: in the order in which they are written, and with the nearest name for a misspelt one."""

import click

from aind_launcher.errors import nearest


class CommandGroup(click.Group):
    """Shows each command with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.one_line(ctx, name)) for name in self.list_commands(ctx)])

    def one_line(self, ctx: click.Context, name: str) -> str:
        """What the command `name` does."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=500) if command else ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            sentences = (f"There is no command '{args[0]}'.", nearest(args[0], self.list_commands(ctx)))
            raise click.UsageError(" ".join(filter(None, sentences)), ctx) from None
