"""The one road a session takes, from choosing the animal to the hand-off; `resume` joins it after the acquisition."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from aind_launcher.errors import AnimalError, ExitCode, LauncherError, Refused
from aind_launcher.journal.journal import Journal, SessionState, StepId, StepRecord
from aind_launcher.lifecycle import folder as keeping
from aind_launcher.lifecycle import inputs
from aind_launcher.lifecycle.log import session_log
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.steps import LAUNCHER, Steps, acquisition_of, acquisition_step, as_model, with_result
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Acquisition, Check, Inputs, Session, SessionContext, session_name
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.plugins import Plugins
from aind_launcher.settings.layers import LauncherSettings
from aind_launcher.system import interrupts
from aind_launcher.system.git import describe_repository
from aind_launcher.system.interrupts import InterruptedAgain
from aind_launcher.system.processes import refuse_orphans
from aind_launcher.system.rig import RigLock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the operator asked for.

    :param task_file: run this task instead of what the animal's state says; no curriculum decides then.
    """

    subject: str
    experimenter: tuple[str, ...] = ()
    notes: str | None = None
    task_file: Path | None = None
    allow_dirty: bool = False
    skip_hardware_validation: bool = False


@dataclass(frozen=True)
class Launcher:
    """Everything a session needs that is not the session itself."""

    repository: Path
    settings: LauncherSettings
    plugins: Plugins
    journal: Journal
    operator: Operator
    steps: Steps


@dataclass(frozen=True)
class Outcome:
    """How a session stands when the launcher lets go of it.

    :param steps: the records of the steps that this call passed, in order.
    :param held: why the hand-off was held back, if it was.
    """

    session: SessionContext
    state: SessionState
    exit_code: ExitCode
    suggestion: CurriculumSuggestion | None = None
    steps: tuple[StepRecord, ...] = ()
    held: str | None = None


def run_session(launcher: Launcher, request: Request, lock: RigLock) -> Outcome:
    """Take an animal through a whole session.

    :raises LauncherError: the session was refused before the acquisition; nothing was changed.
    """
    refuse_orphans(launcher.journal.staging)
    session = _begin(launcher, request, lock)
    with closed_whatever_happens(launcher, session):
        session = _with_animal_state(launcher, session, request)
        session = _prepared(launcher, session, request)
        _check(launcher, session)
        keeping.stage_inputs(session)
        session = _acquired(launcher, session)
        return finish_session(launcher, session)


def _begin(launcher: Launcher, request: Request, lock: RigLock) -> SessionContext:
    rig = inputs.read_rig(launcher.settings.rig)
    data_directory = inputs.data_directory(launcher.settings, rig)
    # The task repository may be a folder of a larger one; paths in settings start at its pyproject.toml.
    repository = describe_repository(launcher.repository).model_copy(update={"path": launcher.repository})
    session = Session(
        subject=request.subject,
        experiment=launcher.settings.experiment,
        experimenter=list(request.experimenter),
        notes=request.notes,
        commit_hash=repository.commit,
        allow_dirty_repo=request.allow_dirty,
        skip_hardware_validation=request.skip_hardware_validation,
    )
    while launcher.journal.session(session.session_name) or _is_taken(data_directory / session.session_name):
        # Names have whole seconds; the next one is free.
        later = session.date + timedelta(seconds=1)
        session = session.model_copy(update={"date": later, "session_name": session_name(session.subject, later)})
    context = SessionContext(
        session=session,
        folder=data_directory / session.session_name,
        staging=launcher.journal.staging / session.session_name,
        repository=repository,
        rig=rig,
    )
    keep(launcher, context)
    lock.write_note(context.name)
    return context


def _is_taken(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError as error:
        raise Refused(
            f"{folder.parent} cannot be looked into: {error.strerror or error}.",
            "Connect the disk, or give this login the right to write there.",
        ) from None


def _with_animal_state(launcher: Launcher, session: SessionContext, request: Request) -> SessionContext:
    """The newest state that any store knows; disagreement is shown."""
    records = list(launcher.steps.each("load_animal_state", session))
    known = {record.id.plugin: as_model(record, AnimalState) for record in records if record.result is not None}
    stood = {name: {"session_name": s.session_name, "date": s.date.isoformat()} for name, s in known.items()}
    session = session.model_copy(update={"results": {**session.results, "load_animal_state": stood}})
    failed = [record for record in records if record.state == "failed"]
    if not known:
        if failed and request.task_file is None:
            raise AnimalError(f"No store could say where animal {session.subject} stands.", failed[0].error)
        return session
    store, newest = max(known.items(), key=lambda item: item[1].date)
    for record in failed:
        logger.warning("going on with what %s knows, without %s", store, record.id.plugin)
    for other, state in known.items():
        if state.trainer_state.digest != newest.trainer_state.digest:
            logger.warning(
                "The stores disagree: %s has stage %s of %s, %s has stage %s of %s. Going on with %s, the newest.",
                *(other, state.trainer_state.stage, state.date.date()),
                *(store, newest.trainer_state.stage, newest.date.date(), store),
            )
    return session.model_copy(update={"animal_state": newest})


def _prepared(launcher: Launcher, session: SessionContext, request: Request) -> SessionContext:
    """The session with rig and task as the acquisition will get them."""
    task, source = inputs.first_task(request.task_file, session.animal_state)
    session = session.model_copy(update={"task": task, "task_source": source})
    for call in launcher.plugins.calls("prepare_session"):
        given = Inputs(rig=session.rig, task=session.task)
        record = launcher.steps.call(call, "prepare_session", session, inputs=given)
        if record.state == "failed":
            raise Refused(f"Plugin {record.id.plugin} could not prepare the session. {record.error}")
        if record.result is not None:
            session = inputs.changed(session, as_model(record, Inputs), record.id.plugin)
    if session.task is None and session.animal_state is None:
        stores = ", ".join(call.plugin.name for call in launcher.plugins.calls("load_animal_state")) or "no store"
        raise AnimalError(
            f"Animal {session.subject} is unknown ({stores}).",
            f"Check the number, enrol it with `aind-launch curricula enroll {session.subject} --curriculum NAME`, "
            "or give its task with --task FILE.",
        )
    keep(launcher, session)
    return session


def _check(launcher: Launcher, session: SessionContext) -> None:
    """Run every check and show them all; one that failed refuses the session."""
    checks: list[Check] = []
    for record in launcher.steps.each("pre_session", session):
        if record.state == "failed":
            checks.append(Check(name=record.id.plugin, outcome="failed", message=record.error or ""))
        checks += [Check.model_validate(check) for check in record.result or ()]
    launcher.operator.checks(checks)
    failed = [check for check in checks if check.outcome == "failed"]
    if failed:
        first = failed[0]
        more = f" ({len(failed) - 1} more above)" if len(failed) > 1 else ""
        raise Refused(f"{first.name}: {first.message}{more}", first.hint)


def _acquired(launcher: Launcher, session: SessionContext) -> SessionContext:
    """Run the acquisition, once; then settle what becomes of its data."""
    try:
        launcher.steps.first("run_session", session)
    except InterruptedAgain:
        raise
    except KeyboardInterrupt:
        # A plugin that did not handle it. What its acquisition wrote is data all the same.
        if acquisition_of(launcher.journal, session.name) is None:
            raise
    acquisition = acquisition_of(launcher.journal, session.name)
    if acquisition is None:
        raise Refused("No plugin ran the acquisition.", "Set plugin.acquisition.command in pyproject.toml.")
    return settled(launcher, session, acquisition)


def settled(launcher: Launcher, session: SessionContext, acquisition: Acquisition) -> SessionContext:
    """The session with its acquisition, and with what the operator wants done with data that may be incomplete."""
    disposition = "score"
    if acquisition.outcome != "completed":
        logger.warning("The acquisition %s. %s", _was(acquisition), acquisition.message or "")
        disposition = launcher.operator.ask(
            f"The acquisition {_was(acquisition)}. What becomes of its data?",
            {
                "score": "hand it off and let the curriculum decide on it",
                "keep": "hand it off; the animal stays where it is",
                "discard": "leave it where it lies; nothing more happens",
            },
            default="keep",
        )
    session = session.model_copy(update={"acquisition": acquisition, "disposition": disposition})
    keep(launcher, session)
    return session


def _was(acquisition: Acquisition) -> str:
    return "was interrupted" if acquisition.outcome == "interrupted" else acquisition.outcome


def finish_session(launcher: Launcher, session: SessionContext, *, as_it_is: bool = False) -> Outcome:
    """All that comes after the acquisition. Passing here again does only what is not done yet.

    :param as_it_is: hand off also where a step failed that holds the hand-off.
    """
    if session.disposition == "discard":
        return _concluded(launcher, session, None, [], None)
    passed = [_own(launcher, session, "collect_inputs", lambda: keeping.collect_inputs(session))]
    suggestion = None
    if session.disposition == "score":
        answer = _answer(launcher.journal, session.name) or launcher.steps.first("curriculum_suggest", session)
        if answer and answer.state == "failed":
            passed.append(answer)
        elif answer and answer.result is not None:
            suggestion = as_model(answer, CurriculumSuggestion)
            passed += [answer, _kept_suggestion(launcher, session, suggestion)]
    digest = suggestion.digest if suggestion else ""
    for record in launcher.steps.each("post_session", session, digest, suggestion=suggestion):
        session = with_result(session, record)
        passed.append(record)
    passed += _left_out(launcher, session, digest)
    held = None if as_it_is else _reason_to_hold(launcher, session, passed)
    if held is None:
        passed.append(_sealed(launcher, session, suggestion))
        held = None if as_it_is else _reason_to_hold(launcher, session, passed)
    if held is None and (session.handed_off or session.folder.is_dir()):
        session = _handed_off(launcher, session, passed, suggestion)
    return _concluded(launcher, session, suggestion, passed, held)


def _answer(journal: Journal, session: str) -> StepRecord | None:
    """The decision that was given, also where its plugin is left out by now."""
    steps = (step for step in journal.current_steps(session) if step.id.hook == "curriculum_suggest")
    return next((step for step in steps if step.state == "done" and step.result is not None), None)


def _left_out(launcher: Launcher, session: SessionContext, digest: str) -> list[StepRecord]:
    """What plugins that are left out of this call alone have still to do: it waits for the next."""
    identity = {"curriculum_suggest": "", "post_session": digest, "transfer_session": str(session.hand_off)}
    absent = {plugin.name for plugin in launcher.plugins.all if plugin.blocked} - set(launcher.settings.disable)
    return [
        replace(step, state="failed", error=step.error or f"{step.id.plugin} is left out of this call")
        for step in launcher.journal.current_steps(session.name)
        if step.id.plugin in absent
        and step.state in ("failed", "running")
        and identity.get(step.id.hook) == step.id.key
    ]


def _kept_suggestion(launcher: Launcher, session: SessionContext, suggestion: CurriculumSuggestion) -> StepRecord:
    identity = f"{suggestion.digest}/{session.hand_off}"
    return _own(launcher, session, "keep_suggestion", lambda: keeping.keep_suggestion(session, suggestion), identity)


def _reason_to_hold(launcher: Launcher, session: SessionContext, passed: list[StepRecord]) -> str | None:
    """What keeps the data here: a step that the settings require, or files of the launcher that are not there yet."""
    required = set(launcher.settings.required_steps)
    failed = [record for record in passed if record.state == "failed"]
    missing = [record.id.plugin for record in failed if record.id.plugin in required]
    if missing:
        return f"{', '.join(missing)} must be done before the hand-off"
    unwritten = next((record for record in failed if record.id.plugin == LAUNCHER), None)
    if unwritten is None or session.handed_off:
        return None
    reason = (unwritten.error or "").rstrip(".")
    return f"{unwritten.id.hook.replace('_', ' ')} must be done before the hand-off ({reason})"


def _sealed(launcher: Launcher, session: SessionContext, suggestion: CurriculumSuggestion | None) -> StepRecord:
    """Seal the folder; from here on nothing is written into it where it leaves."""
    leaves = bool(launcher.plugins.calls("transfer_session"))
    then = session.model_copy(update={"handed_off": leaves or session.handed_off})

    def seal() -> list[str]:
        return keeping.seal_folder(session, then, launcher.journal.steps(session.name))

    # A folder that stays may be written again, and is then sealed again.
    digest = suggestion.digest if suggestion else ""
    identity = str(session.hand_off) if then.handed_off else f"{session.hand_off}/{digest}"
    return _own(launcher, session, "seal_folder", seal, identity)


def _handed_off(
    launcher: Launcher, session: SessionContext, passed: list[StepRecord], suggestion: CurriculumSuggestion | None
) -> SessionContext:
    """Give the folder to the transfer plugins; from here on nothing is written into it."""
    calls = launcher.plugins.calls("transfer_session")
    session = session.model_copy(update={"handed_off": bool(calls) or session.handed_off})
    # On disk before a transfer service may have seen the folder.
    keep(launcher, session)
    for record in launcher.steps.each("transfer_session", session, str(session.hand_off), suggestion=suggestion):
        session = with_result(session, record)
        passed.append(record)
    return session


def _concluded(
    launcher: Launcher,
    session: SessionContext,
    suggestion: CurriculumSuggestion | None,
    passed: list[StepRecord],
    held: str | None,
) -> Outcome:
    """Tell the last hook how it ended and close the session's entry."""
    failed = [record for record in passed if record.state == "failed"]
    acquisition_failed = session.acquisition is None or session.acquisition.outcome == "failed"
    interrupted = session.acquisition is not None and session.acquisition.outcome == "interrupted"
    state: SessionState = "completed"
    code = ExitCode.DONE
    if session.disposition == "discard":
        state = "discarded"
    elif failed or held:
        state, code = "incomplete", ExitCode.STEP_FAILED
    elif acquisition_failed:
        state = "failed"
    elif interrupted:
        state = "interrupted"
    if acquisition_failed:
        code = ExitCode.ACQUISITION_FAILED
    elif interrupted:
        code = ExitCode.INTERRUPTED
    message = held or (f"{failed[0].id.hook} ({failed[0].id.plugin}): {failed[0].error}" if failed else None)
    if message is None and session.acquisition is not None and session.acquisition.outcome != "completed":
        message = session.acquisition.message
    for record in launcher.steps.each("session_finished", session, f"{state}/{len(failed)}", outcome=state):
        passed.append(record)
        if record.state == "failed" and code == ExitCode.DONE:
            code, message = ExitCode.STEP_FAILED, f"session_finished ({record.id.plugin}): {record.error}"
    keep(launcher, session)
    launcher.journal.end_session(session.name, state, code, message)
    return Outcome(session, state, code, suggestion, tuple(passed), held)


def keep(launcher: Launcher, session: SessionContext) -> None:
    """Have `session` on disk: this is where resuming it starts from."""
    context = session.model_dump_json()
    launcher.journal.keep_session(session.name, session.subject, launcher.repository, session.folder, context)


def _own(launcher: Launcher, session: SessionContext, hook: str, function: Any, identity: str = "") -> StepRecord:
    """A part of the road that is the launcher's own, recorded and tried again like a plugin's."""
    return launcher.steps.run(StepId(session.name, hook, LAUNCHER, identity), function, transient=(OSError,))


@contextmanager
def closed_whatever_happens(launcher: Launcher, session: SessionContext) -> Iterator[None]:
    """Log the session while the context lasts, and close its entry also where it is refused or interrupted.

    Ctrl-C is held within it, and heard where somebody is waited for: in the plugins' parts, pauses and questions.
    """
    try:
        with interrupts.held(), _closed(launcher, session):
            yield
    except KeyboardInterrupt:
        _say_what_was_interrupted(launcher, session)
        raise


@contextmanager
def _closed(launcher: Launcher, session: SessionContext) -> Iterator[None]:
    with session_log(session.staging / keeping.LOG, session.name, launcher.steps.redact):
        logger.info("session %s of %s", session.name, launcher.repository)
        try:
            yield
        except KeyboardInterrupt:
            _close_early(launcher, session, "cancelled", ExitCode.INTERRUPTED, "interrupted by the operator")
            raise
        except LauncherError as error:
            logger.debug("refused: %s", error)
            _close_early(launcher, session, "refused", error.exit_code, str(error))
            raise
        except OSError as error:
            where = error.filename or f"A file of the session in {session.folder} or {session.staging}"
            what = f"{where} cannot be written: {error.strerror or error}."
            problem = (
                LauncherError(what, f"The data is safe. Free the disk, then `aind-launch resume {session.name}`.")
                if may_have_data(launcher, session)
                else Refused(what, "Free the disk or choose another folder; no data was lost.")
            )
            _close_early(launcher, session, "refused", problem.exit_code, str(problem))
            raise problem from error


def _say_what_was_interrupted(launcher: Launcher, session: SessionContext) -> None:
    record = launcher.journal.session(session.name)
    if record is None or record.state == "cancelled":
        logger.warning("Session %s is cancelled: nothing was acquired.", session.name)
    elif record.state in ("incomplete", "running"):
        logger.warning("Session %s is safe; `aind-launch resume %s` goes on.", session.name, session.name)
    else:
        logger.warning("Session %s is %s: all of it was done.", session.name, record.state)


def _close_early(
    launcher: Launcher, session: SessionContext, before: SessionState, code: ExitCode, message: str
) -> None:
    """Close the entry of a session that left the road: as `before`, or as incomplete once it has data."""
    state: SessionState = "incomplete" if may_have_data(launcher, session) else before
    launcher.journal.end_session(session.name, state, code, launcher.steps.redact(message))


def may_have_data(launcher: Launcher, session: SessionContext) -> bool:
    """Whether the acquisition began; the folder knows it, too, where the journal could not be written."""
    known = session.acquisition or acquisition_step(launcher.journal, session.name)
    return known is not None or keeping.has_data(session)
