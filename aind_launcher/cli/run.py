"""`aind-launch run`: an animal's whole session."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli import words
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import UsageError
from aind_launcher.model.names import checked_name

if TYPE_CHECKING:
    from aind_launcher.journal.records import SessionRecord
    from aind_launcher.lifecycle.launcher import Launcher

# Characters of why an earlier session is unfinished.
_WIDTH = 150


@click.command(
    epilog="""\b
Examples:
  aind-launch run --subject 123456 --experimenter me
  aind-launch run --subject 123456 --task habituation.json    no curriculum decides over this one
  aind-launch run --subject 123456 -p no:slims                leave out a plugin
"""
)
@in_task_repository
@click.option("--subject", "-s", required=True, help="The animal's number.")
@click.option("--experimenter", "-e", type=words.text, multiple=True, help="Who runs the session; may be repeated.")
@click.option("--notes", type=words.text, help="Notes for the session's record.")
@click.option(
    "--rig",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True),
    help="The rig file, for this call.",
)
@click.option(
    "--task", "task_file", type=click.Path(path_type=Path), help="Run this task file; no curriculum decides then."
)
@click.option("--allow-dirty", is_flag=True, help="Go on with uncommitted changes; session and provenance say so.")
@click.option("--skip-hardware-validation", is_flag=True, help="Recorded in the session, for the task to read.")
@click.option(
    "--new-data-directory", is_flag=True, help="Sessions were written elsewhere before: the empty folder is right."
)
@click.option("--yes", "-y", "agreed", is_flag=True, help="Start without asking whether it is the right animal.")
@click.option("--unattended", is_flag=True, help="Ask nothing; every question gets its safe answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    repository: TaskRepository, rig: Path | None, agreed: bool, unattended: bool, as_json: bool, **asked: Any
) -> int:
    """Take an animal through a whole session.

    Loads the animal's state, prepares and checks the rig, verifies the curriculum's environment, shows which animal
    this is and asks whether to start, runs the acquisition, asks the curriculum, stores its suggestion, calls every
    subscriber and hands off the data.
    """
    from aind_launcher.board.card import card_of
    from aind_launcher.cli.outcome import exit_code, print_outcome
    from aind_launcher.lifecycle.run import Request, run_session

    request = Request(**asked)
    checked_name("subject", request.subject)
    if not all(name.strip() for name in request.experimenter):
        raise UsageError("--experimenter is empty.", "Say who runs the session, or leave it out.")
    if rig is not None:
        repository = repository.with_rig(rig)
    with repository.launcher(unattended=unattended, agreed=agreed) as launcher:
        _offer_to_finish(launcher, request.subject)
        outcome = run_session(launcher, request)
    card = card_of(outcome.session)
    print_outcome(outcome, launcher.journal.impaired, as_json=as_json, card=card, full=repository.verbose)
    return exit_code(outcome.exit_code, launcher.journal)


def _offer_to_finish(launcher: "Launcher", subject: str) -> None:
    """Say which earlier sessions are unfinished; the animal's own are finished if the operator wants it."""
    from aind_launcher.cli.outcome import say_unknown
    from aind_launcher.lifecycle.resume import unknown_sessions

    say_unknown(launcher.operator, () if launcher.journal.impaired else unknown_sessions(launcher))
    waiting = launcher.home.unfinished()
    own = [record for record in waiting if record.subject == subject]
    _say_unfinished(launcher, [record for record in waiting if record not in own], "other animals")
    _say_unfinished(launcher, own, subject)
    if own:
        _finish(launcher, own)


def _say_unfinished(launcher: "Launcher", waiting: "Sequence[SessionRecord]", whose: str) -> None:
    from aind_launcher.cli.outcome import say_newest

    if not waiting:
        return
    lines = [f"{record.name}: {shorten(record.message or 'the launcher ended', _WIDTH)}" for record in waiting]
    title = (
        f"{len(waiting)} earlier session(s) of {whose} are unfinished. Finish them with `aind-launch resume --all`, or "
        "give one up with `aind-launch sessions close`:"
    )
    say_newest(launcher.operator, title, lines, "before; see `aind-launch sessions list`")


def _finish(launcher: "Launcher", waiting: "Sequence[SessionRecord]") -> None:
    """Finish the animal's own sessions if the operator wants it: what it does now may depend on them."""
    from aind_launcher.lifecycle.resume import ResumeOptions, resume_session

    answers = {"yes": "resume them first", "no": "later, with `aind-launch resume --all`"}
    # With nobody there they wait all the same.
    wanted = "yes" if launcher.operator.attended else "no"
    answer = launcher.operator.ask("Finish them now?", answers, default=wanted)
    for record in waiting if answer == "yes" else ():
        try:
            resume_session(launcher, record, ResumeOptions())
        except Exception as error:  # an earlier session must not keep today's animal waiting
            launcher.operator.say(f"  {record.name} could not be finished: {error}", "red")
