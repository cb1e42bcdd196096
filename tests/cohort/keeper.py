"""Keeps the book: enters what happened, and notes down where the launcher says something else than must be."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from command_line import Ended

from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.session import SessionPaths
from cohort.book import Animal, Book, Event, RigBook
from cohort.left_behind import LeftBehind


@dataclass(frozen=True)
class Difference:
    """The book and the launcher say different things."""

    day: int
    about: str
    what: str
    book: object
    launcher: object

    def __str__(self) -> str:
        book, launcher = self.book, self.launcher
        if isinstance(book, list) and isinstance(launcher, list):
            pairs = [pair for pair in zip_longest(book, launcher) if pair[0] != pair[1]]
            book, launcher = [one for one, _ in pairs], [other for _, other in pairs]
        where = f"day {self.day + 1}, {self.about}: {self.what}"
        return f"{where}\n    book:     {book}\n    launcher: {launcher}"


class Keeper:
    """The only one that writes into the book.

    :ivar day: today's number.
    :ivar counts: what happened, for the table at the end.
    """

    def __init__(self, subjects: Iterable[str], rigs: Iterable[str]) -> None:
        self.book = Book({subject: Animal(subject) for subject in subjects}, {name: RigBook(name) for name in rigs})
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.day = 0

    def expect(self, about: str, what: str, book: object, launcher: object) -> None:
        """Note down where the two differ."""
        if book != launcher:
            self.differences.append(Difference(self.day, about, what, book, launcher))

    def ends(self, about: str, what: str, code: int, ended: Ended) -> None:
        """A call must end with an exit code, and nobody may meet a traceback."""
        if ended.code != code:
            self.expect(about, f"how {what} ends", code, f"{ended.code}: {ended.err}")
        elif "Traceback" in ended.err or "the launcher met something" in ended.err:
            self.expect(about, f"what {what} says", "no traceback", ended.err)

    def put(self, subject: str, kind: Any, to: TrainerStateText) -> None:
        """A person has put an animal somewhere."""
        self.book.animals[subject].put(kind, to)
        self.counts[f"animals {kind}"] += 1

    def refused(self, subject: str, rig: str) -> None:
        """A session was refused, since the rig has no library."""
        self.book.rigs[rig].refused[subject] += 1
        self.counts["sessions refused, the library unplugged"] += 1

    def begun(self, subject: str, rig: str) -> Event:
        """A session has its ticket."""
        animal = self.book.animals[subject]
        session = Event("session", rig, animal.stage, animal.state.digest, day=self.day)
        animal.begin(session)
        return session

    def named(self, subject: str, session: Event, name: str) -> None:
        """A session that has begun, and was reported by its rig, told its name."""
        session.name = name
        self.book.rigs[session.rig].sessions[name] = (subject, session)
        self.book.rigs[session.rig].report(at=name)

    def finished(
        self, subject: str, session: Event, told: Mapping[str, Any], state: str, *, decides: bool, plugged: bool
    ) -> None:
        """A call has said how a session stands at its end.

        :param state: in which it must be.
        :param decides: whether a decision on it must reach the library now.
        :param plugged: whether the rig has its library.
        """
        self.expect(subject, f"state of {session.name}", state, told["state"])
        session.state = told["state"]
        if session.state == "cancelled":
            self.book.animals[subject].cancel(session)
        if not plugged:
            return
        session.claim, session.doubtful = session.state, False
        self._reported(session.rig)
        recorded = [step for step in told["steps"] if step["hook"] == "record_state" and step["state"] == "done"]
        if session.outcome is None:
            self.expect(subject, f"whether {session.name} is decided on", decides, bool(recorded))
            if decides and recorded:
                self._decided(subject, session, Path(told["folder"]))
                outcome = recorded[0]["result"]["outcome"]
                self.expect(subject, f"what becomes of the decision on {session.name}", session.outcome, outcome)

    def found(self, subject: str, rig: str, left: LeftBehind) -> Event:
        """A launcher was killed that was at a session, which was found as it was left."""
        animal = self.book.animals[subject]
        session = Event("session", rig, animal.stage, animal.state.digest, left.name, day=self.day)
        session.acquired = left.acquired
        self.book.rigs[rig].sessions[left.name] = (subject, session)
        if left.began:
            animal.begin(session)
        self.found_again(subject, session, left)
        if left.acquired:
            self.book.rigs[rig].report(at=left.name)
        self.counts[f"kills {left.moment}"] += 1
        return session

    def found_again(self, subject: str, session: Event, left: LeftBehind) -> None:
        """The same of a launcher that resumed a session."""
        session.state, session.doubtful = left.state, left.doubtful
        session.claim = left.claim or session.claim
        if left.recorded and session.outcome is None:
            self._decided(subject, session, left.folder)
        self.book.rigs[session.rig].doubtful = session.name

    def closed(self, session: Event, *, plugged: bool) -> None:
        """A person gave up what was left of a session."""
        session.state = "closed"
        self.counts["sessions given up"] += 1
        if plugged:
            session.claim = "closed"
            self._reported(session.rig)

    def _reported(self, rig: str) -> None:
        """A rig let the library know how it stands, and was not killed meanwhile."""
        self.book.rigs[rig].report()
        self.book.rigs[rig].doubtful = None

    def _decided(self, subject: str, session: Event, folder: Path) -> None:
        """A decision has reached the library: the one that lies in the session's folder."""
        answer = json.loads(SessionPaths(folder).suggestion.read_text("utf-8"))
        session.to = TrainerStateText(text=json.dumps(answer["trainer_state"]))
        unchanged = session.to.digest == self.book.animals[subject].state.digest
        outcome = self.book.animals[subject].decide(session)
        same = ", the same trainer state again" if unchanged and outcome == "applied" else ""
        self.counts[f"decisions {outcome}{same}"] += 1
