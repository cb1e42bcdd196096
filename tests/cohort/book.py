"""The simulation's own book: what must be true of every animal and every rig, whatever clocks say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

# As in the register: the animal did nothing.
NOT_RUN = ("cancelled", "refused")


@dataclass(eq=False)
class Event:
    """What has a ticket: a session that began, or that a person put the animal somewhere.

    :param stage: the one that a session ran with, or where the animal was put.
    :param name: of a session.
    :param state: how the session stands in the journal of its rig.
    :param claim: how it stands in the register, which its rig may not have reached since.
    :param decided: the stage that the curriculum decided for.
    :param digest: of the trainer state that it decided for.
    :param outcome: of that decision in the library; None while it is not there.
    :param acquired: whether the acquisition was started.
    :param doubtful: a launcher was killed while it entered this into the library.
    """

    kind: Literal["enrolled", "moved", "session"]
    rig: str
    stage: str
    name: str = ""
    state: str = "running"
    claim: str = "running"
    decided: str | None = None
    digest: str | None = None
    outcome: Literal["applied", "superseded"] | None = None
    acquired: bool = True
    doubtful: bool = False

    @property
    def puts(self) -> str | None:
        """The stage at which this put the animal, if it did."""
        if self.kind != "session":
            return self.stage
        return self.decided if self.outcome == "applied" else None

    @property
    def was_run(self) -> bool:
        """Whether the animal was in a session."""
        return self.kind == "session" and self.state not in NOT_RUN


@dataclass
class Animal:
    """One animal.

    :param events: in the order in which they began.
    :param log: the same, and decisions, in the order in which they happened.
    """

    subject: str
    events: list[Event] = field(default_factory=list)
    log: list[tuple[Literal["began", "put"], Event]] = field(default_factory=list)

    @property
    def stands_by(self) -> Event:
        """The one rule: the last to begin of those that put it somewhere."""
        return next(event for event in reversed(self.events) if event.puts)

    @property
    def stage(self) -> str:
        return str(self.stands_by.puts)

    @property
    def sessions(self) -> list[Event]:
        return [event for event in self.events if event.was_run]

    @property
    def sessions_at_stage(self) -> int:
        """Those that began at its stage since it came there."""
        count = 0
        for what, event in reversed(self.log):
            if what == "put" and event.puts != self.stage:
                break
            if what == "began" and event.was_run and event.stage == self.stage:
                count += 1
        return count

    def put(self, kind: Literal["enrolled", "moved"], stage: str) -> None:
        """A person puts it somewhere."""
        event = Event(kind, "", stage)
        self.events.append(event)
        self.log.append(("put", event))

    def begin(self, session: Event) -> None:
        """A session of it begins; what this rig was said to be at, it is no more."""
        for earlier in self.events:
            if earlier.kind == "session" and earlier.rig == session.rig and earlier.claim == "running":
                earlier.claim = "incomplete"
        self.events.append(session)
        self.log.append(("began", session))

    def decide(self, session: Event) -> Literal["applied", "superseded"]:
        """What becomes of the decision on a session, now that it reaches the library."""
        later = self.events[self.events.index(session) + 1 :]
        session.outcome = "superseded" if any(event.puts for event in later) else "applied"
        if session.outcome == "applied":
            self.log.append(("put", session))
        return session.outcome


@dataclass
class RigBook:
    """One rig.

    :param sessions: what its journal has, by name; also those that never got a ticket.
    :param refused: sessions that were refused before they began, by animal.
    :param reported: what it last said in the library that it has unfinished; None while it could not.
    :param doubtful: a session that was killed while the rig may have reported.
    """

    name: str
    sessions: dict[str, tuple[str, Event]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    reported: set[str] | None = None
    doubtful: str | None = None

    @property
    def unfinished(self) -> set[str]:
        """What waits for a resume."""
        return {name for name, (_, event) in self.sessions.items() if event.state in ("running", "incomplete")}


@dataclass
class Book:
    """All that the simulation knows."""

    animals: dict[str, Animal] = field(default_factory=dict)
    rigs: dict[str, RigBook] = field(default_factory=dict)

    def sessions(self) -> Iterator[Event]:
        """Every session of every rig."""
        for rig in self.rigs.values():
            for _, event in rig.sessions.values():
                yield event
