"""Carries out the plan, one day after the other, and lets the keeper of the book know what happened."""

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from command_line import Ended

from aind_launcher.demo.build import build_demo
from aind_launcher.model.animal import at_stage
from cohort.book import UNFINISHED, Event
from cohort.keeper import Keeper
from cohort.left_behind import left_behind, new_session
from cohort.plan import STAGES, Day, Fate, Move, Visit, subjects
from cohort.rig import Rig, Started, door

LICKS = "time,side\n" + "1.0,left\n" * 150
# How a session ends: the exit code, its state, and whether the decision on it reaches the library.
ENDS: Mapping[Fate, tuple[int, str, bool]] = {
    Fate.LOSES_LICKS: (1, "incomplete", False),
    Fate.FAILS: (4, "failed", False),
    Fate.UNPLUGGED: (1, "incomplete", False),
}
ENDS_WELL = (0, "completed", True)
SETTINGS: Mapping[Fate, tuple[str, ...]] = {
    Fate.LOSES_LICKS: ("--set", "plugin.acquisition.environment={ SIMULATED_TASK_LOSES_LICKS = 'yes' }"),
    Fate.FAILS: ("--set", "plugin.acquisition.requires-data=['video.avi']"),
}
REFUSED = 3


@dataclass(frozen=True)
class Care:
    """Somebody looks after a session on an evening.

    :param killed_at: as in `Visit.killed_at`, of the resume; 0 where it is not killed.
    """

    evening: int
    session: Event
    visit: Visit
    rig: int
    killed_at: float


class Simulation:
    """A laboratory below a folder of its own.

    :param at_once: rigs that work at the same time.
    :ivar unplugged: rigs that have no library now.
    """

    def __init__(self, folder: Path, rigs: int, animals: int, at_once: int = 2) -> None:
        repository = build_demo(folder / "task")
        share = folder / "share"
        share.mkdir()
        homes = [folder / "rigs" / f"rig-{number + 1:02}" for number in range(rigs)]
        self.rigs = [Rig(home, repository, share) for home in homes]
        self.keeper = Keeper(subjects(animals), [rig.name for rig in self.rigs])
        self.unplugged: set[int] = set()
        # Seconds that a session takes on this machine, as of late.
        self._lasts = 2.0
        self._at_once = at_once
        self._cares: list[Care] = []

    def enrol(self, at: datetime) -> None:
        """Every animal begins at the first stage."""
        first, *others = self.keeper.book.animals

        def enrolled(subject: str) -> None:
            ended = self.rigs[0].call("curricula", "enroll", subject, "--curriculum", "lick_training", at=at)
            self.keeper.ends(subject, "the enrolment", 0, ended)

        # The first builds the curriculum's environment.
        enrolled(first)
        self._together(enrolled, others)
        for subject in self.keeper.book.animals:
            stands = self.rigs[0].library.read(subject).state
            assert stands
            self.keeper.expect(subject, "where it is enrolled", STAGES[0], stands.trainer_state.stage)
            self.keeper.put(subject, "enrolled", stands.trainer_state)

    def live(self, day: Day) -> None:
        """Everything of one day, but for the comparison."""
        self.keeper.day = day.number
        self.unplugged = {*day.unplugged}
        for number, rig in enumerate(self.rigs):
            rig.clock = day.clocks.get(number, timedelta())
            rig.plug(day.unplugged.get(number))
        for move in day.moves:
            self._move(move, day.at(8))
        for visits in (day.visits, day.again):
            self._together(self._visits, visits.values())
        self._visits(day.together)
        for care in [care for care in self._cares if care.evening == day.number]:
            self._look_after(care, day.evening)

    def is_plugged(self, rig: Rig) -> bool:
        """Whether a rig has its library now."""
        return self.rigs.index(rig) not in self.unplugged

    def _together(self, function: Any, items: Iterable[Any]) -> None:
        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(function, items))

    def _move(self, move: Move, at: datetime) -> None:
        options = ("--stage", move.stage, "--reason", "by the plan", "--by", "somebody")
        ended = self.rigs[move.rig].call("animals", "move", move.subject, *options, at=at)
        plugged = move.rig not in self.unplugged
        self.keeper.ends(move.subject, "a move", 0 if plugged else REFUSED, ended)
        if plugged:
            self.keeper.put(move.subject, "moved", at_stage(self.keeper.book.animals[move.subject].state, move.stage))

    def _visits(self, visits: Iterable[Visit]) -> None:
        for visit in visits:
            self._visit(visit)

    def _visit(self, visit: Visit) -> None:
        if visit.rig in self.unplugged:
            self._refused(visit)
        elif visit.fate is Fate.KILLED:
            self._killed(visit)
        elif visit.fate in (Fate.KILLED_IN_TASK, Fate.UNPLUGGED, Fate.MOVED):
            self._disturbed(visit)
        elif visit.fate is Fate.TWO_RIGS and visit.other not in self.unplugged:
            self._on_two_rigs(visit)
        else:
            self._undisturbed(visit)

    def _start(self, visit: Visit, rig: int, *more: str) -> Started:
        command = ("run", "--subject", visit.subject, "--experimenter", "somebody", "--unattended", "--json")
        clock = visit.clock if rig == visit.rig else None
        return self.rigs[rig].start(*command, *SETTINGS.get(visit.fate, ()), *more, at=visit.at, clock=clock)

    def _refused(self, visit: Visit) -> None:
        ended = self._start(visit, visit.rig).end()
        self.keeper.ends(visit.subject, "a session without its library", REFUSED, ended)
        self.keeper.refused(visit.subject, self.rigs[visit.rig].name)

    def _undisturbed(self, visit: Visit) -> None:
        today, began = self._ran_today(visit), time.monotonic()
        ended = self._start(visit, visit.rig).end()
        self._lasts = time.monotonic() - began
        self.keeper.expect(visit.subject, "a warning that it ran today", today, "ran today" in ended.err)
        self._ended(visit, visit.rig, self._begun(visit, visit.rig), ended)

    def _killed(self, visit: Visit) -> None:
        started = self._start(visit, visit.rig)
        ended = started.killed_after(visit.killed_at * self._lasts)
        if ended.killed:
            started.orphans_ended()
            self._after_a_kill(visit)
        else:
            self._ended(visit, visit.rig, self._begun(visit, visit.rig), ended)

    def _disturbed(self, visit: Visit) -> None:
        """A session in which something happens while the animal is in the task."""
        rig = self.rigs[visit.rig]
        with door() as closed:
            started = self._start(visit, visit.rig, *closed.settings)
            if not closed.wait(started):
                self.keeper.expect(visit.subject, "the task begins", True, started.end().err)
                return
            if visit.fate is Fate.KILLED_IN_TASK:
                started.kill()
                closed.open()
                started.orphans_ended()
                self._after_a_kill(visit)
                return
            session = self._begun(visit, visit.rig)
            if visit.fate is Fate.MOVED:
                self._move(Move(visit.subject, visit.rig, visit.stage), visit.at)
            if visit.fate is Fate.UNPLUGGED:
                rig.plug("missing")
                self.unplugged.add(visit.rig)
            closed.open()
            self._ended(visit, visit.rig, session, started.end())
            if visit.fate is Fate.UNPLUGGED:
                rig.plug()
                self.unplugged.discard(visit.rig)
                self.keeper.counts["libraries unplugged during a session"] += 1

    def _on_two_rigs(self, visit: Visit) -> None:
        with door() as one, door() as other:
            started = self._start(visit, visit.rig, *one.settings)
            waits = one.wait(started)
            first = self._begun(visit, visit.rig)
            second_started = self._start(visit, visit.other, *other.settings)
            waits = other.wait(second_started) and waits
            second = self._begun(visit, visit.other)
            self.keeper.expect(visit.subject, "is on two rigs at once", True, waits)
            ends = [(one, visit.rig, first, started), (other, visit.other, second, second_started)]
            for closed, rig, session, launcher in ends if visit.first_ends_first else reversed(ends):
                closed.open()
                ended = launcher.end()
                self._ended(visit, rig, session, ended)
                warned = "running elsewhere" in ended.err
                about = f"a warning on {session.rig} that it runs elsewhere"
                self.keeper.expect(visit.subject, about, session is second, warned)
        self.keeper.counts["animals on two rigs at once"] += 1

    def _begun(self, visit: Visit, rig: int) -> Event:
        return self.keeper.begun(visit.subject, self.rigs[rig].name)

    def _ended(self, visit: Visit, rig: int, session: Event, ended: Ended) -> None:
        """A session was run to its end."""
        code, state, decides = ENDS.get(visit.fate, ENDS_WELL)
        self.keeper.ends(visit.subject, f"a session: {visit.fate.value}", code, ended)
        if ended.out:
            told, plugged = json.loads(ended.out), rig not in self.unplugged
            self.keeper.named(visit.subject, session, told["session"])
            self.keeper.finished(visit.subject, session, told, state, decides=decides, plugged=plugged)
            self.keeper.counts[f"sessions {session.state}"] += 1
            self._wants_care(visit, rig, session)

    def _after_a_kill(self, visit: Visit) -> None:
        rig = self.rigs[visit.rig]
        name = new_session(rig, visit.subject, {*self.keeper.book.rigs[rig.name].sessions}, visit.at)
        if name is None:
            self.keeper.counts["kills before the session"] += 1
            return
        session = self.keeper.found(visit.subject, rig.name, left_behind(rig, visit.subject, name, visit.at))
        self._wants_care(visit, visit.rig, session)

    def _wants_care(self, visit: Visit, rig: int, session: Event) -> None:
        if session.state in (*UNFINISHED, "failed") and visit.care is not None:
            self._cares.append(Care(self.keeper.day + visit.care, session, visit, rig, visit.resume_killed_at))

    def _look_after(self, care: Care, at: datetime) -> None:
        """Give up what a session left undone, or finish it."""
        session, rig, subject = care.session, self.rigs[care.rig], care.visit.subject
        if care.visit.gives_up and session.state in UNFINISHED:
            ended = rig.call("sessions", "close", session.name, "--reason", "no use", at=at)
            self.keeper.ends(subject, f"closing {session.name}", 0, ended)
            self.keeper.closed(session, plugged=self.is_plugged(rig))
            return
        if care.visit.fate is Fate.LOSES_LICKS and care.visit.mended:
            (_behavior(rig, session) / "licks.csv").write_text(LICKS, "utf-8")
        options = ["--score"] if care.visit.fate is Fate.FAILS else []
        if session.state == "running" and session.acquired:
            options.append("--acquisition-complete")
        resume = rig.start("resume", session.name, *options, "--unattended", "--json", at=at)
        ended = resume.killed_after(care.killed_at * self._lasts) if care.killed_at else resume.end()
        self.keeper.counts["resumes"] += 1
        if ended.killed:
            resume.orphans_ended()
            self.keeper.counts["kills in a resume"] += 1
            self.keeper.found_again(subject, session, left_behind(rig, subject, session.name, at))
            self._cares.append(replace(care, evening=care.evening + 1, killed_at=0.0))
        else:
            self._resumed(care, ended)

    def _resumed(self, care: Care, ended: Ended) -> None:
        session, rig, subject = care.session, self.rigs[care.rig], care.visit.subject
        if not ended.out:
            self.keeper.expect(subject, f"resume of {session.name}", "its outcome", f"{ended.code}: {ended.err}")
            return
        (told,) = json.loads(ended.out)
        if not self.is_plugged(rig):
            self.keeper.finished(subject, session, told, told["state"], decides=False, plugged=False)
            return
        fails = care.visit.fate is Fate.FAILS
        state, decides = ("failed" if fails else "completed"), session.outcome is None
        if not session.acquired:
            state, decides = "cancelled", False
        elif session.outcome is None and not _can_be_scored(_behavior(rig, session)):
            state, decides = "incomplete", False
        self.keeper.ends(subject, f"the resume of {session.name}", int(state == "incomplete"), ended)
        self.keeper.finished(subject, session, told, state, decides=decides, plugged=True)

    def _ran_today(self, visit: Visit) -> bool:
        """Whether the animal had a session on this day of this rig's clock, which is all that its rig can know."""
        today = (visit.at + visit.clock).date().isoformat()
        sessions = self.keeper.book.animals[visit.subject].sessions[-20:]
        return any(session.claim != "running" and f"_{today}T" in session.name for session in sessions)


def _behavior(rig: Rig, session: Event) -> Path:
    return rig.data / session.name / "behavior"


def _can_be_scored(behavior: Path) -> bool:
    """Whether all is there that the curriculum reads; the launcher may have been killed before the task."""
    return (behavior / "trials.jsonl").is_file() and (behavior / "licks.csv").is_file()
