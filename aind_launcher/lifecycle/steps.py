"""Runs steps: one plugin's part in one hook for one session, recorded before and after, retried where it may help."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, ValidationError, from_json, to_jsonable_python

from aind_launcher.errors import BeginAgain, LauncherError, StepSkipped, TransientError, Unanswered
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepId, StepRecord, StepState
from aind_launcher.lifecycle import step_thread
from aind_launcher.lifecycle.handed_off import left_alone
from aind_launcher.lifecycle.log import current_step
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.person import Person
from aind_launcher.model.animal import AnimalState, StateRecord
from aind_launcher.model.register import Ticket
from aind_launcher.model.session import Acquisition, Check, Inputs, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.model.validation import described, said, unstorable_part
from aind_launcher.plugins import Call, Plugins
from aind_launcher.system import interrupts
from aind_launcher.system.interrupts import InterruptedAgain, QuestionInterrupted
from aind_launcher.system.redaction import Redactor

logger = logging.getLogger(__name__)

# The name under which the launcher's own parts of a session stand in the journal.
LAUNCHER = "launcher"
# The error of a step that Ctrl-C ended, and of one before whose plugin it came.
INTERRUPTED = "interrupted"
NOT_BEGUN = "interrupted before it began"
# Until the acquisition has ended, Ctrl-C cancels the session.
_CANCELS = ("load_animal_state", "prepare_session", "pre_session", "begin_session", "run_session")
# Seconds that a store has for the ticket: the animal is waiting, and its session can go on without one.
_LONGEST_BEGINNING = 20.0
# Their text is the animal's, byte for byte; hiding a secret in it would change what it means.
_UNTOUCHED = (AnimalState, CurriculumSuggestion, Inputs, Ticket)
# What the hooks whose answers the launcher itself reads must return, if anything.
_RETURNS: dict[str, type[Any]] = {
    "load_animal_state": AnimalState,
    "prepare_session": Inputs,
    "begin_session": Ticket,
    "run_session": Acquisition,
    "curriculum_suggest": CurriculumSuggestion,
    "record_state": StateRecord,
}


@dataclass(frozen=True)
class Steps:
    """What a step needs beside its plugin.

    :param timeout: minutes that a plugin's step may take.
    """

    plugins: Plugins
    journal: Journal
    operator: Operator
    redact: Redactor
    retry_pauses: tuple[float, ...] = ()
    timeout: float = inf

    def each(self, hook: str, session: SessionContext, key: str = "", **arguments: Any) -> Iterator[StepRecord]:
        """Call every plugin's `hook`, one after the other; what ends badly does not stop the next."""
        for call in self.plugins.calls(hook):
            record = self.call(call, hook, session, key, **arguments)
            session = with_result(session, record)
            yield record

    def first(self, hook: str, session: SessionContext) -> StepRecord | None:
        """Call plugins until one answers or fails: no other plugin decides in the place of one that broke."""
        for call in self.plugins.calls(hook):
            record = self.call(call, hook, session)
            if record.result is not None or record.is_left_to_do:
                return record
        return None

    def call(self, call: Call, hook: str, session: SessionContext, key: str = "", **arguments: Any) -> StepRecord:
        """One plugin's part, unless it was done before.

        :param key: `StepId.key`.
        """
        step = StepId(session.name, hook, call.plugin.name, key)
        plugin = call.plugin
        person = Person(self.operator)

        def asked() -> Any:
            with left_alone(session, hook, plugin.name):
                answer = call(session=session, **arguments)
            # A generator does its work when it is asked, which may be long.
            return as_checks(answer) if hook == "pre_session" else answer

        def part() -> Any:
            if plugin.interactive and not self.operator.attended:
                raise Unanswered(f"Plugin {plugin.name} asks a person.")
            with person.asked(), self.operator.left_to_plugin() if plugin.interactive else nullcontext():
                # A window or an acquisition may take any time; only the main thread hears Ctrl-C meanwhile.
                in_main_thread = plugin.interactive or hook == "run_session"
                return _in_main_thread(asked) if in_main_thread else self._limited(step, asked)

        return self.run(step, part, plugin.transient, _title_in(session, step))

    def _limited(self, step: StepId, function: Callable[[], Any]) -> Any:
        seconds = min(60 * self.timeout, _LONGEST_BEGINNING if step.hook == "begin_session" else inf)
        try:
            return step_thread.call(function, seconds, may_answer=_can_be_given_up(step))
        except step_thread.TookTooLong:
            if step.hook == "begin_session":
                raise LauncherError(
                    f"Plugin {step.plugin} gave no ticket within {seconds:g} s.",
                    "Check that the place of its animals is connected.",
                ) from None
            leave_out = f"leave it out with `-p no:{step.plugin}`, or give it longer with the setting step-timeout."
            raise LauncherError(
                f"Plugin {step.plugin} did not end {step.hook} within {self.timeout:g} minutes and was given up.",
                f"Run `aind-launch resume {step.session}` when what it waits for answers, {leave_out}"
                if _can_be_given_up(step)
                else f"Try again, {leave_out}",
            ) from None

    def run(
        self,
        step: StepId,
        function: Callable[[], Any],
        transient: tuple[type[BaseException], ...] = (),
        title: str = "",
    ) -> StepRecord:
        """Run `function` as `step`, again after a pause where it failed for the moment only.

        :param title: what the operator reads meanwhile; the step's name unless it is given.
        """
        before = self.journal.last_attempt(step)
        if before and before.state in ("done", "skipped"):
            return before
        record, problem = self._attempt(step, function, title)
        # An animal's session cannot be tried again, and an animal does not wait for its ticket.
        for pause in self.retry_pauses if step.hook not in ("begin_session", "run_session") else ():
            if not isinstance(problem, (TransientError, *transient)):
                break
            logger.warning("%s failed for the moment; trying again in %g s.", _title(step), pause)
            try:
                with self.operator.working(f"{_title(step)}: waiting {pause:g} s to try again"), interrupts.heard():
                    time.sleep(pause)
            except KeyboardInterrupt as pressed:
                if not _ends_one_step(pressed, step):
                    raise
                break
            record, problem = self._attempt(step, function, title)
        return record

    def _attempt(
        self, step: StepId, function: Callable[[], Any], title: str
    ) -> tuple[StepRecord, BaseException | None]:
        """Its record, and what it failed with, unless it was given up."""
        failure: BaseException | None = None
        begun = self.journal.begin_step(step)
        state: StepState = "failed"
        error: str | None = NOT_BEGUN
        result: Any = None
        try:
            with self._shown(step, title):
                if step.plugin != LAUNCHER:
                    # What the launcher itself writes is not left half-done.
                    interrupts.heard_now()
                error = INTERRUPTED
                result = self._storable(step, function())
            state, error = "done", None
        except StepSkipped as reason:
            state, error = "skipped", self.redact(str(reason))
            logger.info("%s: skipped: %s", _title(step), reason)
        except Unanswered as reason:
            state, error = self._unanswered(step, reason)
            failure = reason
            logger.warning("%s: %s", _title(step), error)
        except KeyboardInterrupt as pressed:
            if not _ends_one_step(pressed, step):
                raise
        except BeginAgain as reason:
            error = self.redact(str(reason))
            if step.hook == "begin_session":
                raise
            failure = reason
        except BaseException as problem:  # isolates one plugin's step, whatever it raises, from the others'
            error = self.redact(_described(problem))
            # What refuses the session is shown as that.
            refuses = step.hook in ("prepare_session", "pre_session")
            if not isinstance(problem, LauncherError) and (line := self.plugins.line_of(problem, step.plugin)):
                leave_out = f"leave it out for this session with `-p no:{step.plugin}`."
                error += f"{line}. Correct the plugin, or {leave_out}" if refuses else line
            level = logging.DEBUG if refuses else logging.ERROR
            logger.log(level, "%s failed: %s", _title(step), error)
            logger.debug("traceback of %s", _title(step), exc_info=True)
            failure = problem
        finally:
            # Also on Ctrl-C: the step then stands as failed and can be resumed.
            with interrupts.held():
                record = begun.ended_as(state, error=error, result=result)
                self.journal.end_step(record)
        self.operator.ended(record)
        return record, failure

    def _unanswered(self, step: StepId, reason: Unanswered) -> tuple[StepState, str]:
        """How a step ends that needs a person where nobody is there."""
        what = self.redact(reason.message)
        if step.hook == "run_session":
            return "failed", what
        if step.hook in _CANCELS:
            # There is no later for it, and it must not keep the animal from its session.
            return "skipped", f"left out, since nobody is there: {what}"
        return "waiting", f"{what} Run `aind-launch resume {step.session}` at a terminal."

    @contextmanager
    def _shown(self, step: StepId, title: str) -> Iterator[None]:
        token = current_step.set(f"{step.hook}/{step.plugin}")
        try:
            with self.operator.working(title or _title(step)):
                yield
        finally:
            current_step.reset(token)

    def _storable(self, step: StepId, value: Any) -> Any:
        """`value` as JSON data without secrets; what has no such form is kept as its description.

        The step has taken effect all the same, so a value that cannot be stored does not fail it.
        """
        expected = _RETURNS.get(step.hook)
        if expected and value is not None and not isinstance(value, expected):
            raise LauncherError(
                f"Plugin {step.plugin} returned {described(value)} from {step.hook}, "
                f"which answers with {expected.__name__} or None.",
                "Tell the plugin's author.",
            )
        try:
            text = json.dumps(to_jsonable_python(value, inf_nan_mode="constants"))
            # What cannot be read back, within the context it becomes part of, would stop the session later.
            [[[plain]]] = from_json(f"[[[{text}]]]")
            if expected and value is not None:
                expected.model_validate(plain)
        except (PydanticSerializationError, ValueError, RecursionError, UnicodeError) as problem:
            why = said(problem) if isinstance(problem, ValidationError) else unstorable_part(value)
            if expected:
                # The road goes on with what it can read back, or without it.
                raise LauncherError(
                    f"Plugin {step.plugin} returned {described(value)} from {step.hook} that cannot be stored: {why}.",
                    "Tell the plugin's author.",
                ) from None
            logger.warning("%s returned what the journal cannot store: %s.", _title(step), why)
            return {"unstorable": self.redact(_depicted(value))[:1000]}
        if isinstance(value, Acquisition):
            # A short secret may stand in a date, which must stay one.
            return plain | {"message": _redacted(plain["message"], self.redact)}
        return plain if isinstance(value, _UNTOUCHED) else _redacted(plain, self.redact)


def _in_main_thread(function: Callable[[], Any]) -> Any:
    """What `function` returns, which may be interrupted by Ctrl-C, but not by what it raises of itself."""
    before = interrupts.pressed()
    try:
        with interrupts.heard():
            return function()
    except QuestionInterrupted:
        raise
    except KeyboardInterrupt as interrupt:
        if before is None or interrupts.pressed() != before:
            raise
        raise step_thread.not_the_operator(interrupt) from None


def _redacted(value: Any, redact: Redactor) -> Any:
    """Text by text: in JSON as a whole a secret may be escaped, or be part of a number."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item, redact) for item in value]
    if isinstance(value, dict):
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    return value


def with_result(session: SessionContext, record: StepRecord) -> SessionContext:
    """`session` with what a step returned that has taken effect, for the steps after it."""
    if record.state != "done":
        return session
    hook = {**session.results.get(record.id.hook, {}), record.id.plugin: record.result}
    return session.model_copy(update={"results": {**session.results, record.id.hook: hook}})


def acquisition_step(journal: Journal, session: str) -> StepRecord | None:
    """The step that ran, or was running, the acquisition; not those of plugins that left it to another."""
    steps = [step for step in journal.current_steps(session) if step.id.hook == "run_session"]
    begun = (step for step in steps if step.error != NOT_BEGUN)
    return next((step for step in begun if step.result is not None or step.state in ("running", "failed")), None)


def acquisition_of(journal: Journal, session: str) -> Acquisition | None:
    """How the acquisition ended; None where there was none, or where nobody saw it end."""
    step = acquisition_step(journal, session)
    if step is None or step.state == "running":
        return None
    if step.state == "done":
        return Acquisition.model_validate(step.result)
    outcome: Literal["interrupted", "failed"] = "interrupted" if step.error == INTERRUPTED else "failed"
    return Acquisition(outcome=outcome, start=step.started, end=step.ended or step.started, message=step.error)


def as_checks(value: Any) -> list[Check]:
    """What `pre_session` or `check_rig` answered, as a list.

    :raises LauncherError: it is something else.
    """
    several = isinstance(value, Iterable) and not isinstance(value, Check)
    checks = [] if value is None else list(value) if several else [value]
    if strangers := [item for item in checks if not isinstance(item, Check)]:
        raise LauncherError(
            f"It answered with {described(strangers[0])} where Checks are expected.",
            "Tell the plugin's author: it may return one Check, several, or None.",
        )
    return checks


def _described(problem: BaseException) -> str:
    """What went wrong, for an operator; of the system's own errors, on which file."""
    if isinstance(problem, LauncherError | ValidationError):
        return said(problem)
    if isinstance(problem, OSError) and problem.strerror and problem.filename:
        # Of a rename, what was to be replaced.
        return f"{problem.filename2 or problem.filename}: {problem.strerror}"
    return f"{type(problem).__name__}: {_depicted(problem, str)}"


def _depicted(value: Any, words: Callable[[Any], str] = repr) -> str:
    try:
        return words(value)
    except Exception:  # isolates what a plugin's value does when it is to describe itself
        return f"a {type(value).__name__}"


def _title(step: StepId) -> str:
    return f"{step.hook.replace('_', ' ')} ({step.plugin})"


def _title_in(session: SessionContext, step: StepId) -> str:
    """The title of `step`; of the acquisition, with the animal and the stage that the rig runs."""
    if step.hook != "run_session":
        return _title(step)
    state = session.animal_state.trainer_state if session.animal_state and session.task_source != "file" else None
    stage = f", stage {state.stage}" if state and state.stage else ""
    return f"{session.subject}{stage}: {_title(step)}"


def _can_be_given_up(step: StepId) -> bool:
    """Whether Ctrl-C ends `step` alone, which has then failed, and the session goes on."""
    return step.plugin != LAUNCHER and step.hook not in _CANCELS


def _ends_one_step(pressed: KeyboardInterrupt, step: StepId) -> bool:
    """Whether a Ctrl-C gives up `step` alone, which is then said."""
    ends_launcher = isinstance(pressed, InterruptedAgain | QuestionInterrupted)
    if not _can_be_given_up(step) or ends_launcher or not interrupts.ends_one_step():
        return False
    logger.warning(
        "%s was given up; `aind-launch resume %s` does it. The session goes on; press Ctrl-C again now to end the "
        "launcher.",
        *(_title(step), step.session),
    )
    return True
