"""Animals that were removed from the library: what was known of each lies in a folder of its own beside the others.

The folder has all that the animal's folder had, and ``removed_<date>.json``, which says who removed it, when and why.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from aind_launcher.builtin.local_store.folder import LOCK, STATE, AnimalFolder
from aind_launcher.builtin.local_store.reading import reading
from aind_launcher.model.clock import now
from aind_launcher.system.files import move, write_whole

ARCHIVE: Final = "Archive"


def put_away(animal: AnimalFolder, archive: Path, by: str, reason: str | None) -> Path:
    """Move an animal's files into a folder of `archive`, which is returned. The animal's lock is held meanwhile.

    :raises OSError: they cannot be moved; what is left says then that the animal's state is lost.
    """
    date = now()
    stamp = f"{date:%Y-%m-%dT%H%M%S.%fZ}"
    folder = archive / f"{animal.subject}_{stamp}"
    facts = {"schema": 1, "subject": animal.subject, "date": date.isoformat(), "by": by, "reason": reason}
    write_whole(folder / f"removed_{stamp}.json", json.dumps(facts, indent=2))
    # Windows renames no folder in which the lock's file is open. Without its state, the animal is gone.
    for path in sorted(animal.path.iterdir(), key=lambda path: path.name != STATE):
        if path.name != LOCK:
            move(path, folder / path.name)
    return folder


def unlink_lock_of_empty(animal: AnimalFolder) -> None:
    """Unlink the lock of a folder that has nothing else: `put_away` emptied it, or it was made for nothing.

    Only its holder may: who waits for it sees then that it is gone, and makes another. Windows refuses, and unlinks it
    when it is released, if nobody else has it open.
    """
    with suppress(OSError):
        if [path.name for path in animal.path.iterdir()] == [LOCK]:
            animal.lock.unlink()


def remove_empty(animal: AnimalFolder) -> None:
    """Remove the animal's folder if it is empty: no system removes one that has something, such as a new lock."""
    with suppress(OSError):
        animal.path.rmdir()


def subjects_in(archive: Path) -> frozenset[str]:
    """The animals that were removed, and not brought back."""
    with suppress(FileNotFoundError), reading(archive):
        return frozenset(path.name.rpartition("_")[0] for path in archive.iterdir())
    return frozenset()
