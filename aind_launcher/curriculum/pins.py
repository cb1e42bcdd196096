"""What the task repository's HEAD pins a curriculum source to, and whether the working tree is as pinned."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aind_launcher.curriculum.project import COMMAND, built_from, project_or_none, read_project, reads_history
from aind_launcher.curriculum.sources import Source, listed_submodules, quoted
from aind_launcher.errors import Refused, SourceError
from aind_launcher.model.names import few
from aind_launcher.system.git import changes, commit_of, git, overlooked, remote_url, submodules, verify


@dataclass(frozen=True)
class Pin:
    """What the task repository's HEAD says a source is, and how the working tree differs.

    :param commit: the commit that HEAD pins; None where it pins none.
    :param head: the commit that is checked out.
    :param identity: names all that would be built: at `head`, and what uncommitted changes make of it. A commit that
        changes nothing of it leaves it the same.
    :param paths: what is built lies in these, relative to the checkout; all of it, with its submodules, if empty.
    :param changes: files that differ from `head`, relative to the checkout.
    :param unreviewed: the source is not as pinned; ``--allow-dirty`` goes on all the same.
    :param blocked: the source cannot be used, whatever is allowed.
    """

    commit: str | None
    head: str | None
    url: str | None
    identity: str | None
    paths: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    unreviewed: SourceError | None = None
    blocked: SourceError | None = None

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


def _submodule_pin(source: Source) -> Pin:
    relative = source.checkout.relative_to(source.repository).as_posix()
    shown = quoted(relative)
    commit = _recorded(source.repository, [relative]).get(relative)
    if commit is not None:
        verify(source.repository, "HEAD", [relative])
    recorded_url = listed_submodules(source.repository).get(relative)
    unpinned = SourceError(
        f"The submodule {relative} was never committed to the task repository.",
        f"When it is reviewed, run `git add .gitmodules {shown}` and `git commit`.",
    )
    if not (source.checkout / ".git").exists():
        if commit is None:
            return Pin(None, None, recorded_url, None, blocked=unpinned)
        in_the_way = source.checkout.is_dir() and any(source.checkout.iterdir())
        first = f"Move what is in {shown} aside, because git needs an empty folder. " if in_the_way else ""
        mend = first + _put_back(source.repository, relative, commit, "--init", "--recursive")
        missing = SourceError(f"The submodule {relative} is not initialised.", mend)
        return Pin(commit, None, recorded_url, None, blocked=missing)
    head = commit_of(source.checkout)
    differing, hidden = _differing(source.checkout)
    if commit is None:
        unreviewed = unpinned
    elif head != commit:
        unreviewed = SourceError(
            f"The submodule {relative} is at {(head or 'no commit')[:10]}, but the task repository pins {commit[:10]}.",
            f"{_put_back(source.repository, relative, commit)} A new pin is reviewed and committed elsewhere.",
        )
    elif hidden:
        unreviewed = hidden
    elif differing:
        there = f"git -C {quoted(str(source.checkout))}"
        message = f"The submodule {relative} has uncommitted changes: {few(differing)}."
        hint = f"See `{there} status`; put them aside with `{there} stash -u`."
        if set(differing) <= set(submodules(source.checkout)):
            message = f"The submodule {relative} has submodules that are not as it pins them: {few(differing)}."
            hint = f"Run `git submodule update --recursive {shown}`. If it does not help, see `{there} status`."
        unreviewed = SourceError(message, hint)
    else:
        unreviewed = None
    identity = _identity(f"{head}:{source.inside}", source.checkout, differing)
    url = remote_url(source.checkout) or recorded_url
    blocked = _incomplete(source.repository, [relative]) or _unusable(source)
    return Pin(commit, head, url, identity, (), differing, unreviewed, blocked)


def _put_back(repository: Path, submodule: str, commit: str, *options: str) -> str:
    """The sentence with the commands that check out `commit` in `submodule`."""
    command = " ".join(["git submodule update", *options, quoted(submodule)])
    # git would check out what is staged.
    staged = git("ls-files", "--stage", "--", submodule, cwd=repository).split()[1:2] != [commit]
    return f"Run `git reset -- {quoted(submodule)}` and `{command}`." if staged else f"Run `{command}`."


def _directory_pin(source: Source) -> Pin:
    shown = quoted(source.relative)
    head = commit_of(source.repository)
    if head is None:
        raise SourceError("The task repository has no commit yet.", "Run `git add .` and `git commit`.")
    project = project_or_none(source.path)
    built = built_from(project, source.repository) if project else (source.path,)
    paths = _pinned_paths(source, built)
    recorded = _recorded(source.repository, paths)
    # A workspace is found by its pyproject.toml: where that is left out, `paths` has nothing of the workspace.
    folders = (x for x in source.path.parents if x.is_relative_to(source.repository))
    above = [(x / "pyproject.toml").relative_to(source.repository).as_posix() for x in folders]
    differing, unreviewed = _differing(source.repository, paths, above)
    if unreviewed is None and differing:
        unreviewed = SourceError(
            f"The curriculum in {source.relative} differs from the last commit: {few(differing)}.",
            "See `git status`; put the changes aside with `git stash -u`, or commit them when they are reviewed.",
        )
    elif source.path.is_dir() and not _recorded(source.repository, [source.relative]):
        unreviewed = SourceError(
            f"The curriculum in {source.relative} was never committed.",
            f"When it is reviewed, run `git add {shown}` and `git commit`.",
        )
    inside = [x for x in submodules(source.repository) if any(x == y or x.startswith(f"{y}/") for y in paths)]
    blocked = _incomplete(source.repository, inside) or _unusable(source)
    history = head if reads_history(built) else None
    identity = _identity(repr((source.relative, sorted(recorded.items()), history)), source.repository, differing)
    return Pin(head, head, remote_url(source.repository), identity, tuple(paths), differing, unreviewed, blocked)


def _pinned_paths(source: Source, paths: Iterable[Path]) -> list[str]:
    """What a directory is built from, relative to the repository; git knows a submodule only as a whole."""
    root = source.repository
    submodules = [root / path for path in listed_submodules(root)]
    whole = {next((x for x in submodules if path.is_relative_to(x)), path) for path in paths}
    # What lies in another one needs no word of its own; but of the whole repository, submodules are no part.
    outermost = (path for path in whole if not any(x in whole for x in path.parents if x != root))
    return sorted(path.relative_to(root).as_posix() for path in outermost if path.is_relative_to(root))


def _differing(
    checkout: Path, paths: Iterable[str] = (), also: Iterable[str] = ()
) -> tuple[tuple[str, ...], SourceError | None]:
    """What differs from HEAD within `paths`, and the refusal of files in which git overlooks changes.

    :param also: further files in which git must not overlook changes.
    """
    hidden = dict(overlooked(checkout, (*paths, *also)))
    if not hidden:
        return changes(checkout, paths), None
    names = [path.relative_to(checkout).as_posix() for path in hidden]
    refused = SourceError(
        f"In {checkout}, git was told to overlook changes in {few(names)}.",
        f"Run `{next(iter(hidden.values()))}`, then see `git status` there.",
    )
    return tuple(sorted({*changes(checkout, paths), *names})), refused


def _incomplete(root: Path, paths: Iterable[str]) -> SourceError | None:
    """Refuse submodules of which a part is not checked out, since no clone of them would be whole."""
    for path in paths:
        if not _is_whole(root / path):
            return SourceError(
                f"The submodule {path}, or one inside it, is not checked out.",
                f"Run `git submodule update --init --recursive {quoted(path)}`.",
            )
    return None


def _is_whole(submodule: Path) -> bool:
    return (submodule / ".git").exists() and all(_is_whole(submodule / path) for path in submodules(submodule))


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
