"""Curriculum sources: where they are in the task repository, what it pins them to, and whether they are as pinned."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from aind_launcher.curriculum.project import COMMAND, Project, built_from, judged, read_project, workspace_of
from aind_launcher.errors import Refused, SettingsError, SourceError, nearest
from aind_launcher.system.git import changes, commit_of, few, git, remote_url, toplevel, without_credentials


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


@dataclass(frozen=True)
class Pin:
    """What the task repository's HEAD says a source is, and how the working tree differs.

    :param commit: the commit that HEAD pins; None where it pins none.
    :param head: the commit that is checked out.
    :param identity: names all that would be built: at `head`, and what uncommitted changes make of it. A commit that
        changes nothing of it leaves it the same.
    :param paths: all that it is built from, relative to the checkout; none where that is the whole checkout.
    :param changes: files that differ from `head`, relative to the checkout.
    :param unreviewed: the source is not as pinned; ``--allow-dirty`` goes on all the same.
    :param blocked: the source cannot be used, whatever is allowed.
    """

    commit: str | None
    head: str | None
    url: str | None
    identity: str | None
    changes: tuple[str, ...] = ()
    unreviewed: SourceError | None = None
    blocked: SourceError | None = None
    paths: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """Whether it differs from what is pinned, so that only ``--allow-dirty`` uses it."""
        return self.unreviewed is not None

    @property
    def problem(self) -> SourceError | None:
        """Why the source is refused, with the git command that corrects it."""
        return self.unreviewed or self.blocked

    def require(self, *, allow_dirty: bool = False) -> None:
        """Refuse a source that is missing, moved or modified.

        :raises SourceError: see `problem`.
        """
        if self.unreviewed and not allow_dirty:
            raise self.unreviewed
        if self.blocked:
            raise self.blocked


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
    submodules = tuple(root / path for path in _submodules(root))
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
    return {path: _why_none(root / path) for path in _submodules(root) if root / path not in used}


def pin(source: Source) -> Pin:
    """What HEAD pins `source` to, and every way in which the working tree differs from it."""
    try:
        return _submodule_pin(source) if source.kind == "submodule" else _directory_pin(source)
    except Refused as error:
        blocked = error if isinstance(error, SourceError) else SourceError(error.message, error.hint)
    except OSError as error:
        blocked = SourceError(
            f"The curriculum source {source.name!r} cannot be read: {error}.", "Close the program that has it open."
        )
    return Pin(None, None, None, None, blocked=blocked)


def quoted(path: str) -> str:
    """`path` as it is typed in a command, on any platform."""
    return f'"{path}"' if " " in path else path


def _submodules(root: Path) -> dict[str, str | None]:
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
    project = judged(path) if path == root else None
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
    project = judged(path)
    return project is not None and project.command is not None


def _why_none(submodule: Path) -> str:
    if not (submodule / ".git").exists():
        return "is not checked out"
    try:
        project = read_project(submodule)
    except SourceError as error:
        return f"cannot be read: {error.message.rstrip('.')}"
    return f"provides no command '{COMMAND}'" if project else "has no pyproject.toml"


def _submodule_pin(source: Source) -> Pin:
    relative = source.checkout.relative_to(source.repository).as_posix()
    shown = quoted(relative)
    commit = _recorded(source.repository, [relative]).get(relative)
    recorded_url = _submodules(source.repository).get(relative)
    unpinned = SourceError(
        f"The submodule {relative} was never committed to the task repository.",
        f"Run `git add .gitmodules {shown}` and `git commit`.",
    )
    if not (source.checkout / ".git").exists():
        missing = SourceError(
            f"The submodule {relative} is not initialised.", f"Run `git submodule update --init {shown}`."
        )
        return Pin(commit, None, recorded_url, None, blocked=missing if commit else unpinned)
    head = commit_of(source.checkout)
    differing = changes(source.checkout)
    unreviewed = None
    if commit is None:
        unreviewed = unpinned
    elif head != commit:
        unreviewed = SourceError(
            f"The submodule {relative} is at {(head or 'no commit')[:10]}, but the task repository pins {commit[:10]}.",
            f"Run `git submodule update {shown}`, or commit the new pin when it is reviewed.",
        )
    elif differing:
        there = f"git -C {quoted(str(source.checkout))}"
        unreviewed = SourceError(
            f"The submodule {relative} has uncommitted changes: {few(differing)}.",
            f"See `{there} status`; put them aside with `{there} stash -u`.",
        )
    identity = _identity(f"{head}:{source.inside}", source.checkout, differing)
    url = remote_url(source.checkout) or recorded_url
    return Pin(commit, head, url, identity, differing, unreviewed, _unusable(source))


def _directory_pin(source: Source) -> Pin:
    shown = quoted(source.relative)
    head = commit_of(source.repository)
    if head is None:
        raise SourceError("The task repository has no commit yet.", "Run `git add .` and `git commit`.")
    blocked = _unusable(source)
    project = judged(source.path)
    paths = _pinned_paths(source, project)
    recorded = _recorded(source.repository, paths)
    differing = changes(source.repository, paths)
    unreviewed = None
    if differing:
        unreviewed = SourceError(
            f"The curriculum in {source.relative} differs from the last commit: {few(differing)}.",
            "See `git status`; commit the changes, or put them aside with `git stash -u`.",
        )
    elif source.relative not in recorded and source.path.is_dir():
        unreviewed = SourceError(
            f"The curriculum in {source.relative} was never committed.", f"Run `git add {shown}` and `git commit`."
        )
    identity = _identity(repr((source.relative, sorted(recorded.items()))), source.repository, differing)
    return Pin(head, head, remote_url(source.repository), identity, differing, unreviewed, blocked, tuple(paths))


def _pinned_paths(source: Source, project: Project | None) -> list[str]:
    """What a directory is built from, relative to the repository; git knows a submodule only as a whole."""
    root = source.repository
    submodules = [root / path for path in _submodules(root)]
    paths = built_from(project, root) if project else (source.path,)
    whole = {next((x for x in submodules if path.is_relative_to(x)), path) for path in paths}
    return sorted(path.relative_to(root).as_posix() for path in whole if path.is_relative_to(root))


def _unusable(source: Source) -> SourceError | None:
    """What keeps the source from being built, whatever its state in git."""
    if not source.path.is_dir():
        return SourceError(
            f"The curriculum source {source.name!r} has no folder {source.relative}.",
            "Correct its path in the settings.",
        )
    try:
        project = read_project(source.path)
        needed = built_from(project, source.checkout) if project else ()
    except SourceError as error:
        return error
    if project is None:
        return SourceError(
            f"The curriculum source {source.name!r} has no pyproject.toml in {source.relative}.",
            "Add one that installs the curriculum, or correct the path in the settings.",
        )
    if project.command is None and not source.configured:
        return SourceError(
            f"The curriculum source {source.name!r} does not provide the command `{COMMAND}`.",
            f"Add `{COMMAND}` to [project.scripts] in {source.relative}/pyproject.toml, or configure how it is run.",
        )
    for path in needed:
        if not path.is_relative_to(source.checkout):
            return SourceError(
                f"The curriculum source {source.name!r} depends on {path}, which is not pinned with it.",
                "Depend on a published version, or move it into the same repository.",
            )
    return None


def _recorded(repository: Path, paths: Iterable[str]) -> dict[str, str]:
    """The git object that HEAD has at each of `paths`; those that it lacks are left out."""
    if commit_of(repository) is None:
        return {}
    below, recorded = set(paths), {}
    if "." in below:
        below.remove(".")
        recorded["."] = git("rev-parse", "HEAD^{tree}", cwd=repository).strip()
    listed = git("ls-tree", "-z", "HEAD", "--", *sorted(below), cwd=repository) if below else ""
    for entry in filter(None, listed.split("\0")):
        description, _, path = entry.partition("\t")
        recorded[path] = description.split()[2]
    return recorded


def _identity(committed: str, checkout: Path, changed: Collection[str]) -> str:
    digest = hashlib.sha256(committed.encode("utf-8", "surrogateescape"))
    for part in _contents(checkout, changed):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _contents(checkout: Path, changed: Iterable[str]) -> Iterator[bytes]:
    """The names and the present contents of changed files, those of nested repositories too."""
    for relative in changed:
        path = checkout / relative
        yield relative.encode("utf-8", "surrogateescape")
        if path.is_symlink():
            yield os.fsencode(path.readlink())
        elif (path / ".git").exists():
            yield (commit_of(path) or "").encode()
            yield from _contents(path, changes(path))
        else:
            yield path.read_bytes() if path.is_file() else b"deleted"
