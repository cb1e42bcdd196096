"""The built-in `local-store` plugin: keeps where each animal stands in a library of files."""

import logging
from pathlib import Path

import platformdirs
from pydantic import Field, NonNegativeFloat

from aind_launcher.builtin.local_store.library import HISTORY, Library, Recorded
from aind_launcher.errors import LauncherError
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Check, Inputs, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.settings.model import ExperimentName, SettingsModel
from aind_launcher.system.files import write_problem

logger = logging.getLogger(__name__)


class LocalStore:
    """Knows an animal before its session and records the curriculum's decision after it."""

    class Settings(SettingsModel):
        """``[tool.aind-launcher.plugin.local-store]``"""

        library: Path | None = Field(
            None,
            description="The folder where animals are kept; it may be a network share. Without it: a "
            "folder of this login.",
        )
        experiment: ExperimentName | None = Field(
            None, description="The animals' folder in the library. Without it: the session's experiment, or 'default'."
        )
        lock_timeout: NonNegativeFloat = Field(
            30, description="Seconds to wait while another rig writes the same animal."
        )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def root(self, repository: Path) -> Path:
        """The library's folder, for the task repository at `repository`.

        :raises LauncherError: the folder of this login cannot be made.
        """
        if self.settings.library is not None:
            return repository / self.settings.library
        root = Path(platformdirs.user_data_dir("aind-launcher", appauthor=False)) / "library"
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LauncherError(
                f"The library of animals {root} cannot be made: {error.strerror or error}.",
                "Choose another folder with the setting plugin.local-store.library.",
            ) from None
        return root

    def library(self, repository: Path, experiment: str | None) -> Library:
        """The animals of an experiment.

        :param experiment: the session's; the setting comes before it.
        """
        name = self.settings.experiment or experiment or "default"
        return Library(self.root(repository), name, self.settings.lock_timeout)

    @hookimpl
    def animal_store(self, repository: Path, experiment: str | None) -> Library:
        """The library, for the commands."""
        return self.library(repository, experiment)

    @hookimpl
    def load_animal_state(self, session: SessionContext) -> AnimalState | None:
        """The animal's latest state, also where another tool wrote it."""
        library = self._library(session)
        animal = library.read(session.subject)
        if not library.root.is_dir():
            logger.warning("The library of animals %s does not exist; if it did, connect its drive.", library.root)
        elif animal.state is None and (lost := library.lost(session.subject)):
            logger.warning("%s %s", lost, library.how_to_restore(session.subject))
        if animal.changed_outside:
            logger.warning(
                "The trainer state of %s was changed outside the launcher (%s): it has no metrics, and the session "
                "that it came from is not known.",
                session.subject,
                animal.folder,
            )
        return animal.state

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
        return _writable(problem, f"{session.subject} in {library.root}", "record what the curriculum decides")

    @hookimpl
    def check_rig(self, repository: Path) -> Check:
        """Whether the library is there and may be written."""
        root = self.root(repository)
        # A new library's folder is made with its first animal; what would hold it must be there.
        problem = write_problem(root) if root.parent.is_dir() else f"{root} is not there."
        if problem is None and not root.is_dir():
            return Check(
                name="library",
                outcome="warning",
                message=f"{root} does not exist yet; the first animal that is enrolled makes it. If animals were kept "
                "there before, connect its drive or correct plugin.local-store.library.",
            )
        if problem is None and self.settings.library is None:
            return Check(
                name="library",
                outcome="warning",
                message=f"{root} belongs to this login: another operator does not find the animals that it keeps.",
                hint="Set plugin.local-store.library to a folder that all operators and rigs share.",
            )
        return _writable(problem, str(root), "record where an animal stands")

    @hookimpl
    def record_state(self, session: SessionContext, suggestion: CurriculumSuggestion) -> Recorded:
        """Make the suggestion the animal's state, unless the animal is further already."""
        recorded = self._library(session).record(
            session.subject,
            suggestion,
            session.name,
            session.session.date,
            session.animal_state,
            known=session.results.get("load_animal_state", {}).get("local-store") is not None,
        )
        if recorded.outcome == "superseded":
            logger.warning(
                "The decision on session %s came too late: %s. It is kept in %s.",
                session.name,
                recorded.because,
                recorded.entry,
            )
        return recorded

    def _library(self, session: SessionContext) -> Library:
        return self.library(session.repository.path, session.session.experiment)


def _writable(problem: str | None, message: str, purpose: str) -> Check:
    if problem is None:
        return Check(name="library", outcome="passed", message=message)
    return Check(
        name="library",
        outcome="failed",
        message=f"{problem} The launcher could not {purpose}.",
        hint="Connect the library's drive or share, or give this login the right to write there.",
    )
