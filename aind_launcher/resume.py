"""Finishes what a session left undone: joins the road of `lifecycle` after the acquisition."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aind_launcher.errors import ExitCode, LauncherError, Refused
from aind_launcher.journal import UNFINISHED, Journal, SessionRecord, StepRecord
from aind_launcher.lifecycle import Launcher, Outcome, closed_whatever_happens, finish_session, settled
from aind_launcher.machine import RigLock
from aind_launcher.session import Acquisition, SessionContext
from aind_launcher.steps import as_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wishes:
    """What the operator says about a session that cannot be known from the journal.

    :param acquisition_complete: go on with the data of an acquisition that the launcher did not see end.
    :param score: ask the curriculum about data that was only to be kept.
    :param hand_off_again: the folder may be written into and is handed off once more.
    """

    acquisition_complete: bool = False
    score: bool = False
    hand_off_again: bool = False


@dataclass(frozen=True)
class Planned:
    """One line of ``resume --dry-run``."""

    hook: str
    plugin: str
    why: str


def unfinished(journal: Journal, repository: Path | None = None) -> tuple[SessionRecord, ...]:
    """Sessions with something left to do, oldest first; of one task repository, or of all."""
    return tuple(
        record
        for record in journal.sessions(states=UNFINISHED)
        if repository is None or record.repository == repository
    )


def plan(launcher: Launcher, record: SessionRecord) -> tuple[Planned, ...]:
    """What resuming would do, without doing it."""
    acquired = _acquisition_step(launcher.journal, record.name)
    if acquired is None:
        return (Planned("session", "launcher", "ended before its acquisition; it is closed as cancelled"),)
    steps = {(step.id.hook, step.id.plugin): step for step in launcher.journal.current_steps(record.name)}
    planned = []
    if acquired.state == "running":
        planned.append(Planned("run_session", acquired.id.plugin, "was not seen to end; asks to go on with its data"))
    suggested = next((step for (hook, _), step in steps.items() if hook == "curriculum_suggest"), None)
    context = SessionContext.model_validate_json(record.context)
    late = context.disposition == "score" and (suggested is None or suggested.state in ("failed", "running"))
    for hook in ("curriculum_suggest", "post_session", "transfer_session"):
        for call in launcher.plugins.calls(hook):
            step = steps.get((hook, call.plugin.name))
            if hook == "curriculum_suggest" and not late:
                continue
            if step is None:
                planned.append(Planned(hook, call.plugin.name, "has not run"))
            elif step.state in ("failed", "running"):
                planned.append(Planned(hook, call.plugin.name, step.error or "was interrupted"))
            elif hook == "post_session" and late:
                planned.append(Planned(hook, call.plugin.name, "runs again if the curriculum answers"))
    return tuple(planned)


def resume_session(launcher: Launcher, record: SessionRecord, wishes: Wishes, lock: RigLock) -> Outcome:
    """Do what is not done yet, in order; an acquisition is never run again.

    :raises LauncherError: the session belongs to another task repository, or needs an answer first.
    """
    if record.repository != launcher.repository:
        raise Refused(
            f"Session {record.name} belongs to {record.repository}.", "Change to that folder and resume it there."
        )
    session = SessionContext.model_validate_json(record.context)
    acquired = _acquisition_step(launcher.journal, record.name)
    if acquired is None:
        message = "ended before its acquisition; nothing was recorded"
        launcher.journal.end_session(record.name, "cancelled", ExitCode.INTERRUPTED, message)
        return Outcome(session, "cancelled", ExitCode.DONE)
    lock.tell(record.name)
    with closed_whatever_happens(launcher, session):
        if session.acquisition is None:
            session = _with_acquisition(launcher, session, acquired, wishes)
        session = _as_wished(launcher, session, wishes)
        return finish_session(launcher, session)


def _with_acquisition(
    launcher: Launcher, session: SessionContext, acquired: StepRecord, wishes: Wishes
) -> SessionContext:
    if acquired.state == "done":
        return settled(launcher, session, as_model(acquired, Acquisition))
    if acquired.state == "failed":
        ended = acquired.ended or acquired.started
        result = Acquisition(outcome="failed", start=acquired.started, end=ended, message=acquired.error)
        return settled(launcher, session, result)
    if not wishes.acquisition_complete:
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
    result = Acquisition(
        outcome="completed", start=acquired.started, end=_last_change(session.folder, acquired.started)
    )
    return settled(launcher, session, result)


def _as_wished(launcher: Launcher, session: SessionContext, wishes: Wishes) -> SessionContext:
    if wishes.score and session.disposition != "score":
        session = session.model_copy(update={"disposition": "score"})
    if wishes.hand_off_again and session.handed_off:
        if not session.folder.is_dir():
            raise LauncherError(
                f"The folder {session.folder} is gone, so it cannot be handed off again.",
                "The transfer service may have moved it; ask there.",
            )
        session = session.model_copy(update={"handed_off": False, "hand_off": session.hand_off + 1})
    launcher.journal.keep_context(session.name, session.model_dump_json())
    return session


def _acquisition_step(journal: Journal, session: str) -> StepRecord | None:
    """The step that ran, or was running, the acquisition."""
    steps = [step for step in journal.current_steps(session) if step.id.hook == "run_session"]
    return next((step for step in steps if step.result is not None or step.state != "done"), None)


def _last_change(folder: Path, otherwise: datetime) -> datetime:
    """When the acquisition last wrote: the best there is for its end where nobody saw it."""
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(otherwise, datetime.fromtimestamp(max(times), UTC)) if times else otherwise
