"""Which environment a pinned source needs: all that decides what is built, and the key made of it."""

import hashlib
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aind_launcher.curriculum.project import PYTHON_VERSION, read_project, workspace_of
from aind_launcher.curriculum.sources import Pin, Source

# Part of every key: raise it when environments are built in another way, and all are built again.
_RECIPE = "3"


@dataclass(frozen=True)
class EnvironmentSpec:
    """Which environment a source needs.

    :param key: names all that decides what is built; the environment's folder.
    :param folder: where it is built; marker, lock and log are beside it.
    :param pythons: the Pythons asked for, the best first: versions, ranges, or whatever uv understands.
    :param extras: extras of the source to install with it.
    """

    key: str
    folder: Path
    source: Source
    pin: Pin
    pythons: tuple[str, ...]
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
    :param python: the setting; see `python_requests`.
    :raises SourceError: the source cannot be built at all. Whether an unreviewed one may be is decided before.
    """
    pinned.require(allow_dirty=True)
    pythons = python_requests(source, python)
    chosen = tuple(sorted(set(extras)))
    parts = (_RECIPE, pinned.identity, source.inside, chosen, pythons, sysconfig.get_platform())
    key = hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return EnvironmentSpec(key, home_of(cache) / key, source, pinned, pythons, chosen)


def python_requests(source: Source, setting: str | None = None) -> tuple[str, ...]:
    """The Pythons to build `source` with, the best first.

    The setting, else the ``.python-version`` of the source or of its workspace, else ``requires-python``, where the
    launcher's own version is preferred, else the launcher's.
    """
    if setting:
        return (setting,)
    project = read_project(source.path)
    workspace = workspace_of(project, source.checkout) if project else None
    for folder in (source.path, *([workspace.folder] if workspace else [])):
        if listed := _listed_versions(folder / PYTHON_VERSION):
            return listed
    own = "{}.{}".format(*sys.version_info[:2])
    required = project.requires_python if project else None
    return (own,) if not required or satisfies(sys.version_info[:3], required) else (required,)


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


def _listed_versions(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(bare for line in lines if (bare := line.partition("#")[0].strip()))
