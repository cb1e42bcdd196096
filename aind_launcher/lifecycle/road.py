"""What follows a session's acquisition, declared once: `run` and `resume` walk it, and a plan foretells it.

Each step has its hook, how plugins are called, the key that makes it a new step when it must run again, and when it
applies; both are functions of how the session stands.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Final, Literal

from aind_launcher.errors import ExitCode
from aind_launcher.journal.records import SessionState, StepId, StepRecord
from aind_launcher.lifecycle.steps import LAUNCHER, with_result
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion


@dataclass(frozen=True)
class Standing:
    """How a session stands: a fold of its context and the records of its steps, and what is supposed of its future.

    :param records: the last attempt at each step, in the order in which the steps first began.
    :param plugins: those whose steps count: all that are known and not disabled.
    :param left_out: plugins that this call leaves out.
    :param required: those whose steps must be done before the hand-off.
    :param leaves: whether a plugin hands the folder off.
    :param as_it_is: the operator wants the hand-off whatever holds it.
    :param supposed_digest: of the answer that a plan supposes.
    :param supposed_held: whether a plan supposes that the hand-off is held.
    """

    session: SessionContext
    records: tuple[StepRecord, ...]
    plugins: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    leaves: bool = False
    as_it_is: bool = False
    supposed_digest: str | None = None
    supposed_held: bool | None = None

    @cached_property
    def answer(self) -> StepRecord | None:
        """The decision that was given, also where its plugin is left out by now."""
        for record in self.records:
            # An answer that could not be stored was kept as a description, and decides nothing.
            readable = isinstance(record.result, dict) and {"text", "trainer_state"} <= record.result.keys()
            if record.id.hook == "curriculum_suggest" and record.state == "done" and readable:
                return record
        return None

    @cached_property
    def suggestion(self) -> CurriculumSuggestion | None:
        """What the curriculum decided, where it was asked and answered."""
        return CurriculumSuggestion.model_validate(self.answer.result) if self.answer and self._is_scored else None

    @property
    def digest(self) -> str:
        """Of the suggestion; "" without one."""
        if self.supposed_digest is not None:
            return self.supposed_digest
        return self.suggestion.digest if self.suggestion else ""

    @property
    def is_undecided(self) -> bool:
        """Whether a curriculum is to be asked."""
        return self._is_scored and self.answer is None

    @property
    def _is_scored(self) -> bool:
        return self.session.disposition == "score"

    @property
    def is_discarded(self) -> bool:
        """Whether the operator wants nothing done with the data."""
        return self.session.disposition == "discard"

    @property
    def handed_off(self) -> SessionContext:
        """The session as it goes on from the hand-off: nothing is written into a folder that leaves."""
        return self.session.model_copy(update={"handed_off": self.leaves or self.session.handed_off})

    @cached_property
    def current(self) -> tuple[StepRecord, ...]:
        """The steps as they count now: not those of another key, of plugins that are disabled, or off this road."""
        keys = {step.hook: step.key(self) for step in ROAD[:-1]}
        return tuple(
            record
            for record in self.records
            if keys.get(record.id.hook) == record.id.key
            and record.id.plugin in self.plugins | {LAUNCHER}
            and (record.id.hook != "curriculum_suggest" or self.is_undecided or record is self.answer)
        )

    @property
    def failed(self) -> tuple[StepRecord, ...]:
        """The steps that are left to do; one that is still running was cut off."""
        if self.is_discarded:
            return ()
        return tuple(record for record in self.current if record.is_left_to_do or record.state == "running")

    @property
    def held(self) -> str | None:
        """What keeps the data here, as a part of a sentence."""
        return self.held_before("transfer_session")

    def held_before(self, hook: str) -> str | None:
        """What keeps the data here by the steps before `hook`: one that the settings require, or one of the launcher.

        A folder that was handed off is held no more: it has left.
        """
        if self.supposed_held is not None:
            return "supposed" if self.supposed_held else None
        if self.as_it_is or self.is_discarded or self.session.handed_off:
            return None
        before = _HOOKS[: _HOOKS.index(hook)]
        failed = [record for record in self.failed if record.id.hook in before]
        missing = [record.id.plugin for record in failed if record.id.plugin in self.required]
        done = {record.id.plugin for record in self.current if record.state in ("done", "skipped")}
        missing += sorted((self.required & self.left_out) - done - {*missing})
        if missing:
            return f"{', '.join(missing)} must be done before the hand-off"
        for record in failed:
            if record.id.plugin == LAUNCHER:
                reason = (record.error or "it was cut off").rstrip(".")
                return f"{record.id.hook.replace('_', ' ')} must be done before the hand-off ({reason})"
        return None

    def after(self, record: StepRecord) -> "Standing":
        """How it stands once a step has ended as `record` says."""
        others = tuple(other for other in self.records if other.id != record.id)
        return replace(self, records=(*others, record), session=with_result(self.session, record))


@dataclass(frozen=True)
class RoadStep:
    """One step of the road.

    :param called: *each* plugin; the *first* that answers; or the launcher's *own* part.
    :param key: what makes it a new step when it must run again.
    """

    hook: str
    called: Literal["each", "first", "own"]
    key: Callable[[Standing], str] = lambda standing: ""
    applies: Callable[[Standing], bool] = lambda standing: True

    def record(self, standing: Standing, plugin: str) -> StepRecord | None:
        """The last attempt of `plugin` at it."""
        step = StepId(standing.session.name, self.hook, plugin, self.key(standing))
        return next((record for record in standing.records if record.id == step), None)


def _seal(standing: Standing) -> str:
    """A folder that stays may be written again, and is then sealed again."""
    hand_off = standing.session.hand_off
    return str(hand_off) if standing.handed_off.handed_off else f"{hand_off}/{standing.digest}"


ROAD: Final = (
    RoadStep("collect_inputs", "own"),
    RoadStep("curriculum_suggest", "first", applies=lambda it: it.is_undecided),
    RoadStep("keep_suggestion", "own", lambda it: f"{it.digest}/{it.session.hand_off}", lambda it: it.digest != ""),
    RoadStep("record_state", "each", lambda it: it.digest, lambda it: it.digest != ""),
    RoadStep("post_session", "each", lambda it: it.digest),
    RoadStep("seal_folder", "own", _seal, lambda it: it.held_before("seal_folder") is None),
    RoadStep("transfer_session", "each", lambda it: str(it.session.hand_off), lambda it: it.held is None),
    RoadStep("session_finished", "each", lambda it: f"{ending(it).state}/{len(it.failed)}"),
)
_HOOKS: Final = tuple(step.hook for step in ROAD)


def road_of(session: SessionContext) -> tuple[RoadStep, ...]:
    """The road, of which only the end is left where the operator discarded the data."""
    return ROAD[-1:] if session.disposition == "discard" else ROAD


@dataclass(frozen=True)
class Ending:
    """How a session ends."""

    state: SessionState
    exit_code: ExitCode
    message: str | None


_EXIT_CODES: Final = {
    "completed": ExitCode.DONE,
    "interrupted": ExitCode.INTERRUPTED,
    "failed": ExitCode.ACQUISITION_FAILED,
}


def ending(standing: Standing) -> Ending:
    """How the session ends as it stands."""
    acquisition = standing.session.acquisition
    outcome = acquisition.outcome if acquisition else "failed"
    code = _EXIT_CODES[outcome]
    message = acquisition.message if acquisition and outcome != "completed" else None
    if not standing.failed and not standing.held:
        return Ending("discarded" if standing.is_discarded else outcome, code, message)
    if standing.failed:
        first = standing.failed[0]
        message = f"{first.id.hook} ({first.id.plugin}): {first.error or 'was not seen to end'}"
    return Ending("incomplete", code or ExitCode.STEP_FAILED, standing.held or message)


@dataclass(frozen=True)
class Planned:
    """A step that a resume will run, or may run.

    :param why: why it is not done.
    :param condition: what has to come true for it; None where it is certain.
    """

    hook: str
    plugin: str
    why: str
    condition: str | None = None


def plan(standing: Standing, plugins_of: Callable[[str], Iterable[str]]) -> Iterator[Planned]:
    """What passing the road would do, by all futures that it could have.

    :param plugins_of: the plugins that take part in a hook, in their order.
    """
    digests: list[str | None] = [None]
    holds: list[bool | None] = [None]
    is_something_left = False
    for step in road_of(standing.session):
        supposed = product(digests, holds)
        futures = [replace(standing, supposed_digest=digest, supposed_held=held) for digest, held in supposed]
        before: list[str] = []
        for plugin in (LAUNCHER,) if step.called == "own" else plugins_of(step.hook):
            if step is ROAD[-1] and is_something_left:
                planned: Planned | None = _planned_end(standing, plugin)
            else:
                planned = _planned(step, plugin, futures, before if step.called == "first" else [])
            if planned is None:
                continue
            yield planned
            before.append(plugin)
            is_something_left = True
            if step.hook == "curriculum_suggest":
                digests = [None, "supposed"]
            if not standing.as_it_is and (step.called == "own" or plugin in standing.required):
                holds = [False, True]


def _planned(step: RoadStep, plugin: str, futures: list[Standing], before: list[str]) -> Planned | None:
    """The part of `plugin` in `step`, if any of the futures has one.

    :param before: plugins whose answer makes this one's superfluous.
    """
    runs = [future for future in futures if step.applies(future) and not _is_done(future, step, plugin)]
    if not runs:
        return None
    conditions = [f"{' and '.join(before)} did not answer"] if before else []
    for condition, holds in (
        ("the curriculum answers", lambda future: future.supposed_digest is not None),
        ("the curriculum gives no answer", lambda future: future.supposed_digest is None),
        ("nothing holds the hand-off", lambda future: not future.supposed_held),
    ):
        if all(map(holds, runs)) and not all(map(holds, futures)):
            conditions.append(condition)
    return Planned(step.hook, plugin, _why(runs[0], step, plugin), " and ".join(conditions) or None)


def _is_done(standing: Standing, step: RoadStep, plugin: str) -> bool:
    record = step.record(standing, plugin)
    return record is not None and record.state in ("done", "skipped")


def _why(standing: Standing, step: RoadStep, plugin: str) -> str:
    if record := step.record(standing, plugin):
        return record.error or "was not seen to end"
    return "has to run again" if _earlier(standing, step, plugin) else "has not run"


def _earlier(standing: Standing, step: RoadStep, plugin: str) -> list[StepRecord]:
    """The part of `plugin` in `step`, by whatever key."""
    return [record for record in standing.records if (record.id.hook, record.id.plugin) == (step.hook, plugin)]


def _planned_end(standing: Standing, plugin: str) -> Planned:
    """The part of `plugin` in the last step, where what is done before it may change how the session ends."""
    end = ROAD[-1]
    if any(record.state == "done" for record in _earlier(standing, end, plugin)):
        return Planned(end.hook, plugin, "has to run again", "the session ends otherwise than before")
    return Planned(end.hook, plugin, _why(standing, end, plugin))
