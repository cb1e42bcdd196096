"""Rebuilds a session's entry in the journal from its folder: the journal can be lost without losing a session."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aind_launcher.animal import now
from aind_launcher.errors import ExitCode, LauncherError, UsageError
from aind_launcher.journal import Journal, SessionRecord, StepId, StepRecord
from aind_launcher.keeping import read_folder_record
from aind_launcher.session import SessionContext
from aind_launcher.steps import LAUNCHER


def import_session(journal: Journal, folder: Path, repository: Path) -> SessionRecord:
    """Enter the session of `folder` into the journal, as *incomplete* so that `resume` completes what is missing.

    The folder was sealed before its hand-off began, so it cannot say whether the hand-off took place: those
    steps are entered as not done, and a transfer plugin finds what it did before. Nothing more may be written into it.

    :raises UsageError: the journal has this session already.
    :raises LauncherError: the folder has no record of its session, or the journal cannot be written.
    """
    record = read_folder_record(folder)
    try:
        context = SessionContext.model_validate(record["context"])
        steps = [_as_sealed(_step(context.name, step)) for step in record["steps"]]
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise LauncherError(f"The record of the session in {folder} cannot be read: {error}.") from None
    if journal.session(context.name):
        raise UsageError(f"The journal has session {context.name} already.", "See `aind-launch sessions show`.")
    # Folder, repository and the machine's own folders may lie elsewhere by now.
    context = context.model_copy(
        update={
            "folder": folder,
            "staging": journal.path.parent / "sessions" / context.name,
            "repository": context.repository.model_copy(update={"path": repository}),
        }
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
    journal.import_session(imported, steps)
    return imported


def _step(session: str, step: dict[str, Any]) -> StepRecord:
    return StepRecord(
        id=StepId(session, str(step["hook"]), str(step["plugin"]), str(step["suggestion"])),
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
