"""The road of a session, declared once: a plan says what passing it will do, whatever happened before."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pluggy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aind_launcher import Acquisition, CurriculumSuggestion, Session, SessionContext, StateRecord, hookimpl, hookspecs
from aind_launcher.candidates import Candidate
from aind_launcher.errors import ExitCode
from aind_launcher.journal.file import connect
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepId, StepRecord
from aind_launcher.lifecycle import folder
from aind_launcher.lifecycle.finish import finish_session, standing_of
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.road import Planned, Standing, ending, plan
from aind_launcher.lifecycle.steps import Steps
from aind_launcher.model.session import Repository
from aind_launcher.plugins import Plugin, Plugins
from aind_launcher.settings.layers import LauncherSettings
from aind_launcher.system.redaction import Redactor
from aind_launcher.testing import ladder_state

NAMES = ("decides", "advises", "keeps", "pushes", "notes", "sends", "mails", "ends")


@dataclass(frozen=True)
class Call:
    """One call of the launcher: what goes wrong in it, and what the operator wants.

    :param dies_at: the write to the journal at which the launcher is killed.
    """

    failing: frozenset[str] = frozenset()
    silent: bool = False
    blocked: frozenset[str] = frozenset()
    dies_at: int | None = None
    hand_off_again: bool = False
    as_it_is: bool = False
    score: bool = False


class Killed(BaseException):
    """The launcher is gone; nothing is cleaned up."""


class MortalJournal(Journal):
    """Kills its launcher at one of its writes, and tells which steps were begun."""

    dies_at: int | None = None
    begun: list[tuple[str, str]]

    def _write(self, *arguments: Any, **options: Any) -> None:
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                raise Killed
        super()._write(*arguments, **options)

    def begin_step(self, step: StepId) -> StepRecord:
        self.begun.append((step.hook, step.plugin))
        return super().begin_step(step)


class Part:
    """A plugin that fails where the call says so."""

    def __init__(self, name: str, call: Call) -> None:
        self.name, self.call = name, call

    def answer(self, result: Any = None) -> Any:
        if self.name in self.call.failing:
            raise OSError(f"{self.name} is down")
        return result


class Decides(Part):
    @hookimpl
    def curriculum_suggest(self, session: SessionContext) -> CurriculumSuggestion | None:
        state = ladder_state("rung2")
        text = f'{{"trainer_state": {state.text}, "metrics": {{}}}}'
        suggestion = CurriculumSuggestion(text=text, trainer_state=state)
        return self.answer(None if self.call.silent else suggestion)  # type: ignore[no-any-return]


class Keeps(Part):
    @hookimpl
    def record_state(self) -> StateRecord:
        return self.answer(StateRecord(outcome="applied"))  # type: ignore[no-any-return]


class Pushes(Part):
    @hookimpl
    def post_session(self) -> None:
        self.answer()


class Sends(Part):
    @hookimpl
    def transfer_session(self) -> None:
        self.answer()


class Ends(Part):
    @hookimpl
    def session_finished(self, outcome: str) -> None:
        self.answer()


KINDS = dict(zip(NAMES, (Decides, Decides, Keeps, Pushes, Pushes, Sends, Sends, Ends), strict=True))


@dataclass
class Rig:
    """A session after its acquisition, and calls of the launcher on it."""

    root: Path
    journal: MortalJournal
    required: frozenset[str]
    session: SessionContext = field(init=False)

    def __post_init__(self) -> None:
        moment = datetime(2026, 1, 31, 17, tzinfo=UTC)
        session = Session(subject="1", date=moment)
        self.session = SessionContext(
            session=session,
            folder=self.root / "data" / session.session_name,
            staging=self.root / "state" / "sessions" / session.session_name,
            repository=Repository(path=self.root),
            acquisition=Acquisition(outcome="completed", start=moment, end=moment),
        )
        folder.stage_inputs(self.session)

    def launcher(self, call: Call) -> Launcher:
        manager = pluggy.PluginManager("aind_launcher")
        manager.add_hookspecs(hookspecs)
        loaded = []
        for name, kind in KINDS.items():
            blocked = name in call.blocked
            part = None if blocked else kind(name, call)
            loaded.append(Plugin(Candidate(name, "", None, None), object=part, blocked=blocked))
            if part:
                manager.register(part, name)
        plugins = Plugins(manager, tuple(loaded))
        chosen = LauncherSettings(required_steps=sorted(self.required), state_directory=self.root / "state")
        steps = Steps(plugins, self.journal, Operator(), Redactor())
        return Launcher(self.root, chosen, plugins, self.journal, Operator(), steps)

    def plan(self, launcher: Launcher, call: Call) -> list[Planned]:
        standing = standing_of(launcher, self.session, as_it_is=call.as_it_is)
        return list(plan(standing, lambda hook: [called.plugin.name for called in launcher.plugins.calls(hook)]))

    def wish(self, call: Call) -> None:
        session = self.session
        if self.record:
            session = self.journal.context(session.name)
        if call.hand_off_again and session.handed_off:
            session = session.model_copy(update={"handed_off": False, "hand_off": session.hand_off + 1})
        if call.score:
            session = session.model_copy(update={"disposition": "score"})
        self.session = session

    @property
    def record(self) -> Any:
        return self.journal.session(self.session.name)

    def call(self, call: Call) -> tuple[list[Planned], list[tuple[str, str]], bool]:
        """What was planned, what was begun, and whether the launcher lived."""
        launcher = self.launcher(call)
        self.wish(call)
        planned = self.plan(launcher, call)
        self.journal.begun = []
        self.journal.dies_at = call.dies_at
        lived = False
        with suppress(Killed):
            launcher.keep(self.session)
            finish_session(launcher, self.session, as_it_is=call.as_it_is)
            lived = True
        self.journal.dies_at = None
        return planned, self.journal.begun, lived

    def came_true(self, call: Call, condition: str) -> bool:
        standing = standing_of(self.launcher(call), self.session, as_it_is=call.as_it_is)
        facts = {
            "the curriculum answers": standing.answer is not None,
            "the curriculum gives no answer": standing.answer is None,
            "nothing holds the hand-off": standing.held is None,
            "the session ends otherwise than before": True,
        }
        return all(facts.get(part, "did not answer" in part) for part in condition.split(" and ") if part not in NAMES)


@contextmanager
def rig(required: frozenset[str], disposition: str = "score") -> Iterator[Rig]:
    with tempfile.TemporaryDirectory() as root, MortalJournal(connect(":memory:"), Path(root, "state", "j")) as journal:
        opened = Rig(Path(root), journal, required)
        opened.session = opened.session.model_copy(update={"disposition": disposition})
        yield opened


some_names = st.frozensets(st.sampled_from(NAMES), max_size=3)
calls = st.builds(
    Call,
    failing=some_names,
    silent=st.booleans(),
    blocked=some_names,
    dies_at=st.none() | st.integers(0, 25),
    hand_off_again=st.booleans(),
    as_it_is=st.booleans(),
    score=st.booleans(),
)


@pytest.mark.integration
@settings(max_examples=80)
@given(
    st.lists(calls, min_size=1, max_size=5),
    st.frozensets(st.sampled_from(["keeps", "pushes", "decides"])),
    st.sampled_from(["score", "keep", "discard"]),
)
def test_a_plan_names_what_runs_and_nothing_else_runs(
    history: list[Call], required: frozenset[str], disposition: str
) -> None:
    with rig(required, disposition) as opened:
        for call in history:
            planned, begun, lived = opened.call(call)
            by_step = {(step.hook, step.plugin): step for step in planned}
            assert set(begun) <= by_step.keys()
            if lived:
                assert {step for step, told in by_step.items() if told.condition is None} <= set(begun)
                for step in begun:
                    condition = by_step[step].condition
                    assert condition is None or opened.came_true(call, condition), (step, condition)


@pytest.mark.integration
@settings(max_examples=40)
@given(st.lists(calls, min_size=1, max_size=4), st.frozensets(st.sampled_from(["keeps", "pushes"])))
def test_once_nothing_is_wrong_any_more_one_call_completes_a_session(
    history: list[Call], required: frozenset[str]
) -> None:
    with rig(required) as opened:
        for call in history:
            opened.call(call)
        opened.call(Call())
        assert opened.record.state == "completed"
        planned, begun, _ = opened.call(Call())
        assert (planned, begun) == ([], [])


def test_of_a_late_decision_the_plan_names_all_that_the_resume_runs() -> None:
    with rig(frozenset()) as opened:
        opened.call(Call(failing=frozenset({"decides", "advises"})))
        planned, begun, _ = opened.call(Call())
        assert {(step.hook, step.plugin): step.condition for step in planned} == {
            ("curriculum_suggest", "advises"): None,
            ("curriculum_suggest", "decides"): "advises did not answer",
            **{
                step: "the curriculum answers"
                for step in (
                    ("keep_suggestion", "launcher"),
                    ("record_state", "keeps"),
                    ("post_session", "pushes"),
                    ("post_session", "notes"),
                )
            },
            ("session_finished", "ends"): "the session ends otherwise than before",
        }
        assert set(begun) == {(step.hook, step.plugin) for step in planned} - {("curriculum_suggest", "decides")}


@pytest.mark.parametrize("outcome", ["completed", "interrupted", "failed"])
@pytest.mark.parametrize("disposition", ["keep", "discard"])
@pytest.mark.parametrize("is_left", [False, True])
def test_a_session_is_done_only_if_its_acquisition_completed_and_nothing_is_left(
    outcome: str, disposition: str, is_left: bool
) -> None:
    with rig(frozenset()) as opened:
        session = opened.session
        assert session.acquisition
        session = session.model_copy(
            update={
                "acquisition": session.acquisition.model_copy(update={"outcome": outcome}),
                "disposition": disposition,
            }
        )
        failed = StepRecord(
            StepId(session.name, "post_session", "pushes"), 1, "failed", datetime.now(UTC), None, "", None
        )
        standing = Standing(session, (failed,) if is_left else (), plugins=frozenset(NAMES))
        ended = ending(standing)
        is_done = outcome == "completed" and (disposition == "discard" or not is_left)
        assert (ended.exit_code == ExitCode.DONE) == is_done
        assert (ended.state == "incomplete") == (is_left and disposition != "discard")
        assert ending(replace(standing, session=opened.session)).state in ("completed", "incomplete")


def test_a_required_plugin_that_is_left_out_holds_the_hand_off() -> None:
    with rig(frozenset({"pushes"})) as opened:
        left_out = Call(blocked=frozenset({"pushes"}))
        _, begun, _ = opened.call(left_out)
        assert ("transfer_session", "sends") not in begun
        assert opened.record.state == "incomplete"
        assert opened.record.message == "pushes must be done before the hand-off"
        _, begun, _ = opened.call(replace(left_out, as_it_is=True))
        assert ("transfer_session", "sends") in begun


def test_what_cannot_be_read_back_of_a_decision_is_no_answer_and_blocks_nothing() -> None:
    with rig(frozenset()) as opened:
        step = StepId(opened.session.name, "curriculum_suggest", "decides")
        opened.journal.begun = []
        opened.journal.end_step(opened.journal.begin_step(step).ended_as("done", result={"unstorable": "a suggestion"}))
        opened.call(Call())
        assert opened.record.state == "completed"
