"""Tasks and curricula that outlived their launcher, as where that was killed."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from aind_launcher.errors import Refused
from aind_launcher.processes import MARKER


@dataclass(frozen=True)
class Orphan:
    """A child without a launcher.

    :param kept: the folder that its output goes to; tells the session that it belongs to.
    """

    pid: int
    name: str
    kept: Path


def orphans() -> Iterator[Orphan]:
    """Children of launchers that are no more; those of other accounts may not be seen."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            mark = process.environ().get(MARKER)
            if mark is None or process.status() == psutil.STATUS_ZOMBIE:
                continue
            _, launcher, kept = mark.split(" ", 2)
            if not _is_running_since(int(launcher), process.create_time()):
                yield Orphan(process.pid, process.name(), Path(kept))


def _is_running_since(pid: int, moment: float) -> bool:
    """Whether the process `pid` runs and is the one that ran at `moment`, not a later one of the same number."""
    try:
        return psutil.Process(pid).create_time() <= moment + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def refuse_orphans(*places: Path) -> None:
    """Refuse to go on beside a task or a curriculum that outlived its launcher.

    :param places: where its output would be kept.
    :raises Refused: one runs; two acquisitions would drive one rig, or one folder be handed off while it grows.
    """
    for orphan in orphans():
        if any(orphan.kept.is_relative_to(place) for place in places):
            raise Refused(
                f"{orphan.name} (process {orphan.pid}) of an earlier session still runs; its launcher was killed.",
                f"End it, or wait for it. What it prints is in {orphan.kept}.",
            )
