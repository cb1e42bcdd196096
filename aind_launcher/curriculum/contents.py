"""What a build put into an environment, so that a file that was changed, removed or added later is noticed."""

import json
import os
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Final

from aind_launcher.system.files import write_whole

_LIST: Final = "contents.json"
# What Python imports, or runs at its start, where it is found in site-packages. Other files a package may write there.
_IMPORTED: Final = (*all_suffixes(), ".pth")


def list_contents(folder: Path) -> None:
    """Write the list of all files below `folder` into it."""
    write_whole(folder / _LIST, json.dumps(dict(_files(folder))))


def first_changed_file(folder: Path) -> str | None:
    """The first file that was changed, removed or added for import since `folder` was listed; None if there is none.

    :raises OSError, ValueError: `folder` or its list cannot be read.
    """
    listed: dict[str, list[int]] = json.loads((folder / _LIST).read_bytes())
    present = dict(_files(folder))
    changed = [path for path, state in listed.items() if present.get(path) != state]
    added = [path for path in present.keys() - listed.keys() if _is_imported(path)]
    return min([*changed, *added], default=None)


def _files(folder: Path, inside: str = "") -> Iterator[tuple[str, list[int]]]:
    """The size and time of each file, by which git, too, notices that one was edited."""
    try:
        entries = list(os.scandir(folder / inside))
    except FileNotFoundError:
        # On Windows its path may be too long; what Python does not find is not imported either.
        return
    for entry in entries:
        path = f"{inside}{entry.name}"
        # Git refreshes its index whenever it is asked.
        if entry.name == ".git" or path == _LIST:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder, f"{path}/")
        else:
            state = entry.stat(follow_symlinks=False)
            yield path, [state.st_size, state.st_mtime_ns]


def _is_imported(path: str) -> bool:
    return "/site-packages/" in path and path.endswith(_IMPORTED)
