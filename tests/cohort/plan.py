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
    chance = random.Random(seed)  # noqa: S311 - not a secret
    # Four rigs that have something of their own; of few rigs one may have several.
    slow, future, set_back, unplugged = ((number + 1) % rigs for number in range(4))
    misfortunes = {what: chance.randrange(days) for what in ("future", "set back", "unplugged")}
    # They never get further: their licks are always lost, and nobody looks after them.
    stuck = set(chance.sample(subjects(animals), max(1, animals // 30)))
    for number in range(days):
        clocks = {slow: timedelta(hours=-2)}
        if misfortunes["set back"] == number:
            clocks[set_back] = timedelta(days=-3)
        kind: Unplugged = chance.choice(("missing", "empty"))
        is_unplugged = {unplugged: kind} if misfortunes["unplugged"] == number and number else {}
        moved = [subject for subject in subjects(animals) if chance.random() < 0.04]
        moves = tuple(Move(subject, chance.randrange(rigs), chance.choice(STAGES)) for subject in moved)
        day = Day(number, clocks, is_unplugged, moves)
        morning: dict[int, tuple[Visit, ...]] = {rig: () for rig in range(rigs)}
        afternoon = dict(morning)
        together: tuple[Visit, ...] = ()
        for place, subject in enumerate(subjects(animals)):
            rig = place % rigs if chance.random() < 0.9 else chance.randrange(rigs)
            fate = Fate.LOSES_LICKS if subject in stuck else chance.choices([*CHANCES], [*CHANCES.values()])[0]
            visit = _visit(chance, day, subject, rig, rigs, fate)
            if subject in stuck:
                visit = replace(visit, care=None)
            if number and chance.random() < 0.08:
                continue  # It is due, and nobody runs it.
            if visit.fate is Fate.TWO_RIGS:
                together = (*together, replace(visit, at=day.at(18, 12 * len(together))))
                continue
            morning[rig] = (*morning[rig], replace(visit, at=day.at(9, 12 * len(morning[rig]))))
            if chance.random() < 0.03:
                again = _visit(chance, day, subject, chance.randrange(rigs), rigs, Fate.WELL)
                placed = replace(again, at=day.at(15, 12 * len(afternoon[again.rig])))
                afternoon[again.rig] = (*afternoon[again.rig], placed)
        if misfortunes["future"] == number and morning[future]:
            first, *others = morning[future]
            morning[future] = (replace(first, clock=timedelta(days=11 * 365)), *others)
        yield replace(day, visits=morning, again=afternoon, together=together)


def _visit(chance: random.Random, day: Day, subject: str, rig: int, rigs: int, fate: Fate) -> Visit:
    if fate is Fate.TWO_RIGS and rigs == 1:
        fate = Fate.WELL
    return Visit(
        subject,
        rig,
        day.at(9),
        fate,
        clock=day.clocks.get(rig, timedelta()),
        killed_at=chance.uniform(0.3, 1.05),
        other=(rig + 1 + chance.randrange(max(1, rigs - 1))) % rigs,
        first_ends_first=chance.random() < 0.5,
        stage=chance.choice(STAGES),
        care=chance.choices([*CARE], [*CARE.values()])[0],
        gives_up=chance.random() < 0.15,
        mended=chance.random() < 0.7,
        resume_killed_at=chance.uniform(0.2, 0.9) if chance.random() < 0.2 else 0.0,
    )
