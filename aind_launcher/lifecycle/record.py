"""A session's own record, beside the journal: written when it is staged and when its folder is sealed, read where the
journal has lost the session or knows less of it."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aind_launcher.errors import ExitCode, LauncherError, UsageError
from aind_launcher.journal.journal import Journal, SessionRecord, StepId, StepRecord
from aind_launcher.lifecycle.steps import LAUNCHER
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.session import Repository, Session, SessionContext, SessionPaths
from aind_launcher.system.files import write_whole

FILE = "session.json"
_NAME = re.compile(r"(?P<subject>.+)_(?P<date>\d{4}-\d\d-\d\dT\d{6}(?:Z|[+-]\d{4}))")


@dataclass(frozen=True)
class Told:
    """A session as a record, or what else lies in its folder, tells of it.

    :param sealed: whether the folder was sealed, so that nothing may be written into it any more.
    """

    context: SessionContext
    steps: tuple[StepRecord, ...] = ()
    sealed: bool = False


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
    record = {"context": session.model_dump(mode="json"), "steps": [_as_data(step) for step in steps]}
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=True))


def read_session(folder: Path, staging: Path, repository: Path) -> Told:
    """The session that lies in `folder`: by its sealed record, else the one of its staging, else by its other files.

    :param staging: the session's staging folder on this machine, which may be lost.
    :raises UsageError: there is no session.
    :raises LauncherError: a record is there but cannot be read.
    """
    sealed = SessionPaths(folder).launcher / FILE
    for path in (sealed, staging / FILE):
        if path.is_file():
            told = replace(_read(path), sealed=path == sealed)
            if told.context.name == folder.name:
                return replace(told, context=_moved(told.context, folder, staging, repository))
    return Told(_from_files(folder, staging, repository))


def import_session(journal: Journal, folder: Path, repository: Path) -> SessionRecord:
    """Enter the session of `folder` into the journal, as *incomplete* so that `resume` completes what is missing.

    A sealed folder cannot say whether its hand-off took place: those steps are entered as not done, and a transfer
    plugin finds what it did before.

    :raises UsageError: there is no session in `folder`, or the journal has it already.
    :raises LauncherError: its record cannot be read, or the journal cannot be written.
    """
    told = read_session(folder, journal.staging / folder.name, repository)
    context = told.context
    if journal.session(context.name):
        raise UsageError(
            f"The journal has session {context.name} already.",
            f"`aind-launch resume {context.name}` completes it, also with what its folder knows.",
        )
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
        context=context.model_dump_json(),
    )
    if not (context.staging / FILE).is_file():
        stage(context)
    journal.import_session(imported, told.steps)
    return imported


def completed_by_folder(journal: Journal, record: SessionRecord) -> SessionRecord:
    """`record`, once the journal knows all that the session's sealed folder says happened.

    The folder was sealed with all that was known: a journal that could not be written since, or was damaged, knows
    less, and would have it done again.
    """
    try:
        told = read_session(record.folder, journal.staging / record.name, record.repository)
    except LauncherError:
        return record
    known = {(step.id, step.attempt): step for step in journal.steps(record.name)}
    news = [
        step
        for step in told.steps
        if (before := known.get((step.id, step.attempt))) is None or (before.ended is None and step.ended is not None)
    ]
    if not told.sealed or not news:
        return record
    context = max(SessionContext.model_validate_json(record.context), told.context, key=_progress)
    believed = replace(record, context=context.model_dump_json())
    journal.import_session(believed, news)
    return believed


def find_unknown(journal: Journal, data_directory: Path | None, repository: Path) -> list[Path]:
    """The folders of sessions that were staged here, or lie in the data directory, and that the journal lacks.

    In the data directory those count that the launcher sealed, or that were left before they could be. Sessions whose
    record names another task repository that is still there are that one's.
    """
    known = journal.names()

    def is_ours(context: SessionContext) -> bool:
        there = context.repository.path
        return there == repository or not there.is_dir()

    folders: dict[str, Path] = {}
    for path in _sessions_in(journal.staging):
        if path.name not in known and (staged := _context_in(path / FILE)) and is_ours(staged):
            folders[path.name] = staged.folder
    for path in _sessions_in(data_directory):
        record = SessionPaths(path).launcher / FILE
        if path.name in known or not (record.is_file() or SessionPaths(path).trainer_state.is_file()):
            continue
        if (sealed := _context_in(record)) is None or is_ours(sealed):
            folders[path.name] = path
    return [folders[name] for name in sorted(folders) if folders[name].is_dir()]


def _sessions_in(place: Path | None) -> list[Path]:
    try:
        return [path for path in place.iterdir() if _NAME.fullmatch(path.name)] if place else []
    except OSError:
        return []


def _context_in(record: Path) -> SessionContext | None:
    with suppress(LauncherError):
        return _read(record).context
    return None


def _progress(context: SessionContext) -> tuple[int, bool, bool]:
    return (context.hand_off, context.handed_off, context.acquisition is not None)


def _moved(context: SessionContext, folder: Path, staging: Path, repository: Path) -> SessionContext:
    """`context` with the places as they are on this machine, where they may have moved."""
    places = {"folder": folder, "staging": staging}
    return context.model_copy(
        update={**places, "repository": context.repository.model_copy(update={"path": repository})}
    )


def _read(path: Path) -> Told:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        context = SessionContext.model_validate(record["context"])
        return Told(context, tuple(_as_sealed(_as_step(context.name, step)) for step in record["steps"]))
    except (OSError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise LauncherError(f"The record of a session in {path} cannot be read: {error}.") from None


def _from_files(folder: Path, staging: Path, repository: Path) -> SessionContext:
    """The session of a folder that was left before it was sealed, and whose staging is lost."""
    paths = SessionPaths(folder)
    named = _NAME.fullmatch(folder.name)
    if not named or not paths.behavior.is_dir():
        raise UsageError(
            f"{folder} is not the folder of a session.",
            "A session's folder is named <subject>_<YYYY-MM-DDTHHMMSSZ> and has a folder behavior.",
        )
    try:
        if paths.session_input.is_file():
            session = Session.model_validate_json(paths.session_input.read_bytes())
        else:
            date = datetime.strptime(named["date"], "%Y-%m-%dT%H%M%S%z").astimezone(UTC)
            session = Session(subject=named["subject"], date=date, session_name=folder.name)
        state = None
        if paths.trainer_state.is_file():
            metrics = json.loads(paths.previous_metrics.read_bytes()) if paths.previous_metrics.is_file() else None
            text = TrainerStateText.read_file(paths.trainer_state)
            # Where the animal stood before is not known; a state of the session's own date yields to its decision.
            state = AnimalState(trainer_state=text, metrics=metrics, date=session.date)
        inputs = {
            name: json.loads(path.read_bytes()) if path.is_file() else None
            for name, path in (("rig", paths.rig_input), ("task", paths.task_input))
        }
    except (OSError, ValueError) as error:
        raise LauncherError(f"The files of the session in {folder} cannot be read: {error}.") from None
    return SessionContext(
        session=session,
        folder=folder,
        staging=staging,
        repository=Repository(path=repository),
        animal_state=state,
        task_source="trainer state" if state else None,
        **inputs,
    )


def _as_data(step: StepRecord) -> dict[str, Any]:
    return {
        "hook": step.id.hook,
        "plugin": step.id.plugin,
        "key": step.id.key,
        "attempt": step.attempt,
        "state": step.state,
        "started": step.started.isoformat(),
        "ended": step.ended.isoformat() if step.ended else None,
        "error": step.error,
        "result": step.result,
    }


def _as_step(session: str, step: dict[str, Any]) -> StepRecord:
    return StepRecord(
        # The key was called "suggestion" in the first records.
        id=StepId(session, str(step["hook"]), str(step["plugin"]), str(step.get("key", step.get("suggestion", "")))),
        attempt=int(step["attempt"]),
        state=step["state"],
        started=datetime.fromisoformat(step["started"]),
        ended=datetime.fromisoformat(step["ended"]) if step["ended"] else None,
        error=step["error"],
        result=step["result"],
    )


def _as_sealed(step: StepRecord) -> StepRecord:
    """`step` as it ended: the seal was still being written when it wrote of itself."""
    sealing = step.id.hook == "seal_folder" and step.id.plugin == LAUNCHER and step.state == "running"
    return replace(step, state="done", ended=step.started) if sealing else step
