"""Which curriculum source serves an animal."""

from collections.abc import Sequence

from aind_launcher.curriculum.project import normalised, project_or_none
from aind_launcher.curriculum.sources import Source, quoted
from aind_launcher.errors import SourceError

_HOW_TO_ADD = "Add one with `git submodule add URL`, or name a folder of this repository in the settings."


def choose_source(sources: Sequence[Source], wanted: str | None = None, package: str | None = None) -> Source:
    """The source that serves a session: the settings' choice, else the only one, else the one with the package.

    :param wanted: the name that settings choose.
    :param package: the module of the animal's curriculum (``curriculum.pkg_location`` of its trainer state).
    :raises SourceError: none serves, or several would; lists them.
    """
    listed = ", ".join(source.name for source in sources)
    if wanted is not None:
        if by_name := [source for source in sources if source.name == wanted]:
            return by_name[0]
        raise SourceError(
            f"There is no curriculum source {wanted!r}.", f"There are: {listed}." if sources else _HOW_TO_ADD
        )
    if not sources:
        raise SourceError("This task repository has no curriculum source.", _HOW_TO_ADD)
    if len(sources) == 1:
        return sources[0]
    serving = [source for source in sources if package and provides(source, package)]
    if len(serving) == 1:
        return serving[0]
    which, hint = "More than one curriculum source provides", "Choose one in the settings."
    if not serving:
        which = "No curriculum source provides"
        if missing := [source for source in sources if not source.is_present]:
            shown = quoted(missing[0].relative)
            hint = f"Run `git submodule update --init --recursive {shown}`, or choose one in the settings."
    raise SourceError(f"{which} {package or 'what the trainer state names'}; there are: {listed}.", hint)


def provides(source: Source, package: str) -> bool:
    """Whether the module `package` comes from `source`: by its command, its name, or a folder of it."""
    top = package.partition(".")[0]
    project = project_or_none(source.path)
    if not project:
        return False
    module = (project.command or "").partition(":")[0].partition(".")[0].strip()
    return (
        top == module
        or normalised(top) == normalised(project.name or "")
        or any((x / name).exists() for x in (source.path / "src", source.path) for name in (top, f"{top}.py"))
    )
