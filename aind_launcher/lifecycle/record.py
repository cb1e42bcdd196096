"""A session's own record, beside the journal: written when it is staged and when its folder is sealed, read where the
journal has lost the session or knows less of it."""

import json
import logging
import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aind_launcher.errors import ExitCode, LauncherError, Refused, UsageError
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.lifecycle.home import is_now, stands
from aind_launcher.lifecycle.notes import copied_notes, is_note
from aind_launcher.lifecycle.steps import LAUNCHER
from aind_launcher.model.clock import now
from aind_launcher.model.json_text import without_constants
from aind_launcher.model.session import Acquisition, Repository, SessionContext, SessionPaths
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import exists, read_whole, write_whole
from aind_launcher.system.git import commit_of, remote_url

logger = logging.getLogger(__name__)

FILE = "session.json"
# The record that lies in a session's folder until it is sealed. It names the machine: others may share the disk.
BEGUN = ".aind-launcher-session.json"
# What a file that is torn, of another program, or of another account is met by.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, LauncherError)
_RESULTS: dict[str, type[BaseModel]] = {"run_session": Acquisition, "curriculum_suggest": CurriculumSuggestion}
_MACHINE = re.compile(rb'\{\s*"machine": ("(?:[^"\\]|\\.)*")')
_NAME = re.compile(r".+_\d{4}-\d\d-\d\dT\d{6}(?:Z|[+-]\d{4})")


@dataclass(frozen=True)
class Recorded:
    """A session as a record tells of it.

    :param machine: the machine that it was begun on, where that is known.
    """

    context: SessionContext
    steps: tuple[StepRecord, ...]
    machine: str | None


def stage(session: SessionContext) -> None:
    """Write the acquisition's inputs into the session's staging folder, and the record that they belong to.

    :raises OSError: as `write_whole`.
    """
    write_record(session.staging / FILE, session)
    write_whole(session.staged_session, session.session.model_dump_json(indent=2))
    for path, document in ((session.staged_rig, session.rig), (session.staged_task, session.task)):
        if document is not None:
            write_whole(path, json.dumps(document, indent=2, ensure_ascii=False))


def write_record(path: Path, session: SessionContext, steps: Sequence[StepRecord] = ()) -> None:
    """Write what `session` and its steps can be rebuilt from.

    Notes stay on this machine, and what is known of the animal's other sessions in its register.

    :raises OSError: as `write_whole`.
    """
    record = {
        "machine": platform.node(),
        "context": session.model_dump(mode="json", exclude={"animal_entries"}),
        "steps": [step.as_data() for step in steps if not is_note(step)],
    }
    write_whole(path, without_constants(json.dumps(record, indent=2, ensure_ascii=True)))


def sealed_record(folder: Path) -> Recorded | None:
    """What a session's folder was sealed with; None where it was not, or where that cannot be read."""
    return _read(SessionPaths(folder).launcher / FILE, folder.name)


def importable(folder: Path, staging: Path, repository: Path) -> Recorded:
    """The session that lies in `folder`, if it is this task repository's and this machine's.

    Known from its sealed record, else the one of its staging, else the one that it began with.

    :param staging: the session's staging folder on this machine, which may be lost.
    :raises UsageError: there is no session.
    :raises Refused: it is another's.
    """
    sealed = sealed_record(folder)
    begun = SessionPaths(folder).behavior / BEGUN
    # What is staged on this machine was begun on it, and nobody is at what is sealed.
    safe = sealed or _read(staging / FILE, folder.name)
    recorded = safe or _read(begun, folder.name)
    if recorded is None:
        raise UsageError(
            f"{folder} has no record of a session that can be read.", "Give the folder of a session of this launcher."
        )
    home = recorded.context.repository.adopted_by or recorded.context.repository
    is_ours = is_now(home, repository)
    if not is_ours and stands(home):
        raise Refused(f"Session {folder.name} belongs to {home.path}.", "Change to that folder and import it there.")
    if safe is None and recorded.machine not in (None, platform.node()):
        raise Refused(
            f"Session {folder.name} was begun on the machine {recorded.machine}, which may still be at it.",
            f'Import it there. Where that machine is gone, delete the line "machine" in {begun} and import it again.',
        )
    context = _moved(recorded.context, folder, staging, repository)
    if not is_ours:
        adopter = Repository(path=repository, url=remote_url(repository), commit=commit_of(repository))
        adopted = context.repository.model_copy(update={"adopted_by": adopter})
        context = context.model_copy(update={"repository": adopted})
    if sealed is None and exists(SessionPaths(folder).launcher / FILE):
        # It was sealed, though nobody can read with what; a transfer service may have it.
        context = context.model_copy(update={"handed_off": True})
    return replace(recorded, context=context)


def import_session(journal: Journal, folder: Path, repository: Path) -> SessionRecord:
    """Enter the session of `folder` into the journal, as *incomplete* so that `resume` completes what is missing.

    A sealed folder cannot say whether its hand-off took place: those steps are entered as not done, and a transfer
    plugin finds what it did before.

    :raises UsageError: there is no session in `folder`, or the journal has it already.
    :raises Refused: it is another task repository's or another machine's.
    :raises LauncherError: its staging folder cannot be written.
    """
    if journal.session(folder.name):
        raise UsageError(
            f"The journal has session {folder.name} already.",
            f"`aind-launch resume {folder.name}` completes it, also with what its folder knows.",
        )
    recorded = importable(folder, journal.staging / folder.name, repository)
    context = recorded.context
    imported = SessionRecord(
        context.name,
        context.subject,
        repository,
        folder,
        "incomplete",
        started=context.session.date,
        ended=now(),
        exit_code=ExitCode.STEP_FAILED,
        message=f"imported from {folder}; resume it to complete what is missing",
    )
    if not (context.staging / FILE).is_file():
        try:
            stage(context)
        except OSError as error:
            raise LauncherError(
                f"{error.filename or context.staging} cannot be written: {error.strerror or error}.",
                "Free the disk and import the session again.",
            ) from None
    steps = {(step.id, step.attempt): step for step in (*recorded.steps, *copied_notes(context.staging, context.name))}
    journal.import_session(imported, context.model_dump_json(), [*steps.values()])
    return imported


def completed_by_folder(journal: Journal, record: SessionRecord) -> SessionContext:
    """The session of `record`, where it lies now, once the journal knows all that its sealed folder says happened.

    The folder was sealed with all that was known: a journal that could not be written since, or was damaged, knows
    less, and would have it done again.
    """
    places = (record.folder, journal.staging / record.name, record.repository)
    sealed = sealed_record(record.folder)
    if sealed is None:
        return _moved(journal.context(record.name), *places)
    told = _moved(sealed.context, *places)
    try:
        context = _moved(journal.context(record.name), *places)
    except LauncherError as error:
        logger.warning("%s Its sealed folder is believed.", error)
        context = told
    known = {(step.id, step.attempt): step for step in journal.steps(record.name)}
    news = [
        step
        for step in sealed.steps
        if (before := known.get((step.id, step.attempt))) is None or (before.ended is None and step.ended is not None)
    ]
    if not news:
        return context
    believed = max(context, told, key=_progress)
    journal.import_session(record, believed.model_dump_json(), news)
    return believed


def find_unknown(journal: Journal, data_directory: Path | None, repository: Path) -> list[Path]:
    """The folders of sessions that were staged here, or lie in the data directory, and that the journal lacks.

    Those that `import_session` accepts, but for what other machines sealed into a data directory that they share.
    """
    known = journal.names()
    folders = {name: Path(data_directory or "", name) for name in _sessions_in(data_directory, known)}
    for name in _sessions_in(journal.staging, known):
        if name not in folders and (staged := _read(journal.staging / name / FILE, name)):
            folders[name] = staged.context.folder
    return [
        folder for name, folder in sorted(folders.items()) if _is_unknown(folder, journal.staging / name, repository)
    ]


def _is_unknown(folder: Path, staging: Path, repository: Path) -> bool:
    try:
        sealed = SessionPaths(folder).launcher / FILE
        if sealed.is_file() and _machine(sealed) not in (None, platform.node()):
            return False
        return folder.is_dir() and bool(importable(folder, staging, repository))
    except (OSError, LauncherError):
        return False


def _machine(record: Path) -> str | None:
    """The machine that a record names at its beginning: to read every record would take long on a disk of many rigs.

    None where the beginning is damaged, or names none.
    """
    with record.open("rb") as file:
        named = _MACHINE.match(file.read(1000))
    with suppress(ValueError):
        return json.loads(named[1]) if named else None
    return None


def _sessions_in(place: Path | None, known: frozenset[str]) -> list[str]:
    """The names of what may be sessions in `place` and are not known; only names are read."""
    try:
        names = os.listdir(place) if place else []  # noqa: PTH208 - quicker than a path for each
    except OSError:
        return []
    return [name for name in names if name not in known and _NAME.fullmatch(name)]


def _progress(context: SessionContext) -> tuple[int, bool, bool]:
    return (context.hand_off, context.handed_off, context.acquisition is not None)


def _moved(context: SessionContext, folder: Path, staging: Path, repository: Path) -> SessionContext:
    """`context` with the places that it has now."""
    home = context.repository.model_copy(update={"path": repository})
    return context.model_copy(update={"folder": folder, "staging": staging, "repository": home})


def _read(path: Path, name: str) -> Recorded | None:
    """The record of the session `name`; None where there is none, or where it cannot be read."""
    try:
        record = json.loads(read_whole(path))
        context = SessionContext.model_validate(record["context"])
        steps = tuple(_step(context.name, step) for step in record["steps"])
        return Recorded(context, steps, record.get("machine")) if context.name == name else None
    except _UNREADABLE:
        return None


def _step(session: str, data: dict[str, Any]) -> StepRecord:
    """A step of a record, as it ended: the seal was still being written when it wrote of itself."""
    if (model := _RESULTS.get(data["hook"])) and data["result"] is not None:
        model.model_validate(data["result"])
    step = StepRecord.from_data(session, data)
    is_seal = (step.id.hook, step.id.plugin, step.state) == ("seal_folder", LAUNCHER, "running")
    return replace(step, state="done", ended=step.started) if is_seal else step
