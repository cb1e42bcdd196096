"""What the `pyproject.toml` of a curriculum source says: its command, its Python, and what it is built from."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from aind_launcher.errors import SourceError
from aind_launcher.system.git import is_ignored
from aind_launcher.system.toml import tables_in

COMMAND = "curriculum"
LOCK = "uv.lock"
PYTHON_VERSION = ".python-version"

_LOCKED = {"dependencies", "optional-dependencies", "requires-python"}
_PATTERN = re.compile(r"[*?\[{]")
_DISTRIBUTION = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# What follows the name in a direct reference, as in "name @ https://…".
_ADDRESS = re.compile(r"[^@;]+@\s*([^\s;]+)")
# A URL of another machine, or of a repository, in which a commit is named. A drive of Windows has one letter.
_ELSEWHERE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Project:
    """One ``pyproject.toml``, read tolerantly: a table of the wrong type counts as missing."""

    folder: Path
    document: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        """The distribution's name, as it is written."""
        return _string(self._project.get("name"))

    @property
    def command(self) -> str | None:
        """What the ``curriculum`` script calls, as in ``my_curricula.cli:main``."""
        return _string(_table(self._project.get("scripts")).get(COMMAND))

    @property
    def requires_python(self) -> str | None:
        """The range of Pythons that it asks for, as in ``>=3.11``."""
        return _string(self._project.get("requires-python"))

    @property
    def asks_its_backend(self) -> bool:
        """Whether only its build backend knows what it depends on, so that uv builds it to compare it with the lock."""
        return not _LOCKED.isdisjoint(self._dynamic) or not (self._project or self.is_workspace)

    @property
    def reads_history(self) -> bool:
        """Whether its version may come from git's history, or it tells uv that the commit decides what is built."""
        return not self._project or "version" in self._dynamic or any("git" in _table(key) for key in self._cache_keys)

    @property
    def read_beside(self) -> tuple[Path, ...]:
        """What its build reads outside its folder, as ``cache-keys`` tells uv; of a pattern, its fixed part."""
        found = []
        for key in self._cache_keys:
            pattern = _string(key) or _string(_table(key).get("file")) or _string(_table(key).get("dir")) or "."
            fixed = takewhile(lambda part: not _PATTERN.search(part), PurePosixPath(pattern).parts)
            found.append(self.folder.joinpath(*fixed).resolve())
        return tuple(path for path in found if not path.is_relative_to(self.folder.resolve()))

    @property
    def has_uv_settings(self) -> bool:
        """Whether uv takes settings from it, also for projects in the folders below."""
        return bool(self._uv)

    @property
    def is_workspace(self) -> bool:
        """Whether it is the root of a uv workspace."""
        return isinstance(self._uv.get("workspace"), dict)

    @cached_property
    def members(self) -> tuple["Project", ...]:
        """The projects of the workspace, its root first."""
        if not self.is_workspace:
            return ()
        workspace = _table(self._uv.get("workspace"))
        excluded = set(self._folders(workspace.get("exclude")))
        folders = dict.fromkeys(x for x in self._folders(workspace.get("members")) if x not in excluded)
        found = (read_project(folder) for folder in folders if folder != self.folder.resolve())
        return (self, *(project for project in found if project))

    @cached_property
    def requirements(self) -> frozenset[str]:
        """The normalised names of all that it depends on, for building too."""
        names = (_DISTRIBUTION.match(line) for line in self._requirements)
        return frozenset(normalised(name[1]) for name in names if name)

    def require_pinned(self) -> None:
        """Refuse a requirement that is an address on this machine: uv follows it out of the clone.

        :raises SourceError: names the address.
        """
        kinds = (f"{kind}-dependencies" for kind in ("constraint", "override", "build-constraint"))
        extra = _table(self._uv.get("extra-build-dependencies")).values()
        of_uv = (line for lines in (*map(self._uv.get, kinds), *extra) for line in _strings(lines))
        for line in (*self._requirements, *of_uv):
            if (match := _ADDRESS.match(line)) and not _ELSEWHERE.match(match[1]):
                raise self.unpinned(match[1])

    def unpinned(self, address: str) -> SourceError:
        """Say that the project depends on an address on this machine."""
        return SourceError(
            f"{self.folder / 'pyproject.toml'} depends on {address}, which nothing pins.",
            "Move it into the repository and write its path relative to this file in [tool.uv.sources], or depend on a "
            "published version.",
        )

    @property
    def sources(self) -> dict[str, list[dict[str, Any]]]:
        """``[tool.uv.sources]``, by normalised name."""
        return {
            normalised(name): [entry for entry in (value if isinstance(value, list) else [value]) if _table(entry)]
            for name, value in _table(self._uv.get("sources")).items()
        }

    @property
    def _requirements(self) -> list[str]:
        listed = [
            self._project.get("dependencies"),
            *_table(self._project.get("optional-dependencies")).values(),
            _table(self.document.get("build-system")).get("requires"),
        ]
        return [line for lines in listed for line in _strings(lines)]

    @property
    def _project(self) -> dict[str, Any]:
        return _table(self.document.get("project"))

    @property
    def _uv(self) -> dict[str, Any]:
        return _table(_table(self.document.get("tool")).get("uv"))

    @property
    def _dynamic(self) -> list[str]:
        return _strings(self._project.get("dynamic"))

    @property
    def _cache_keys(self) -> list[Any]:
        keys = self._uv.get("cache-keys")
        return keys if isinstance(keys, list) else []

    def _folders(self, patterns: object) -> Iterator[Path]:
        for pattern in _strings(patterns):
            try:
                yield from sorted(folder.resolve() for folder in self.folder.glob(pattern))
            except (ValueError, NotImplementedError):
                # An empty or absolute pattern; uv itself will say so when it builds.
                continue


def read_project(folder: Path) -> Project | None:
    """The project in `folder`; None where there is no ``pyproject.toml``.

    :raises SourceError: the file is not valid TOML or cannot be read.
    """
    path = folder / "pyproject.toml"
    try:
        return Project(folder, tables_in(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise SourceError(f"{path} {error}.", "Correct the file.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Give this account the right to.") from None


def project_or_none(folder: Path) -> Project | None:
    """The project in `folder`, as for `read_project`; None also where its file cannot be read."""
    try:
        return read_project(folder)
    except SourceError:
        return None


def workspace_of(project: Project, within: Path) -> Project | None:
    """The uv workspace that `project` is the root or a member of.

    :param within: the root of the working tree; nothing above it is looked at.
    """
    for folder in (project.folder, *project.folder.parents):
        root = read_project(folder)
        # What git ignores is not in a clone, and on no other rig.
        if root and root.is_workspace and not is_ignored(folder, folder / "pyproject.toml"):
            return root if any(member.folder == project.folder for member in root.members) else None
        if folder == within:
            break
    return None


def lock_folder(project: Project, within: Path) -> Path:
    """Where the ``uv.lock`` of `project` lies, or would: in its workspace, else beside it.

    :param within: as for `workspace_of`.
    """
    return (workspace_of(project, within) or project).folder


def built_from(project: Project, within: Path) -> tuple[Path, ...]:
    """All that decides what is built, and all of the working tree that its build gets to see.

    The project, its workspace and path dependencies, what they say that they read beside their folders, and what uv
    itself reads: the settings in the folders above, the lock, and what each member of the workspace depends on.

    :param within: as for `workspace_of`.
    """
    workspace = workspace_of(project, within)
    locked = _with_dependencies([member.folder for member in workspace.members], within) if workspace else set()
    asked = [folder for folder in locked if (x := read_project(folder)) is None or x.asks_its_backend]
    built = _with_dependencies([project.folder, *asked], within)
    paths = {*built, *_settings_above(project.folder, within), *(folder / "pyproject.toml" for folder in locked)}
    if workspace:
        paths |= {workspace.folder / name for name in ("uv.toml", LOCK, PYTHON_VERSION)}
    for folder in built:
        paths.update(x.read_beside if (x := read_project(folder)) else ())
    return tuple(sorted(paths))


def _with_dependencies(folders: Iterable[Path], within: Path) -> set[Path]:
    """The projects in `folders`, and their workspace and path dependencies."""
    found: set[Path] = set()
    waiting = list(folders)
    while waiting:
        folder = waiting.pop()
        if folder not in found and (dependent := read_project(folder)):
            waiting.extend(_local_dependencies(dependent, workspace_of(dependent, within)))
        found.add(folder)
    return found


def reads_history(paths: Iterable[Path]) -> bool:
    """Whether a project among `paths` may take its version from git's history."""
    return any((project := read_project(path)) and project.reads_history for path in paths)


def _settings_above(folder: Path, within: Path) -> Iterator[Path]:
    for above in folder.parents if folder != within else ():
        yield above / "uv.toml"
        if (project := read_project(above)) and project.has_uv_settings:
            yield project.folder / "pyproject.toml"
        if above == within:
            break


def normalised(name: str) -> str:
    """A distribution's name, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _local_dependencies(project: Project, workspace: Project | None) -> Iterator[Path]:
    project.require_pinned()
    # A workspace's root lends its sources to every member, for what the member depends on.
    lent = {name: (workspace, x) for name, x in workspace.sources.items()} if workspace else {}
    own = {name: (project, x) for name, x in project.sources.items()}
    for name, (owner, entries) in (lent | own).items():
        if owner is not project and name not in project.requirements:
            continue
        for entry in entries:
            path, url = _string(entry.get("path")), _string(entry.get("url"))
            if path and not _is_relative(path):
                raise owner.unpinned(path)
            if url and not _ELSEWHERE.match(url):
                raise owner.unpinned(url)
            if path:
                yield (owner.folder / path).resolve()
            elif entry.get("workspace") is True and workspace:
                yield from (x.folder for x in workspace.members if x.name and normalised(x.name) == name)


def _is_relative(path: str) -> bool:
    # uv puts a folder in the place of ${PROJECT_ROOT}.
    return not (PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor or "${" in path)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
