"""What is to happen to a cohort, day by day, drawn from a seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Literal

# In the future of whoever runs this: files get the machine's time, which must not be later.
FIRST_DAY = date(2040, 1, 2)
STAGES = ("habituation", "detection", "discrimination", "expert")
Unplugged = Literal["missing", "empty"]


class Fate(Enum):
    """What becomes of a session."""

    WELL = "well"
    LOSES_LICKS = "loses its licks, so that the curriculum fails"
    FAILS = "its acquisition fails"
    KILLED = "its launcher is killed at some moment"
    KILLED_IN_TASK = "its launcher is killed while the animal is in the task"
    UNPLUGGED = "its library is unplugged while the animal is in the task"
    MOVED = "the animal is moved by hand while it is in the task"
    TWO_RIGS = "the animal is on two rigs at once"


CHANCES: Mapping[Fate, float] = {
    Fate.WELL: 68,
    Fate.LOSES_LICKS: 7,
    Fate.FAILS: 5,
    Fate.KILLED: 9,
    Fate.KILLED_IN_TASK: 3,
    Fate.UNPLUGGED: 2,
    Fate.MOVED: 3,
    Fate.TWO_RIGS: 3,
}
# Of an animal on a day: it is moved by hand, comes to the rig of always, does not come, comes twice.
MOVED, FAITHFUL, MISSED, TWICE = 0.04, 0.9, 0.08, 0.03
# Evenings after which somebody finishes what a session left; None: nobody does.
CARE = {0: 45, 1: 20, 2: 10, None: 25}


@dataclass(frozen=True)
class Visit:
    """An animal comes to a rig.

    :param at: the true time.
    :param clock: how far the rig's clock is off.
    :param killed_at: when the launcher is killed, as a part of what a session takes.
    :param other: the second rig of an animal on two at once.
    :param first_ends_first: of those two, whether the session that began first ends first.
    :param stage: where the animal is moved meanwhile.
    :param care: evenings until somebody finishes what is left.
    :param gives_up: or that somebody gives up what is left.
    :param mended: the licks are found again by then.
    :param resume_killed_at: likewise of the resume; 0 where it is not killed.
    """

    subject: str
    rig: int
    at: datetime
    fate: Fate
    clock: timedelta = timedelta()
    killed_at: float = 0.0
    other: int = 0
    first_ends_first: bool = True
    stage: str = ""
    care: int | None = None
    gives_up: bool = False
    mended: bool = True
    resume_killed_at: float = 0.0


@dataclass(frozen=True)
class Move:
    """An animal is put elsewhere by hand, in the morning."""

    subject: str
    rig: int
    stage: str


@dataclass(frozen=True)
class Day:
    """One day of the laboratory.

    :param clocks: how far clocks are off, by rig.
    :param unplugged: rigs that have no library on this day.
    :param visits: by rig, in their order; rigs work beside each other.
    :param again: likewise, in the afternoon, of animals that come twice.
    :param together: of animals on two rigs at once, one after the other.
    """

    number: int
    clocks: Mapping[int, timedelta]
    unplugged: Mapping[int, Unplugged]
    moves: tuple[Move, ...]
    visits: Mapping[int, tuple[Visit, ...]] = field(default_factory=dict)
    again: Mapping[int, tuple[Visit, ...]] = field(default_factory=dict)
    together: tuple[Visit, ...] = ()

    def at(self, hour: int, minutes: float = 0) -> datetime:
        """A moment of this day."""
        midnight = datetime.combine(FIRST_DAY + timedelta(days=self.number), time(), UTC)
        return midnight + timedelta(hours=hour, minutes=minutes)

    @property
    def evening(self) -> datetime:
        """When somebody looks after what was left undone, and when the day is compared with the book."""
        return self.at(20)


def subjects(animals: int) -> list[str]:
    return [str(500_001 + number) for number in range(animals)]


def drawn(rigs: int, animals: int, days: int, seed: int) -> Iterator[Day]:
    """Every day of a simulation; the same for the same numbers."""
    drawing = _Drawing(rigs, animals, days, seed)
    yield from map(drawing.day, range(days))


class _Drawing:
    """Draws one day after the other."""

    def __init__(self, rigs: int, animals: int, days: int, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - not a secret
        self.rigs, self.subjects = rigs, subjects(animals)
        # Four rigs have something of their own; of few rigs one may have several.
        self.slow, self.future, self.set_back, self.unplugged = ((number + 1) % rigs for number in range(4))
        # The days on which they have it. On the first, animals are enrolled.
        self.future_on, self.set_back_on = self.chance.randrange(days), self.chance.randrange(days)
        self.unplugged_on = self.chance.randrange(1, max(days, 2))
        # They never get further: their licks are always lost, and nobody looks after them.
        self.stuck = {*self.chance.sample(self.subjects, max(1, animals // 30))}

    def day(self, number: int) -> Day:
        clocks = {self.slow: timedelta(hours=-2)}
        if number == self.set_back_on:
            clocks[self.set_back] = timedelta(days=-3)
        kind: Unplugged = self.chance.choice(("missing", "empty"))
        unplugged = {self.unplugged: kind} if number == self.unplugged_on else {}
        return self._with_visits(Day(number, clocks, unplugged, self._moves()))

    def _moves(self) -> tuple[Move, ...]:
        moved = [subject for subject in self.subjects if self.chance.random() < MOVED]
        return tuple(Move(subject, self._rig(), self.chance.choice(STAGES)) for subject in moved)

    def _with_visits(self, day: Day) -> Day:
        morning, afternoon, together = (_Round(day.at(hour)) for hour in (9, 15, 18))
        for place, subject in enumerate(self.subjects):
            rig = place % self.rigs if self.chance.random() < FAITHFUL else self._rig()
            visit = self._visit(day, subject, rig)
            if day.number and self.chance.random() < MISSED:
                continue
            if visit.fate is Fate.TWO_RIGS:
                # Of two rigs, neither may be at another animal.
                together.add(visit, place=0)
                continue
            morning.add(visit, place=rig)
            if self.chance.random() < TWICE:
                again = replace(self._visit(day, subject, self._rig()), fate=Fate.WELL)
                afternoon.add(again, place=again.rig)
        if day.number == self.future_on and self.future in morning.visits:
            first, *others = morning.visits[self.future]
            morning.visits[self.future] = (replace(first, clock=timedelta(days=11 * 365)), *others)
        return replace(day, visits=morning.visits, again=afternoon.visits, together=together.visits.get(0, ()))

    def _visit(self, day: Day, subject: str, rig: int) -> Visit:
        chance = self.chance
        visit = Visit(
            subject,
            rig,
            day.at(9),
            chance.choices([*CHANCES], [*CHANCES.values()])[0],
            clock=day.clocks.get(rig, timedelta()),
            killed_at=chance.uniform(0.3, 1.05),
            other=(rig + chance.randrange(1, max(self.rigs, 2))) % self.rigs,
            first_ends_first=chance.random() < 0.5,
            stage=chance.choice(STAGES),
            care=chance.choices([*CARE], [*CARE.values()])[0],
            gives_up=chance.random() < 0.15,
            mended=chance.random() < 0.7,
            resume_killed_at=chance.uniform(0.2, 0.9) if chance.random() < 0.2 else 0.0,
        )
        if subject in self.stuck:
            return replace(visit, fate=Fate.LOSES_LICKS, care=None)
        return visit if visit.other != rig or visit.fate is not Fate.TWO_RIGS else replace(visit, fate=Fate.WELL)

    def _rig(self) -> int:
        return self.chance.randrange(self.rigs)


@dataclass
class _Round:
    """Visits by rig, each twelve minutes after the one before."""

    begin: datetime
    visits: dict[int, tuple[Visit, ...]] = field(default_factory=dict)

    def add(self, visit: Visit, place: int) -> None:
        before = self.visits.get(place, ())
        self.visits[place] = (*before, replace(visit, at=self.begin + timedelta(minutes=12 * len(before))))
