"""A session from the choice of the animal to the end of its acquisition; `road` declares what follows."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aind_launcher.errors import AnimalError, BeginAgain, Refused
from aind_launcher.journal.records import StepId
from aind_launcher.lifecycle import folder, inputs
from aind_launcher.lifecycle.closing import close_cut_off, logged_and_closed
from aind_launcher.lifecycle.finish import Outcome, finish_session
from aind_launcher.lifecycle.guards import guards
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.loading import with_animal_state
from aind_launcher.lifecycle.seen import CONNECT, refuse_seen, refuse_unplugged, subjects_seen
from aind_launcher.lifecycle.steps import LAUNCHER, acquisition_of, with_result
from aind_launcher.lifecycle.stores import ask_store, known_tickets, newest_entries, report_rig
from aind_launcher.model.names import did_you_mean, names_like
from aind_launcher.model.register import Ticket
from aind_launcher.model.session import Acquisition, Check, Inputs, Session, SessionContext, session_name
from aind_launcher.model.store import removed_from
from aind_launcher.system.git import describe_repository
from aind_launcher.system.interrupts import InterruptedAgain
from aind_launcher.system.processes import refuse_orphans
from aind_launcher.system.rig import installation

if TYPE_CHECKING:
    from aind_launcher.model.store import AnimalStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the operator asked for.

    :param subject: the animal.
    :param experimenter: who runs the session, one or several.
    :param notes: the operator's own.
    :param task_file: run this task instead of what the animal's state says; no curriculum decides then.
    :param allow_dirty: run also with changes that are not committed.
    :param skip_hardware_validation: the task is not to check its hardware.
    :param new_data_directory: the data directory may be empty though sessions were written there before.
    """

    subject: str
    experimenter: tuple[str, ...] = ()
    notes: str | None = None
    task_file: Path | None = None
    allow_dirty: bool = False
    skip_hardware_validation: bool = False
    new_data_directory: bool = False


# Times that a session begins again where somebody else moves its animal meanwhile.
_BEGINNINGS = 3


def run_session(launcher: Launcher, request: Request) -> Outcome:
    """Take an animal through a whole session.

    :raises LauncherError: the session was refused before the acquisition; nothing was changed.
    """
    refuse_orphans(launcher.journal.staging)
    why = None
    for _ in range(_BEGINNINGS - 1):
        try:
            return _run_session(launcher, request, why)
        except BeginAgain as reason:
            why = reason.message
            logger.warning("%s The session begins again.", why)
    return _run_session(launcher, request, why)


def _run_session(launcher: Launcher, request: Request, began_again: str | None) -> Outcome:
    session = _begin(launcher, request)
    with logged_and_closed(launcher, session):
        session = with_animal_state(launcher, session, needed=request.task_file is None)
        session = _prepared(launcher, session, request)
        session = _checked(launcher, session, request, began_again)
        session = _confirmed(launcher, session)
        folder.stage_inputs(session)
        session = _acquired(launcher, session)
        return finish_session(launcher, session)


def _begin(launcher: Launcher, request: Request) -> SessionContext:
    rig = inputs.read_rig(launcher.settings.rig)
    data_directory = inputs.data_directory(launcher.settings, rig)
    # The task repository may be a folder of a larger one; paths in settings start at its pyproject.toml.
    repository = describe_repository(launcher.repository).model_copy(update={"path": launcher.repository})
    session = Session(
        subject=request.subject,
        experiment=launcher.settings.experiment,
        # What is typed here leaves the machine: to the animal's register, and with the data.
        experimenter=[launcher.steps.redact(name) for name in request.experimenter],
        notes=launcher.steps.redact(request.notes) if request.notes else request.notes,
        commit_hash=repository.commit,
        allow_dirty_repo=request.allow_dirty,
        skip_hardware_validation=request.skip_hardware_validation,
    )
    try:
        while launcher.journal.session(session.session_name) or (data_directory / session.session_name).exists():
            # Names have whole seconds; the next one is free.
            later = session.date + timedelta(seconds=1)
            session = session.model_copy(update={"date": later, "session_name": session_name(session.subject, later)})
    except OSError as error:
        raise Refused(
            f"{data_directory} cannot be looked into: {error.strerror or error}.",
            "Connect the disk, or give this login the right to write there.",
        ) from None
    context = SessionContext(
        session=session,
        folder=data_directory / session.session_name,
        staging=launcher.journal.staging / session.session_name,
        repository=repository,
        rig=rig,
        rig_name=inputs.rig_name(launcher.settings),
        installation=installation(launcher.settings.state_directory),
    )
    launcher.keep(context)
    launcher.work_on(context.name)
    return context


def _prepared(launcher: Launcher, session: SessionContext, request: Request) -> SessionContext:
    """The session with rig and task as the acquisition will get them."""
    session = inputs.with_task(session, request.task_file)
    for call in launcher.plugins.calls("prepare_session"):
        given = Inputs(rig=session.rig, task=session.task)
        record = launcher.steps.call(call, "prepare_session", session, inputs=given)
        if record.state == "failed":
            raise Refused(f"Plugin {record.id.plugin} could not prepare the session. {record.error}")
        session = with_result(session, record)
        if record.result is not None:
            session = inputs.changed(session, Inputs.model_validate(record.result), record.id.plugin)
    if session.task is None and session.animal_state is None:
        _refuse_unknown(launcher, session)
    launcher.keep(session)
    return session


def _refusal(store: "AnimalStore", subject: str) -> AnimalError | None:
    """Why the store does not let the animal begin as a new one: it had a state, which is lost."""
    try:
        store.refuse_known(subject)
    except AnimalError as error:
        return error
    return None


def _refuse_unknown(launcher: Launcher, session: SessionContext) -> NoReturn:
    """Say what may be wrong where no store knows the animal: its number, or the library, or that it is new.

    :raises AnimalError: always.
    """
    subject, experiment = session.subject, session.session.experiment
    if refusal := ask_store(launcher, lambda store: _refusal(store, subject)):
        raise refusal
    stores = ", ".join(call.plugin.name for call in launcher.plugins.calls("load_animal_state")) or "no store"
    answer = ask_store(launcher, lambda store: (store.place, store.subjects(), removed_from(store)))
    place, animals, removed = answer or ("", (), ())
    if subject not in removed:
        refuse_seen(launcher.home, subject, experiment, stores, CONNECT)
    if place and not animals:
        refuse_unplugged(launcher.home, experiment, place, removed=removed)
    known = {*animals, *subjects_seen(launcher.home)}.difference(removed)
    raise AnimalError(
        f"Animal {subject} {'was removed' if subject in removed else 'is unknown'} ({stores}).",
        f"{did_you_mean(names_like(subject, known))}Check the number, enrol it with "
        f"`aind-launch curricula enroll {subject} --curriculum NAME`, or give its task with --task FILE.",
    )


def _checked(launcher: Launcher, session: SessionContext, request: Request, began_again: str | None) -> SessionContext:
    """Run every check and show them all; one that failed refuses the session.

    :param began_again: as in `guards`.
    """
    session = session.model_copy(update={"animal_entries": newest_entries(launcher, session.subject)})
    step = StepId(session.name, "pre_session", LAUNCHER)
    own = launcher.steps.run(
        step,
        lambda: guards(launcher, session, began_again, new_data_directory=request.new_data_directory),
    )
    session = with_result(session, own)
    checks: list[Check] = []
    for record in (own, *launcher.steps.each("pre_session", session)):
        session = with_result(session, record)
        if record.state == "failed":
            checks.append(Check.failed(record.id.plugin, record.error or ""))
        checks += [Check.model_validate(check) for check in record.result or ()]
    failed = [check for check in checks if check.outcome == "failed"]
    # The first that failed is shown as what refuses the session.
    launcher.operator.checks([check for check in checks if check not in failed[:1]])
    if failed:
        first = failed[0]
        more = f" ({len(failed) - 1} more above)" if len(failed) > 1 else ""
        raise Refused(f"{first.name}: {first.message}{more}", first.hint)
    return session


def _confirmed(launcher: Launcher, session: SessionContext) -> SessionContext:
    """The session with its ticket, once the operator has seen which animal this is and agrees.

    :raises Refused: the operator does not.
    """
    if not launcher.operator.confirms(session):
        raise Refused("The session was not started.", "Nothing was changed.")
    close_cut_off(launcher, session)
    known = known_tickets(launcher, session)
    for call in launcher.plugins.calls("begin_session"):
        record = launcher.steps.call(call, "begin_session", session, known=known)
        session = with_result(session, record)
        if session.ticket is None and record.result is not None:
            session = session.model_copy(update={"ticket": Ticket.model_validate(record.result)})
            # Its store must hear how the session ends, also where another store is interrupted.
            launcher.keep(session)
    if session.ticket is None and session.is_on_curriculum:
        logger.warning("The session has no ticket: its decision applies only if nobody moves the animal meanwhile.")
    launcher.keep(session)
    report_rig(launcher, session)
    return session


def _acquired(launcher: Launcher, session: SessionContext) -> SessionContext:
    """Run the acquisition, once; then ask what becomes of its data."""
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
    return with_disposition(launcher, session, acquisition)


def with_disposition(launcher: Launcher, session: SessionContext, acquisition: Acquisition) -> SessionContext:
    """The session with its acquisition, and with what the operator wants done with data that may be incomplete."""
    disposition = "score"
    if acquisition.outcome != "completed":
        how = "was interrupted" if acquisition.outcome == "interrupted" else "failed"
        logger.warning("The acquisition %s. %s", how, acquisition.message or "")
        disposition = launcher.operator.ask(
            f"The acquisition {how}. What becomes of its data?",
            {
                "score": "hand it off and let the curriculum decide on it",
                "keep": "hand it off; the animal stays where it is",
                "discard": "leave it where it lies; nothing more happens",
            },
            default="keep",
        )
    session = session.model_copy(update={"acquisition": acquisition, "disposition": disposition})
    launcher.keep(session)
    return session
