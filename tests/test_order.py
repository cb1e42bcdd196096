"""The animal ends where its latest decision puts it, in whatever order sessions end, fail and are resumed."""

import itertools
import json
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from contexts import a_session
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from task_repositories import laboratory

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.journal.journal import Journal
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.register import Ticket
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion

SUBJECT = "123456"


def trainer_state(stage: str) -> TrainerStateText:
    curriculum = {"name": "Ladder", "version": "1.0.0", "pkg_location": "ladder"}
    return TrainerStateText(text=json.dumps({"curriculum": curriculum, "stage": {"name": stage}}))


def suggestion(stage: str, session: str) -> CurriculumSuggestion:
    state = trainer_state(stage)
    answer = f'{{"trainer_state": {state.text}, "metrics": {{"of": "{session}"}}}}'
    return CurriculumSuggestion(text=answer, trainer_state=state)


@dataclass(frozen=True)
class Begun:
    """A session between its beginning, when it read the animal's state, and its decision."""

    name: str
    date: datetime
    ran_with: AnimalState | None
    ticket: Ticket


class Decisions(RuleBasedStateMachine):
    """Sessions of one animal that overlap, on one rig or several, decide late or again, and manual moves.

    What is expected is said in a few lines: sessions and moves have a number, the decision or move with the highest
    holds, whatever the dates of sessions say.
    """

    @initialize()
    def enrol(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.library = Library(Path(self._folder.name), "climbing")
        self.library.enroll(SUBJECT, trainer_state("enrolled"), "me")
        self.open: list[Begun] = []
        self.decided: dict[str, tuple[Begun, str]] = {}
        self.number = 1
        self.latest = (1, "enrolled")
        self.applied: set[str] = set()
        self.superseded: set[str] = set()
        self.moves = 0
        self.begun = 0

    def teardown(self) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    @precondition(lambda self: len(self.open) < 3)
    @rule(skew=st.integers(-3, 3))
    def begin(self, skew: int) -> None:
        """:param skew: days that the clock of its rig is ahead."""
        self.begun += 1
        self.number += 1
        date = now() + timedelta(days=skew)
        ran_with = self.library.read(SUBJECT).state
        session = a_session(self.library.root, SUBJECT, date + timedelta(seconds=self.begun), rig_name="rig")
        ticket = self.library.begin(session, ran_with, ())
        assert ticket.number == self.number
        self.open.append(Begun(session.name, date, ran_with, ticket))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), stage=st.sampled_from(("rung1", "rung2", "rung3")))
    def decide(self, data: st.DataObject, stage: str) -> None:
        session = data.draw(st.sampled_from(self.open))
        self.open.remove(session)
        self.decided[session.name] = (session, stage)
        self._record(session, stage)

    @precondition(lambda self: self.decided)
    @rule(data=st.data())
    def decide_again(self, data: st.DataObject) -> None:
        """As a resume does that does not know whether the store was reached before the power failed."""
        self._record(*data.draw(st.sampled_from(list(self.decided.values()))))

    @rule(stage=st.sampled_from(("rung1", "rung2", "rung3")))
    def move(self, stage: str) -> None:
        self.moves += 1
        self.number += 1
        self.library.move(SUBJECT, trainer_state(stage), "for the test", "me")
        self.latest = (self.number, stage)

    def _record(self, session: Begun, stage: str) -> None:
        recorded = self.library.record(
            SUBJECT, suggestion(stage, session.name), session.name, session.date, session.ran_with, session.ticket
        )
        if session.ticket.number >= self.latest[0]:
            assert recorded.outcome in ("applied", "unchanged")
            self.latest = (session.ticket.number, stage)
            self.applied.add(session.name)
        elif session.name in self.applied:
            assert recorded.outcome == "unchanged"
        else:
            assert recorded.outcome == "superseded"
            self.superseded.add(session.name)
        event(recorded.outcome)

    @invariant()
    def the_latest_decision_holds(self) -> None:
        if not hasattr(self, "latest"):
            return
        stands = self.library.read(SUBJECT).state
        assert stands is not None
        assert stands.trainer_state.stage == self.latest[1]

    @invariant()
    def every_decision_is_kept_and_marked(self) -> None:
        if not hasattr(self, "latest"):
            return
        entries = self.library.history(SUBJECT)
        suggested = [entry for entry in entries if entry.kind == "suggestion"]
        assert {entry.session_name for entry in suggested} == set(self.decided)
        assert {entry.session_name for entry in suggested if entry.superseded} == self.superseded
        assert sum(entry.kind == "moved" for entry in entries) == self.moves


# Hypothesis looks for an order of events after which the animal is elsewhere.
TestDecisions = pytest.mark.integration(Decisions.TestCase)
TestDecisions.settings = settings(max_examples=30, stateful_step_count=15)


RUN, RUN_BROKEN, MOVE, *RESUMES = "run", "run with a broken curriculum", "move", "resume 0", "resume 1", "resume 2"


@pytest.mark.integration
@settings(max_examples=60)
@given(st.lists(st.sampled_from((RUN, RUN_BROKEN, RUN_BROKEN, MOVE, *RESUMES)), min_size=3, max_size=8))
def test_whole_sessions_may_fail_and_be_resumed_in_any_order(happenings: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = laboratory(Path(folder))
        library = Library(lab.root / "library", "climbing")
        broken = lab.path / "curriculum-is-broken"
        # Names of sessions move on to the next free second, so that their dates may be later than a move that follows.
        order = itertools.count(1)
        began: dict[str, int] = {}
        latest = 0, "rung1"
        left: list[SessionContext] = []
        superseded: set[str] = set()
        # Whatever was left is resumed in the end, newest first: the order that tempts most to put an animal back.
        for happening in [*happenings, *["resume 0"] * len(happenings)]:
            if happening == MOVE:
                library.move(SUBJECT, trainer_state("rung7"), "for the test", "me")
                latest = next(order), "rung7"
                continue
            if happening in (RUN, RUN_BROKEN):
                if happening == RUN_BROKEN:
                    broken.touch()
                session = lab.run(SUBJECT).session
                began[session.name] = next(order)
                if happening == RUN_BROKEN:
                    broken.unlink()
                    left.insert(0, session)
                    continue
            elif len(left) > int(happening[-1]):
                session = left.pop(int(happening[-1]))
                assert lab.resume(session.name).state == "completed"
            else:
                continue
            assert session.animal_state
            decided = f"rung{int((session.animal_state.trainer_state.stage or '')[4:]) + 1}"
            if began[session.name] > latest[0]:
                latest = began[session.name], decided
            else:
                superseded.add(session.name)
            assert lab.stage() == latest[1]
        assert lab.stage() == latest[1]
        kept = {entry.session_name for entry in library.history(SUBJECT) if entry.superseded}
        assert kept == superseded
        with Journal.open(lab.journal) as journal:
            assert {record.state for record in journal.sessions()} <= {"completed"}
            for record in journal.sessions():
                # As is the record of what became of it.
                stored = [s.result for s in journal.current_steps(record.name) if s.id.plugin == "local-store"]
                outcomes = [result["outcome"] for result in stored if isinstance(result, dict) and "outcome" in result]
                assert outcomes == ["superseded" if record.name in superseded else "applied"]
        event(f"{len(superseded)} superseded")
