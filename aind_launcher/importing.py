"""Rebuilds a session's entry in the journal from its folder: the journal can be lost without losing a session."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aind_launcher.errors import LauncherError, UsageError
from aind_launcher.journal import Journal, SessionRecord, StepId, StepRecord
from aind_launcher.keeping import read_folder_record
from aind_launcher.session import SessionContext


def import_session(journal: Journal, folder: Path, repository: Path) -> SessionRecord:
    """Enter the session of `folder` into the journal, as *incomplete* so that `resume` completes what is missing.

    The folder was sealed before its hand-off began, so it cannot say whether the hand-off took place: those
    steps are entered as not done, and a transfer plugin finds what it did before.

    :raises UsageError: the journal has this session already.
    :raises LauncherError: the folder has no record of its session.
    """
    record = read_folder_record(folder)
    try:
        context = SessionContext.model_validate(record["context"])
        steps = [_step(context.name, step) for step in record["steps"]]
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise LauncherError(f"The record of the session in {folder} cannot be read: {error}.") from None
    if journal.session(context.name):
        raise UsageError(f"The journal has session {context.name} already.", "See `aind-launch sessions show`.")
    context = context.model_copy(update={"folder": folder})
    journal.begin_session(context.name, context.subject, repository, folder, context.model_dump_json())
    for step in steps:
        journal.import_step(step)
    message = f"imported from {folder}; resume it to complete what is missing"
    journal.end_session(context.name, "incomplete", 1, message)
    imported = journal.session(context.name)
    if imported is None:
        raise LauncherError(f"Session {context.name} could not be written to the journal {journal.path}.")
    return imported


def _step(session: str, step: dict[str, Any]) -> StepRecord:
    return StepRecord(
        id=StepId(session, str(step["hook"]), str(step["plugin"]), str(step["suggestion"])),
        attempt=int(step["attempt"]),
        state=step["state"],
        started=datetime.fromisoformat(step["started"]),
        ended=datetime.fromisoformat(step["ended"]) if step["ended"] else None,
        error=step["error"],
        result=json.loads(json.dumps(step["result"])),
    )
