"""An animal's history: one whole file for each decision, never overwritten."""

import hashlib
import json
import logging
from datetime import UTC
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from aind_launcher.errors import AnimalError
from aind_launcher.model.clock import now
from aind_launcher.model.store import Decision
from aind_launcher.model.suggestion import Provenance
from aind_launcher.system.files import read_whole, write_whole

logger = logging.getLogger(__name__)


class HistoryEntry(Decision):
    """One decision on an animal, as its file has it.

    :param digest: names the trainer state.
    :param recorded: when this was written.
    """

    version: int = Field(default=1, alias="schema")
    digest: str
    recorded: AwareDatetime = Field(default_factory=now)
    suggestion_digest: str | None = None
    provenance: Provenance | None = None

    @property
    def file_name(self) -> str:
        """Sorts by date; the same for the same decision, so that recording it twice makes one file."""
        identity = [self.kind, self.session_name, self.suggestion_digest]
        own = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        date = f"{self.date.astimezone(UTC):%Y-%m-%dT%H%M%S.%fZ}"
        return f"{date}_{'superseded' if self.superseded else self.kind}_{self.digest[:12]}_{own[:8]}.json"


def keep(history: Path, entry: HistoryEntry) -> Path:
    """Write `entry` into the folder `history`, unless it is there.

    :raises OSError: the folder cannot be written.
    """
    path = history / entry.file_name
    if not path.exists():
        write_whole(path, entry.model_dump_json(indent=2, by_alias=True))
    return path


def entries(history: Path) -> tuple[HistoryEntry, ...]:
    """Every decision, oldest first; files that are none are passed over with a warning.

    :raises AnimalError: the folder cannot be read.
    """
    found = [entry for path in _files(history) if (entry := _read(path)) is not None]
    return tuple(sorted(found, key=lambda entry: (entry.date, entry.recorded)))


def newest_file(history: Path) -> Path | None:
    """The file of the decision that put the animal where it stands; None where there is none."""
    return next((path for path in reversed(_files(history)) if "_superseded_" not in path.name), None)


def had_a_state(history: Path) -> bool:
    """Whether the animal stood somewhere; a decision that only enrols it may have been cut off before it did."""
    return any("_superseded_" not in path.name and "_enrolled_" not in path.name for path in _files(history))


def latest(history: Path, digest: str) -> HistoryEntry | None:
    """The newest decision that put the animal into the trainer state `digest`.

    :raises AnimalError: the folder cannot be read.
    """
    newest: HistoryEntry | None = None
    # Newest first, by their names; only those of one date have to be told apart by when they were written.
    for path in reversed(_files(history)):
        if f"_{digest[:12]}_" not in path.name or "_superseded_" in path.name:
            continue
        entry = _read(path)
        if entry is None or entry.digest != digest:
            continue
        if newest is not None and entry.date < newest.date:
            break
        if newest is None or entry.recorded > newest.recorded:
            newest = entry
    return newest


def _read(path: Path) -> HistoryEntry | None:
    try:
        return HistoryEntry.model_validate_json(read_whole(path))
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        logger.warning("%s cannot be read as a decision and is passed over: %s.", path, reason)
        return None


def _files(history: Path) -> list[Path]:
    """By name, which is by date; not those that are still being written."""
    try:
        return sorted(path for path in history.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AnimalError(
            f"The history {history} cannot be read: {error.strerror or error}.",
            "Check that the library is connected and that this login may read it.",
        ) from None
