"""The built-in `isolated-curriculum` plugin: the pinned curriculum decides, in its own environment and process."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from pydantic import Field, ValidationInfo, field_validator

from aind_launcher.curriculum.choosing import choose_source
from aind_launcher.curriculum.contract import Commands, Limits, SourceSettings
from aind_launcher.curriculum.environments import ensure_environment, find_environment, health_check
from aind_launcher.curriculum.pins import Pin, pin
from aind_launcher.curriculum.project import LOCK
from aind_launcher.curriculum.sources import Source, find_sources, passed_over, quoted
from aind_launcher.curriculum.specification import EnvironmentSpec, is_locked, specify
from aind_launcher.errors import CurriculumError, LauncherError, SourceError, StepSkipped
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.session import Check, SessionContext
from aind_launcher.model.sources import Progress
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.settings.layers import SettingsLayers

if TYPE_CHECKING:
    # What asks a curriculum starts programs; what only lists animals or settings has no use for that.
    from aind_launcher.curriculum.catalogue import Catalogue
    from aind_launcher.curriculum.installed import Installed, Versions

logger = logging.getLogger(__name__)


class IsolatedCurriculum:
    """Verifies the curriculum's environment before a session, and asks it after."""

    class Settings(Limits):
        """``[tool.aind-launcher.plugin.isolated-curriculum]``"""

        source: str | None = Field(None, description="The source that serves every animal, where there are several.")
        sources: dict[str, SourceSettings] = Field({}, description="Sources by name: folders, and how each is asked.")
        require_lock: bool = Field(False, description="Refuse a source without a uv.lock of its own or its workspace.")
        cache_directory: Path = Field(
            default_factory=lambda: Path(platformdirs.user_cache_dir("aind-launcher", appauthor=False)),
            description="Where environments are built; a short path on a local disk.",
        )

        @field_validator("timeout")
        @classmethod
        def _within_a_step(cls, seconds: float, info: ValidationInfo) -> float:
            if isinstance(info.context, SettingsLayers):
                minutes = info.context.launcher().settings.step_timeout
                if seconds > 60 * minutes:
                    raise ValueError(
                        f"{seconds:g} seconds are more than a step gets, which ends after {minutes:g} minutes. "
                        "Raise step-timeout, too"
                    )
            return seconds

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sources(self, repository: Path) -> tuple[Source, ...]:
        """Every curriculum source of a task repository."""
        chosen = self.settings.sources
        return find_sources(
            repository,
            {name: source.path for name, source in chosen.items()},
            {name for name, source in chosen.items() if not source.needs_script},
        )

    def expected(self, repository: Path) -> tuple[Source, ...]:
        """Those of `sources` that have to be in order: not a submodule that is not checked out and may be none."""
        named = {*self.settings.sources, self.settings.source}
        sources = self.sources(repository)
        return tuple(source for source in sources if source.is_present or source.name in named) or sources

    def choose(self, repository: Path, package: str | None = None, wanted: str | None = None) -> Source:
        """The source that serves an animal whose curriculum is the module `package`.

        :param wanted: a name that comes before the setting.
        :raises SourceError: none serves, or several would.
        """
        return choose_source(self.sources(repository), wanted or self.settings.source, package)

    def pin(self, source: Source) -> Pin:
        """The pin of `source`, which is blocked, too, where it has no lock and `require-lock` asks for one."""
        pinned = pin(source)
        if pinned.blocked or not self.settings.require_lock or is_locked(source):
            return pinned
        unlocked = SourceError(
            f"The curriculum source {source.name!r} has no {LOCK} in git, which the setting 'require-lock' asks for.",
            _how_to_lock(source),
        )
        return replace(pinned, blocked=unlocked)

    def specify(self, source: Source, pinned: Pin) -> EnvironmentSpec:
        """The environment that `source` needs at its pin."""
        of_source = self._of(source)
        return specify(source, pinned, self.settings.cache_directory, of_source.extras, of_source.python)

    def install(
        self, source: Source, *, allow_dirty: bool = False, progress: Progress | None = None, compared: bool = True
    ) -> "Installed":
        """`source` in its environment, which is built where it is not there yet.

        :param compared: see `ensure_environment`.
        :raises LauncherError: the source is not as pinned, or its environment cannot be built.
        """
        from aind_launcher.curriculum.installed import Installed

        pinned = self.pin(source)
        pinned.require(allow_dirty=allow_dirty)
        environment = ensure_environment(self.specify(source, pinned), progress or logger.info, compared=compared)
        programs = (environment.python, environment.scripts, environment.clone, environment.inside)
        commands = Commands(self._of(source), *programs)
        return Installed(source, pinned, environment, commands, self.settings)

    def ready(
        self,
        repository: Path,
        state: TrainerStateText,
        *,
        allow_dirty: bool = False,
        progress: Progress | None = None,
    ) -> "tuple[Installed, Versions]":
        """The source that serves an animal in `state`, which imports the animal's curriculum, and its versions.

        :raises LauncherError: no session can run with it.
        """
        installed = self.install(self.choose(repository, state.package), allow_dirty=allow_dirty, progress=progress)
        return installed, installed.check(state.package)

    def unbuilt(self, source: Source, pinned: Pin) -> str | None:
        """Say why a session would have to build the environment of `source` first, or return None."""
        environment = None if pinned.blocked else find_environment(self.specify(source, pinned).folder)
        if environment is None:
            return "its environment is not built yet."
        problem = health_check(environment)
        return f"its environment will be built again. {problem}" if problem else None

    @hookimpl
    def curriculum_sources(self, repository: Path) -> "Catalogue":
        """The sources of a task repository, for the commands."""
        from aind_launcher.curriculum.catalogue import Catalogue

        return Catalogue(self, repository)

    @hookimpl
    def check_rig(self, repository: Path) -> list[Check]:
        """The source that settings choose is there, and every source is as pinned, and built."""
        checks = []
        if self.settings.source is not None:
            try:
                self.choose(repository)
            except LauncherError as error:
                checks.append(Check.failed("curriculum", error.message, error.hint))
        sources = self.expected(repository)
        for source in sources:
            pinned, name = self.pin(source), f"curriculum {source.name}"
            if pinned.problem:
                checks.append(Check.failed(name, pinned.problem.message, pinned.problem.hint))
                continue
            if not is_locked(source):
                unlocked = f"unlocked: it has no {LOCK}, and another rig may install other packages."
                checks.append(Check.warning(name, unlocked, _how_to_lock(source)))
            if unbuilt := self.unbuilt(source, pinned):
                hint = "Run `aind-launch curricula sync` before the first animal."
                checks.append(Check.warning(name, unbuilt, hint))
            else:
                known = f"pinned at {(pinned.commit or '')[:10]}, built"
                checks.append(Check.passed(name, known))
        if others := passed_over(repository, sources):
            reasons = "; ".join(f"{path} {reason}" for path, reason in others.items())
            checks.append(Check.passed("submodules without a curriculum", reasons))
        if not sources:
            checks.append(Check.passed("curriculum", "no source; no curriculum decides here"))
        return checks

    @hookimpl
    def pre_session(self, session: SessionContext) -> list[Check]:
        """The environment is built or verified, its versions answer, and the animal's curriculum imports."""
        try:
            state = _deciding_state(session)
        except StepSkipped as reason:
            return [Check.passed("curriculum", reason.message)]
        try:
            allow_dirty = session.session.allow_dirty_repo
            installed, versions = self.ready(session.repository.path, state, allow_dirty=allow_dirty)
        except LauncherError as error:
            return [Check.failed("curriculum", error.message, error.hint)]
        checks = []
        if unreviewed := installed.pin.unreviewed:
            message = f"{unreviewed.message} It decides all the same (--allow-dirty)."
            checks.append(Check.warning("curriculum source", message))
        known = f"{installed.source.name} {versions.package or ''}".strip()
        logger.debug("%s has the DSL %s", known, versions.dsl or "in an unknown version")
        environment = installed.environment
        message = f"{state.curriculum} of {known} at {environment.commit[:10]} (Python {environment.python_version}"
        message += ")" if environment.locked else ", unlocked)"
        return [*checks, Check.passed("curriculum", message)]

    @hookimpl
    def curriculum_suggest(self, session: SessionContext) -> CurriculumSuggestion:
        """Ask the pinned curriculum of this animal."""
        state = _deciding_state(session)
        if not session.paths.trainer_state.is_file():
            raise CurriculumError(
                f"The trainer state that the session ran with is gone: {session.paths.trainer_state}.",
                "Bring the session's folder back and resume.",
            )
        source = self.choose(session.repository.path, state.package)
        installed = self.install(source, allow_dirty=session.session.allow_dirty_repo, compared=False)
        return installed.suggest(session, lambda stream, line: logger.debug("%s: %s", stream, line))

    def _of(self, source: Source) -> SourceSettings:
        return self.settings.sources.get(source.name) or SourceSettings.model_validate({})


def _how_to_lock(source: Source) -> str:
    return f"Run `uv lock` in {quoted(source.relative)} and commit {LOCK}."


def _deciding_state(session: SessionContext) -> TrainerStateText:
    """The trainer state by which a curriculum decides over this session.

    :raises StepSkipped: none does; says why.
    """
    state = session.animal_state
    if state is None:
        raise StepSkipped("No curriculum decides: the animal has no trainer state.")
    if session.task_source == "file":
        raise StepSkipped("No curriculum decides: the session runs the operator's own task (--task).")
    if not state.trainer_state.is_on_curriculum:
        raise StepSkipped("No curriculum decides: the animal is off its curriculum.")
    return state.trainer_state
