"""Finishes what a session left undone: joins its road after the acquisition."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from aind_launcher.errors import ExitCode, LauncherError, Refused
from aind_launcher.journal.records import UNFINISHED, SessionRecord
from aind_launcher.lifecycle import road
from aind_launcher.lifecycle.closing import CUT_OFF, close_unacquired, logged_and_closed, may_have_data
from aind_launcher.lifecycle.finish import Outcome, finish_session, standing_of
from aind_launcher.lifecycle.folder import has_data
from aind_launcher.lifecycle.inputs import data_directory_or_none
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.record import completed_by_folder, find_unknown
from aind_launcher.lifecycle.road import Planned
from aind_launcher.lifecycle.run import with_disposition
from aind_launcher.lifecycle.steps import LAUNCHER, acquisition_of, acquisition_step
from aind_launcher.lifecycle.stores import report_rig
from aind_launcher.model.session import Acquisition, SessionContext
from aind_launcher.system.processes import refuse_orphans

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumeOptions:
    """What the operator says about a session that cannot be known from the journal.

    :param acquisition_complete: go on with the data of an acquisition that the launcher did not see end.
    :param score: ask the curriculum about data that was only to be kept.
    :param hand_off_again: the folder may be written into and is handed off once more.
    :param hand_off_as_it_is: the folder is handed off without what could not be written or done.
    """

    acquisition_complete: bool = False
    score: bool = False
    hand_off_again: bool = False
    hand_off_as_it_is: bool = False


def unknown_sessions(launcher: Launcher) -> tuple[Path, ...]:
    """The folders of this task repository's sessions that the journal lacks."""
    data_directory = data_directory_or_none(launcher.settings)
    return tuple(find_unknown(launcher.journal, data_directory, launcher.repository))


def plan(launcher: Launcher, record: SessionRecord, options: ResumeOptions) -> tuple[Planned, ...]:
    """What resuming would do, without doing it.

    :raises LauncherError: resuming would be refused.
    """
    # What the session's folder knows beside the journal is added as in a resume.
    with launcher.journal.trial(record.name) as journal:
        return _plan(replace(launcher, journal=journal), record, options)


def _plan(launcher: Launcher, record: SessionRecord, options: ResumeOptions) -> tuple[Planned, ...]:
    session = _known_session(launcher, record)
    if not may_have_data(launcher, session):
        closed = Planned("session", LAUNCHER, "ended before its acquisition; is closed as cancelled")
        return (closed,) if record.state in UNFINISHED else ()
    _refuse_unready(session, options)
    ended = session.acquisition or acquisition_of(launcher.journal, record.name)
    if ended is None and options.acquisition_complete:
        ended = _judged(launcher, session)
    if ended is None:
        acquired = acquisition_step(launcher.journal, record.name)
        plugin = acquired.id.plugin if acquired else LAUNCHER
        return (Planned("run_session", plugin, "was not seen to end; waits for a decision"),)
    if session.acquisition is None and ended.outcome != "completed":
        # The operator is asked; without an answer the data is only kept.
        session = session.model_copy(update={"disposition": "keep"})
    standing = standing_of(launcher, _as_wished(session, options), as_it_is=options.hand_off_as_it_is)
    return tuple(road.plan(standing, lambda hook: [call.plugin.name for call in launcher.plugins.calls(hook)]))


def resume_session(launcher: Launcher, record: SessionRecord, options: ResumeOptions) -> Outcome:
    """Do what is not done yet, in order; an acquisition is never run again.

    :param record: read while the rig was held.
    :raises LauncherError: it cannot be resumed here or now, or needs an answer first.
    """
    session = _known_session(launcher, record)
    if not may_have_data(launcher, session):
        if record.state in UNFINISHED:
            close_unacquired(launcher, record.name, "cancelled", ExitCode.INTERRUPTED, CUT_OFF)
            report_rig(launcher)
            return Outcome(session, "cancelled", ExitCode.DONE)
        return Outcome(session, record.state, ExitCode.DONE)
    _refuse_unready(session, options)
    launcher.work_on(record.name)
    with logged_and_closed(launcher, session):
        if session.acquisition is None:
            session = _with_acquisition(launcher, session, options)
        session = _as_wished(session, options)
        launcher.keep(session)
        return finish_session(launcher, session, as_it_is=options.hand_off_as_it_is)


def _known_session(launcher: Launcher, record: SessionRecord) -> SessionContext:
    """The session as the journal and its folder know it.

    :raises Refused: it belongs to another task repository.
    """
    if launcher.home.has(record):
        return completed_by_folder(launcher.journal, _here(launcher, record))
    owner = launcher.home.owner(record)
    if owner == str(record.repository):
        raise Refused(f"Session {record.name} belongs to {owner}.", "Change to that folder and resume it there.")
    raise Refused(
        f"Session {record.name} belongs to {owner}.",
        "Put the task repository back there and resume, or give the session up with "
        f'`aind-launch sessions close {record.name} --reason "WHY"`.',
    )


def _here(launcher: Launcher, record: SessionRecord) -> SessionRecord:
    """The entry of a session with the places that it has now; the journal learns those of one that was moved."""
    before, now = record.repository, launcher.repository
    if before == now:
        return record
    logger.warning("Session %s was begun in %s; that task repository is now %s.", record.name, before, now)
    folder = record.folder
    if folder.is_relative_to(before) and not folder.is_dir():
        folder = now / folder.relative_to(before)
    record = replace(record, repository=now, folder=folder)
    launcher.journal.move_session(record.name, now, folder)
    return record


def _refuse_unready(session: SessionContext, options: ResumeOptions) -> None:
    """Refuse what cannot be resumed now: its folder is gone, or its task still runs."""
    if options.hand_off_again and session.handed_off and not session.folder.is_dir():
        raise LauncherError(
            f"The folder {session.folder} is gone, so it cannot be handed off again.",
            "The transfer service may have moved it; ask there.",
        )
    refuse_orphans(session.staging, session.folder)


def _with_acquisition(launcher: Launcher, session: SessionContext, options: ResumeOptions) -> SessionContext:
    """The session with an acquisition that ended, or that the operator says has ended."""
    seen = acquisition_of(launcher.journal, session.name)
    if seen is not None:
        return with_disposition(launcher, session, seen)
    if not options.acquisition_complete:
        answer = launcher.operator.ask(
            f"The launcher ended while {session.name} was running. Is its acquisition over, and its data to be used?",
            {"yes": "go on with the data that is there", "no": "leave the session as it is"},
            default="no",
        )
        if answer != "yes":
            raise LauncherError(
                f"Session {session.name} was running when the launcher ended; it waits for a decision.",
                f"`aind-launch resume {session.name} --acquisition-complete` goes on with the data that is there.",
            )
    judged = _judged(launcher, session)
    if cut_off := acquisition_step(launcher.journal, session.name):
        result = judged.model_dump(mode="json")
        launcher.journal.end_step(replace(cut_off, state="done", ended=judged.end, result=result))
    return with_disposition(launcher, session, judged)


def _judged(launcher: Launcher, session: SessionContext) -> Acquisition:
    """How an acquisition went that nobody saw end, by the data that it left.

    :raises LauncherError: a plugin cannot say.
    """
    cut_off = acquisition_step(launcher.journal, session.name)
    start = cut_off.started if cut_off else session.session.date
    end = _last_change(session.folder, start)
    missing = _missing_data(launcher, session)
    if missing is None:
        return Acquisition(outcome="completed", start=start, end=end)
    return Acquisition(outcome="failed", start=start, end=end, message=f"It began, nobody saw its end, and {missing}.")


def _missing_data(launcher: Launcher, session: SessionContext) -> str | None:
    if not has_data(session):
        return f"{session.folder} has no data"
    for call in launcher.plugins.calls("missing_data"):
        try:
            if missing := call(session=session):
                return launcher.steps.redact(str(missing))
        except Exception as error:  # isolates one plugin's look at the data
            raise LauncherError(
                f"Plugin {call.plugin.name} cannot say whether data is missing: {launcher.steps.redact(str(error))}",
                f"Correct it, or leave it out with `-p no:{call.plugin.name}`.",
            ) from error
    return None


def _as_wished(session: SessionContext, options: ResumeOptions) -> SessionContext:
    if options.score:
        session = session.model_copy(update={"disposition": "score"})
    if options.hand_off_again and session.handed_off:
        session = session.model_copy(update={"handed_off": False, "hand_off": session.hand_off + 1})
    return session


def _last_change(folder: Path, otherwise: datetime) -> datetime:
    """When the acquisition last wrote: the best there is for its end where nobody saw it."""
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(otherwise, datetime.fromtimestamp(max(times), UTC)) if times else otherwise
