"""`aind-launch sessions`: what the journal knows."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click

from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import local_time, print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository, known_session
from aind_launcher.errors import UsageError
from aind_launcher.journal.records import UNFINISHED, SessionRecord, SessionState
from aind_launcher.model.clock import now

_STATES = get_args(SessionState)


@click.group(cls=CommandGroup, epilog="Example: aind-launch sessions show")
def command() -> None:
    """List, show, import and close sessions."""


@command.command(
    "list",
    epilog="""\b
Examples:
  aind-launch sessions list --subject 123456
  aind-launch sessions list --state incomplete --since 7d --json
  aind-launch sessions list --last 500
""",
)
@in_task_repository
@click.option("--subject", "-s", help="Only this animal's.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; may be repeated.")
@click.option("--since", help="A date (2026-01-31) or an age (7d, 12h).")
@click.option("--last", type=click.IntRange(min=1), default=100, show_default=True, help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, since: str | None, last: int, as_json: bool, **wanted: Any) -> None:
    """List this rig's sessions, oldest first."""
    with repository.journal() as journal:
        found = journal.sessions(since=_since(since), last=last + 1, **wanted)
    if len(found) > last:
        found = found[-last:]
        click.echo(f"Only the newest {last} are listed; --last {last * 10} lists more.", err=True)
    records = [_explained(record, repository) for record in found]
    if as_json:
        print_json([*map(_data, records)])
        return
    rows = []
    for record in records:
        seconds = round((record.ended - record.started).total_seconds()) if record.ended else None
        duration = None if seconds is None else timedelta(seconds=seconds)
        first_sentence = re.split(r"(?<=\.)\s", record.message or "", maxsplit=1)[0]
        rows.append((record.name, record.state, local_time(record.started), duration, first_sentence))
    print_table(("session", "state", "started", "duration", "message"), rows, empty="No session matches.")


@command.command("show", epilog="Example: aind-launch sessions show 123456_2026-01-31T170000Z")
@in_task_repository
@click.argument("session", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(repository: TaskRepository, session: str | None, as_json: bool) -> None:
    """Tell a session's whole story, step by step; without a name, the newest one's."""
    from aind_launcher.cli.story import print_story

    with repository.journal() as journal:
        if session:
            record = known_session(journal, session)
        elif newest := journal.sessions(last=1):
            record = newest[0]
        else:
            raise UsageError("The journal has no session yet.", "Start one with `aind-launch run`.")
        steps = journal.steps(record.name)
        context = journal.context(record.name)
    record = _explained(record, repository)
    if as_json:
        more = {"context": context.model_dump(mode="json"), "steps": [step.as_data() for step in steps]}
        print_json(_data(record) | more)
        return
    print_story(record, context, steps)


@command.command(
    "close", epilog='Example: aind-launch sessions close 123456_2026-01-31T170000Z --reason "the lick file is lost"'
)
@in_task_repository
@click.argument("session")
@click.option("--reason", required=True, help="Why what is left is not to be done; kept in the journal.")
def close(repository: TaskRepository, session: str, reason: str) -> None:
    """Give up what is left of a session: it is no longer named at every start, and `resume --all` passes it over.

    Nothing of it is deleted, and `resume SESSION` still finishes it.
    """
    from aind_launcher.system.rig import login

    if not reason.strip():
        raise UsageError("--reason is empty.", "Say in a few words why what is left is not to be done.")
    with repository.journal(changes=True) as journal:
        record = known_session(journal, session)
        if record.state not in UNFINISHED:
            raise UsageError(f"Session {session} is {record.state}; nothing is left of it.")
        journal.end_session(session, "closed", record.exit_code or 0, f"closed by {login()}: {reason}")
    click.echo(f"{session}: closed. `aind-launch resume {session}` would still finish it.")


@command.command("import", epilog="Example: aind-launch sessions import D:/data/123456_2026-01-31T170000Z")
@in_task_repository
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="FOLDER...",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
)
def import_(repository: TaskRepository, folders: tuple[Path, ...]) -> None:
    """Enter the sessions of these folders into the journal, as after the journal was lost.

    A folder that was sealed has a record of all that was done; one that was left before has its inputs on this
    machine, or at least in itself. `aind-launch resume` then does what is left.
    """
    from aind_launcher.lifecycle.record import import_session

    with repository.journal(changes=True) as journal:
        for folder in folders:
            record = import_session(journal, folder, repository.path)
            click.echo(f"{record.name}: {record.state}. `aind-launch resume {record.name}` does what is left.")


def _explained(record: SessionRecord, repository: TaskRepository) -> SessionRecord:
    """`record` with why it stands as it does; nobody was left to say so where its launcher was killed."""
    from aind_launcher.system.rig import session_in_progress

    if record.state != "running" or record.name == session_in_progress(repository.settings.state_directory):
        return record
    message = f"Its launcher was killed, or the power failed. `aind-launch resume {record.name}` goes on."
    return replace(record, message=message)


def _data(record: SessionRecord) -> dict[str, Any]:
    data = record.as_data()
    return {"session": data.pop("name"), **data}


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    units = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
    try:
        if text[:-1].isdecimal() and text[-1] in units:
            return now() - int(text[:-1]) * units[text[-1]]
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise UsageError(f"--since {text} is before all time.", "Leave it out to list all sessions.") from None
    except ValueError:
        raise UsageError(f"--since {text} is neither a date nor an age.", "Write 2026-01-31, 7d or 12h.") from None
