"""The simulation's own book: what must be true of every animal and every rig, whatever clocks say."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from aind_launcher.model.animal import TrainerStateText

# As in the register: the animal did nothing.
NOT_RUN = ("cancelled", "refused")
UNFINISHED = ("running", "incomplete")


@dataclass(eq=False)
class Event:
    """What has a ticket: a session that began, or that a person put the animal somewhere.

    :param stage: the one that a session ran with, or where the animal was put.
    :param ran_with: names the trainer state that a session ran with.
    :param name: of a session.
    :param state: how the session stands in the journal of its rig.
    :param claim: how it stands in the register, which its rig may not have reached since.
    :param to: the trainer state for which the curriculum decided, or into which the animal was put.
    :param outcome: of that decision in the library; None while it is not there.
    :param day: the true one, on which a session began.
    :param acquired: whether the acquisition was started.
    :param doubtful: a launcher was killed while it entered this into the library.
    """

    kind: Literal["enrolled", "moved", "session"]
    rig: str
    stage: str
    ran_with: str = ""
    name: str = ""
    state: str = "running"
    claim: str = "running"
    to: TrainerStateText | None = None
    outcome: Literal["applied", "superseded"] | None = None
    day: int = 0
    acquired: bool = True
    doubtful: bool = False

    @property
    def decided(self) -> str | None:
        """The stage for which the curriculum decided."""
        return self.to.stage if self.to and self.kind == "session" else None

    @property
    def puts(self) -> bool:
        """Whether this put the animal somewhere."""
        return self.kind != "session" or self.outcome == "applied"

    @property
    def was_run(self) -> bool:
        """Whether the animal was in a session."""
        return self.kind == "session" and self.state not in NOT_RUN


@dataclass
class Animal:
    """One animal.

    :param events: in the order in which they began.
    :param log: the same, and decisions, in the order in which they happened.
    :param is_count_open: how many sessions it had at its stage cannot be said until it comes elsewhere: a decision came
        while a later session was at the old stage, or a session was cancelled after the next had counted it.
    """

    subject: str
    events: list[Event] = field(default_factory=list)
    log: list[tuple[Literal["began", "put"], Event]] = field(default_factory=list)
    is_count_open: bool = False

    @property
    def stands_by(self) -> Event:
        """The one rule: the last to begin of those that put it somewhere."""
        return next(event for event in reversed(self.events) if event.puts)

    @property
    def state(self) -> TrainerStateText:
        """Its trainer state."""
        state = self.stands_by.to
        assert state is not None
        return state

    @property
    def stage(self) -> str:
        return str(self.state.stage)

    @property
    def sessions(self) -> list[Event]:
        return [event for event in self.events if event.was_run]

    @property
    def sessions_at_stage(self) -> int:
        """Those that began at its stage since it came there."""
        return self._since_another(lambda state: str(state.stage))

    @property
    def sessions_unchanged(self) -> int:
        """Those that began since anything in its trainer state changed."""
        return self._since_another(lambda state: state.digest)

    def _since_another(self, name: Callable[[TrainerStateText], str]) -> int:
        """The sessions that began since it was put elsewhere, by what `name` calls elsewhere."""
        count, where = 0, ""
        for what, event in self.log:
            if what == "began":
                count += event.was_run
            elif event.to and name(event.to) != where:
                count, where = 0, name(event.to)
        return count

    def put(self, kind: Literal["enrolled", "moved"], to: TrainerStateText) -> None:
        """A person puts it somewhere."""
        if self.log and to.stage != self.stage:
            self.is_count_open = False
        event = Event(kind, "", str(to.stage), to=to)
        self.events.append(event)
        self.log.append(("put", event))

    def begin(self, session: Event) -> None:
        """A session of it begins, where it stands; what this rig was said to be at, it is no more."""
        for earlier in self.events:
            if earlier.kind == "session" and earlier.rig == session.rig and earlier.claim == "running":
                earlier.claim = "incomplete"
        self.events.append(session)
        self.log.append(("began", session))

    def cancel(self, session: Event) -> None:
        """A session turned out to have ended before its acquisition."""
        self.is_count_open = self.is_count_open or session in self.events[:-1]

    def decide(self, session: Event) -> Literal["applied", "superseded"]:
        """What becomes of the decision on a session, now that it reaches the library."""
        later = self.events[self.events.index(session) + 1 :]
        session.outcome = "superseded" if any(event.puts for event in later) else "applied"
        if session.outcome == "applied":
            if any(event.kind == "session" for event in later):
                self.is_count_open = True
            elif session.decided != session.stage:
                self.is_count_open = False
            self.log.append(("put", session))
        return session.outcome


@dataclass
class RigBook:
    """One rig.

    :param sessions: what its journal has, by name; also those that never got a ticket.
    :param refused: sessions that were refused before they began, by animal.
    :param reported: what it last said in the library that it has unfinished; None while it could not.
    :param at: the session that it last said to be at.
    :param doubtful: a session that was killed while the rig may have reported.
    """

    name: str
    sessions: dict[str, tuple[str, Event]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    reported: set[str] | None = None
    at: str | None = None
    doubtful: str | None = None

    @property
    def unfinished(self) -> set[str]:
        """What waits for a resume."""
        return {name for name, (_, event) in self.sessions.items() if event.state in UNFINISHED}

    def report(self, at: str | None = None) -> None:
        """It writes into the library how it stands."""
        self.reported, self.at = self.unfinished, at


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
