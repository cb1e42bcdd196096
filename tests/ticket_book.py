"""What a test of tickets knows of one animal without asking the launcher, and what must be true of its files."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aind_launcher.builtin.local_store.folder import AnimalFolder


@dataclass
class Begun:
    """A session, from its beginning.

    :param order: its true place among all that happened to the animal.
    :param put: what had put the animal where the session began.
    :param task: what its rig is told of it.
    :param is_lost: the library was restored from a copy that is older.
    """

    order: int
    name: str
    rig: str
    put: "Put"
    task: dict[str, Any] = field(repr=False)
    is_lost: bool = False

    @property
    def register(self) -> str:
        """The id of the register that gave its ticket."""
        return str(self.task["ticket"]["register_id"])


@dataclass(frozen=True)
class Put:
    """What put the animal where it stands.

    :param order: as in `Begun`.
    :param key: one for each time that the animal was put somewhere.
    :param by: the session whose decision did, or what a person did and when; None for another tool.
    :param register: None while nothing has given it a ticket.
    """

    order: int
    key: int
    stage: str
    by: str | None = None
    register: str | None = None


@dataclass(frozen=True)
class Book:
    """What goes back with the library when it is restored.

    :param ticketed: the last that has a ticket.
    :param begun: the sessions that the register must have, each once.
    :param perhaps: those that it may have: their rig was killed while they began.
    :param applied: all that put the animal somewhere, as in `Put.by`.
    :param half: order, name and stage of what a killed rig wrote into the history alone.
    """

    stands: Put
    ticketed: Put | None = None
    begun: frozenset[tuple[str, str]] = frozenset()
    perhaps: frozenset[tuple[str, str]] = frozenset()
    applied: frozenset[str] = frozenset()
    half: frozenset[tuple[int, str, str]] = frozenset()

    def with_put(self, put: Put) -> "Book":
        """The animal is put elsewhere."""
        applied = self.applied | {put.by} if put.by else self.applied
        # Nobody resumes a move.
        half = frozenset(half for half in self.half if half[1] != put.by and (" " not in half[1] or not put.by))
        return replace(self, stands=put, applied=applied, half=half)

    def with_register(self, register: str) -> "Book":
        """What put the animal has a ticket now: what killed rigs left before it is not to be done any more."""
        half = frozenset(half for half in self.half if half[0] > self.stands.order)
        stands = replace(self.stands, register=register)
        return replace(self, stands=stands, ticketed=stands, half=half)


def may_put(session: Begun, stands: Put) -> bool:
    """Whether the session's decision may put the animal elsewhere; where tickets cannot tell, it may not."""
    began_here = session.put.key == stands.key or (
        # A lost decision was recorded again.
        stands.by is not None and (session.put.by, session.put.stage) == (stands.by, stands.stage)
    )
    if began_here or stands.by == session.name:
        return True
    comparable = not session.is_lost and session.register == stands.register
    return comparable and session.order > stands.order


def content(folder: Path) -> dict[str, bytes]:
    """All that is kept of the animal."""
    files = [path for path in folder.rglob("*.json") if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def documents(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """What the files of a folder say; those that are none were cut off."""
    found = []
    for path in sorted(folder.glob("[!.]*.json")):
        text = path.read_bytes()
        if text:
            found.append((path, json.loads(text)))
    return found


def wrong_in_the_register(animal: AnimalFolder, book: Book, sessions: list[Begun]) -> Iterator[str]:
    """What is wrong, in sentences."""
    entries = [(path, entry) for path, entry in documents(animal.register.folder)]
    for path, entry in entries:
        if int(path.stem) != entry["ticket"]["number"]:
            yield f"{path.name} has ticket {entry['ticket']}"
    of_sessions = [entry for _, entry in entries if entry["kind"] == "session"]
    times = Counter((entry["rig"], entry["session_name"]) for entry in of_sessions)
    for key in book.begun:
        if times[key] != 1:
            yield f"session {key} is in the register {times[key]} times"
    for key in times.keys() - book.begun:
        if key not in book.perhaps or times[key] > 1:
            yield f"session {key} is in the register and did not begin"
    order = {(session.rig, session.name): session.order for session in sessions}
    began = [order[key] for e in of_sessions if (key := (e["rig"], e["session_name"])) in order]
    if began != sorted(began):
        yield f"the tickets are not in the order in which the sessions began: {began}"
    for entry in of_sessions:
        decision, name = entry.get("decision"), entry["session_name"]
        if decision and decision["outcome"] == "applied" and name not in book.applied:
            yield f"the register says that the decision on {name} was applied"
        if decision and decision["outcome"] == "superseded" and not decision.get("because"):
            yield f"the register does not say why the decision on {name} was superseded"


def wrong_in_the_history(animal: AnimalFolder, book: Book) -> Iterator[str]:
    """What is wrong, in sentences."""
    half = {(name, stage) for _, name, stage in book.half}
    for path, entry in documents(animal.history):
        kind, name, stage = (
            entry["kind"],
            entry.get("session_name"),
            json.loads(entry["trainer_state"])["stage"]["name"],
        )
        if kind == "suggestion" and not name:
            yield f"{path.name} does not say of which session it is"
        if kind in ("enrolled", "moved") and not entry.get("by"):
            yield f"{path.name} does not say who did it"
        is_old = str(name).startswith("old")
        if not entry.get("ticket") and not entry.get("reason") and not is_old:
            yield f"{path.name} does not say why it has no ticket"
        if entry["superseded"] and not entry.get("reason"):
            yield f"{path.name} does not say why it was superseded"
        if entry["superseded"] or kind == "found":
            continue
        by = name if kind == "suggestion" else f"{kind} {datetime.fromisoformat(entry['date'])}"
        if by not in book.applied and (by, stage) not in half:
            yield f"{path.name} claims that the animal was put at {stage} by {by}"
