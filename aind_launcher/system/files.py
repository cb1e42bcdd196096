"""Files that are written whole or not at all, and folders that are tried before something is written there."""

import os
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

# On Windows a file cannot be replaced while a reader, or a virus scanner, has it open: a moment, as a rule.
_REPLACE_TIMEOUT: Final = 2.0 if sys.platform == "win32" else 0.0


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` so that readers, also after a power failure, see the old file or the new one.

    Text is written as UTF-8 with the line ends it has. Missing folders are made.

    :raises OSError: as `open` and `os.replace` do; the old file then stays and nothing is left behind.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; data folders are shared between accounts.
        Path(temporary).chmod(0o644)
        _replace(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _replace(temporary: Path, path: Path) -> None:
    deadline = time.monotonic() + _REPLACE_TIMEOUT
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def unfinished_files(folder: Path) -> list[Path]:
    """What `write_whole` left in `folder` where the power failed."""
    return [path for path in folder.glob(".*.part") if path.is_file()]


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable; Windows cannot open folders and journals its renames itself."""
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
    probe = nearest / f".aind-launch-{uuid.uuid4().hex}.part"
    try:
        probe.write_bytes(b"may this be written?")
        probe.unlink()
    except NotADirectoryError:
        return f"{nearest} is not a folder."
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        return f"{nearest} cannot be written: {error.strerror or error}."
    return None


def exists(path: Path) -> bool:
    """Whether `path` is there, also where this login may not look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
