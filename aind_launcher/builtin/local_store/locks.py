"""The lock that keeps two rigs from writing one animal at the same moment, if the file system has locks."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aind_launcher.system.files import existing_parent, probe_in

# What a file system says that has no locks; NFS says the last one where its server's lock service does not run.
_ERRORS: Final = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_WINDOWS_ERRORS: Final = (1, 50)  # ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file `path` while the context lasts. Where the file system has no locks, nobody is kept out.

    The operating system frees the lock of a process that dies. A file that stands for a lock by being there would stay.

    :param timeout: seconds to wait for another holder.
    :raises filelock.Timeout: another rig held it all that time.
    :raises OSError: the file cannot be made or opened.
    """
    from filelock import FileLock

    lock = FileLock(path, timeout=timeout, mode=0o666, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if not means_no_locks(error):
            raise
    try:
        yield
    finally:
        lock.release()


def has_locks(folder: Path) -> bool:
    """Whether files in `folder`, or in the nearest folder above it that exists, can be locked. One is really locked."""
    from filelock import FileLock

    nearest = existing_parent(folder)
    if nearest is None:
        return True
    probe = probe_in(nearest)
    try:
        with FileLock(probe, timeout=0, fallback_to_soft=False):
            return True
    except OSError as error:
        return not means_no_locks(error)
    finally:
        with suppress(OSError):
            probe.unlink()


def means_no_locks(error: OSError) -> bool:
    """Whether `error` is what a file system answers that has no locks, and no other trouble."""
    return error.errno in _ERRORS or getattr(error, "winerror", None) in _WINDOWS_ERRORS
