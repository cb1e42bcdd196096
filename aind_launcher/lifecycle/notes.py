"""What people write down of a session, also long after it: a step of the journal for each note, and a copy beside the
session's staged inputs, from which an import brings them back. Nothing is written into the session's folder."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepId, StepRecord, storable, time_text
from aind_launcher.model.clock import now
from aind_launcher.system.files import read_whole, write_whole

logger = logging.getLogger(__name__)

# In the place of a hook, with the writer in the place of a plugin.
NOTE: Final = "note"
_COPY: Final = "notes.json"


@dataclass(frozen=True)
class Note:
    """One note."""

    written: datetime
    by: str
    text: str

    def as_data(self) -> dict[str, str]:
        """As JSON data."""
        return {"written": time_text(self.written), "by": self.by, "text": self.text}


def add_note(journal: Journal, session: str, text: str, by: str) -> None:
    """Write a note down."""
    begun = journal.begin_step(StepId(session, NOTE, by, time_text(now())))
    journal.end_step(begun.ended_as("done", result=storable(text)))
    copies = [step.as_data() for step in journal.steps(session, NOTE)]
    try:
        write_whole(journal.staging / session / _COPY, json.dumps(copies, indent=2))
    except OSError as error:
        logger.warning("The note is in the journal, but in no copy: %s", error)


def notes_of(steps: Iterable[StepRecord]) -> list[Note]:
    """The notes among the steps of a session, in their order."""
    return [Note(step.started, step.id.plugin, step.result) for step in steps if is_note(step) and step.result]


def is_note(step: StepRecord) -> bool:
    """Whether this is no step of the session, but a note."""
    return step.id.hook == NOTE


def copied_notes(staging: Path, session: str) -> tuple[StepRecord, ...]:
    """The notes of a session that a journal had which was lost.

    :param staging: the session's staging folder.
    """
    try:
        return tuple(StepRecord.from_data(session, data) for data in json.loads(read_whole(staging / _COPY)))
    except (OSError, ValueError, TypeError, LookupError):
        return ()
