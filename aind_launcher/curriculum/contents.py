"""What the code in an environment consists of, so that whatever changed it after the build is noticed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What is executed, or decides what is; scripts and metadata have no suffix. A package may keep data beside its code.
_CODE: Final = frozenset({"", ".cfg", ".dll", ".dylib", ".exe", ".pth", ".py", ".pyd", ".so"})
# Python compiles into the one; git refreshes the other.
_COME_AND_GO: Final = frozenset({"__pycache__", ".git"})


def fingerprint(folder: Path) -> str:
    """Names all code below `folder` by paths, sizes and times, as git tells that a file was edited: milliseconds.

    :raises OSError: the folder cannot be read.
    """
    digest = hashlib.sha256()
    for path in _code(folder):
        # Not what the folder says of it: on Windows that is late for files with several links, as uv makes them.
        state = path.lstat()
        entry = (path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns)
        digest.update(repr(entry).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _code(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in _COME_AND_GO:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _code(folder / entry.name)
            elif Path(entry.name).suffix.lower() in _CODE:
                yield folder / entry.name
