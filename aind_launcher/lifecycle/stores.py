"""What the launcher itself asks of the animals' store, beside the hooks, and reports to it. It stops no session."""

import logging
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle import inputs, step_thread
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.clock import now
from aind_launcher.model.register import LOOKED_AT, RegisterEntry, RigStatus, Ticket, UnfinishedSession
from aind_launcher.system.rig import installation

if TYPE_CHECKING:
    from aind_launcher.journal.journal import Journal
    from aind_launcher.model.session import SessionContext
    from aind_launcher.model.store import AnimalStore
    from aind_launcher.plugins import Plugins
    from aind_launcher.settings.layers import LauncherSettings

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Seconds; a share that hangs must not keep an animal waiting.
_LONGEST = 20.0
# The sessions of an animal whose tickets this rig remembers.
_REMEMBERED = 5


def ask_store(launcher: Launcher, question: "Callable[[AnimalStore], Answer]") -> Answer | None:
    """What the animals' store answers; None, after a warning, where it cannot, and where there is none."""

    def store() -> "AnimalStore | None":
        return find_store(launcher.plugins, launcher.repository, launcher.settings.experiment)

    return ask(store, question, launcher.steps.redact)


def find_store(plugins: "Plugins", repository: Path, experiment: str | None) -> "AnimalStore | None":
    """The first store of animals that a plugin has."""
    calls = plugins.calls("animal_store")
    answers: Iterator[AnimalStore | None] = (call(repository=repository, experiment=experiment) for call in calls)
    return next((store for store in answers if store is not None), None)


def ask(
    find: "Callable[[], AnimalStore | None]",
    question: "Callable[[AnimalStore], Answer]",
    redact: Callable[[str], str] = str,
) -> Answer | None:
    """As `ask_store`, of the store that `find` finds."""

    def asked() -> Answer | None:
        store = find()
        return None if store is None else question(store)

    try:
        answer: Answer | None = step_thread.call(asked, _LONGEST, may_answer=False)
        return answer
    except step_thread.TookTooLong:
        logger.warning("The animals' store did not answer within %g s.", _LONGEST)
    except (Exception, SystemExit, GeneratorExit) as error:  # isolates what a store does when it is looked into
        reason = str(error) if isinstance(error, Exception) else repr(error)
        logger.warning("The animals' store cannot be asked: %s", redact(reason))
    return None


def newest_entries(launcher: Launcher, subject: str, last: int = LOOKED_AT) -> tuple[RegisterEntry, ...]:
    """The newest entries of an animal's register, oldest first."""
    record = ask_store(launcher, lambda store: store.register(subject, last))
    return record.entries if record else ()


def known_tickets(launcher: Launcher, session: "SessionContext") -> tuple[Ticket, ...]:
    """The tickets of the animal that this rig knows of: from what stores said, and from its journal."""
    said = session.results.get("load_animal_state", {}).values()
    tickets = [AnimalState.model_validate(state).ticket for state in said if state is not None]
    for record in launcher.journal.sessions(subject=session.subject, last=_REMEMBERED):
        with suppress(LauncherError):
            tickets.append(launcher.journal.context(record.name).ticket)
    return tuple(ticket for ticket in tickets if ticket)


def report_rig(launcher: Launcher, running: "SessionContext | None" = None) -> None:
    """Let the library know what is unfinished on this rig, and the session that it is at."""
    status = rig_status(launcher.settings, launcher.journal, running)
    try:
        ask_store(launcher, lambda store: store.report(status))
    except KeyboardInterrupt:
        if running:
            raise
        # All else is done.
        logger.warning("This rig was not reported to the animals' store.")


def rig_status(settings: "LauncherSettings", journal: "Journal", running: "SessionContext | None" = None) -> RigStatus:
    """What is unfinished on this rig, of all its task repositories, and the session that it is at."""
    return RigStatus(
        rig=running.rig_name if running else inputs.rig_name(settings),
        machine=platform.node(),
        installation=installation(settings.state_directory),
        written=now(),
        running=running.name if running else None,
        unfinished=tuple(
            UnfinishedSession(
                session_name=record.name, subject=record.subject, state=record.state, message=record.message
            )
            for record in journal.unfinished()
            if not running or record.name != running.name
        ),
    )
