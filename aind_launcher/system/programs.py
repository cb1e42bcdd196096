"""Where a program is: the one rule by which every program that the launcher starts is found."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# What Windows itself starts. PATHEXT has more, such as .py, which only a shell hands to another program.
_STARTABLE: Final = (".com", ".exe", ".bat", ".cmd")


def find_program(name: str, search_path: str, folders: Iterable[Path] = ()) -> Path | None:
    """The program that is called `name`: on `search_path` where it has no folder of its own, or in one of `folders`.

    The current folder is never searched, as Windows does first: a repository's own ``git.exe`` is not git.

    :param search_path: the variable PATH.
    :param folders: searched after it, and all that is searched for a name with a folder in it.
    """
    on_path = search_path.split(os.pathsep) if Path(name).name == name else []
    # An empty or relative part of PATH means the current folder.
    places = [*(folder for part in on_path if (folder := Path(part.strip('"'))).is_absolute()), *folders]
    candidates = (place / spelled for place in places for spelled in spellings(name, sys.platform))
    return next((path for path in candidates if _can_be_started(path)), None)


def spellings(name: str, platform: str) -> list[str]:
    """The file names that start as `name`: on Windows ``Bonsai`` is ``Bonsai.exe``, and ``task.py`` is no program."""
    if platform != "win32" or name.lower().endswith(_STARTABLE):
        return [name]
    return [name + extension for extension in _STARTABLE]


def _can_be_started(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.X_OK)
    except OSError:
        return False
