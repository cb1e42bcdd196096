"""What a build put into an environment, so that whatever changed it, there or on its way there, is noticed."""

import base64
import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from aind_launcher.system.files import write_whole

_LIST: Final = "contents.json"
# Python compiles into the one; git refreshes the other.
_COME_AND_GO: Final = frozenset({"__pycache__", ".git"})
_OF_FILE_MANAGERS: Final = frozenset({"Thumbs.db", "desktop.ini"})
# What is added here decides, too: it is found by imports, or run at every start of Python.
_IMPORTED_FROM: Final = "site-packages"
# Nobody edits these by hand, and some are signed after their hash was taken.
_COMPILED: Final = frozenset({".dll", ".dylib", ".exe", ".pyd", ".so"})
# What a RECORD may use: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})


def list_contents(folder: Path) -> None:
    """Keep beside the files below `folder` a list of them: sizes and times, as git tells that one was edited."""
    found = dict(_contents(folder))
    found.pop(_LIST, None)
    write_whole(folder / _LIST, json.dumps(found))


def first_difference(folder: Path) -> str | None:
    """What is not as it was when it was listed: the first file, by its path below `folder`.

    Files that were added count among what Python imports from; a package may write files of its own.

    :raises OSError, ValueError: `folder` or its list cannot be read.
    """
    for path, listed in json.loads((folder / _LIST).read_bytes()).items():
        if isinstance(listed, dict):
            present = _names(folder / path)
            if changed := present.symmetric_difference(listed["names"]):
                return f"{path}/{min(changed)}"
        elif _state(folder, path) != listed:
            return str(path)
    return None


def packages_unlike_their_record(environment: Path, begun: float) -> tuple[str, ...]:
    """The installed packages that have a file which is not the one that the package was made with.

    uv links files from its cache, where other environments have them, too. One that was edited in any of them is
    edited in the cache, and uv installs it as it is.

    :param begun: when building `environment` began; what uv has unpacked since needs no second look.
    """
    records = [*environment.glob("lib/python*/site-packages/*/RECORD"), *environment.glob("Lib/site-packages/*/RECORD")]
    listed = [_recorded(record) for record in records]
    # Packages may have files of one name; the last one installed has it.
    times = Counter(path for files in listed for path in files)
    with ThreadPoolExecutor() as pool:
        changed = pool.map(_unlike, (record.parent.parent for record in records), listed, repeat(begun))
        return tuple(
            record.parent.name.partition("-")[0]
            for record, paths in zip(records, changed, strict=True)
            if any(times[path] == 1 for path in paths)
        )


def _recorded(record: Path) -> dict[str, str]:
    """The hash of each file that a RECORD has one for, as in ``sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU``."""
    with record.open(encoding="utf-8", newline="") as rows:
        return {row[0]: row[1] for row in csv.reader(rows) if len(row) > 1 and row[1]}


def _unlike(site: Path, files: dict[str, str], begun: float) -> list[str]:
    unlike = []
    for path, listed in files.items():
        kind = listed.partition("=")[0]
        if kind not in _HASHES or Path(path).suffix.lower() in _COMPILED:
            continue
        try:
            state = (site / path).stat()
            # The time of a copy says nothing of when it was unpacked.
            if state.st_nlink > 1 and state.st_mtime > begun:
                continue
            content = (site / path).read_bytes()
        except FileNotFoundError:
            # Who removes a file leaves the one in the cache. On Windows its path may be too long to be found.
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(kind, content).digest()).decode().rstrip("=")
        if listed != f"{kind}={digest}":
            unlike.append(path)
    return unlike


def _contents(folder: Path, inside: str = "") -> Iterator[tuple[str, Any]]:
    try:
        entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
    except FileNotFoundError:
        # On Windows its path may be too long; what Python does not find is not imported either.
        return
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name in _COME_AND_GO:
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield path, _state(folder, path)
            continue
        if entry.name == _IMPORTED_FROM:
            yield path, {"names": sorted(_names(folder / path))}
        yield from _contents(folder, path)


def _state(folder: Path, path: str) -> list[int] | None:
    try:
        # Not what the folder says of it: on Windows that is late for files with several links.
        state = os.lstat(f"{folder}{os.sep}{path}")
    except FileNotFoundError:
        return None
    return [state.st_size, state.st_mtime_ns]


def _names(folder: Path) -> set[str]:
    """The names in a folder but those that file managers and network drives leave there."""
    names = (path.name for path in folder.iterdir())
    return {name for name in names if name not in _COME_AND_GO | _OF_FILE_MANAGERS and not name.startswith(".")}
