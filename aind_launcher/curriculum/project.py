"""What the `pyproject.toml` of a curriculum source says: its command, its Python, and what it is built from."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aind_launcher.errors import SourceError

COMMAND = "curriculum"
LOCK = "uv.lock"
PYTHON_VERSION = ".python-version"

_DISTRIBUTION = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


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
        project = self._project
        listed = [
            project.get("dependencies"),
            *_table(project.get("optional-dependencies")).values(),
            _table(self.document.get("build-system")).get("requires"),
        ]
        names = (_DISTRIBUTION.match(line) for lines in listed for line in _strings(lines))
        return frozenset(normalised(name[1]) for name in names if name)

    @property
    def sources(self) -> dict[str, list[dict[str, Any]]]:
        """``[tool.uv.sources]``, by normalised name."""
        return {
            normalised(name): [entry for entry in (value if isinstance(value, list) else [value]) if _table(entry)]
            for name, value in _table(self._uv.get("sources")).items()
        }

    @property
    def _project(self) -> dict[str, Any]:
        return _table(self.document.get("project"))

    @property
    def _uv(self) -> dict[str, Any]:
        return _table(_table(self.document.get("tool")).get("uv"))

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
        return Project(folder, tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not valid TOML: {error}.", "Correct the file.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Give this account the right to.") from None


def judged(folder: Path) -> Project | None:
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
        if root and root.is_workspace:
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
    """All that decides what is built: the project, its workspace and path dependencies, their root's own files.

    :param within: as for `workspace_of`.
    """
    workspace = workspace_of(project, within)
    paths = {workspace.folder / name for name in ("pyproject.toml", LOCK, PYTHON_VERSION)} if workspace else set()
    waiting = [project.folder]
    while waiting:
        folder = waiting.pop()
        if folder in paths:
            continue
        paths.add(folder)
        if dependent := read_project(folder):
            waiting.extend(_local_dependencies(dependent, workspace_of(dependent, within)))
    return tuple(sorted(paths))


def normalised(name: str) -> str:
    """A distribution's name, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _local_dependencies(project: Project, workspace: Project | None) -> Iterator[Path]:
    # A workspace's root lends its sources to every member, for what the member depends on.
    lent = {name: (workspace, x) for name, x in workspace.sources.items()} if workspace else {}
    own = {name: (project, x) for name, x in project.sources.items()}
    for name, (owner, entries) in (lent | own).items():
        if owner is not project and name not in project.requirements:
            continue
        for entry in entries:
            if path := _string(entry.get("path")):
                yield (owner.folder / path).resolve()
            elif entry.get("workspace") is True and workspace:
                yield from (x.folder for x in workspace.members if x.name and normalised(x.name) == name)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
