"""The curriculum sources of a task repository, as the commands `curricula` and `env` ask for them."""

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aind_launcher.curriculum.environments import Environment, list_environments, prune
from aind_launcher.curriculum.installed import Installed
from aind_launcher.curriculum.sources import Source, passed_over
from aind_launcher.curriculum.specification import is_locked
from aind_launcher.errors import CurriculumError, LauncherError, SourceError, UsageError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.sources import BuiltEnvironment, BuiltSource, Progress, SourceStatus
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import kept_folder

if TYPE_CHECKING:
    from aind_launcher.curriculum.plugin import IsolatedCurriculum


@dataclass(frozen=True)
class Catalogue:
    """The built-in `aind_launcher.CurriculumSources`: asks the plugin `isolated-curriculum`."""

    plugin: "IsolatedCurriculum"
    repository: Path

    def names(self) -> tuple[str, ...]:
        """The name of every source."""
        return tuple(source.name for source in self.plugin.expected(self.repository))

    def passed_over(self) -> tuple[SourceStatus, ...]:
        """The submodules that are no source."""
        reasons = passed_over(self.repository, self.plugin.expected(self.repository))
        return tuple(
            SourceStatus(name=path, kind="submodule", path=path, passed_over=reason) for path, reason in reasons.items()
        )

    def status(self) -> tuple[SourceStatus, ...]:
        """Every source: its pin, whether it is clean and built, and its curricula."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            return tuple(pool.map(self._status, self.plugin.expected(self.repository)))

    def build(self, name: str, *, check: bool, allow_dirty: bool, progress: Progress) -> BuiltSource:
        """Build the environment of a source at its pin."""
        source = self.plugin.choose(self.repository, None, name)
        installed = self.plugin.install(source, allow_dirty=allow_dirty, progress=progress)
        built = BuiltSource(
            commit=installed.environment.commit,
            environment=installed.environment.key,
            python_version=installed.environment.python_version,
            locked=installed.environment.locked,
        )
        if not check:
            return built
        versions = installed.check(None)
        imported, untried = installed.import_curricula()
        tried = {"imported": imported, "untried": " ".join(untried) or None}
        return built.model_copy(update={"package": versions.package, "dsl": versions.dsl, **tried})

    def first_state(
        self, curriculum: str, stage: str | None, *, source: str | None, allow_dirty: bool, progress: Progress
    ) -> TrainerStateText:
        """The state that the curriculum's own `init` gives.

        :raises LauncherError: no source has it, or its source cannot answer.
        """
        installed = self._providing(curriculum, source, allow_dirty, progress)
        try:
            return installed.enrolled(curriculum, stage)
        except CurriculumError as error:
            known = installed.curricula()
            if known is not None and curriculum not in known:
                raise UsageError(
                    f"The curriculum source {installed.source.name} has no curriculum {curriculum!r}.",
                    f"It has: {', '.join(known)}.",
                ) from None
            hint = "Name a stage that it has, or none for its first." if stage else error.hint
            raise UsageError(f"The curriculum {curriculum} gave no first state. {error.message}", hint) from None

    def verify(self, trainer_state: TrainerStateText, *, allow_dirty: bool, progress: Progress) -> None:
        """Make the animal's source ready and import its curriculum, as before a session.

        :raises LauncherError: no session would start.
        """
        try:
            self.plugin.ready(self.repository, trainer_state, allow_dirty=allow_dirty, progress=progress)
        except CurriculumError as error:
            raise SourceError(error.message, error.hint) from None

    def suggest(
        self, folder: Path, trainer_state: Path, *, source: str | None, allow_dirty: bool, progress: Progress
    ) -> CurriculumSuggestion:
        """What the pinned curriculum answers; all that it prints is kept in a temporary folder where it fails."""
        chosen = self.plugin.choose(self.repository, TrainerStateText.read_file(trainer_state).package, source)
        installed = self.plugin.install(chosen, allow_dirty=allow_dirty, progress=progress)
        kept = kept_folder()
        answer = installed.decide(folder, trainer_state, kept=kept)
        # An error would name what is there.
        shutil.rmtree(kept, ignore_errors=True)
        return answer

    def environments(self) -> tuple[BuiltEnvironment, ...]:
        """Every environment in the cache, the last used first."""
        return _as_values(list_environments(self._cache), self._pinned())

    def prune(self, older_than: timedelta) -> tuple[BuiltEnvironment, ...]:
        """Remove environments from the cache; one that is in use stays."""
        return _as_values(prune(self._cache, older_than, self._pinned()), set())

    @property
    def _cache(self) -> Path:
        return self.plugin.settings.cache_directory

    def _providing(self, curriculum: str, wanted: str | None, allow_dirty: bool, progress: Progress) -> Installed:
        """The source that has `curriculum`: the chosen or only one, else the one whose ``list`` names it."""
        sources = self.plugin.expected(self.repository)
        if wanted or self.plugin.settings.source or len(sources) < 2:
            chosen = self.plugin.choose(self.repository, None, wanted)
            return self.plugin.install(chosen, allow_dirty=allow_dirty, progress=progress)
        found: list[Installed] = []
        problems: list[str] = []
        for source in sources:
            try:
                installed = self.plugin.install(source, allow_dirty=allow_dirty, progress=progress)
                known = installed.curricula()
                if known is None:
                    problems.append(f"{source.name}, which has no 'list' command")
                elif curriculum in known:
                    found.append(installed)
            except LauncherError as error:
                problems.append(f"{source.name} ({error.message})")
        if len(found) == 1:
            return found[0]
        which = "Several curriculum sources have" if found else "No curriculum source has"
        names = ", ".join(source.name for source in ([installed.source for installed in found] or sources))
        unasked = f" Not asked: {'; '.join(problems)}." if problems else ""
        raise UsageError(f"{which} a curriculum {curriculum!r} ({names}).{unasked}", "Choose one with --source NAME.")

    def _status(self, source: Source) -> SourceStatus:
        pinned = self.plugin.pin(source)
        built = self.plugin.unbuilt(source, pinned) is None
        curricula: tuple[str, ...] | None = None
        locked = unasked = None
        with suppress(LauncherError):
            locked = is_locked(source) if source.is_present else None
        if pinned.problem is None and not built:
            # Building takes minutes; listing must not.
            unasked = "known once it is built"
        elif pinned.problem is None:
            try:
                curricula = self.plugin.install(source).curricula()
                unasked = "has no 'list' command" if curricula is None else None
            except LauncherError as error:
                unasked = str(error)
        return SourceStatus(
            name=source.name,
            kind=source.kind,
            path=source.relative,
            url=pinned.url,
            commit=pinned.commit,
            problem=str(pinned.problem) if pinned.problem else None,
            built=built,
            locked=locked,
            curricula=curricula,
            unasked=unasked,
        )

    def _pinned(self) -> set[str]:
        keys = set()
        for source in self.plugin.sources(self.repository):
            try:
                keys.add(self.plugin.specify(source, self.plugin.pin(source)).key)
            except LauncherError:
                # A source that cannot be built pins nothing.
                continue
        return keys


def _as_values(environments: Iterable[Environment], pinned: set[str]) -> tuple[BuiltEnvironment, ...]:
    """What people see of each; all that its marker says is part of it."""
    return tuple(
        BuiltEnvironment(**e.model_dump(), folder=e.folder, used=e.used, pinned=e.key in pinned) for e in environments
    )
