"""`aind-launch sessions`: what the journal knows."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from aind_launcher.cli import words
from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import echo, local_time, print_json, print_table
from aind_launcher.cli.since import moment
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository, known_session
from aind_launcher.errors import LauncherError, UsageError
from aind_launcher.journal.records import UNFINISHED, SessionRecord, SessionState, StepRecord
from aind_launcher.model.clock import now

if TYPE_CHECKING:
    from aind_launcher.journal.journal import Journal
    from aind_launcher.model.session import SessionContext
    from aind_launcher.model.store import AnimalStore

_STATES = get_args(SessionState)
# Their steps tell what was decided on a session.
_DECIDES = ("keep_suggestion", "record_state")


@click.group(cls=CommandGroup, epilog="Example: aind-launch sessions show")
def command() -> None:
    """List, show, note, import and close sessions."""


@command.command(
    "list",
    epilog="""\b
Examples:
  aind-launch sessions list --subject 123456
  aind-launch sessions list --since today
  aind-launch sessions list --state incomplete --since 7d --json
  aind-launch sessions list --last 500
""",
)
@in_task_repository
@click.option("--subject", "-s", help="Only this animal's.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; may be repeated.")
@click.option("--since", help="today, yesterday, a date (2026-01-31) or an age (7d, 12h).")
@click.option("--last", type=click.IntRange(min=1), default=100, show_default=True, help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, since: str | None, last: int, as_json: bool, **wanted: Any) -> None:
    """List this rig's sessions, oldest first."""
    from aind_launcher.board.words import duration
    from aind_launcher.lifecycle.notes import NOTE

    with repository.journal() as journal:
        begun = None if since is None else moment(since, now())
        found = journal.sessions(since=begun, last=last + 1, **wanted)
        is_cut = len(found) > last
        found = found[-last:]
        steps = {record.name: journal.steps(record.name, *_DECIDES, NOTE) for record in found}
    if is_cut:
        echo(f"Only the newest {last} are listed; --last {last * 10} lists more.", err=True)
    records = [_explained(record, repository) for record in found]
    if as_json:
        print_json([_data(record, steps[record.name]) for record in records])
        return
    rows = []
    for record in records:
        took = duration((record.ended - record.started) / timedelta(minutes=1)) if record.ended else None
        first_sentence = re.split(r"(?<=\.)\s", record.message or "", maxsplit=1)[0]
        decision = _decision(steps[record.name])
        rows.append((record.name, record.state, local_time(record.started), took, decision, first_sentence))
    columns = ("session", "state", "started", "duration", "decision", "message")
    print_table(columns, rows, empty="No session matches.")


@command.command("show", epilog="Example: aind-launch sessions show 123456_2026-01-31T170000Z")
@in_task_repository
@click.argument("session", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(repository: TaskRepository, session: str | None, as_json: bool) -> None:
    """Tell a session's whole story, step by step; without a name, the newest one's."""
    from aind_launcher.cli.story import print_story
    from aind_launcher.lifecycle.notes import is_note, notes_of

    with repository.journal() as journal:
        if session is not None:
            record = known_session(journal, session)
        elif newest := journal.sessions(last=1):
            record = newest[0]
        else:
            raise UsageError("The journal has no session yet.", "Start one with `aind-launch run`.")
        steps = journal.steps(record.name)
        context = journal.context(record.name)
    record = _explained(record, repository)
    if as_json:
        of_session = [step.as_data() for step in steps if not is_note(step)]
        more = {"context": context.model_dump(mode="json"), "steps": of_session}
        print_json(_data(record, steps) | more)
        return
    print_story(record, context, [step for step in steps if not is_note(step)])
    if notes := notes_of(steps):
        echo("")
        rows = [(local_time(note.written), note.by, note.text) for note in notes]
        print_table(("noted", "by", "note"), rows, empty="")


@command.command(
    "note", epilog='Example: aind-launch sessions note 123456_2026-01-31T170000Z "the spout was blocked for a while"'
)
@in_task_repository
@click.argument("session")
@click.argument("text", type=words.text)
@click.option("--by", type=words.text, default=None, help="Who writes it (default: the login).")
def note(repository: TaskRepository, session: str, text: str, by: str | None) -> None:
    """Write down what is to be known of a session; it is shown with it.

    The note is kept on this machine. Nothing is written into the session's folder.
    """
    from aind_launcher.lifecycle.notes import add_note
    from aind_launcher.system.rig import login

    if not text.strip():
        raise UsageError("The note is empty.", "Write it in quotes after the session.")
    with repository.journal() as journal:
        add_note(journal, known_session(journal, session).name, text.strip(), by or login())
    echo(f"{session}: noted.")


@command.command(
    "close", epilog='Example: aind-launch sessions close 123456_2026-01-31T170000Z --reason "the lick file is lost"'
)
@in_task_repository
@click.argument("session")
@click.option("--reason", type=words.text, required=True, help="Why the rest is not to be done; kept in the journal.")
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
        _tell_store(repository, journal, closed=session)
    echo(f"{session}: closed. `aind-launch resume {session}` would still finish it.")


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
            echo(f"{record.name}: {record.state}. `aind-launch resume {record.name}` does what is left.")
        _tell_store(repository, journal)


def _tell_store(repository: TaskRepository, journal: "Journal", closed: str | None = None) -> None:
    """Let the animals' store know what is unfinished here now; one that cannot be asked is told with the next session.

    :param closed: the session that was given up.
    """
    from aind_launcher.lifecycle.stores import ask, rig_status

    status = rig_status(repository.settings, journal)
    session: SessionContext | None = None
    if closed:
        with suppress(LauncherError):
            session = journal.context(closed)

    def told(store: "AnimalStore") -> None:
        if session:
            store.finish(session, "closed")
        store.report(status)

    ask(repository.animal_store, told, repository.redact)


def _explained(record: SessionRecord, repository: TaskRepository) -> SessionRecord:
    """`record` with why it stands as it does; nobody was left to say so where its launcher was killed."""
    from aind_launcher.system.rig import session_in_progress

    if record.state != "running" or record.name == session_in_progress(repository.settings.state_directory):
        return record
    message = f"Its launcher was killed, or the power failed. `aind-launch resume {record.name}` goes on."
    return replace(record, message=message)


def _data(record: SessionRecord, steps: Sequence[StepRecord]) -> dict[str, Any]:
    from aind_launcher.lifecycle.notes import notes_of

    data = record.as_data()
    notes = [note.as_data() for note in notes_of(steps)]
    return {"session": data.pop("name"), **data, "decision": _decision(steps), "notes": notes}


def _decision(steps: Iterable[StepRecord]) -> str | None:
    """What was decided on a session, by its steps; launchers of older versions did not keep it in a line."""
    results = {(step.id.hook, step.id.plugin): step.result for step in steps if isinstance(step.result, dict)}
    decision = None
    for (hook, _), result in results.items():
        if hook == "record_state" and result.get("outcome") == "superseded":
            return "superseded"
        if hook == "keep_suggestion":
            decision = result.get("decision")
    return decision
