"""`aind-launch doctor`: look at the rig before the first animal does."""

import click

from aind_launcher.cli.printing import print_json
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import ExitCode


@click.command(epilog="Example: aind-launch doctor --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(repository: TaskRepository, as_json: bool) -> int:
    """Check this rig before the first animal.

    One line for each thing that a session will need, with its hint. Exit code 3 where one would refuse a session.
    """
    from aind_launcher.cli.terminal import Terminal, print_check, redacted
    from aind_launcher.lifecycle.doctor import examine
    from aind_launcher.system.redaction import Redactor

    plugins = repository.plugins()
    redact = Redactor(plugins.secrets())
    terminal = Terminal(redact=redact)
    checks = []
    looking = examine(repository.path, repository.settings, plugins)
    while True:
        # Nothing is printed meanwhile: what shows progress on a terminal would take it for its own.
        with terminal.working("looking at the rig"):
            check = next(looking, None)
        if check is None:
            break
        checks.append(redacted(check, redact))
        if not as_json:
            print_check(checks[-1])
    if as_json:
        print_json([check.model_dump() for check in checks])
    return ExitCode.REFUSED if any(check.outcome == "failed" for check in checks) else ExitCode.DONE
