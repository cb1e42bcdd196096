"""This machine: where it keeps the launcher's state, and the one launcher that may run on it at a time."""

import getpass
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import Any

import platformdirs

from aind_launcher.errors import Refused
from aind_launcher.model.clock import now
from aind_launcher.system.files import read_whole, write_whole
from aind_launcher.system.inherited import tool_environment

logger = logging.getLogger(__name__)


def machine_directory(kind: str, platform: str, environ: Mapping[str, str]) -> Path:
    """Where this machine keeps the launcher's *state* or *config*.

    On Windows both belong to the machine and not to a login: operators share rigs. The state is a folder of its own,
    which every login may write; the settings beside it only whoever made them, as a rule an administrator.
    """
    if platform == "win32":
        machine = Path(environ.get("PROGRAMDATA", r"C:\ProgramData"), "aind-launcher")
        return machine / "state" if kind == "state" else machine
    if kind == "state":
        return Path(platformdirs.user_state_dir("aind-launcher"))
    return Path(platformdirs.site_config_dir("aind-launcher"))


def open_state_directory(directory: Path) -> Path:
    """Make the state directory where it is missing, writable for every login of a Windows rig.

    :raises Refused: it cannot be made.
    """
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            command = sharing_command(directory, sys.platform, os.environ)
            if (
                command
                and subprocess.run(
                    command,
                    env=tool_environment(os.environ),
                    check=False,
                    capture_output=True,
                    stdin=subprocess.DEVNULL,
                ).returncode
            ):
                logger.warning("Other logins may be unable to write %s: %s failed.", directory, " ".join(command))
    except OSError as error:
        raise Refused(
            f"The state directory {directory} cannot be made: {error.strerror}.",
            "Choose another with the setting state-directory.",
        ) from None
    return directory


def sharing_command(directory: Path, platform: str, environ: Mapping[str, str]) -> list[str] | None:
    """What lets every user of this machine change the files that another made in `directory`.

    Below %PROGRAMDATA% a file is otherwise its maker's alone, and the next operator could not write the journal.
    """
    if platform != "win32":
        return None
    users = "*S-1-5-32-545"  # the group Users, in every language of Windows
    icacls = PureWindowsPath(environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "icacls.exe")
    return [str(icacls), str(directory), "/grant", f"{users}:(OI)(CI)M", "/Q"]


@dataclass(frozen=True)
class RigLock:
    """Held while a session runs or is resumed."""

    note: Path

    def write_note(self, session: str | None) -> None:
        """Leave word of who holds the rig, and for which session if for one yet, for whoever is refused."""
        holder = {"session": session, "since": now().isoformat(), "process": os.getpid(), "login": login()}
        try:
            write_whole(self.note, json.dumps(holder))
        except OSError as error:
            logger.warning("The note of who holds the rig cannot be written: %s.", error.strerror)


@contextmanager
def rig_lock(state_directory: Path) -> Iterator[RigLock]:
    """Hold this machine for one launcher. The operating system frees the lock of a process that dies.

    :raises Refused: another launcher holds it; says which session, since when and which process.
    """
    from filelock import FileLock, Timeout

    note = state_directory / "rig.json"
    lock = FileLock(state_directory / "rig.lock", mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Refused(
            f"This rig is busy: {_holder(note)}.", "Wait for it to end, or end that launcher, and try again."
        ) from None
    except OSError as error:
        raise Refused(
            f"The rig's lock {state_directory / 'rig.lock'} cannot be taken: {error.strerror}.",
            "Choose another place with the setting state-directory.",
        ) from None
    held = RigLock(note)
    held.write_note(None)
    try:
        yield held
    finally:
        # On Windows it stays while somebody reads it; the next holder replaces it.
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def session_in_progress(state_directory: Path) -> str | None:
    """The session that a launcher is at now."""
    session: str | None = (living_holder(state_directory) or {}).get("session")
    return session


def living_holder(state_directory: Path) -> dict[str, Any] | None:
    """The note of the launcher that has this machine; the note of a launcher that died does not count."""
    note = state_directory / "rig.json"
    if not note.is_file():
        return None
    import psutil

    try:
        holder: dict[str, Any] = _told(note)
        begun = psutil.Process(holder["process"]).create_time()
        # A process that began later has the number of the one that died.
        return holder if begun <= datetime.fromisoformat(holder["since"]).timestamp() else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def _told(note: Path) -> Any:
    return json.loads(read_whole(note))


def _holder(note: Path) -> str:
    try:
        holder = _told(note)
        since = datetime.fromisoformat(holder["since"]).astimezone()
        who = f"session {holder['session']}" if holder["session"] else "another launcher"
        return f"{who} since {since:%Y-%m-%d %H:%M} (process {holder['process']}, {holder['login']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another launcher is starting"


def login() -> str:
    """Who is logged in; accounts of services may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown login"
