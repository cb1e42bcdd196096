"""`aind-launch doctor`: look at the rig before the first animal does."""

import click

from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.cli.terminal import Terminal, print_json
from aind_launcher.doctor import examine
from aind_launcher.errors import ExitCode
from aind_launcher.log import Redactor


@click.command(epilog="Example: aind-launch doctor --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(repository: TaskRepository, as_json: bool) -> int:
    """Check everything a session will need on this rig, one line each with its mend.

    Exit code 3 where something would refuse a session.
    """
    plugins = repository.plugins()
    terminal = Terminal(redact=Redactor(plugins.secrets()))
    checks = []
    with terminal.working("looking at the rig"):
        for check in examine(repository.path, repository.settings, plugins):
            checks.append(check)
            if not as_json:
                terminal.show_check(check)
    if as_json:
        print_json([check.model_dump() for check in checks])
    return ExitCode.REFUSED if any(check.outcome == "failed" for check in checks) else ExitCode.DONE
