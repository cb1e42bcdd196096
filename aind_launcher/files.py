"""Files that are written whole or not at all, and names that are checked before they become paths."""

import os
import re
import tempfile
from pathlib import Path

from aind_launcher.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
# Windows opens a device instead of a file for these, with any extension and in any case.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def checked_name(kind: str, value: str) -> str:
    """`value`, if it can be one part of a path on every platform.

    :param kind: what the name is of, for the error: "subject", "experiment".
    :raises UsageError: it is empty, has a separator, or is a name that Windows reserves.
    """
    if not _NAME.fullmatch(value) or value.endswith(".") or value.split(".")[0].lower() in _DEVICES:
        raise UsageError(
            f"{value!r} is not a valid {kind}.",
            "Use letters, digits, '-', '_', '+' and '.', starting with a letter or digit.",
        )
    return value


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
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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
