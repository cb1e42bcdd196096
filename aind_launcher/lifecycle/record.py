"""A session's own record, beside the journal: written when it is staged and when its folder is sealed, read where the
journal has lost the session or knows less of it."""

import json
import logging
import os
import platform
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from aind_launcher.errors import ExitCode, LauncherError, Refused, UsageError
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.lifecycle.steps import LAUNCHER
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.names import checked_name
from aind_launcher.model.session import Acquisition, Repository, Session, SessionContext, SessionPaths
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import exists, read_whole, write_whole

logger = logging.getLogger(__name__)

FILE = "session.json"
# Until a session's folder is sealed, this file beside its data names the machine: others may share the data directory.
MARK = ".aind-launcher-machine"
Value = TypeVar("Value")
# What a file that is torn, of another program, or of another account is met by.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, LauncherError)
_RESULTS: dict[str, type[BaseModel]] = {"run_session": Acquisition, "curriculum_suggest": CurriculumSuggestion}
_MACHINE = re.compile(rb'\{\s*"machine": ("(?:[^"\\]|\\.)*")')
_NAME = re.compile(r"(?P<subject>.+)_(?P<date>\d{4}-\d\d-\d\dT\d{6}(?:Z|[+-]\d{4}))")


@dataclass(frozen=True)
class Told:
    """A session as a record, or what else lies in its folder, tells of it.

    :param sealed: whether this is what the folder was sealed with.
    :param repository: the task repository that it was begun in, where that is known.
    :param machine: the machine that it was begun on, where that is known.
    :param unreadable: what could not be read of it.
    """

    context: SessionContext
    steps: tuple[StepRecord, ...] = ()
    sealed: bool = False
    repository: Path | None = None
    machine: str | None = None
    unreadable: tuple[str, ...] = ()


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

    :raises OSError: as `write_whole`.
    """
    record = {
        "machine": platform.node(),
        "context": session.model_dump(mode="json"),
        "steps": [step.as_data() for step in steps],
    }
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=True))


def read_session(folder: Path, staging: Path, repository: Path) -> Told:
    """The session that lies in `folder`: by its sealed record, else the one of its staging, else by its other files.

    :param staging: the session's staging folder on this machine, which may be lost.
    :raises UsageError: there is no session.
    """
    unreadable: list[str] = []
    told = _by_record(folder, staging, unreadable) or _by_files(folder, staging, repository, unreadable)
    moved = told.context.repository.model_copy(update={"path": repository})
    places: dict[str, Any] = {"folder": folder, "staging": staging, "repository": moved}
    if unreadable and not told.sealed and exists(SessionPaths(folder).launcher / FILE):
        # It was sealed, and a transfer service may have it.
        places["handed_off"] = True
    return replace(told, context=told.context.model_copy(update=places), unreadable=tuple(unreadable))


def _by_record(folder: Path, staging: Path, unreadable: list[str]) -> Told | None:
    sealed = SessionPaths(folder).launcher / FILE
    for path in (sealed, staging / FILE):
        told = _given(path, _read, unreadable)
        if told and told.context.name == folder.name:
            # What is staged on this machine was begun on it.
            return replace(told, sealed=True) if path == sealed else replace(told, machine=None)
    return None


def importable(folder: Path, staging: Path, repository: Path) -> Told:
    """The session that lies in `folder`, if it is this task repository's and this machine's.

    :raises UsageError: there is no session.
    :raises Refused: it is another's.
    """
    told = read_session(folder, staging, repository)
    if told.repository not in (None, repository) and exists(told.repository):
        raise Refused(
            f"Session {folder.name} belongs to {told.repository}.", "Change to that folder and import it there."
        )
    if not told.sealed and not is_here(told):
        mark = SessionPaths(folder).behavior / MARK
        raise Refused(
            f"Session {folder.name} was begun on the machine {told.machine}, which may still be at it.",
            f"Import it there or, where that machine is gone, delete {mark} and import it again.",
        )
    return told


def is_here(told: Told) -> bool:
    """Whether a session was begun on this machine, as far as is known."""
    return told.machine in (None, platform.node())


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
    told = importable(folder, journal.staging / folder.name, repository)
    for problem in told.unreadable:
        logger.warning("%s The session is imported without it.", problem)
    context = told.context
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
    journal.import_session(imported, context.model_dump_json(), told.steps)
    return imported


def completed_by_folder(journal: Journal, record: SessionRecord) -> SessionContext:
    """The session of `record`, once the journal knows all that the session's sealed folder says happened.

    The folder was sealed with all that was known: a journal that could not be written since, or was damaged, knows
    less, and would have it done again.
    """
    told = None
    with suppress(LauncherError):
        told = read_session(record.folder, journal.staging / record.name, record.repository)
    if told is None or not told.sealed:
        return journal.context(record.name)
    try:
        context = journal.context(record.name)
    except LauncherError as error:
        logger.warning("%s Its sealed folder is believed.", error)
        context = told.context
    known = {(step.id, step.attempt): step for step in journal.steps(record.name)}
    news = [
        step
        for step in told.steps
        if (before := known.get((step.id, step.attempt))) is None or (before.ended is None and step.ended is not None)
    ]
    if not news:
        return context
    believed = max(context, told.context, key=_progress)
    journal.import_session(record, believed.model_dump_json(), news)
    return believed


def find_unknown(journal: Journal, data_directory: Path | None, repository: Path) -> list[Path]:
    """The folders of sessions that were staged here, or lie in the data directory, and that the journal lacks.

    Those that `import_session` accepts, but for what other machines sealed into a data directory that they share.
    """
    known = journal.names()
    folders = {name: Path(data_directory or "", name) for name in _sessions_in(data_directory, known)}
    for name in _sessions_in(journal.staging, known):
        if name not in folders and (staged := _given(journal.staging / name / FILE, _read, [])):
            folders[name] = staged.context.folder
    return [
        folder for name, folder in sorted(folders.items()) if _is_unknown(folder, journal.staging / name, repository)
    ]


def _is_unknown(folder: Path, staging: Path, repository: Path) -> bool:
    paths = SessionPaths(folder)
    try:
        sealed = paths.launcher / FILE
        if sealed.is_file() and _machine(sealed) not in (None, platform.node()):
            return False
        written = (sealed, staging / FILE, paths.behavior / MARK, paths.trainer_state)
        is_begun = folder.is_dir() and any(path.is_file() for path in written)
        return is_begun and is_here(importable(folder, staging, repository))
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
    return [name for name in names if name not in known and _subject_and_date(name)]


def _subject_and_date(name: str) -> tuple[str, datetime] | None:
    """What the name of a session's folder says; None for another name."""
    if not (named := _NAME.fullmatch(name)):
        return None
    with suppress(ValueError, UsageError):
        date = datetime.strptime(named["date"], "%Y-%m-%dT%H%M%S%z").astimezone(UTC)
        return checked_name("subject", named["subject"]), date
    return None


def _given(path: Path, read: Callable[[Path], Value], unreadable: list[str]) -> Value | None:
    """What `read` makes of a file; None where it is missing, or where that is added to `unreadable`."""
    try:
        return read(path) if path.is_file() else None
    except _UNREADABLE as error:
        unreadable.append(f"{path} cannot be read: {error}.")
        return None


def _progress(context: SessionContext) -> tuple[int, bool, bool]:
    return (context.hand_off, context.handed_off, context.acquisition is not None)


def _read(path: Path) -> Told:
    """A session's record."""
    record = json.loads(read_whole(path))
    context = SessionContext.model_validate(record["context"])
    steps = tuple(_step(context.name, step) for step in record["steps"])
    return Told(context, steps, repository=context.repository.path, machine=record.get("machine"))


def _by_files(folder: Path, staging: Path, repository: Path, unreadable: list[str]) -> Told:
    """The session of a folder that was left before it was sealed, and whose staging is lost."""
    paths = SessionPaths(folder)
    named = _subject_and_date(folder.name)
    try:
        has_behavior = paths.behavior.is_dir()
    except OSError as error:
        raise LauncherError(
            f"{folder} cannot be looked into: {error.strerror or error}.", "Give this login the right to read it."
        ) from None
    if not named or not has_behavior:
        raise UsageError(
            f"{folder} is not the folder of a session.",
            "A session's folder is named <subject>_<YYYY-MM-DDTHHMMSSZ> and has a folder behavior.",
        )

    def document(path: Path) -> Any:
        return _given(path, lambda file: json.loads(file.read_bytes()), unreadable)

    subject, date = named
    session = _given(paths.session_input, lambda file: Session.model_validate_json(file.read_bytes()), unreadable)
    session = session or Session(subject=subject, date=date, session_name=folder.name)
    session = session.model_copy(update={"session_name": folder.name})
    state = None
    if text := _given(paths.trainer_state, TrainerStateText.read_file, unreadable):
        # Where the animal stood before is not known; a state of the session's own date yields to its decision.
        state = AnimalState(trainer_state=text, metrics=document(paths.previous_metrics), date=session.date)
    context = SessionContext(
        session=session,
        folder=folder,
        staging=staging,
        repository=Repository(path=repository),
        animal_state=state,
        task_source="trainer state" if state else None,
        rig=_object(document(paths.rig_input)),
        task=_object(document(paths.task_input)),
    )
    return Told(
        context, machine=_given(paths.behavior / MARK, lambda file: file.read_text(encoding="utf-8"), unreadable)
    )


def _object(document: Any) -> dict[str, Any] | None:
    return document if isinstance(document, dict) else None


def _step(session: str, data: dict[str, Any]) -> StepRecord:
    """A step of a record, as it ended: the seal was still being written when it wrote of itself."""
    if (model := _RESULTS.get(data["hook"])) and data["result"] is not None:
        model.model_validate(data["result"])
    step = StepRecord.from_data(session, data)
    is_seal = (step.id.hook, step.id.plugin, step.state) == ("seal_folder", LAUNCHER, "running")
    return replace(step, state="done", ended=step.started) if is_seal else step
