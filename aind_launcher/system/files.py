"""Files that are written whole or not at all, and folders that are tried before something is written there."""

import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# What `_written_beside` and `probe_in` call the files that they remove again.
_HALF_WRITTEN = re.compile(r"\.(?:.+\.[a-z0-9_]{8}|aind-launch-[0-9a-f]{32})\.part")
# Seconds after which nobody writes such a file any more.
_ABANDONED = 3600.0
# Files and folders of this program among the temporary ones have names that no person gives.
_PREFIX, _SUFFIX = "aind-launch-", ".by-aind-launch"
_TEMPORARY = re.compile(r"aind-launch-[a-z0-9_]{8}\.by-aind-launch(?:\.txt)?")
# For how many seconds somebody may want to see them.
_LOOKED_AT_FOR = 7 * 24 * 3600.0


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` so that readers, also after a power failure, see the old file or the new one.

    Text is written as UTF-8 with the line ends it has.

    :param path: the file; missing folders above it are made.
    :param content: all that the file is to hold.
    :raises OSError: as `open` and `os.replace` do; the old file then stays and nothing is left behind.
    """
    with _written_beside(path, content) as part:
        move(part, path)


def create_whole(path: Path, content: str | bytes) -> None:
    """Write a file as `write_whole` does, and only if there is none: of several programs one makes it.

    It needs no lock. Where the file system has no hard links, a program that is killed may leave an empty file.

    :raises FileExistsError: it is there.
    :raises OSError: as `write_whole`.
    """
    with _written_beside(path, content) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            # A share whose answer was lost is asked again, and then finds what it has just made.
            if not path.samefile(part):
                raise
        except OSError:
            with path.open("xb") as file:
                file.write(part.read_bytes())
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def _written_beside(path: Path, content: str | bytes) -> Iterator[Path]:
    """A file beside `path` that has `content` and is on disk; it is removed unless it was moved."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    make_folder(path.parent)
    with _named(path):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes private files; data folders are shared between accounts.
            Path(temporary).chmod(0o644)
            yield Path(temporary)
        finally:
            Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)
    _remove_abandoned(path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error say which file was to be written: a full disk does not name it."""
    try:
        yield
    except OSError as error:
        if error.filename2 is None:
            error.filename = str(path)
        raise


def _remove_abandoned(written: Path) -> None:
    """Remove what killed launchers left half-written beside a file that was written just now.

    What is younger than an hour may be another launcher's, and is still being written. Both ages are by the clock of
    whoever keeps the folder.
    """
    with suppress(OSError):
        newest = written.stat().st_mtime
        with os.scandir(written.parent) as found:
            for entry in found:
                if _HALF_WRITTEN.fullmatch(entry.name) and entry.stat().st_mtime < newest - _ABANDONED:
                    with suppress(OSError):
                        os.unlink(entry.path)  # noqa: PTH108 - found by its name alone


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder among the temporary ones that goes at the end of its context."""
    return tempfile.TemporaryDirectory(prefix=_PREFIX, suffix=_SUFFIX, ignore_cleanup_errors=True)


def kept_folder() -> Path:
    """A folder among the temporary ones that stays for a week, to be looked at, unless somebody removes it."""
    return Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX))


def kept_text(text: str) -> Path:
    """A file with `text` that stays as `kept_folder` does."""
    descriptor, path = tempfile.mkstemp(prefix=_PREFIX, suffix=f"{_SUFFIX}.txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(path)


def remove_old_temporaries() -> None:
    """Remove the folders and files of the functions above in which nothing was written for a week."""
    oldest = time.time() - _LOOKED_AT_FOR
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).iterdir():
            with suppress(OSError):
                if not _TEMPORARY.fullmatch(path.name) or _last_written(path) >= oldest:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _last_written(path: Path) -> float:
    # The time of a folder does not change while the files in it are written.
    return max(found.lstat().st_mtime for found in (path, *path.rglob("*")))


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file of any size as `write_whole` writes, a piece at a time."""
    make_folder(target.parent)
    part = target.with_name(f".{target.name}.part")
    with source.open("rb") as read, _named(target), part.open("wb") as written:
        # A copy that is cut off leaves it behind.
        share(part)
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())
    move(part, target)


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, if it is not there, each shared as the folder that it is made in.

    :raises OSError: as `Path.mkdir` does.
    """
    missing = list(takewhile(lambda path: not exists(path), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        share(path)


def share(path: Path) -> None:
    """Let the group change `path`, which this login has just made, that may change the folder it is in.

    Whatever the login's umask is, another of that group can then go on. Nothing changes in a folder of one login alone.
    """
    with suppress(OSError):
        found = path.stat()
        mode = shared_mode(found, path.parent.stat(), sys.platform)
        if mode != stat.S_IMODE(found.st_mode):
            path.chmod(mode)


def shared_mode(found: os.stat_result, above: os.stat_result, platform: str) -> int:
    """The mode that `share` gives to what has the status `found`, in a folder with the status `above`.

    Windows has rights that are inherited. In a sticky folder nobody may change what belongs to another login.
    """
    mode = stat.S_IMODE(found.st_mode)
    shares = above.st_mode & stat.S_IWGRP and not above.st_mode & stat.S_ISVTX and found.st_gid == above.st_gid
    if platform == "win32" or not shares:
        return mode
    return mode | (stat.S_IRWXG if stat.S_ISDIR(found.st_mode) else stat.S_IRGRP | stat.S_IWGRP)


def read_whole(path: Path) -> bytes:
    """The content of a file that `write_whole` may be replacing at this moment.

    :raises OSError: as `open` does.
    """
    return persistently(lambda: _content(path), sys.platform)


def _content(path: Path) -> bytes:
    # Opened and read alone: on a share, all else that Python's own files ask takes as long again.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Put a file into the place of `target`, or a folder where nothing is, on the same disk.

    :raises OSError: as `os.replace` does.
    """
    persistently(lambda: source.replace(target), sys.platform)


def persistently(operation: Callable[[], T], platform: str) -> T:
    """Do `operation`, on Windows again and again for two seconds while it is refused.

    There a file that somebody reads cannot be replaced or renamed, and one that is being replaced cannot be read; a
    virus scanner or an indexer holds it for a moment, too.
    """
    deadline = time.monotonic() + (2.0 if platform == "win32" else 0.0)
    while True:
        try:
            return operation()
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def unfinished_files(folder: Path) -> list[Path]:
    """What `write_whole` left in `folder` where the power failed."""
    return [path for path in folder.glob(".*.part") if path.is_file()]


def sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open folders and journals its renames itself.

    :param folder: where the renamed file lies.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems refuse to sync a folder; the file itself is already on disk.
        pass
    finally:
        os.close(descriptor)


def existing_parent(folder: Path) -> Path | None:
    """`folder`, or the nearest folder above it that exists; None on a drive that is not there."""
    return next((path for path in (folder, *folder.parents) if exists(path)), None)


def write_problem(folder: Path) -> str | None:
    """Why nothing can be written into `folder`, as a sentence, or None. A file is really written, and removed.

    Where `folder` is missing, the nearest folder above it is tried: it will be made there.
    """
    for nearest in (folder, *folder.parents):
        if exists(nearest):
            break
        if nearest.is_symlink():
            return f"{nearest} is a link to a place that is not there."
    else:
        return f"{folder} is not there."
    if nearest.is_file():
        return f"{nearest} is not a folder."
    probe = probe_in(nearest)
    try:
        probe.write_bytes(b"may this be written?")
        _remove_abandoned(probe)
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        return f"{nearest} cannot be written: {error.strerror or error}."
    return None


def probe_in(folder: Path) -> Path:
    """A file that nobody has, to try something in `folder`; one that is left there is removed later."""
    return folder / f".aind-launch-{uuid.uuid4().hex}.part"


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file in `folder`, by its path in it, with forward slashes; links to folders are left out.

    What somebody takes away meanwhile, as a transfer service does, is left out, too.
    """
    found: dict[str, tuple[int, int]] = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with suppress(OSError), os.scandir(folder / inside) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{inside}{entry.name}/")
                    elif entry.is_file():
                        state = entry.stat()
                        found[f"{inside}{entry.name}"] = (state.st_size, state.st_mtime_ns)
    return found


def exists(path: Path) -> bool:
    """Whether `path` is there, also where this login may not look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
