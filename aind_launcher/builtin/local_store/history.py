"""An animal's history: one whole file for each decision, never overwritten.

Whatever reads it raises `AnimalError` where the folder cannot be read.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC
from functools import cached_property
from itertools import groupby
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError, computed_field

from aind_launcher.builtin.local_store.reading import reading
from aind_launcher.errors import AnimalError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.store import Decision
from aind_launcher.model.suggestion import Provenance
from aind_launcher.model.validation import said
from aind_launcher.system.files import read_whole, write_whole

logger = logging.getLogger(__name__)


class HistoryEntry(Decision):
    """One decision on an animal, as its file has it.

    :param recorded: when this was written.
    """

    version: int = Field(default=1, alias="schema")
    recorded: AwareDatetime = Field(default_factory=now)
    suggestion_digest: str | None = None
    provenance: Provenance | None = None

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def digest(self) -> str:
        """Names the trainer state."""
        return self.state.trainer_state.digest

    @property
    def file_name(self) -> str:
        """Sorts by date; the same for the same decision, so that recording it twice makes one file."""
        identity = [self.kind, self.session_name, self.suggestion_digest]
        own = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        date = f"{self.date.astimezone(UTC):%Y-%m-%dT%H%M%S.%fZ}"
        # Older launchers read what stands before the number.
        number = f"_{self.ticket.number:06d}" if self.ticket else ""
        return f"{date}_{'superseded' if self.superseded else self.kind}_{self.digest[:12]}_{own[:8]}{number}.json"


def write(history: Path, entry: HistoryEntry) -> Path:
    """Write `entry` into the folder `history`, unless it is there.

    :raises OSError: the folder cannot be written.
    """
    path = history / entry.file_name
    if not path.exists():
        write_whole(path, entry.model_dump_json(indent=2, by_alias=True))
    return path


def entries(history: Path) -> tuple[HistoryEntry, ...]:
    """Every decision in the order of their tickets; files that are none are passed over with a warning.

    One without a ticket stands after those that were recorded before it.
    """
    found = [entry for path in _files(history) if (entry := _read(path)) is not None]
    ticketed = [entry for entry in found if entry.ticket]

    def order(entry: HistoryEntry) -> tuple[object, ...]:
        if entry.ticket:
            return (entry.ticket.number, False, entry.recorded)
        before = (other.ticket.number for other in ticketed if other.ticket and other.recorded <= entry.recorded)
        return (max(before, default=0), True, entry.date, entry.recorded)

    return tuple(sorted(found, key=order))


def applied(history: Path) -> list[Path]:
    """The files of the decisions that put the animal somewhere, oldest first; those without a ticket come first."""
    files = [path for path in _files(history) if "_superseded_" not in path.name]
    return sorted(files, key=lambda path: (number_of(path), path.name))


def highest_number(history: Path) -> int:
    """Of all tickets that decisions have."""
    return max(map(number_of, _files(history)), default=0)


def had_a_state(history: Path) -> bool:
    """Whether the animal stood somewhere; a decision that only enrols it may have been cut off before it did."""
    return any("_enrolled_" not in path.name for path in applied(history))


def latest(history: Path, digest: str, put_the_animal: Callable[[int], bool]) -> HistoryEntry | None:
    """The newest decision that put the animal into the trainer state `digest`.

    :param put_the_animal: whether what has a number did. Where one did after all decisions for this state, another tool
        has written an earlier state back, which is no decision.
    """
    # By their names, so that few files of a share are read.
    files = applied(history)
    matching = [path for path in reversed(files) if f"_{digest[:12]}_" in path.name]
    ticketed = [path for path in matching if number_of(path)]
    newest = _newest(ticketed, number_of)
    without = _newest((path for path in matching if not number_of(path)), lambda path: path.name.partition("_")[0])
    if newest is None or newest.ticket is None:
        return without
    later = {number for path in files if (number := number_of(path)) > newest.ticket.number}
    is_past = any(map(put_the_animal, later))
    if without and (is_past or without.recorded > newest.recorded):
        # An older launcher may have written since; what it wrote before was given a ticket.
        has_a_ticket = any(entry.state.is_still(without.state) for entry in map(_read, ticketed) if entry)
        if not has_a_ticket:
            return without
    return None if is_past else newest


def supersede(path: Path, because: str) -> HistoryEntry | None:
    """The decision in `path`, marked as one that did not put the animal anywhere.

    :raises OSError: the folder cannot be written.
    """
    entry = _read(path)
    if entry:
        entry = entry.model_copy(update={"superseded": True, "reason": because})
        write(path.parent, entry)
    path.unlink()
    return entry


def _newest(paths: Iterable[Path], order: Callable[[Path], object]) -> HistoryEntry | None:
    """The newest decision; those of one place in the order are told apart by when they were recorded.

    :param paths: the newest first.
    """
    for _, of_one_place in groupby(paths, order):
        read = [entry for path in of_one_place if (entry := _read(path)) is not None]
        if read:
            return max(read, key=lambda entry: entry.recorded)
    return None


def number_of(path: Path) -> int:
    """Of the decision's ticket; 0 where it has none."""
    last = path.stem.rpartition("_")[2]
    return int(last) if last.isdecimal() and path.name.count("_") == 4 else 0


def _read(path: Path) -> HistoryEntry | None:
    try:
        entry = HistoryEntry.model_validate_json(read_whole(path))
        # Whoever shows or compares the entry reads it.
        TrainerStateText.read(entry.trainer_state, "the decision")
        return entry
    except (OSError, ValidationError, AnimalError) as error:
        logger.warning("%s cannot be read as a decision and is passed over: %s.", path, said(error).rstrip("."))
        return None


def _files(history: Path) -> list[Path]:
    """By name, which is by date; not those that are still being written."""
    with suppress(FileNotFoundError), reading(history):
        return sorted(path for path in history.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    return []
