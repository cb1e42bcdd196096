"""Curriculum sources: which there are in the task repository, and where."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from aind_launcher.curriculum.project import (
    COMMAND,
    project_or_none,
    read_project,
    workspace_of,
)
from aind_launcher.errors import SettingsError, SourceError, nearest
from aind_launcher.system.git import (
    git,
    toplevel,
    without_credentials,
)


@dataclass(frozen=True)
class Source:
    """A folder of the task repository that provides a curriculum.

    :param path: the folder with the ``pyproject.toml``.
    :param repository: the root of the task repository.
    :param checkout: the root of the working tree that `path` lies in: a submodule's, or the task repository's.
    :param configured: settings say how it is run; it needs no ``curriculum`` script.
    """

    name: str
    path: Path
    repository: Path
    checkout: Path
    configured: bool = False

    @property
    def kind(self) -> Literal["submodule", "directory"]:
        """What git knows it as."""
        return "directory" if self.checkout == self.repository else "submodule"

    @property
    def relative(self) -> str:
        """`path` in the task repository, with forward slashes."""
        return self.path.relative_to(self.repository).as_posix()

    @property
    def inside(self) -> str:
        """`path` in `checkout`, with forward slashes."""
        return self.path.relative_to(self.checkout).as_posix()

    @property
    def is_present(self) -> bool:
        """Whether its files are there to be judged; those of an uninitialised submodule are not."""
        return (self.checkout / ".git").exists() and self.path.is_dir()


def find_sources(
    repository: Path, named: Mapping[str, Path | None] | None = None, configured: Collection[str] = ()
) -> tuple[Source, ...]:
    """Every submodule and workspace member that provides the ``curriculum`` command, and what settings name.

    A submodule that is not checked out may provide it, so it is a source, too.

    :param repository: the task repository.
    :param named: the settings' own names: each with its folder relative to `repository`, or None for a source, a
        submodule or a member that is found without them.
    :param configured: those of `named` for which settings say how they are run.
    :raises SettingsError: a named folder lies outside the repository, or nothing is found by a name.
    :raises Refused: it is not in a git repository.
    """
    root = toplevel(repository)
    submodules = tuple(root / path for path in listed_submodules(root))
    chosen = {x: _named_folder(x, repository / path, root) for x, path in (named or {}).items() if path}
    everything = dict.fromkeys((*submodules, *_members(repository, root)))
    seen = [path for path in everything if path not in chosen.values()]
    found = {path: _last_part(path, root) for path in seen if _may_provide(path, submodules)}
    # A last component that is not unique, or that settings gave to another folder, names nothing.
    taken = Counter([*found.values(), *chosen])
    names = {path.relative_to(root).as_posix() if taken[last] > 1 else last: path for path, last in found.items()}
    others = [path for path in seen if path not in found]
    refined = {x: _meant(x, others, names, root) for x in named or () if x not in chosen and x not in names}
    sources = []
    for name, path in {**names, **refined, **chosen}.items():
        checkout = next((x for x in submodules if path.is_relative_to(x)), root)
        sources.append(Source(name, path, root, checkout, name in configured))
    return tuple(sorted(sources, key=lambda source: source.name))


def passed_over(repository: Path, sources: Iterable[Source]) -> dict[str, str]:
    """Say of each submodule, by its path, why it is none of `sources`, as the end of a sentence."""
    root = toplevel(repository)
    used = {source.checkout for source in sources}
    return {path: _why_none(root / path) for path in listed_submodules(root) if root / path not in used}


def quoted(path: str) -> str:
    """`path` as it is typed in a command, on any platform."""
    return f'"{path}"' if " " in path else path


def listed_submodules(root: Path) -> dict[str, str | None]:
    """The path and the URL of each submodule that ``.gitmodules`` names."""
    modules = root / ".gitmodules"
    if not modules.is_file() or not modules.read_bytes().strip():
        return {}
    listed = git("config", "--file", ".gitmodules", "-z", "--list", cwd=root)
    values = dict(entry.partition("\n")[::2] for entry in listed.split("\0") if entry)
    paths = {x: values.get(f"{key.removesuffix('.path')}.url") for key, x in values.items() if key.endswith(".path")}
    # Git refuses such paths itself; this file can be written by hand.
    inside = sorted(x for x in paths if x and not PurePosixPath(x).is_absolute() and ".." not in PurePosixPath(x).parts)
    return {path: without_credentials(paths[path] or "") or None for path in inside}


def _named_folder(name: str, folder: Path, root: Path) -> Path:
    resolved = folder.resolve()
    if not resolved.is_relative_to(root):
        raise SettingsError(
            f"The curriculum source {name!r} lies outside the task repository, in {resolved}.",
            "Only code that the task repository pins may decide; add it as a submodule or a folder.",
        )
    return resolved


def _members(repository: Path, root: Path) -> Iterator[Path]:
    """The folders of the uv workspace that the task repository is the root or a member of."""
    project = read_project(repository)
    workspace = workspace_of(project, root) if project else None
    folders = (member.folder.resolve() for member in (workspace.members if workspace else ()))
    # Those elsewhere are not pinned by this repository.
    return (folder for folder in folders if folder.is_relative_to(root))


def _last_part(path: Path, root: Path) -> str:
    """The last component of a source's path; the root's differs from clone to clone, its distribution's name not."""
    project = project_or_none(path) if path == root else None
    return (project.name if project else None) or path.name


def _meant(name: str, others: Iterable[Path], found: Iterable[str], root: Path) -> Path:
    """The submodule or member called `name` that is no source without settings."""
    meant = [path for path in others if name in (path.name, path.relative_to(root).as_posix())]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise SettingsError(
            f"The settings for the curriculum source {name!r} fit several folders.",
            f"Name one of them: {', '.join(path.relative_to(root).as_posix() for path in meant)}.",
        )
    known = [*found, *(path.relative_to(root).as_posix() for path in others)]
    there = f"There are: {', '.join(known)}. " if known else ""
    raise SettingsError(
        f"There is no curriculum source {name!r}, for which there are settings.",
        nearest(name, known) or f"{there}For another folder, give its 'path', too.",
    )


def _may_provide(path: Path, submodules: Collection[Path]) -> bool:
    """Whether `path` provides the command or, as a submodule that is not checked out, cannot be judged."""
    if path in submodules and not (path / ".git").exists():
        return True
    project = project_or_none(path)
    return project is not None and project.command is not None


def _why_none(submodule: Path) -> str:
    if not (submodule / ".git").exists():
        return "is not checked out"
    try:
        project = read_project(submodule)
    except SourceError as error:
        return f"cannot be read: {error.message.rstrip('.')}"
    return f"provides no command '{COMMAND}'" if project else "has no pyproject.toml"
