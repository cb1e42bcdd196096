"""A session's entry in the journal, closed however the session leaves the road, and its log meanwhile."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aind_launcher.errors import ExitCode, LauncherError, Refused
from aind_launcher.journal.records import UNFINISHED, SessionState
from aind_launcher.lifecycle import folder
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.log import session_log
from aind_launcher.lifecycle.steps import NOT_BEGUN, acquisition_step
from aind_launcher.lifecycle.stores import report_rig
from aind_launcher.model.session import SessionContext
from aind_launcher.system import interrupts

logger = logging.getLogger(__name__)

# What is said of a session whose launcher was killed before the acquisition began.
CUT_OFF = "ended before its acquisition; nothing was recorded"


@contextmanager
def logged_and_closed(launcher: Launcher, session: SessionContext) -> Iterator[None]:
    """Log the session while the context lasts, and close its entry also where it is refused or interrupted.

    Ctrl-C is held within it, and heard where somebody is waited for: in the plugins' parts, pauses and questions.
    """
    try:
        with interrupts.held(), session_log(session.log, session.name, launcher.steps.redact):
            logger.info("session %s of %s", session.name, launcher.repository)
            try:
                with _closed(launcher, session):
                    yield
            finally:
                if _has_begun(launcher, session.name):
                    report_rig(launcher)
    except KeyboardInterrupt:
        record = launcher.journal.session(session.name)
        if record is None or record.state == "cancelled":
            logger.warning("Session %s is cancelled: nothing was acquired.", session.name)
        elif record.state in UNFINISHED:
            logger.warning("Session %s is safe; `aind-launch resume %s` goes on.", session.name, session.name)
        else:
            logger.warning("Session %s is %s: all of it was done.", session.name, record.state)
        raise


@contextmanager
def _closed(launcher: Launcher, session: SessionContext) -> Iterator[None]:
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


def _has_begun(launcher: Launcher, name: str) -> bool:
    """Whether the session came further than its checks, after which something was changed."""
    steps = (step for step in launcher.journal.steps(name) if step.error != NOT_BEGUN)
    return any(step.id.hook in ("begin_session", "run_session") for step in steps)


def _close_early(
    launcher: Launcher, session: SessionContext, before: SessionState, code: ExitCode, message: str
) -> None:
    """Close the entry of a session that left the road: as `before`, or as incomplete once it has data."""
    message = launcher.steps.redact(message)
    if may_have_data(launcher, session):
        launcher.journal.end_session(session.name, "incomplete", code, message)
    else:
        close_unacquired(launcher, session.name, before, code, message)


def close_unacquired(launcher: Launcher, name: str, state: SessionState, code: ExitCode, message: str) -> None:
    """Close the entry of a session that ended before its acquisition, also in the register that gave it a ticket."""
    launcher.journal.end_session(name, state, code, message)
    with suppress(LauncherError, OSError):
        session = launcher.journal.context(name)
        if _has_begun(launcher, name):
            for _ in launcher.steps.each("session_finished", session, state, outcome=state):
                """Each plugin is told."""
        folder.remove_unfinished(session)


def close_cut_off(launcher: Launcher, session: SessionContext) -> None:
    """Close the sessions of this animal on this rig whose launcher was killed between their ticket and acquisition.

    This launcher holds the rig, so nobody is at them.
    """
    running = ("session", session.rig_name, "running")
    for entry in session.animal_entries:
        record = launcher.journal.session(str(entry.session_name))
        if record is None or (entry.kind, entry.rig, entry.state) != running or record.state not in UNFINISHED:
            continue
        with suppress(LauncherError, OSError):
            mine = record.name != session.name and launcher.home.has(record)
            if mine and not may_have_data(launcher, launcher.journal.context(record.name)):
                close_unacquired(launcher, record.name, "cancelled", ExitCode.INTERRUPTED, CUT_OFF)


def may_have_data(launcher: Launcher, session: SessionContext) -> bool:
    """Whether the acquisition began; the folder knows it, too, where the journal could not be written."""
    known = session.acquisition or acquisition_step(launcher.journal, session.name)
    return known is not None or folder.has_data(session)
