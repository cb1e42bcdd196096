"""The built-in `isolated-curriculum` plugin: the pinned curriculum decides, in its own environment and process."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import platformdirs
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveFloat,
    WithJsonSchema,
    field_validator,
)

from aind_launcher.curriculum.contract import Contract
from aind_launcher.curriculum.environments import (
    changed_file,
    ensure_environment,
    find_environment,
    health_check,
)
from aind_launcher.curriculum.sources import Pin, Source, choose_source, find_sources, pin
from aind_launcher.curriculum.specification import EnvironmentSpec, specify
from aind_launcher.errors import CurriculumError, LauncherError, StepSkipped
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.session import Check, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion

if TYPE_CHECKING:
    # What asks a curriculum starts programs; what only lists animals or settings has no use for that.
    from aind_launcher.curriculum.catalogue import Catalogue
    from aind_launcher.curriculum.installed import Installed

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
Size = Annotated[
    ByteSize,
    PlainSerializer(lambda size: size.human_readable(), return_type=str, when_used="json"),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0}),
]


class SourceSettings(BaseModel):
    """How one curriculum source is found and asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(None, description="Its folder in the task repository, for one that is not a submodule.")
    contract: Literal["default", "path"] | list[str] = Field(
        "default",
        description="How it is called: 'default' (curriculum run …), 'path' (curriculum -run --path=…), or a command "
        "of its own with the placeholders {data_directory}, {trainer_state} and {curriculum}.",
    )
    module: str | None = Field(None, description="Run as 'python -m MODULE', for a source without a console script.")
    options: dict[str, str | int | float | bool] = Field({}, description="Options passed to every run.")
    extras: list[str] = Field([], description="Extras to install with it.")
    python: str | None = Field(None, description="The Python of its environment, such as 3.12.")

    @field_validator("contract")
    @classmethod
    def _known_placeholders(
        cls, value: Literal["default", "path"] | list[str]
    ) -> Literal["default", "path"] | list[str]:
        try:
            Contract(tuple(value) if isinstance(value, list) else value)
        except LauncherError as error:
            raise ValueError(str(error)) from None
        return value

    def as_contract(self) -> Contract:
        """The same as the value that makes command lines."""
        form = tuple(self.contract) if isinstance(self.contract, list) else self.contract
        return Contract(form, self.module, self.options)


class IsolatedCurriculum:
    """Verifies the curriculum's environment before a session, and asks it after."""

    class Settings(BaseModel):
        """``[tool.aind-launcher.plugin.isolated-curriculum]``"""

        model_config = ConfigDict(frozen=True, extra="forbid")

        source: str | None = Field(None, description="The source that serves every animal, where there are several.")
        sources: dict[str, SourceSettings] = Field({}, description="Sources by name: folders, and how each is asked.")
        timeout: PositiveFloat = Field(900, description="Seconds that a curriculum may take to decide.")
        answer_timeout: PositiveFloat = Field(120, description="Seconds for list, init, version and for importing.")
        output_limit: Size = Field(ByteSize(1 << 30), description="What a curriculum may print, as in '1 GiB'.")
        cache_directory: Path = Field(
            default_factory=lambda: Path(platformdirs.user_cache_dir("aind-launcher", appauthor=False)),
            description="Where environments are built; a short path on a local disk.",
        )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sources(self, repository: Path) -> tuple[Source, ...]:
        """Every curriculum source of a task repository."""
        chosen = self.settings.sources
        return find_sources(
            repository,
            {name: source.path for name, source in chosen.items() if source.path},
            {name for name, source in chosen.items() if source.module or isinstance(source.contract, list)},
        )

    def choose(self, repository: Path, package: str | None = None, wanted: str | None = None) -> Source:
        """The source that serves an animal whose curriculum is the module `package`.

        :param wanted: a name that comes before the setting.
        :raises SourceError: none serves, or several would.
        """
        return choose_source(self.sources(repository), wanted or self.settings.source, package)

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

        pinned = pin(source)
        pinned.require(allow_dirty=allow_dirty)
        environment = ensure_environment(self.specify(source, pinned), progress or logger.info, compared=compared)
        return Installed(
            source,
            pinned,
            environment,
            self._of(source).as_contract().commands(environment.python, environment.scripts),
            self.settings.timeout,
            self.settings.answer_timeout,
            self.settings.output_limit,
        )

    def is_built(self, source: Source, pinned: Pin) -> bool:
        """Whether the environment of `source` at its pin is built and complete."""
        return self._unbuilt(source, pinned) is None

    def _unbuilt(self, source: Source, pinned: Pin) -> str | None:
        """Say why a session would have to build the environment of `source` first, or return None."""
        environment = None if pinned.blocked else find_environment(self.specify(source, pinned))
        if environment is None:
            return "its environment is not built yet."
        problem = health_check(environment) or changed_file(environment)
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
                checks.append(Check(name="curriculum", outcome="failed", message=error.message, hint=error.hint))
        for source in self.sources(repository):
            pinned = pin(source)
            name = f"curriculum {source.name}"
            if pinned.problem:
                problem = pinned.problem
                checks.append(Check(name=name, outcome="failed", message=problem.message, hint=problem.hint))
            elif unbuilt := self._unbuilt(source, pinned):
                hint = "Run `aind-launch curricula sync` before the first animal."
                checks.append(Check(name=name, outcome="warning", message=unbuilt, hint=hint))
            else:
                checks.append(
                    Check(name=name, outcome="passed", message=f"pinned at {(pinned.commit or '')[:10]}, built")
                )
        return checks or [Check(name="curriculum", outcome="passed", message="no source; no curriculum decides here")]

    @hookimpl
    def pre_session(self, session: SessionContext) -> list[Check]:
        """The environment is built or verified, its versions answer, and the animal's curriculum imports."""
        try:
            state = _deciding_state(session)
        except StepSkipped as reason:
            return [Check(name="curriculum", outcome="passed", message=reason.message)]
        allow_dirty = session.session.allow_dirty_repo
        try:
            source = self.choose(session.repository.path, state.package)
            installed = self.install(source, allow_dirty=allow_dirty)
            versions = installed.check(state.package)
        except LauncherError as error:
            return [Check(name="curriculum", outcome="failed", message=error.message, hint=error.hint)]
        checks = []
        if installed.pin.unreviewed:
            checks.append(
                Check(
                    name="curriculum source",
                    outcome="warning",
                    message=f"{installed.pin.unreviewed.message} It decides all the same (--allow-dirty).",
                )
            )
        known = f"{source.name} {versions.package or ''}".strip()
        where = f"Python {installed.environment.python_version}, DSL {versions.dsl or 'unknown'}"
        message = f"{state.curriculum} of {known} at {installed.environment.commit[:10]} ({where})"
        return [*checks, Check(name="curriculum", outcome="passed", message=message)]

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
