"""Passes the road that follows the acquisition, as it is declared, and closes the session's entry in the journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from aind_launcher.errors import ExitCode
from aind_launcher.journal.records import SessionState, StepId, StepRecord
from aind_launcher.lifecycle import folder
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.notes import is_note
from aind_launcher.lifecycle.road import RoadStep, Standing, ending, road_of
from aind_launcher.lifecycle.steps import LAUNCHER, with_result
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion


@dataclass(frozen=True)
class Outcome:
    """How a session stands when the launcher lets go of it.

    :param session: as every hook would get it now.
    :param state: *completed*; *incomplete*: a step failed and can be resumed; *failed* and *interrupted* are said of
        the acquisition.
    :param exit_code: what `aind-launch` ends with, 0 if all is done.
    :param suggestion: the curriculum's answer, if it gave one.
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
    records = tuple(record for record in launcher.journal.current_steps(session.name) if not is_note(record))
    disabled = {*launcher.settings.disable}
    return Standing(
        reduce(with_result, records, session),
        records,
        plugins=frozenset(plugin.name for plugin in launcher.plugins.all) - disabled,
        left_out=frozenset(plugin.name for plugin in launcher.plugins.all if plugin.blocked),
        required=frozenset(launcher.settings.required_steps) - disabled,
        leaves=bool(launcher.plugins.calls("transfer_session")),
        as_it_is=as_it_is,
    )


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
            standing = replace(standing, session=standing.handed_off)
            # On disk before a transfer service may have seen the folder.
            launcher.keep(standing.session)
        for record in _pass(launcher, step, standing):
            standing = standing.after(record)
            passed.append(record)
    return _conclude(launcher, standing, passed)


def _pass(launcher: Launcher, step: RoadStep, standing: Standing) -> Iterator[StepRecord]:
    """The records of one step of the road, done or tried."""
    session, key = standing.session, step.key(standing)
    match step.called:
        case "own":
            part = _own_part(launcher, step.hook, standing)
            # A disk may refuse a write for the moment.
            yield launcher.steps.run(StepId(session.name, step.hook, LAUNCHER, key), part, transient=(OSError,))
        case "first":
            record = launcher.steps.first(step.hook, session)
            yield from [record] if record else []
        case "each":
            arguments = {"suggestion": standing.suggestion, "outcome": ending(standing).state}
            yield from launcher.steps.each(step.hook, session, key, **arguments)


def _own_part(launcher: Launcher, hook: str, standing: Standing) -> Callable[[], Any]:
    """What the launcher itself does at `hook`."""
    session, suggestion = standing.session, standing.suggestion
    match hook:
        case "collect_inputs":
            return lambda: folder.collect_inputs(session)
        case "keep_suggestion" if suggestion:
            return lambda: folder.keep_suggestion(session, suggestion)
        case "seal_folder":
            return lambda: folder.seal_folder(session, standing.handed_off, launcher.journal.steps(session.name))
    raise ValueError(f"the launcher has no part in {hook}")


def _conclude(launcher: Launcher, standing: Standing, passed: list[StepRecord]) -> Outcome:
    """Close the session's entry; a plugin that failed at `session_finished` is called again by a resume."""
    session, end = standing.session, ending(standing)
    failed = [record for record in passed if record.id.hook == "session_finished" and record.is_left_to_do]
    if failed and end.exit_code == ExitCode.DONE:
        message = f"session_finished ({failed[0].id.plugin}): {failed[0].error}"
        end = replace(end, state="incomplete", exit_code=ExitCode.STEP_FAILED, message=message)
    launcher.keep(session)
    launcher.journal.end_session(session.name, end.state, end.exit_code, end.message)
    others = (record for record in standing.failed if record not in passed)
    return Outcome(session, end.state, end.exit_code, standing.suggestion, (*passed, *others), standing.held)
