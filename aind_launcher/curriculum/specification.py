"""Which environment a pinned source needs: all that decides what is built, and the key made of it."""

import hashlib
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aind_launcher.curriculum.pins import Pin
from aind_launcher.curriculum.project import LOCK, PYTHON_VERSION, lock_folder, read_project, workspace_of
from aind_launcher.curriculum.sources import Source
from aind_launcher.system.git import committed_at, is_ignored

# Part of every key: raise it when environments are built in another way, and all are built again.
_RECIPE = "6"


@dataclass(frozen=True)
class EnvironmentSpec:
    """Which environment a source needs.

    :param key: names all that decides what is built; the environment's folder.
    :param folder: where it is built; marker, lock and log are beside it.
    :param python: the Python asked for: a version, a range, or whatever uv understands.
    :param as_of: packages that were uploaded later are not installed; None where a lock says what is.
    :param extras: extras of the source to install with it.
    """

    key: str
    folder: Path
    source: Source
    pin: Pin
    python: str
    as_of: datetime | None = None
    extras: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What is printed while it is built."""
        return self.folder.with_suffix(".log")


def specify(
    source: Source, pinned: Pin, cache: Path, extras: Sequence[str] = (), python: str | None = None
) -> EnvironmentSpec:
    """The environment that `source` needs as it is now. The lock file is part of the pin's identity.

    :param cache: the launcher's cache directory.
    :param python: the setting; see `python_request`.
    :raises SourceError: the source cannot be built at all. Whether an unreviewed one may be is decided before.
    """
    pinned.require(allow_dirty=True)
    wanted = python_request(source, python)
    as_of = None if is_locked(source) else _date(source, pinned)
    chosen = tuple(sorted(set(extras)))
    parts = (_RECIPE, pinned.identity, source.inside, chosen, wanted, str(as_of), sysconfig.get_platform())
    key = hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return EnvironmentSpec(key, home_of(cache) / key, source, pinned, wanted, as_of, chosen)


def is_locked(source: Source) -> bool:
    """Whether a lock file that git knows says which packages `source` gets."""
    project = read_project(source.path)
    return project is not None and _is_known(lock_folder(project, source.checkout) / LOCK)


def python_request(source: Source, setting: str | None = None) -> str:
    """The Python to build `source` with.

    The setting, else the ``.python-version`` of the source or of its workspace, else ``requires-python``, where the
    launcher's own version is preferred, else the launcher's.
    """
    if setting:
        return setting
    project = read_project(source.path)
    workspace = workspace_of(project, source.checkout) if project else None
    for folder in (source.path, *([workspace.folder] if workspace else [])):
        file = folder / PYTHON_VERSION
        if _is_known(file) and (listed := _first_version(file)):
            return listed
    own = "{}.{}".format(*sys.version_info[:2])
    required = project.requires_python if project else None
    return own if not required or satisfies(sys.version_info[:3], required) else required


def satisfies(version: tuple[int, int, int], wanted: str) -> bool:
    """Whether a Python `version` is what ``3.11``, ``3.11.7`` or ``>=3.11,<3.13`` asks for."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    plain = re.fullmatch(r"\d+(\.\d+){0,2}", wanted)
    try:
        return SpecifierSet(f"=={wanted}.*" if plain else wanted).contains(".".join(map(str, version)))
    except InvalidSpecifier:
        return False


def home_of(cache: Path) -> Path:
    """The folder of all environments."""
    return cache.absolute() / "environments"


def _is_known(file: Path) -> bool:
    # What git ignores is not in a clone, and on no other rig.
    return file.is_file() and not is_ignored(file.parent, file)


def _first_version(path: Path) -> str | None:
    """The first version that a ``.python-version`` lists; the others are for tools that use several."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((bare for line in lines if (bare := line.partition("#")[0].strip())), None)


def _date(source: Source, pinned: Pin) -> datetime | None:
    """When the last commit was made that changed what is built."""
    commit = pinned.head or "HEAD"
    # What was never committed, and is built all the same, is as old as the commit beside it.
    return committed_at(source.checkout, commit, pinned.paths) or committed_at(source.checkout, commit)
