"""What the commands `curricula` and `env` need of whatever runs the curricula of a task repository."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.suggestion import CurriculumSuggestion

# Shows a sentence to whoever waits.
Progress = Callable[[str], None]


class SourceStatus(BaseModel):
    """A curriculum source as it is now, or a submodule that is none; finding out builds nothing.

    :param name: what settings and commands call it.
    :param kind: for people, such as *submodule*.
    :param path: in the task repository, with forward slashes.
    :param url: where its repository is fetched from; None without one of its own.
    :param commit: the commit that the task repository pins.
    :param problem: why the source is refused, with what corrects it.
    :param built: whether it can be asked at once.
    :param locked: whether a lock file says which packages it gets; None where that is not known.
    :param curricula: the names of its curricula; None where they are not known.
    :param unasked: why they are not known.
    :param passed_over: why it is no curriculum source, as the end of a sentence: *has no pyproject.toml*.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    path: str
    url: str | None = None
    commit: str | None = None
    problem: str | None = None
    built: bool = False
    locked: bool | None = None
    curricula: tuple[str, ...] | None = None
    unasked: str | None = None
    passed_over: str | None = None


class BuiltEnvironment(BaseModel):
    """An environment in which a curriculum runs. More fields than these are shown with ``--json``.

    :param key: its name.
    :param folder: where it lies.
    :param source: the name of its curriculum source.
    :param commit: the commit that it was built from.
    :param dirty: whether uncommitted changes are part of it.
    :param python_version: the version of its Python.
    :param used: when it was last used.
    :param pinned: whether the task repository needs it as it is now.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    key: str
    folder: Path
    source: str
    commit: str
    dirty: bool = False
    python_version: str
    used: AwareDatetime
    pinned: bool


class BuiltSource(BaseModel):
    """A curriculum source that can be asked.

    :param commit: the commit that its environment was built from.
    :param environment: the key of its environment.
    :param python_version: the version of that environment's Python.
    :param locked: whether a lock file said which packages it gets; None where that is not known.
    :param package: the version of its package, where it was asked for it and says so.
    :param dsl: the version of its `aind-behavior-curriculum`, likewise.
    :param imported: the curricula that were imported in it, where it was asked to; without any it is only built.
    :param untried: why others were not.
    """

    model_config = ConfigDict(frozen=True)

    commit: str
    environment: str
    python_version: str
    locked: bool | None = None
    package: str | None = None
    dsl: str | None = None
    imported: tuple[str, ...] = ()
    untried: str | None = None


class CurriculumSources(Protocol):
    """The curriculum sources of one task repository. Every method raises a `LauncherError` where it cannot answer."""

    def names(self) -> Sequence[str]:
        """The name of every source."""

    def passed_over(self) -> Sequence[SourceStatus]:
        """What looks like a source to people, such as a submodule, and is none; each says why."""

    def status(self) -> Sequence[SourceStatus]:
        """Every source as it is now. Builds nothing."""

    def build(self, name: str, *, check: bool, allow_dirty: bool, progress: Progress) -> BuiltSource:
        """Make a source ready to be asked.

        :param check: verify that it answers and that its curricula can be imported, too.
        :param allow_dirty: also with uncommitted changes.
        """

    def first_state(
        self, curriculum: str, stage: str | None, *, source: str | None, allow_dirty: bool, progress: Progress
    ) -> TrainerStateText:
        """The state in which an animal starts `curriculum`, at its first stage or at `stage`.

        :param source: the source's name, where several have a curriculum of that name.
        """

    def verify(self, trainer_state: TrainerStateText, *, allow_dirty: bool, progress: Progress) -> None:
        """Do what is done before each session of an animal in this state: make its source ready, and try it.

        :raises LauncherError: no session would start.
        """

    def suggest(
        self, folder: Path, trainer_state: Path, *, source: str | None, allow_dirty: bool, progress: Progress
    ) -> CurriculumSuggestion:
        """What the curriculum decides on a session's folder. Nothing is recorded.

        :param trainer_state: the file with the state that the session ran with.
        """

    def environments(self) -> Sequence[BuiltEnvironment]:
        """Every environment on this machine, the last used first."""

    def prune(self, older_than: timedelta) -> Sequence[BuiltEnvironment]:
        """Remove environments that were not used for `older_than` and that the repository no longer pins.

        :return: those that were removed.
        """
