"""What each rig reports of itself: one small file each in the library, and how old it is by the share's own clock."""

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from aind_launcher.builtin.local_store.reading import reading
from aind_launcher.builtin.local_store.register import at_once
from aind_launcher.model.clock import now
from aind_launcher.model.names import checked_name
from aind_launcher.model.register import RigStatus
from aind_launcher.system.files import probe_in, read_whole, write_whole

logger = logging.getLogger(__name__)


def write_status(folder: Path, status: RigStatus) -> None:
    """Put `status` into the place of what the rig reported before; what another of its name did is named.

    :raises OSError: it cannot be written.
    """
    path = folder / f"{checked_name('rig', status.rig)}.json"
    before = _status(path, 0.0)
    if before and (clash := before.clash(status.installation)):
        logger.warning("%s Give each rig a name of its own with the setting rig-name.", clash)
    write_whole(path, status.model_dump_json(indent=2, by_alias=True))


def read_statuses(folder: Path) -> tuple[RigStatus, ...]:
    """What each rig reported last, by name; what cannot be read is named with its problem.

    :raises AnimalError: the folder cannot be read.
    """
    files: list[Path] = []
    with suppress(FileNotFoundError), reading(folder):
        files = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    share_time = _share_time(folder) if files else 0.0
    return tuple(status for status in at_once(lambda path: _status(path, share_time), files) if status)


def _status(path: Path, share_time: float) -> RigStatus | None:
    written = 0.0
    try:
        written = path.stat().st_mtime
        return RigStatus.model_validate_json(read_whole(path)).aged(max(0.0, share_time - written))
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}."
    except ValidationError:
        problem = f"{path} is damaged, or of a newer launcher. The rig writes it anew with its next session."
    status = RigStatus(rig=path.stem, machine="", written=datetime.fromtimestamp(written, UTC), problem=problem)
    return status.aged(max(0.0, share_time - written))


def _share_time(folder: Path) -> float:
    """The time by the clock of whoever keeps `folder`; this machine's where this login may not write there."""
    probe = probe_in(folder)
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return probe.stat().st_mtime
    except OSError:
        return now().timestamp()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
