"""Carries out the plan, one day after the other, and writes into the book what happened."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from command_line import Ended

from aind_launcher.demo.build import build_demo
from aind_launcher.model.animal import TrainerStateText, at_stage
from aind_launcher.model.session import SessionPaths
from cohort.book import UNFINISHED, Animal, Book, Event, RigBook
from cohort.left_behind import LeftBehind, left_behind, new_session
from cohort.plan import STAGES, Day, Fate, Move, Visit, subjects
from cohort.rig import Rig, Started, door

LICKS = "time,side\n" + "1.0,left\n" * 150
# How a session ends that nobody disturbs: the exit code, its state, and whether the curriculum decides on it.
ENDS: Mapping[Fate, tuple[int, str, bool]] = {
    Fate.LOSES_LICKS: (1, "incomplete", False),
    Fate.FAILS: (4, "failed", False),
    Fate.UNPLUGGED: (1, "incomplete", False),
}
SETTINGS: Mapping[Fate, tuple[str, ...]] = {
    Fate.LOSES_LICKS: ("--set", "plugin.acquisition.environment={ SIMULATED_TASK_LOSES_LICKS = 'yes' }"),
    Fate.FAILS: ("--set", "plugin.acquisition.requires-data=['video.avi']"),
}


@dataclass(frozen=True)
class Difference:
    """The book and the launcher say different things."""

    day: int
    about: str
    what: str
    book: object
    launcher: object

    def __str__(self) -> str:
        return (
            f"day {self.day + 1}, {self.about}: {self.what}\n    book:     {self.book}\n    launcher: {self.launcher}"
        )


@dataclass(frozen=True)
class Care:
    """Somebody looks after a session on an evening.

    :param killed_at: as in `Visit.killed_at`, of the resume; 0 where it is not killed.
    """

    evening: int
    rig: int
    subject: str
    session: Event
    visit: Visit
    killed_at: float


class Simulation:
    """A laboratory below a folder of its own.

    :param at_once: rigs that work at the same time.
    :ivar counts: what happened, for the table at the end.
    """

    def __init__(self, folder: Path, rigs: int, animals: int, at_once: int = 2) -> None:
        repository = build_demo(folder / "task")
        share = folder / "share"
        share.mkdir()
        names = [f"rig-{number + 1:02}" for number in range(rigs)]
        for name in names:
            (folder / "rigs" / name).mkdir(parents=True)
        self.rigs = [Rig(name, folder / "rigs" / name, repository, share) for name in names]
        self.book = Book({s: Animal(s) for s in subjects(animals)}, {name: RigBook(name) for name in names})
        self.unplugged: set[int] = set()
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.day = 0
        # Seconds that a session takes on this machine, as of late.
        self._lasts = 2.0
        self._at_once = at_once
        self._cares: list[Care] = []

    def enrol(self, at: datetime) -> None:
        """Every animal begins at the first stage."""
        first, *others = self.book.animals
        self._done(self.rigs[0].call("curricula", "enroll", first, "--curriculum", "lick_training", at=at), first)

        def enrolled(subject: str) -> None:
            command = ("curricula", "enroll", subject, "--curriculum", "lick_training")
            self._done(self.rigs[0].call(*command, at=at), subject)

        self._together(enrolled, others)
        for subject, animal in self.book.animals.items():
            stands = self.rigs[0].library.read(subject).state
            assert stands
            self.expect(subject, "is enrolled at", STAGES[0], stands.trainer_state.stage)
            animal.put("enrolled", stands.trainer_state)

    def live(self, day: Day) -> None:
        """Everything of one day, but for the comparison."""
        self.day = day.number
        self.unplugged = {*day.unplugged}
        for number, rig in enumerate(self.rigs):
            rig.clock = day.clocks.get(number, timedelta())
            rig.plug(day.unplugged.get(number))
        for move in day.moves:
            self._move(move, day.at(8))
        for visits in (day.visits, day.again):
            self._together(self._queue, visits.values())
        for visit in day.together:
            self._visit(visit)
        due = [care for care in self._cares if care.evening == day.number]
        for care in due:
            self._look_after(care, day.evening)

    def is_plugged(self, rig: Rig) -> bool:
        """Whether a rig has its library today."""
        return self.rigs.index(rig) not in self.unplugged

    def expect(self, about: str, what: str, book: object, launcher: object) -> None:
        """Note down where the two differ."""
        if book != launcher:
            self.differences.append(Difference(self.day, about, what, book, launcher))

    def _together(self, function: Any, items: Iterable[Any]) -> None:
        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(function, items))

    def _done(self, ended: Ended, about: str) -> None:
        self.expect(about, "the call ends well", 0, ended.code or 0)
        if ended.code:
            self.expect(about, "what it says", "", ended.err)

    def _move(self, move: Move, at: datetime) -> None:
        options = ("--stage", move.stage, "--reason", "by the plan", "--by", "somebody")
        ended = self.rigs[move.rig].call("animals", "move", move.subject, *options, at=at)
        if move.rig in self.unplugged:
            self.expect(move.subject, "a move without its library is refused", 3, ended.code)
            return
        self._done(ended, move.subject)
        animal = self.book.animals[move.subject]
        animal.put("moved", at_stage(animal.state, move.stage))
        self.counts["moves by hand"] += 1

    def _queue(self, visits: Iterable[Visit]) -> None:
        for visit in visits:
            self._visit(visit)

    def _visit(self, visit: Visit) -> None:
        if visit.rig in self.unplugged:
            self._refused(visit)
        elif visit.fate in (Fate.WELL, Fate.LOSES_LICKS, Fate.FAILS):
            self._undisturbed(visit)
        elif visit.fate is Fate.KILLED:
            started = self._start(visit, visit.rig)
            ended = started.killed_after(visit.killed_at * self._lasts)
            if ended.killed:
                started.orphans_ended()
                self._after_a_kill(visit)
            else:
                self._ended(visit, visit.rig, self._begun(visit, visit.rig), ended)
        elif visit.fate is Fate.TWO_RIGS and visit.other not in self.unplugged:
            self._on_two_rigs(visit)
        else:
            self._disturbed(visit)

    def _start(self, visit: Visit, rig: int, *more: str) -> Started:
        settings = SETTINGS.get(visit.fate, ())
        command = ("run", "--subject", visit.subject, "--experimenter", "somebody", "--unattended", "--json")
        clock = visit.clock if rig == visit.rig else None
        return self.rigs[rig].start(*command, *settings, *more, at=visit.at, clock=clock)

    def _refused(self, visit: Visit) -> None:
        ended = self._start(visit, visit.rig).end()
        self.expect(visit.subject, "a session without its library is refused", (3, ""), (ended.code, ended.out))
        self._refusal_is_kind(visit.subject, ended)
        self.book.rigs[self.rigs[visit.rig].name].refused[visit.subject] += 1
        self.counts["sessions refused: library unplugged"] += 1

    def _undisturbed(self, visit: Visit) -> None:
        today, began = self._ran_today(visit), time.monotonic()
        ended = self._start(visit, visit.rig).end()
        self._lasts = time.monotonic() - began
        self.expect(visit.subject, "is warned that it ran today", today, "ran today" in ended.err)
        self._ended(visit, visit.rig, self._begun(visit, visit.rig), ended)

    def _disturbed(self, visit: Visit) -> None:
        rig = self.rigs[visit.rig]
        with door() as closed:
            started = self._start(visit, visit.rig, *closed.settings)
            if not closed.wait(started):
                self.expect(visit.subject, "the task begins", True, started.end().err)
                return
            if visit.fate is Fate.KILLED_IN_TASK:
                started.kill()
                closed.open()
                started.orphans_ended()
                self._after_a_kill(visit)
                return
            session = self._begun(visit, visit.rig)
            if visit.fate is Fate.UNPLUGGED:
                rig.plug("missing")
                self.unplugged.add(visit.rig)
            elif visit.fate is Fate.MOVED:
                self._move(Move(visit.subject, visit.rig, visit.stage), visit.at)
            closed.open()
            self._ended(visit, visit.rig, session, started.end())
            if visit.fate is Fate.UNPLUGGED:
                rig.plug()
                self.unplugged.discard(visit.rig)

    def _on_two_rigs(self, visit: Visit) -> None:
        with door() as one, door() as other:
            started = self._start(visit, visit.rig, *one.settings)
            waits = one.wait(started)
            first = self._begun(visit, visit.rig)
            second_started = self._start(visit, visit.other, *other.settings)
            waits = other.wait(second_started) and waits
            second = self._begun(visit, visit.other)
            self.expect(visit.subject, "is on two rigs at once", True, waits)
            ends = [(one, visit.rig, first, started), (other, visit.other, second, second_started)]
            for closed, rig, session, launcher in ends if visit.first_ends_first else reversed(ends):
                closed.open()
                ended = launcher.end()
                self._ended(visit, rig, session, ended)
                warned = "running elsewhere" in ended.err
                self.expect(visit.subject, f"{session.rig} is warned of another rig", session is second, warned)
        self.counts["animals on two rigs at once"] += 1

    def _begun(self, visit: Visit, rig: int) -> Event:
        """A session that has its ticket, entered."""
        animal = self.book.animals[visit.subject]
        session = Event("session", self.rigs[rig].name, animal.stage, animal.state.digest)
        animal.begin(session)
        return session

    def _ended(self, visit: Visit, rig: int, session: Event, ended: Ended) -> None:
        """A session that was run to its end."""
        code, state, decides = ENDS.get(visit.fate, (0, "completed", True))
        self.expect(visit.subject, f"exit code of a session that {visit.fate.value}", code, ended.code)
        self._refusal_is_kind(visit.subject, ended)
        if not ended.out:
            self.expect(visit.subject, "what the session says", "its outcome", ended.err)
            return
        told = json.loads(ended.out)
        session.name = told["session"]
        book = self.book.rigs[session.rig]
        book.sessions[session.name] = (visit.subject, session)
        book.report(at=session.name)
        self._finished(visit.subject, rig, session, told, state, decides=decides)
        self.counts[f"sessions {session.state}"] += 1
        self._wants_care(visit, rig, session)

    def _finished(
        self, subject: str, rig: int, session: Event, told: Mapping[str, Any], state: str, *, decides: bool
    ) -> None:
        """What a call says of a session at its end, compared with what must be, and entered.

        :param state: in which it must be.
        :param decides: whether a decision on it must reach the library now.
        """
        self.expect(subject, f"state of {session.name}", state, told["state"])
        session.state = told["state"]
        if rig in self.unplugged:
            return
        session.claim, session.doubtful = session.state, False
        self._reports(session.rig)
        recorded = [step for step in told["steps"] if step["hook"] == "record_state" and step["state"] == "done"]
        if session.outcome is None:
            self.expect(subject, f"a decision on {session.name}", decides, bool(recorded))
            if decides and recorded:
                self._decided(subject, session, Path(told["folder"]))
                outcome = recorded[0]["result"]["outcome"]
                self.expect(subject, f"what becomes of the decision on {session.name}", session.outcome, outcome)
                self.counts[f"decisions {outcome}"] += 1

    def _reports(self, rig: str) -> None:
        """A rig let the library know how it stands, and was not killed meanwhile."""
        self.book.rigs[rig].report()
        self.book.rigs[rig].doubtful = None

    def _decided(self, subject: str, session: Event, folder: Path) -> None:
        answer = json.loads(SessionPaths(folder).suggestion.read_text("utf-8"))
        session.to = TrainerStateText(text=json.dumps(answer["trainer_state"]))
        self.book.animals[subject].decide(session)

    def _after_a_kill(self, visit: Visit) -> None:
        """Enter the session that a killed launcher was at, if it was at one already."""
        rig, book = self.rigs[visit.rig], self.book.rigs[self.rigs[visit.rig].name]
        name = new_session(rig, visit.subject, {*book.sessions}, visit.at)
        if name is None:
            self.counts["kills before the session"] += 1
            return
        animal = self.book.animals[visit.subject]
        left = left_behind(rig, visit.subject, name, visit.at)
        session = Event("session", book.name, animal.stage, animal.state.digest, name, acquired=left.acquired)
        book.sessions[name] = (visit.subject, session)
        if left.began:
            animal.begin(session)
        self._left(visit.subject, session, left)
        if left.acquired:
            book.report(at=name)
        self.counts[f"kills {left.moment}"] += 1
        self._wants_care(visit, visit.rig, session)

    def _left(self, subject: str, session: Event, left: LeftBehind) -> None:
        """Enter how a killed launcher left a session."""
        session.state, session.doubtful = left.state, left.doubtful
        session.claim = left.claim or session.claim
        if left.recorded and session.outcome is None:
            self._decided(subject, session, left.folder)
            self.counts[f"decisions {session.outcome}"] += 1
        self.book.rigs[session.rig].doubtful = session.name

    def _wants_care(self, visit: Visit, rig: int, session: Event) -> None:
        if session.state in ("running", "incomplete", "failed") and visit.care is not None:
            self._cares.append(Care(self.day + visit.care, rig, visit.subject, session, visit, visit.resume_killed_at))

    def _look_after(self, care: Care, at: datetime) -> None:
        """Finish what a session left undone, as far as that can be done."""
        session, rig = care.session, self.rigs[care.rig]
        ways = {"failed": ["--score"], "running": ["--acquisition-complete"] if session.acquired else []}
        if care.visit.gives_up and session.state in UNFINISHED:
            self._give_up(care, at)
            return
        behavior = rig.data / session.name / "behavior"
        if care.visit.fate is Fate.LOSES_LICKS and care.visit.mended:
            (behavior / "licks.csv").write_text(LICKS, "utf-8")
        options = ways.get(session.state, [])
        resume = rig.start("resume", session.name, *options, "--unattended", "--json", at=at)
        ended = resume.killed_after(care.killed_at * self._lasts) if care.killed_at else resume.end()
        self.counts["resumes"] += 1
        if ended.killed:
            resume.orphans_ended()
            self.counts["kills in a resume"] += 1
            self._left(care.subject, session, left_behind(rig, care.subject, session.name, at))
            self._cares.append(replace(care, evening=care.evening + 1, killed_at=0.0))
            return
        self._refusal_is_kind(care.subject, ended)
        if not ended.out:
            self.expect(care.subject, f"resume of {session.name}", "its outcome", f"{ended.code}: {ended.err}")
            return
        (told,) = json.loads(ended.out)
        if care.rig in self.unplugged:
            self._finished(care.subject, care.rig, session, told, told["state"], decides=False)
            return
        state, decides = ("failed" if session.state == "failed" else "completed"), session.outcome is None
        if not session.acquired:
            state, decides = "cancelled", False
        elif session.outcome is None and not _can_be_scored(behavior):
            state, decides = "incomplete", False
        self.expect(care.subject, f"exit code of the resume of {session.name}", int(state == "incomplete"), ended.code)
        self._finished(care.subject, care.rig, session, told, state, decides=decides)

    def _give_up(self, care: Care, at: datetime) -> None:
        session = care.session
        self._done(
            self.rigs[care.rig].call("sessions", "close", session.name, "--reason", "no use", at=at), care.subject
        )
        self.counts["sessions given up"] += 1
        session.state = "closed"
        if care.rig not in self.unplugged:
            session.claim = "closed"
            self._reports(session.rig)

    def _ran_today(self, visit: Visit) -> bool:
        """Whether the animal had a session on this day of this rig's clock, which is all that its rig can know."""
        today = (visit.at + visit.clock).date().isoformat()
        sessions = self.book.animals[visit.subject].sessions[-20:]
        return any(session.claim != "running" and f"_{today}T" in session.name for session in sessions)

    def _refusal_is_kind(self, about: str, ended: Ended) -> None:
        if "Traceback" in ended.err or "does not know" in ended.err:
            self.expect(about, "nobody meets a traceback", "", ended.err)


def _can_be_scored(behavior: Path) -> bool:
    """Whether all is there that the curriculum reads; a power failure may have cut a file off."""
    try:
        for line in (behavior / "trials.jsonl").read_text("utf-8").splitlines():
            json.loads(line)
        return (behavior / "licks.csv").is_file()
    except (OSError, ValueError):
        return False
