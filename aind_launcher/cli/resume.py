"""`aind-launch resume`: finish what earlier sessions left undone."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from aind_launcher.cli.printing import echo, print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository, known_session, whole
from aind_launcher.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from aind_launcher.journal.records import SessionRecord
    from aind_launcher.lifecycle.launcher import Launcher


@click.command(
    epilog="""\b
Examples:
  aind-launch resume                                     the newest unfinished session
  aind-launch resume --all --unattended                  what a scheduled task calls at night
  aind-launch resume 123456_2026-01-31T170000Z --dry-run what it would do
"""
)
@in_task_repository
@click.argument("session", required=False)
@click.option("--all", "everything", is_flag=True, help="Every unfinished session of this task repository.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option(
    "--acquisition-complete", is_flag=True, help="Go on with the data of an acquisition that was not seen to end."
)
@click.option("--score", is_flag=True, help="Let the curriculum decide on data that was only to be kept.")
@click.option("--hand-off-again", is_flag=True, help="Write into a folder that was handed off, and hand it off anew.")
@click.option(
    "--hand-off-as-it-is", is_flag=True, help="Hand off a folder without the files and steps that hold it back."
)
@click.option("--unattended", is_flag=True, help="Ask nothing; what needs a person waits.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def command(
    repository: TaskRepository,
    session: str | None,
    everything: bool,
    dry_run: bool,
    unattended: bool,
    as_json: bool,
    **options: bool,
) -> int:
    """Finish what earlier sessions left undone.

    Runs the steps that are not done, in order. What was done is not done again, and an acquisition never is.
    """
    from aind_launcher.cli.outcome import exit_code, outcome_data, print_outcome, say_unknown
    from aind_launcher.cli.terminal import show_error
    from aind_launcher.lifecycle.resume import ResumeOptions, plan, resume_session, unknown_sessions

    if session is not None and everything:
        raise UsageError("Give a session or --all, not both.")
    chosen = ResumeOptions(**options)
    code, planned, outcomes = ExitCode.DONE, [], []
    with repository.launcher(unattended=unattended, only_plans=dry_run) as launcher:
        whole(launcher.journal)
        # Chosen now that no other launcher can change them.
        records = _chosen(launcher, session, everything)
        for record in records:
            try:
                whole(launcher.journal)
                if dry_run:
                    planned += [(record.name, step) for step in plan(launcher, record, chosen)]
                    continue
                outcome = resume_session(launcher, record, chosen)
            except Exception as error:
                # Of several sessions, none may keep the others from being finished.
                if not everything:
                    raise
                show_error(error, launcher.steps.redact)
                code = ExitCode.STEP_FAILED
                continue
            # How the acquisition went was said when it did; here counts what is left to do.
            if outcome.state == "incomplete" or any(step.state == "failed" for step in outcome.steps):
                code = ExitCode.STEP_FAILED
            outcomes.append(outcome)
            if not as_json:
                print_outcome(outcome, launcher.journal.impaired, as_json=False)
        unknown = () if session is not None else unknown_sessions(launcher)
        if unknown:
            code = ExitCode.STEP_FAILED
        # Of other task repositories.
        others = () if records else launcher.journal.unfinished()
    if as_json and dry_run:
        print_json([{"session": name, **asdict(step)} for name, step in planned])
    elif as_json:
        print_json([outcome_data(outcome) for outcome in outcomes])
    elif planned:
        rows = [(name, step.hook, step.plugin, step.why, step.condition) for name, step in planned]
        print_table(("session", "step", "plugin", "why", "if"), rows, empty="")
    elif code == ExitCode.DONE and not outcomes:
        echo("Nothing is left undone.")
    say_unknown(launcher.operator, unknown)
    for other in others:
        owner = launcher.home.owner(other)
        launcher.operator.say(f"  {other.name} is unfinished, too; it belongs to {owner}.", "yellow")
    return exit_code(code, launcher.journal)


def _chosen(launcher: "Launcher", name: str | None, everything: bool) -> "tuple[SessionRecord, ...]":
    if name is not None:
        return (known_session(launcher.journal, name),)
    waiting = launcher.home.unfinished()
    return waiting if everything else waiting[-1:]
