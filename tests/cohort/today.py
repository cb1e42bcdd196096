"""Compares the book with what `aind-launch today` says."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cohort.book import UNFINISHED, Animal, Book
from cohort.simulation import Simulation

# As `today` has it by default.
STUCK_AFTER = 10


def compare_today(simulation: Simulation, at: datetime) -> None:
    """Note down every difference, as a lab manager would see it at that time on a rig that has the right date."""
    right = [rig for rig in simulation.rigs if abs(rig.clock) < timedelta(days=1) and simulation.is_plugged(rig)]
    if not right:
        return
    told = right[0].listed("today", at=at)
    animals = {animal["subject"]: animal for animal in told["animals"]}
    for subject, animal in simulation.keeper.book.animals.items():
        for compared in _of_animal(simulation.keeper.book, animal, animals[subject], at):
            simulation.keeper.expect(f"animal {subject}", *compared)
        ran = any(session.day == simulation.keeper.day for session in animal.sessions)
        if ran and animals[subject]["status"] == "due":
            simulation.keeper.counts["animals that ran and are due by today, a clock having had another date"] += 1
    rigs = {rig["rig"]: rig for rig in told["rigs"]}
    for rig in simulation.rigs:
        book = simulation.keeper.book.rigs[rig.name]
        if book.reported is None or book.doubtful or not simulation.is_plugged(rig):
            continue
        unfinished = {session["session"] for session in rigs[rig.name]["unfinished"]}
        simulation.keeper.expect(rig.name, "unfinished by today", book.reported - {book.at}, unfinished)
        simulation.keeper.expect(rig.name, "running by today", book.at, rigs[rig.name]["running"])


def _of_animal(book: Book, animal: Animal, told: Any, at: datetime) -> Iterator[tuple[str, object, object]]:
    last = animal.sessions[-1] if animal.sessions else None
    said = told["last_session"] and told["last_session"]["session"]
    yield "last session by today", last.name if last else None, said
    yield "stage by today", animal.stage, told["stage"]
    if not animal.is_count_open:
        counted = (told["sessions_at_stage"], told["sessions_unchanged"])
        yield "sessions by today", (animal.sessions_at_stage, animal.sessions_unchanged), counted
        yield "whether it is stuck by today", animal.sessions_unchanged >= STUCK_AFTER, told["stuck"]
    if last is None or not last.doubtful:
        yield "status by today", _status(book, animal, at), told["status"]


def _status(book: Book, animal: Animal, at: datetime) -> str:
    if not animal.sessions:
        return "due"
    last = animal.sessions[-1]
    if last.claim == "running" and book.rigs[last.rig].at == last.name:
        return "running"
    # By the clock of its rig, as far as anybody can know.
    if f"_{at.date().isoformat()}T" not in last.name:
        return "due"
    if last.claim in UNFINISHED:
        return "not handed off"
    return "done" if last.claim == "completed" else "failed"
