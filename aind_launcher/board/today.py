"""One day of an experiment: what each animal did, where it stands and why, and what is unfinished on which rig."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal, Self

from aind_launcher.board.decision import entry_text
from aind_launcher.journal.records import UNFINISHED
from aind_launcher.model.register import RegisterEntry, RigStatus, UnfinishedSession
from aind_launcher.model.store import AnimalRecord

Status = Literal["due", "running", "done", "failed", "not handed off", "unknown", "unreadable"]
# The first are those that somebody should look at.
_URGENT: Final[tuple[Status, ...]] = ("unreadable", "failed", "not handed off", "unknown", "due", "running", "done")


@dataclass(frozen=True)
class AnimalToday:
    """An animal, and how its day stands.

    :param status: *due*: it has not run; *failed*: its acquisition failed, was interrupted or discarded, or what was
        left of the session was given up; *not handed off*: a resume is needed; *unknown*: it has no register.
    :param is_stuck: it had so many sessions since anything in its trainer state changed that somebody should look.
    """

    record: AnimalRecord
    status: Status
    is_stuck: bool

    @property
    def stage(self) -> str | None:
        """Where it stands; None where it is on no curriculum."""
        state = self.record.trainer_state
        return state.stage if state else None

    @property
    def last_rig(self) -> str | None:
        """Where it had its last session."""
        last = self.record.last_session
        return last.rig if last else None

    @property
    def decided(self) -> RegisterEntry | None:
        """The newest entry that tells of a decision, or of a person who did put the animal somewhere."""
        return next((entry for entry in reversed(self.record.entries) if entry.decision or entry.put_the_animal), None)

    def as_data(self) -> dict[str, Any]:
        """For programs; the manual's page on `today` explains the names."""
        state, last, decided = self.record.trainer_state, self.record.last_session, self.decided
        return {
            "subject": self.record.subject,
            "status": self.status,
            "problem": self.record.problem,
            "curriculum": state.curriculum if state else None,
            "stage": self.stage,
            "on_curriculum": state.is_on_curriculum if state else False,
            "sessions_at_stage": self.record.sessions_at_stage,
            "sessions_unchanged": self.record.sessions_unchanged,
            "stuck": self.is_stuck,
            "last_session": last and _session_data(last),
            "last_decision": decided and _decision_data(decided),
        }


@dataclass(frozen=True)
class RigToday:
    """A rig, by what it last reported and by what the animals' registers say of it.

    :param status: None for a rig that never reported.
    :param running: the session that it is at; what a rig reported that is silent since is not believed.
    :param unfinished: sessions that wait for `aind-launch resume` there.
    """

    rig: str
    status: RigStatus | None
    running: str | None
    unfinished: tuple[UnfinishedSession, ...]

    @property
    def problem(self) -> str | None:
        """Why its report cannot be read."""
        return self.status.problem if self.status else None

    @property
    def is_stale(self) -> bool:
        """Whether it was not heard of for a day."""
        return self.status is not None and self.status.is_stale

    def as_data(self) -> dict[str, Any]:
        """For programs; the manual's page on `today` explains the names."""
        return {
            "rig": self.rig,
            "machine": self.status.machine or None if self.status else None,
            "problem": self.problem,
            "age": round(self.status.age) if self.status and self.status.age is not None else None,
            "stale": self.is_stale,
            "running": self.running,
            "unfinished": [_unfinished_data(session) for session in self.unfinished],
        }


@dataclass(frozen=True)
class Today:
    """All animals and rigs of an experiment on one day.

    :param day: the local calendar day of whoever looks.
    :param of: how many animals there are, asked for or not.
    """

    day: date
    of: int
    animals: tuple[AnimalToday, ...]
    rigs: tuple[RigToday, ...]

    def counts(self) -> dict[Status, int]:
        """How many animals have each status that any of them has."""
        order: Iterable[Status] = ("due", "running", "done", "failed", "not handed off", "unknown", "unreadable")
        found = {status: sum(animal.status == status for animal in self.animals) for status in order}
        return {status: count for status, count in found.items() if count}

    def most_urgent_first(self) -> Self:
        """With what somebody should look at before all that is as it should be."""
        animals = sorted(self.animals, key=lambda animal: not animal.is_stuck and _URGENT.index(animal.status))
        rigs = sorted(self.rigs, key=lambda rig: (not rig.problem, not rig.unfinished, not rig.is_stale))
        return replace(self, animals=tuple(animals), rigs=tuple(rigs))

    @property
    def stages(self) -> tuple[str, ...]:
        """Every stage that an animal is at or may come to."""
        states = [animal.record.trainer_state for animal in self.animals]
        return _sorted(name for state in states if state for name in (state.stage, *state.curriculum_stages))

    @property
    def rig_names(self) -> tuple[str, ...]:
        """Every rig that reported itself or at which an animal had its last session."""
        return _sorted((*(each.rig for each in self.rigs), *(animal.last_rig for animal in self.animals)))

    def only(
        self, *, stage: str | None = None, rig: str | None = None, stuck: bool = False, not_run: bool = False
    ) -> Self:
        """Only what is asked for. An animal that cannot be read is kept by `stage` and `rig`: it may be one of them.

        :param rig: animals that had their last session there, and that rig.
        :param not_run: animals that are due, and those of which it is not known.
        """
        animals = [
            animal
            for animal in self.animals
            if (stage is None or animal.stage == stage or animal.record.problem)
            and (rig is None or animal.last_rig == rig or animal.record.problem)
            and (not stuck or animal.is_stuck)
            and (not not_run or animal.status in ("due", "unknown", "unreadable"))
        ]
        rigs = [each for each in self.rigs if rig is None or each.rig == rig]
        return replace(self, animals=tuple(animals), rigs=tuple(rigs))

    def as_data(self) -> dict[str, Any]:
        """For programs; the manual's page on `today` explains the names."""
        return {
            "date": self.day.isoformat(),
            "animals": [animal.as_data() for animal in self.animals],
            "rigs": [rig.as_data() for rig in self.rigs],
        }


def _sorted(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))


def today(records: Sequence[AnimalRecord], statuses: Sequence[RigStatus], moment: datetime, stuck_after: int) -> Today:
    """The day of `moment`.

    :param records: as `AnimalStore.overview` has them.
    :param statuses: as `AnimalStore.rigs` has them.
    :param stuck_after: sessions without a change after which an animal is stuck.
    """
    rigs = {status.rig: status for status in statuses}
    day = moment.astimezone().date()
    animals = tuple(
        AnimalToday(
            record,
            _status(record, day, rigs),
            _is_on_curriculum(record) and (record.sessions_unchanged or 0) >= stuck_after,
        )
        for record in records
    )
    return Today(day, len(animals), animals, tuple(_rigs(records, rigs)))


def _status(record: AnimalRecord, day: date, rigs: Mapping[str, RigStatus]) -> Status:
    if record.problem:
        return "unreadable"
    last = record.last_session
    if last is None:
        return "due" if record.entries else "unknown"
    if _is_running(last, rigs):
        return "running"
    if last.began.astimezone().date() != day:
        return "due"
    if last.state in UNFINISHED:
        return "not handed off"
    return "done" if last.state == "completed" else "failed"


def _is_running(entry: RegisterEntry, rigs: Mapping[str, RigStatus]) -> bool:
    """Whether its rig confirms what the register claims: a launcher that was killed claims it for ever."""
    return (status := rigs.get(entry.rig)) is not None and status.confirms(entry)


def _is_on_curriculum(record: AnimalRecord) -> bool:
    return record.trainer_state is not None and record.trainer_state.is_on_curriculum


def _rigs(records: Iterable[AnimalRecord], known: Mapping[str, RigStatus]) -> Iterable[RigToday]:
    waiting = {rig: {each.session_name: each for each in status.unfinished} for rig, status in known.items()}
    for status in known.values():
        if status.running and status.is_at is None:
            subject = status.running.rpartition("_")[0]
            killed = UnfinishedSession(session_name=status.running, subject=subject, state="running")
            waiting[status.rig].setdefault(status.running, killed)
    # A rig that lost its journal, or was switched off in a session, does not say what it left.
    for record in records:
        for entry in record.sessions:
            if entry.state in UNFINISHED and entry.session_name and not _is_running(entry, known):
                left = UnfinishedSession(session_name=entry.session_name, subject=record.subject, state=entry.state)
                waiting.setdefault(entry.rig, {}).setdefault(entry.session_name, left)
    for rig in sorted(waiting):
        sessions = tuple(waiting[rig][name] for name in sorted(waiting[rig]))
        said = known.get(rig)
        yield RigToday(rig, said, said.is_at if said else None, sessions)


def _unfinished_data(session: UnfinishedSession) -> dict[str, Any]:
    data = session.model_dump(mode="json")
    return {"session": data.pop("session_name"), **data}


def _session_data(entry: RegisterEntry) -> dict[str, Any]:
    return {
        "session": entry.session_name,
        "state": entry.state,
        "rig": entry.rig,
        "began": entry.began.isoformat(),
        "ended": entry.ended.isoformat() if entry.ended else None,
        "minutes": entry.minutes,
        "experimenter": entry.by,
        "folder": entry.folder,
        "destination": entry.destination,
    }


def _decision_data(entry: RegisterEntry) -> dict[str, Any]:
    decision = entry.decision
    return {
        "text": entry_text(entry),
        "kind": "suggestion" if decision else entry.kind,
        "outcome": decision.outcome if decision else "applied",
        "session": entry.session_name if decision else None,
        "from_stage": entry.stage if decision else None,
        "stage": decision.stage if decision else entry.stage,
        "rule": list(decision.rule) if decision else [],
        "because": decision.because if decision else None,
        "by": None if decision else entry.by,
    }
