"""This machine: where it keeps the launcher's state, and the one launcher that may run on it at a time."""

import errno
import getpass
import json
import logging
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import Any, Final

import platformdirs

from aind_launcher.errors import Refused
from aind_launcher.model.clock import now
from aind_launcher.system.files import make_folder, read_whole, write_whole
from aind_launcher.system.inherited import tool_environment

logger = logging.getLogger(__name__)

# Folders of a POSIX machine into which every login may write, as a rule; /run/lock is not cleaned up meanwhile.
SHARED_FOLDERS: Final = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 (a lock that is deleted is no secret)


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
            make_folder(directory)
            if command := sharing_command(directory, sys.platform, os.environ):
                _share(command)
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


def _share(command: list[str]) -> None:
    own = tool_environment(os.environ)
    ended = subprocess.run(command, env=own, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    if ended.returncode:
        logger.warning("Other logins may be unable to write the state directory: %s failed.", " ".join(command))


def lock_directory(state_directory: Path, platform: str, environ: Mapping[str, str], shared: Sequence[Path]) -> Path:
    """Where the lock of a rig with this state directory lies, and the note who holds it.

    In the state directory itself, where that belongs to the machine, as on Windows, or was named by a setting. The
    default one of other systems belongs to a login, and the rig to all of them.

    :param shared: folders of this machine into which every login may write.
    """
    if platform == "win32" or state_directory != machine_directory("state", platform, environ) or not shared:
        return state_directory
    return shared[0] / "aind-launcher"


def _lock_directory(state_directory: Path) -> Path:
    shared = [folder for folder in SHARED_FOLDERS if folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH]
    return lock_directory(state_directory, sys.platform, os.environ, shared)


def installation(state_directory: Path) -> str:
    """What tells this rig from another to which somebody gave the same name: its computer, and where its lock lies."""
    return f"{platform.node()}:{_lock_directory(state_directory)}"


def _open_to_every_login(directory: Path) -> None:
    """Make the folder of the machine's lock. It is not sticky: there no login could open what another has made.

    :raises OSError: something else is in its place.
    """
    directory.mkdir(exist_ok=True)
    # Somebody may have put a link to another folder here.
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
    if sys.platform != "win32" and found.st_uid == os.geteuid():
        directory.chmod(0o777)


@dataclass(frozen=True)
class RigLock:
    """Held while a session runs or is resumed."""

    note: Path

    def write_note(self, session: str | None) -> None:
        """Write down who holds the rig, and for which session, if any yet, so that a refused launcher can say it."""
        holder = {"session": session, "since": now().isoformat(), "process": os.getpid(), "login": login()}
        try:
            write_whole(self.note, json.dumps(holder))
        except OSError as error:
            logger.warning("The note %s, who holds the rig, cannot be written: %s.", self.note, error.strerror)


@contextmanager
def rig_lock(state_directory: Path) -> Iterator[RigLock]:
    """Hold this machine for one launcher. The operating system frees the lock of a process that dies.

    :param state_directory: made where it is missing.
    :raises Refused: another launcher holds it; says which session, since when and which process.
    """
    from filelock import FileLock, Timeout

    open_state_directory(state_directory)
    directory = _lock_directory(state_directory)
    lock = FileLock(directory / "rig.lock", mode=0o666)
    with ExitStack() as taken:
        try:
            if directory != state_directory:
                _open_to_every_login(directory)
                # Older launchers of this login take this one alone.
                lock_of_older = FileLock(state_directory / "rig.lock")
                taken.enter_context(lock_of_older.acquire(timeout=0))
            taken.enter_context(lock.acquire(timeout=0))
        except Timeout:
            raise Refused(
                f"This rig is busy: {_holder(state_directory)}.",
                "Wait for it to end, or end that launcher, and try again.",
            ) from None
        except OSError as error:
            raise Refused(
                f"The rig's lock {lock.lock_file} cannot be taken: {error.strerror}.",
                "Choose another place with the setting state-directory.",
            ) from None
        note = directory / "rig.json"
        held = RigLock(note)
        held.write_note(None)
        try:
            yield held
        finally:
            # On Windows it stays while somebody reads it; the next holder replaces it.
            with suppress(OSError):
                note.unlink(missing_ok=True)


def session_in_progress(state_directory: Path) -> str | None:
    """The session that a launcher works on now."""
    session: str | None = (living_holder(state_directory) or {}).get("session")
    return session


def living_holder(state_directory: Path) -> dict[str, Any] | None:
    """The note of the launcher that holds this machine; the note of a launcher that died does not count."""
    # Older launchers write theirs into the state directory.
    folders = (_lock_directory(state_directory), state_directory)
    return next((holder for folder in folders if (holder := _living(folder / "rig.json"))), None)


def _living(note: Path) -> dict[str, Any] | None:
    if not note.is_file():
        return None
    from aind_launcher.system.processes import is_running_since

    try:
        holder: dict[str, Any] = json.loads(read_whole(note))
        since = datetime.fromisoformat(holder["since"]).timestamp()
        return holder if is_running_since(holder["process"], since) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(state_directory: Path) -> str:
    holder = living_holder(state_directory)
    if holder is None:
        return "another launcher is starting"
    since = datetime.fromisoformat(holder["since"]).astimezone()
    who = f"session {holder['session']}" if holder["session"] else "another launcher"
    return f"{who} since {since:%Y-%m-%d %H:%M} (process {holder['process']}, {holder['login']})"


def login() -> str:
    """Who is logged in; accounts of services may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown login"
