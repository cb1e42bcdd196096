"""What Windows adds to the checks of a rig: long paths, the code page, and a `python` that only opens the store."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PureWindowsPath

from aind_launcher.model.session import Check
from aind_launcher.system.programs import find_program

_UTF_8 = 65001


@dataclass(frozen=True)
class Windows:
    """What was found.

    :param long_paths: whether paths may have more than 260 characters.
    :param code_page: of the console; 0 where there is none.
    :param python: the program that ``python`` starts.
    """

    long_paths: bool
    code_page: int
    python: PureWindowsPath | None


def checks(found: Windows) -> Iterator[Check]:
    """A check for each."""
    if found.long_paths:
        yield Check.passed("long paths", "enabled")
    else:
        key = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
        yield Check.warning(
            "long paths",
            "Paths of more than 260 characters are refused; an environment of a curriculum can have such files.",
            f"As an administrator: `reg add {key} /v LongPathsEnabled /t REG_DWORD /d 1 /f`.",
        )
    if found.code_page not in (0, _UTF_8):
        shown = f"{found.code_page}; letters that it lacks are shown as \\xNN, `chcp 65001` shows all of them"
        yield Check.passed("code page", shown)
    if found.python and "windowsapps" in (part.lower() for part in found.python.parts):
        yield Check.warning(
            "python",
            f"`python` is {found.python}, which may only open the Microsoft Store.",
            "Turn it off under Settings, Apps, App execution aliases, or name another interpreter in the command.",
        )


def look() -> Windows | None:
    """What this machine has; None elsewhere than on Windows."""
    if sys.platform != "win32":
        return None
    import ctypes
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            long_paths = bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        long_paths = False
    python = find_program("python", os.environ.get("PATH", ""))
    return Windows(long_paths, ctypes.windll.kernel32.GetConsoleOutputCP(), PureWindowsPath(python) if python else None)
