"""What follows a session's acquisition, declared once: `run` and `resume` walk it, and a plan foretells it.

Each step has its hook, how plugins are called, the key that makes it a new step when it must run again, and when it
applies; both are functions of how the session stands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, Final, Literal

from aind_launcher.errors import ExitCode
from aind_launcher.journal.records import SessionState, StepId, StepRecord
from aind_launcher.lifecycle.steps import LAUNCHER, as_model, with_result
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion


@dataclass(frozen=True)
class Standing:
    """How a session stands: a fold of its context and the records of its steps, and what is supposed of its future.

    :param records: the last attempt at each step, in the order in which the steps first began.
    :param plugins: those whose steps count: all that are known and not disabled.
    :param required: those whose failed steps hold the hand-off.
    :param left_out: those of `required` that this call leaves out.
    :param leaves: whether a plugin hands the folder off.
    :param as_it_is: the operator wants the hand-off whatever holds it.
    :param supposed_digest: of the answer that a plan supposes.
    :param supposed_held: whether a plan supposes that the hand-off is held.
    """

    session: SessionContext
    records: tuple[StepRecord, ...]
    plugins: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    leaves: bool = False
    as_it_is: bool = False
    supposed_digest: str | None = None
    supposed_held: bool | None = None

    @cached_property
    def answer(self) -> StepRecord | None:
        """The decision that was given, also where its plugin is left out by now."""
        suggested = (record for record in self.records if record.id.hook == "curriculum_suggest")
        return next((record for record in suggested if record.state == "done" and _is_suggestion(record.result)), None)

    @cached_property
    def suggestion(self) -> CurriculumSuggestion | None:
        """What the curriculum decided, where it was asked and answered."""
        return as_model(self.answer, CurriculumSuggestion) if self.answer and self._is_scored else None

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
        """The steps that did not end well; one that is still running was cut off."""
        return tuple(record for record in self.current if record.state in ("failed", "running"))

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
        if self.as_it_is or self.session.handed_off:
            return None
        before = _HOOKS[: _HOOKS.index(hook)]
        failed = [record for record in self.failed if record.id.hook in before]
        missing = [record.id.plugin for record in failed if record.id.plugin in self.required]
        done = {record.id.plugin for record in self.current if record.state in ("done", "skipped")}
        missing += sorted(self.left_out - done - {*missing})
        if missing:
            return f"{', '.join(missing)} must be done before the hand-off"
        unwritten = next((record for record in failed if record.id.plugin == LAUNCHER), None)
        if unwritten is None:
            return None
        reason = (unwritten.error or "it was cut off").rstrip(".")
        return f"{unwritten.id.hook.replace('_', ' ')} must be done before the hand-off ({reason})"

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """What the steps returned, by hook and plugin."""
        results: dict[str, dict[str, Any]] = {}
        for record in self.records:
            if record.state == "done":
                results.setdefault(record.id.hook, {})[record.id.plugin] = record.result
        return results

    def after(self, record: StepRecord) -> "Standing":
        """How it stands once a step has ended as `record` says."""
        others = tuple(other for other in self.records if other.id != record.id)
        return replace(self, records=(*others, record), session=with_result(self.session, record))

    def record(self, hook: str, plugin: str, key: str) -> StepRecord | None:
        step = StepId(self.session.name, hook, plugin, key)
        return next((record for record in self.records if record.id == step), None)


def _is_suggestion(result: object) -> bool:
    """Whether a step's result is one that can be read; what could not be stored was kept as a description."""
    return isinstance(result, dict) and {"text", "trainer_state"} <= result.keys()


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


def _digest(standing: Standing) -> str:
    return standing.digest


def _hand_off(standing: Standing) -> str:
    return str(standing.session.hand_off)


def _digest_and_hand_off(standing: Standing) -> str:
    return f"{standing.digest}/{standing.session.hand_off}"


def _seal(standing: Standing) -> str:
    """A folder that stays may be written again, and is then sealed again."""
    stays = not standing.leaves and not standing.session.handed_off
    return f"{standing.session.hand_off}/{standing.digest}" if stays else _hand_off(standing)


def _ending(standing: Standing) -> str:
    return f"{ending(standing).state}/{len(standing.failed)}"


def _is_undecided(standing: Standing) -> bool:
    return standing.is_undecided


def _is_answered(standing: Standing) -> bool:
    return standing.digest != ""


def _may_be_sealed(standing: Standing) -> bool:
    return standing.held_before("seal_folder") is None


def _may_leave(standing: Standing) -> bool:
    return standing.held is None


ROAD: Final = (
    RoadStep("collect_inputs", "own"),
    RoadStep("curriculum_suggest", "first", applies=_is_undecided),
    RoadStep("keep_suggestion", "own", _digest_and_hand_off, _is_answered),
    RoadStep("record_state", "each", _digest, _is_answered),
    RoadStep("post_session", "each", _digest),
    RoadStep("seal_folder", "own", _seal, _may_be_sealed),
    RoadStep("transfer_session", "each", _hand_off, _may_leave),
    RoadStep("session_finished", "each", _ending),
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
    message: str | None = None


Left = Literal["nothing", "something", "discarded"]
# By how the acquisition ended, and by what is left to do.
_ENDINGS: Final[Mapping[tuple[str, Left], Ending]] = {
    ("completed", "nothing"): Ending("completed", ExitCode.DONE),
    ("completed", "something"): Ending("incomplete", ExitCode.STEP_FAILED),
    ("completed", "discarded"): Ending("discarded", ExitCode.DONE),
    ("interrupted", "nothing"): Ending("interrupted", ExitCode.INTERRUPTED),
    ("interrupted", "something"): Ending("incomplete", ExitCode.INTERRUPTED),
    ("interrupted", "discarded"): Ending("discarded", ExitCode.INTERRUPTED),
    ("failed", "nothing"): Ending("failed", ExitCode.ACQUISITION_FAILED),
    ("failed", "something"): Ending("incomplete", ExitCode.ACQUISITION_FAILED),
    ("failed", "discarded"): Ending("discarded", ExitCode.ACQUISITION_FAILED),
}


def ending(standing: Standing) -> Ending:
    """How the session ends as it stands."""
    acquisition = standing.session.acquisition
    outcome = acquisition.outcome if acquisition else "failed"
    discarded = standing.session.disposition == "discard"
    failed = () if discarded else standing.failed
    left: Left = "discarded" if discarded else "something" if failed or standing.held else "nothing"
    message = acquisition.message if acquisition and outcome != "completed" else None
    if failed:
        message = f"{failed[0].id.hook} ({failed[0].id.plugin}): {failed[0].error or 'was not seen to end'}"
    if not discarded:
        message = standing.held or message
    return replace(_ENDINGS[outcome, left], message=message)


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
        futures = [
            replace(standing, supposed_digest=digest, supposed_held=held) for digest, held in product(digests, holds)
        ]
        before: list[str] = []
        for plugin in (LAUNCHER,) if step.called == "own" else plugins_of(step.hook):
            if step is ROAD[-1]:
                planned = _planned_end(standing, plugin, is_something_left)
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
    record = standing.record(step.hook, plugin, step.key(standing))
    return record is not None and record.state in ("done", "skipped")


def _why(standing: Standing, step: RoadStep, plugin: str) -> str:
    record = standing.record(step.hook, plugin, step.key(standing))
    if record is not None:
        return record.error or "was not seen to end"
    ran = any(earlier.id.hook == step.hook and earlier.id.plugin == plugin for earlier in standing.records)
    return "has to run again" if ran else "has not run"


def _planned_end(standing: Standing, plugin: str, is_something_left: bool) -> Planned | None:
    """The part of `plugin` in the last step, whose key is how the session will end."""
    told = [record for record in standing.records if (record.id.hook, record.id.plugin) == (ROAD[-1].hook, plugin)]
    if is_something_left and any(record.state == "done" for record in told):
        return Planned(ROAD[-1].hook, plugin, "has to run again", "the session ends otherwise than before")
    if not is_something_left and _is_done(standing, ROAD[-1], plugin):
        return None
    return Planned(ROAD[-1].hook, plugin, _why(standing, ROAD[-1], plugin))
