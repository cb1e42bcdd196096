"""The built-in `local-store` plugin: stores where each animal stands in a library of files."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import Field

from aind_launcher.builtin.local_store.decisions import Recorded
from aind_launcher.builtin.local_store.folder import HISTORY
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.locks import has_locks
from aind_launcher.errors import AnimalError
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.register import Ticket
from aind_launcher.model.session import Check, Inputs, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.settings.model import ExperimentName, SettingsModel
from aind_launcher.system.files import exists, write_problem

logger = logging.getLogger(__name__)

# The plugin's, by which its answers are found in a session.
NAME: Final = "local-store"


class LocalStore:
    """Knows an animal before its session and records the curriculum's decision after it."""

    class Settings(SettingsModel):
        """``[tool.aind-launcher.plugin.local-store]``"""

        library: Path | None = Field(
            None,
            description="The folder of the animals; it may be a network share. Without it: a folder of this login.",
        )
        experiment: ExperimentName | None = Field(
            None, description="The animals' folder in the library. Without it: the session's experiment, or 'default'."
        )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def library(self, experiment: str | None) -> Library:
        """The animals of an experiment.

        :param experiment: the session's; the setting comes before it.
        :raises AnimalError: the library's drive or share is not there.
        """
        root = self.settings.library
        if root is None:
            root = Path(platformdirs.user_data_dir("aind-launcher", appauthor=False)) / "library"
        # An unmapped drive or a server that is down has no parent either; a new library's folder has one.
        elif not exists(root.parent):
            raise AnimalError(
                f"The library of animals {root} is not there.",
                "Connect its drive or share, or correct the setting plugin.local-store.library.",
            )
        return Library(root, self.settings.experiment or experiment or "default")

    @hookimpl
    def animal_store(self, experiment: str | None) -> Library:
        """The library, for the commands."""
        return self.library(experiment)

    @hookimpl
    def load_animal_state(self, session: SessionContext) -> AnimalState | None:
        """The animal's latest state, also where another tool wrote it."""
        library = self._library(session)
        animal = library.read(session.subject)
        if self.settings.library and not library.root.is_dir():
            logger.warning("The library of animals %s does not exist; if it did, connect its drive.", library.root)
        elif animal.state is None and (lost := library.lost(session.subject)):
            logger.warning("%s", lost)
        if animal.changed_outside:
            logger.warning(
                "The trainer state of %s was changed outside the launcher (%s): it has no metrics, and the session "
                "that it came from is not known.",
                session.subject,
                animal.folder,
            )
        return animal.state and library.as_later_than_all_tickets(session.subject, animal.state)

    @hookimpl(tryfirst=True)
    def prepare_session(self, session: SessionContext, inputs: Inputs) -> Inputs | None:
        """The animal's own task, where neither a curriculum nor the operator gave one."""
        if inputs.task is not None:
            return None
        task = self._library(session).task(session.subject)
        return None if task is None else inputs.model_copy(update={"task": task, "task_from": "animal"})

    @hookimpl
    def pre_session(self, session: SessionContext) -> Check | None:
        """Whether the decision that this session leads to could be recorded."""
        if not session.is_on_curriculum:
            return None
        library = self._library(session)
        folder = library.folder(session.subject)
        # The history's folder is made with the animal's first decision.
        problem = write_problem(folder) or write_problem(folder / HISTORY)
        return _writable(problem, folder, f"{session.subject} in {library.root}", "record what the curriculum decides")

    @hookimpl
    def check_rig(self) -> Check:
        """Whether the library is there and may be written."""
        root = self.library(None).root
        problem = write_problem(root)
        if problem is None and self.settings.library is None:
            message = f"{root} belongs to this login: another operator does not find the animals in it."
            hint = "Set plugin.local-store.library to a folder that all operators and rigs share."
            return Check.warning("library", message, hint)
        if problem is None and not root.is_dir():
            message = (
                f"{root} does not exist yet; the first animal that is enrolled makes it. If animals were stored there "
                "before, connect its drive or correct plugin.local-store.library."
            )
            return Check.warning("library", message)
        return _writable(problem, root, str(root), "record where an animal stands")

    @hookimpl
    def begin_session(self, session: SessionContext, known: Sequence[Ticket]) -> Ticket | None:
        """A ticket for an animal that this library or another store knows."""
        if session.animal_state is None:
            answered = NAME in session.results.get("load_animal_state", {})
            if not answered or not self._library(session).read(session.subject).has_task:
                return None
        return self._library(session).begin(session, _loaded(session), known)

    @hookimpl
    def record_state(self, session: SessionContext, suggestion: CurriculumSuggestion) -> Recorded:
        """Make the suggestion the animal's state, unless the animal is further already."""
        recorded = self._library(session).record(
            session.subject,
            suggestion,
            session.name,
            session.session.date,
            _loaded(session),
            _as_given(session).ticket,
            ran_with=session.animal_state.trainer_state if session.animal_state else None,
        )
        if recorded.outcome == "superseded":
            logger.warning(
                "The decision on session %s came too late: %s. It stands in %s alone.",
                session.name,
                recorded.because,
                recorded.entry or "the session's own record",
            )
        elif recorded.because:
            logger.warning("The decision on session %s applies, but %s.", session.name, recorded.because)
        return recorded

    @hookimpl
    def session_finished(self, session: SessionContext, outcome: str) -> None:
        """Enter into the register how the session stands; a session that needed no library has no entry there."""
        needed = session.ticket or session.animal_state or session.task_source == "animal"
        if needed:
            self._library(session).finish(_as_given(session), outcome)

    def _library(self, session: SessionContext) -> Library:
        return self.library(session.session.experiment)


def _loaded(session: SessionContext) -> AnimalState | None:
    """What this store said of the animal when the session was prepared."""
    said = session.results.get("load_animal_state", {}).get(NAME)
    return None if said is None else AnimalState.model_validate(said)


def _as_given(session: SessionContext) -> SessionContext:
    """`session` with the ticket that this store gave it; another store may have given the session's own before."""
    said = session.results.get("begin_session", {}).get(NAME)
    return session if said is None else session.model_copy(update={"ticket": Ticket.model_validate(said)})


def _writable(problem: str | None, folder: Path, message: str, purpose: str) -> Check:
    if problem is not None:
        hint = "Connect the library's drive or share, or give this login the right to write there."
        return Check.failed("library", f"{problem} The launcher could not {purpose}.", hint)
    if not has_locks(folder):
        message += (
            ": its file system has no locks, so two rigs that write the same animal in the same moment are not kept "
            "apart, and what one of them writes may be lost."
        )
        hint = "Run an animal on one rig at a time, or have the share mounted with locks (Lustre: the option flock)."
        return Check.warning("library", message, hint)
    return Check.passed("library", message)
