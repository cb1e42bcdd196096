"""Enrolment: an animal starts a curriculum, in the state that the curriculum's own `init` gives."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aind_launcher.curriculum.installed import Installed
from aind_launcher.curriculum.sources import Source
from aind_launcher.errors import CurriculumError, LauncherError, UsageError
from aind_launcher.model.animal import TrainerStateText

if TYPE_CHECKING:
    from aind_launcher.curriculum.plugin import IsolatedCurriculum


def first_state(
    curricula: "IsolatedCurriculum",
    repository: Path,
    curriculum: str,
    stage: str | None = None,
    *,
    source: str | None = None,
    allow_dirty: bool = False,
    progress: Callable[[str], None],
) -> TrainerStateText:
    """The state in which an animal starts `curriculum`, at its first stage or at `stage`.

    :param source: where several sources have a curriculum of that name.
    :raises LauncherError: no source has it, or its source cannot answer.
    """
    installed = _providing(curricula, repository, curriculum, source, allow_dirty, progress)
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


def _providing(
    curricula: "IsolatedCurriculum",
    repository: Path,
    curriculum: str,
    wanted: str | None,
    allow_dirty: bool,
    progress: Callable[[str], None],
) -> Installed:
    """The source that has `curriculum`: the chosen or only one, else the one whose ``list`` names it."""
    sources = curricula.sources(repository)
    if wanted or curricula.settings.source or len(sources) < 2:
        return curricula.install(curricula.choose(repository, None, wanted), allow_dirty=allow_dirty, progress=progress)
    found: list[Installed] = []
    problems: list[str] = []
    for source in sources:
        try:
            installed = curricula.install(source, allow_dirty=allow_dirty, progress=progress)
            if curriculum in (installed.curricula() or ()):
                found.append(installed)
        except LauncherError as error:
            problems.append(f"{source.name}: {error.message}")
    if len(found) == 1:
        return found[0]
    raise _undecided(curriculum, sources, found, problems)


def _undecided(curriculum: str, sources: tuple[Source, ...], found: list[Installed], problems: list[str]) -> UsageError:
    names = ", ".join(item.source.name for item in found) or ", ".join(source.name for source in sources)
    which = "Several curriculum sources have" if found else "No curriculum source has"
    unasked = f" Not asked: {'; '.join(problems)}." if problems else ""
    return UsageError(f"{which} a curriculum {curriculum!r} ({names}).{unasked}", "Choose one with --source NAME.")
