"""One manifest into the service's flag directory: whole, once, and recognised whatever became of it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from aind_launcher import LauncherError, SessionContext, TransientError, sync_folder, write_whole
from aind_launcher_watchdog.places import Places

State = Literal["waiting", "archived", "taken"]


@dataclass(frozen=True)
class Handover:
    """A session's manifest and the places where it can be.

    The service takes files that are created in its directory, or moved there from another; it ignores what is
    renamed within, and a name without "manifest".

    :param name: of the file; differs for each hand-off of a session.
    :param former: the names of the session's earlier hand-offs.
    :param receipt: on this machine; there once the file was ready to be moved.
    """

    name: str
    former: tuple[str, ...]
    flag: Path
    outbox: Path
    archive: Path | None
    receipt: Path

    @classmethod
    def of(cls, session: SessionContext, places: Places) -> "Handover":
        """The handover of this session as it stands."""
        name = manifest_name(session.name, session.hand_off)
        return cls(
            name=name,
            former=tuple(manifest_name(session.name, number) for number in range(session.hand_off)),
            flag=places.flag,
            outbox=places.outbox,
            archive=places.archive,
            receipt=session.staging / "watchdog" / name,
        )

    def state(self) -> State | None:
        """Where the manifest is: waiting for the service, archived by it, or taken; None before the handover.

        A receipt without the file in the outbox proves that it was moved, also where nobody sees it any more.
        """
        with _reached(self.flag):
            # In this order: the service moves it from the one to the other.
            if (self.flag / self.name).exists():
                return "waiting"
            if self.archive and (self.archive / self.name).exists():
                return "archived"
            return "taken" if self.receipt.exists() and not (self.outbox / self.name).exists() else None

    def place(self, text: str) -> None:
        """Move the manifest in, in the place of one of an earlier hand-off that still waits.

        :raises TransientError: a directory cannot be reached.
        :raises LauncherError: the outbox is on another volume.
        """
        with _reached(self.flag):
            for name in self.former:
                # Its data has changed since; the service drops the job with the file.
                (self.flag / name).unlink(missing_ok=True)
            write_whole(self.outbox / self.name, text)
            write_whole(self.receipt, text)
            (self.outbox / self.name).replace(self.flag / self.name)
            sync_folder(self.flag)

    def former_folder(self) -> str | None:
        """The folder at the destination of the newest earlier hand-off, so that what is there is corrected."""
        for name in reversed(self.former):
            try:
                content = yaml.safe_load((self.receipt.parent / name).read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue
            return str(content["name"])
        return None

    @property
    def manifest(self) -> Path:
        return self.flag / self.name


def manifest_name(session: str, hand_off: int) -> str:
    """``manifest_<session>.yml``, numbered from the second hand-off on."""
    return f"manifest_{session}{f'_again{hand_off}' if hand_off else ''}.yml"


def probe(flag: Path, outbox: Path) -> None:
    """Move a file as a manifest will be moved, under a name that the service ignores.

    :raises LauncherError: it cannot be done; says why.
    """
    if not flag.is_absolute() or not outbox.is_absolute():
        raise LauncherError(
            f"{outbox if flag.is_absolute() else flag} is not an absolute path.",
            "Set plugin.watchdog.flag-directory and outbox-directory as absolute paths.",
        )
    if flag == outbox:
        raise LauncherError(
            f"Manifests would be written in the flag directory {flag} itself.",
            "Set plugin.watchdog.outbox-directory to another folder of the same volume.",
        )
    if not flag.is_dir():
        raise LauncherError(
            f"The flag directory {flag} cannot be reached.",
            "Start the watchdog service, connect the share, or correct plugin.watchdog.flag-directory.",
        )
    name = f"aind-launcher-{os.getpid()}.probe"
    with _reached(flag):
        try:
            write_whole(outbox / name, "")
            (outbox / name).replace(flag / name)
        finally:
            (outbox / name).unlink(missing_ok=True)
            (flag / name).unlink(missing_ok=True)


@contextmanager
def _reached(flag: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise LauncherError(
                f"The flag directory {flag} is on another volume than the outbox {Path(error.filename).parent}, "
                "so a manifest cannot be moved there whole.",
                "Set plugin.watchdog.outbox-directory to a folder on the flag directory's volume.",
            ) from None
        raise TransientError(
            f"The manifest cannot be handed to the watchdog service: {error.filename or flag}: "
            f"{error.strerror or error}.",
            "Connect the share or correct its permissions, then resume.",
        ) from error
