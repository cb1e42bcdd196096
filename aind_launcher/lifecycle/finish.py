"""Passes the road that follows the acquisition, as it is declared, and closes the session's entry in the journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from aind_launcher.errors import ExitCode
from aind_launcher.journal.records import SessionState, StepId, StepRecord
from aind_launcher.lifecycle import folder
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.road import RoadStep, Standing, ending, road_of
from aind_launcher.lifecycle.steps import LAUNCHER
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion


@dataclass(frozen=True)
class Outcome:
    """How a session stands when the launcher lets go of it.

    :param steps: the records of the steps that this call passed, in order, then of others that have failed.
    :param held: why the hand-off was held back, if it was.
    """

    session: SessionContext
    state: SessionState
    exit_code: ExitCode
    suggestion: CurriculumSuggestion | None = None
    steps: tuple[StepRecord, ...] = ()
    held: str | None = None


def standing_of(launcher: Launcher, session: SessionContext, *, as_it_is: bool = False) -> Standing:
    """How `session` stands by the journal.

    :param as_it_is: the operator wants the hand-off whatever holds it.
    """
    standing = Standing(
        session,
        launcher.journal.current_steps(session.name),
        plugins=frozenset(plugin.name for plugin in launcher.plugins.all) - {*launcher.settings.disable},
        required=frozenset(launcher.settings.required_steps),
        left_out=frozenset(plugin.name for plugin in launcher.plugins.all if plugin.blocked)
        & {*launcher.settings.required_steps} - {*launcher.settings.disable},
        leaves=bool(launcher.plugins.calls("transfer_session")),
        as_it_is=as_it_is,
    )
    return replace(standing, session=session.model_copy(update={"results": standing.results}))


def finish_session(launcher: Launcher, session: SessionContext, *, as_it_is: bool = False) -> Outcome:
    """All that comes after the acquisition. Passing here again does only what is not done yet.

    :param as_it_is: hand off also where a step failed that holds the hand-off.
    """
    standing = standing_of(launcher, session, as_it_is=as_it_is)
    passed: list[StepRecord] = []
    for step in road_of(session):
        if not step.applies(standing):
            continue
        if step.hook == "transfer_session":
            standing = _leaving(launcher, standing)
        for record in _pass(launcher, step, standing):
            standing = standing.after(record)
            passed.append(record)
    return _conclude(launcher, standing, passed)


def _pass(launcher: Launcher, step: RoadStep, standing: Standing) -> Iterator[StepRecord]:
    """The records of one step of the road, done or tried."""
    session, key = standing.session, step.key(standing)
    match step.called:
        case "own":
            part = _OWN[step.hook](launcher, standing)
            # A disk may refuse a write for the moment.
            yield launcher.steps.run(StepId(session.name, step.hook, LAUNCHER, key), part, transient=(OSError,))
        case "first":
            record = launcher.steps.first(step.hook, session)
            yield from [record] if record else []
        case "each":
            arguments = {"suggestion": standing.suggestion, "outcome": ending(standing).state}
            yield from launcher.steps.each(step.hook, session, key, **arguments)


def _collect_inputs(launcher: Launcher, standing: Standing) -> Callable[[], Any]:
    return lambda: folder.collect_inputs(standing.session)


def _keep_suggestion(launcher: Launcher, standing: Standing) -> Callable[[], Any]:
    suggestion = standing.suggestion
    return lambda: folder.keep_suggestion(standing.session, suggestion) if suggestion else []


def _seal_folder(launcher: Launcher, standing: Standing) -> Callable[[], Any]:
    session = standing.session
    return lambda: folder.seal_folder(session, _left(standing), launcher.journal.steps(session.name))


_OWN: Final = {
    "collect_inputs": _collect_inputs,
    "keep_suggestion": _keep_suggestion,
    "seal_folder": _seal_folder,
}


def _left(standing: Standing) -> SessionContext:
    """The session as it goes on from the hand-off: nothing is written into a folder that leaves."""
    session = standing.session
    return session.model_copy(update={"handed_off": standing.leaves or session.handed_off})


def _leaving(launcher: Launcher, standing: Standing) -> Standing:
    session = _left(standing)
    # On disk before a transfer service may have seen the folder.
    launcher.keep(session)
    return replace(standing, session=session)


def _conclude(launcher: Launcher, standing: Standing, passed: list[StepRecord]) -> Outcome:
    """Close the session's entry; a plugin that failed at `session_finished` changes no more than the exit code."""
    session, ended = standing.session, ending(standing)
    unfinished = [record for record in passed if record.id.hook == "session_finished" and record.state == "failed"]
    code, message = ended.exit_code, ended.message
    if unfinished and code == ExitCode.DONE:
        code = ExitCode.STEP_FAILED
        message = f"session_finished ({unfinished[0].id.plugin}): {unfinished[0].error}"
    launcher.keep(session)
    launcher.journal.end_session(session.name, ended.state, code, message)
    discarded = session.disposition == "discard"
    others = () if discarded else tuple(record for record in standing.failed if record not in passed)
    held = None if discarded else standing.held
    return Outcome(session, ended.state, code, standing.suggestion, (*passed, *others), held)
