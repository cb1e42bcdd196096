"""Compares the book with all that the launcher says of the same day."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from aind_launcher.model.register import RegisterEntry
from cohort.book import Animal, Event, RigBook
from cohort.rig import Rig
from cohort.simulation import Simulation

# All of them.
MANY = "1000"
# Days after which each animal was shown once; all are listed every day.
SHOWN_EVERY = 10

Compared = tuple[str, object, object]


def audit(simulation: Simulation, at: datetime) -> None:
    """Note down every difference, as an operator would see it at that time."""
    keeper, book = simulation.keeper, simulation.keeper.book
    asked = next(rig for number, rig in enumerate(simulation.rigs) if number not in simulation.unplugged)
    shown = {animal["subject"]: animal for animal in asked.listed("animals", "list", at=at)}
    for subject, animal in book.animals.items():
        for compared in (*_of_animal(animal, asked), *_as_listed(animal, shown[subject])):
            keeper.expect(f"animal {subject}", *compared)
    for subject in [*book.animals][keeper.day % SHOWN_EVERY :: SHOWN_EVERY]:
        for compared in _as_shown(book.animals[subject], asked.listed("animals", "show", subject, at=at)):
            keeper.expect(f"animal {subject}", *compared)
    with ThreadPoolExecutor(2) as pool:
        journals = pool.map(lambda rig: rig.listed("sessions", "list", "--last", MANY, at=at), simulation.rigs)
        for rig, journal in zip(simulation.rigs, journals, strict=True):
            for compared in (*_of_journal(book.rigs[rig.name], journal), *_as_reported(book.rigs[rig.name], rig)):
                keeper.expect(rig.name, *compared)


def _of_animal(animal: Animal, rig: Rig) -> Iterator[Compared]:
    """The files of the library."""
    record = rig.library.register(animal.subject, int(MANY))
    yield "what cannot be read", None, record.problem
    doubtful = {event.name for event in animal.events if event.doubtful}
    entries = [_of_register(entry, doubtful) for entry in record.entries]
    yield "register", [*map(_of_book, animal.events)], entries
    yield "stage in trainer_state.json", animal.stage, record.trainer_state and record.trainer_state.stage
    digest = record.trainer_state and record.trainer_state.digest
    yield "digest of trainer_state.json", animal.state.digest, digest
    put, stands_by = record.last_put, animal.stands_by
    if not doubtful:
        yield "put there by", (stands_by.kind, stands_by.name), put and (put.kind, put.session_name or "")
    last = record.last_session
    yield "last session", animal.sessions[-1].name if animal.sessions else None, last and last.session_name
    if not animal.is_count_open:
        yield "sessions at its stage", animal.sessions_at_stage, record.sessions_at_stage
        yield "sessions since it was changed", animal.sessions_unchanged, record.sessions_unchanged
    history = [entry for entry in rig.library.history(animal.subject) if entry.session_name not in doubtful]
    told = [(e.kind, e.session_name or "", e.superseded, e.state.trainer_state.stage) for e in history]
    yield "history", _decisions(animal), told


def _of_book(event: Event) -> tuple[Any, ...]:
    if event.kind != "session":
        return (event.kind, event.stage)
    begun = (event.name, event.rig, event.stage)
    return begun if event.doubtful else (*begun, event.claim, event.decided, event.outcome)


def _of_register(entry: RegisterEntry, doubtful: set[str]) -> tuple[Any, ...]:
    if entry.kind != "session":
        return (entry.kind, entry.stage)
    made = entry.decision
    begun = (entry.session_name, entry.rig, entry.stage)
    decided = (made.stage, made.outcome) if made else (None, None)
    return begun if entry.session_name in doubtful else (*begun, entry.state, *decided)


def _decisions(animal: Animal) -> list[tuple[str, str, bool, str | None]]:
    decided = [event for event in animal.events if (event.kind != "session" or event.outcome) and not event.doubtful]
    return [
        ("suggestion", event.name, event.outcome == "superseded", event.decided)
        if event.kind == "session"
        else (event.kind, "", False, event.stage)
        for event in decided
    ]


def _as_listed(animal: Animal, listed: Any) -> Iterator[Compared]:
    """`animals list`."""
    by = animal.stands_by.name or None
    said = (listed["stage"], listed["session"], listed["changed_outside"], listed["problem"])
    yield "animals list", (animal.stage, by, False, None), said


def _as_shown(animal: Animal, shown: Any) -> Iterator[Compared]:
    """`animals show`."""
    yield from _as_listed(animal, shown)
    doubtful = {event.name for event in animal.events if event.doubtful}
    told = [(e["kind"], e["session_name"] or "", e["superseded"]) for e in shown["history"]]
    yield (
        "history by animals show",
        [decision[:3] for decision in _decisions(animal)],
        [decision for decision in told if decision[1] not in doubtful],
    )


def _of_journal(book: RigBook, listed: Any) -> Iterator[Compared]:
    """`sessions list`."""
    # One that found its name taken by another rig began again under the next.
    refused = [line for line in listed if line["state"] == "refused" and not line["message"].endswith("already.")]
    yield "refused sessions", book.refused, Counter(line["subject"] for line in refused)
    known = {line["session"]: (line["subject"], line["state"]) for line in listed if line["state"] != "refused"}
    mine = {name: (subject, event.state) for name, (subject, event) in book.sessions.items()}
    for name in sorted(known.keys() | mine.keys()):
        yield f"session {name} in its journal", mine.get(name), known.get(name)


def _as_reported(book: RigBook, rig: Rig) -> Iterator[Compared]:
    """What the rig says of itself in the library."""
    status = next((status for status in rig.library.rigs() if status.rig == rig.name), None)
    if book.reported is None:
        return
    names = {session.session_name for session in status.unfinished} if status else set()
    names |= {status.running} if status and status.running else set()
    doubtful = {book.doubtful} if book.doubtful else set()
    yield "unfinished by its report", book.reported - doubtful, names - doubtful
