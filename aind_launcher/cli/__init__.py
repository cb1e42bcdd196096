"""The command `aind-launch`. Each subcommand lies in a file of its own and is imported when it is called."""

import io
import sys
from importlib import import_module
from typing import Any

import click

from aind_launcher import __version__
from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.streams import prepare_streams
from aind_launcher.system import interrupts

# Name and one line for `--help`: what is not called is not imported.
_COMMANDS = {
    "run": "Take an animal through a whole session.",
    "resume": "Finish what earlier sessions left undone.",
    "today": "Show who ran today, who is due or stuck, what was decided, and what is unfinished.",
    "sessions": "List, show, note, import and close sessions.",
    "animals": "List animals, show where they stand, move and remove them.",
    "curricula": "List, check, sync and run curricula; enrol animals.",
    "env": "List and prune the environments of curricula.",
    "plugins": "List and check plugins.",
    "config": "Show the settings and where each comes from.",
    "doctor": "Check this rig before the first animal.",
    "demo": "Try everything on a simulated animal.",
}

_EPILOG = """\b
Examples:
  aind-launch demo                                     see it work, with a simulated animal
  aind-launch run --subject 123456 --experimenter me   run a session
  aind-launch resume --all                             finish what was left undone
  aind-launch today                                    who ran, who is due, what is unfinished

Exit codes: 0 all done; 1 the session is safe but a step failed (resume it); 2 wrong usage or settings;
3 a check refused the session; 4 the acquisition failed; 130 interrupted.
"""


class LazyGroup(CommandGroup):
    """Knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"aind_launcher.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of a pipe, `head` for one, has left; nothing is wrong. Nothing more may be flushed to it.
            # click would end with 1, which here says that a step failed.
            sys.stdout = None
            return 0

    def one_line(self, ctx: click.Context, name: str) -> str:
        return _COMMANDS[name]


@click.group(
    cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="aind-launch")
def launch() -> None:
    """Run behaviour sessions: load the animal, check the rig, acquire, let the curriculum decide, hand off the data."""


def main() -> None:
    """The console script: runs `launch` and turns every error into a sentence and an exit code."""
    interrupts.hold_from_now_on()
    try:
        code = _called()
    except KeyboardInterrupt:
        # Pressed again and again, while something hangs as all is being closed.
        code = 130
    interrupts.end_program(code)


def _called() -> int:
    try:
        with interrupts.heard():
            prepare_streams()
            code = launch.main(prog_name="aind-launch", standalone_mode=False)
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _refused("Interrupted.", "Interrupted.", 130)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        code = _refused(shown.getvalue().rstrip(), error.format_message(), 2)
    except Exception as error:
        from aind_launcher.cli.terminal import end_with

        code = end_with(error)
    return code if isinstance(code, int) else 0


def _refused(shown: str, message: str, code: int) -> int:
    """Say what ended the call, to people and to a program that asked for JSON; the exit code."""
    from aind_launcher.cli.printing import echo, print_error

    echo(shown, err=True)
    print_error(message, None, code)
    return code
