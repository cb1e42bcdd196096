"""The watchdog service of `aind-launch demo --with-services`: the real one, in a process and folders of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from aind_launcher import DemoService, LauncherError, Refused
from aind_launcher_watchdog.transfer_double import PROJECTS, TransferDouble

_PROGRAM: Final = "aind_launcher_watchdog.real_service"
_NEEDED: Final = ("apscheduler", "crc32c", "pythonjsonlogger", "watchdog")
# Seconds for copying what is left; the demo's sessions are small.
_TIMEOUT: Final = 120


@contextmanager
def service(folder: Path, subjects: Sequence[str]) -> Iterator[DemoService]:
    """The service, a folder that stands for the server's share, and a double of the transfer service.

    :raises Refused: something that the service needs is not installed.
    :raises LauncherError: the service does not start.
    """
    require_installed(sys.platform)
    place = Place(folder)
    for made in (place.flag, place.archive, place.destination):
        made.mkdir(parents=True, exist_ok=True)
    with TransferDouble() as transfers, place.log.open("a", encoding="utf-8") as log:
        running = _started(place, log)
        try:
            yield DemoService(
                settings={
                    "flag-directory": str(place.flag),
                    "archive-directory": str(place.archive),
                    "destination": str(place.destination),
                    "project-name": PROJECTS[0],
                    "project-names-url": transfers.project_names,
                    "transfer-endpoint": transfers.endpoint,
                    "service-process": _PROGRAM.partition(".")[0],
                },
                arrived=lambda: [*_finished(running, place, log), *place.arrived(transfers.requests)],
            )
        finally:
            _kill(running)


def require_installed(system: str) -> None:
    """Refuse where the service cannot run.

    :param system: `sys.platform`.
    :raises Refused: names what is missing.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise Refused(f"The watchdog service needs {', '.join(missing)}.", 'pip install "aind-launcher-watchdog[demo]"')
    copies_with = "robocopy" if system == "win32" else "rsync"
    if shutil.which(copies_with) is None:
        hint = "It is part of Windows; put it on the PATH." if system == "win32" else "sudo apt-get install rsync"
        raise Refused(f"The watchdog service copies with {copies_with}, which is not installed.", hint)


@dataclass(frozen=True)
class Place:
    """Where the service of the demo keeps everything."""

    folder: Path

    @property
    def flag(self) -> Path:
        return self.folder / "manifest"

    @property
    def archive(self) -> Path:
        return self.folder / "manifest_complete"

    @property
    def destination(self) -> Path:
        """Stands for the share that the data is copied to."""
        return self.folder / "destination"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    def arrived(self, requests: Sequence[dict[str, Any]]) -> Iterator[str]:
        """What there is to tell, line by line.

        :param requests: what the transfer service was sent.
        """
        sessions = sorted(path for path in self.destination.iterdir() if path.is_dir())
        yield f"{_counted(len(sessions), 'session')} arrived in {self.destination}"
        jobs = [job for request in requests for job in request["upload_jobs"]]
        modalities = sorted({modality["abbreviation"] for job in jobs for modality in job["modalities"]})
        yield f"{_counted(len(jobs), 'upload')} of {', '.join(modalities) or 'nothing'} asked of the transfer service"
        if waiting := len(list(self.flag.iterdir())):
            yield f"{_counted(waiting, 'manifest')} could not be carried out; see {self.log}"
        if sessions and (sessions[-1] / "acquisition.json").is_file():
            yield from _metadata(sessions[-1] / "acquisition.json")


def _metadata(path: Path) -> Iterator[str]:
    """What the curriculum left in an acquisition.json, as far as the plugin data-schema put it there."""
    document = json.loads(path.read_text(encoding="utf-8"))
    yield f"The last one's metadata, {path}:"
    for epoch in document["stimulus_epochs"]:
        metrics = (epoch.get("performance_metrics") or {}).get("output_parameters") or {}
        values = ", ".join(f"{name} {value}" for name, value in metrics.items())
        yield f"  performance metrics: {values or 'none'}"
        yield f"  stage {epoch.get('curriculum_status')} of {epoch.get('training_protocol_name')}"
    for code in (code for stream in document["data_streams"] for code in stream["code"] or ()):
        named = " ".join(part for part in (code["name"], code.get("version")) if part)
        at = f" at {code['commit_hash'][:10]}" if code.get("commit_hash") else ""
        yield f"  code: {named}{at}"


def _started(place: Place, log: Any, *arguments: str) -> subprocess.Popen[str]:
    """The service in a process, once it watches."""
    directories = ("--flag-directory", str(place.flag), "--archive-directory", str(place.archive))
    process = subprocess.Popen(
        [sys.executable, "-m", _PROGRAM, *directories, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        encoding="utf-8",
    )
    if process.stdout is None or not process.stdout.readline():
        raise LauncherError(
            f"The watchdog service did not start; it ended with {process.wait()}.", f"See {place.log} for why."
        )
    return process


def _finished(running: subprocess.Popen[str], place: Place, log: Any) -> list[str]:
    """Have the service carry out what waits, by starting it anew; nothing to tell where it could.

    While it watches, it sleeps for ten seconds at each new manifest; those that it finds at its start, it takes at
    once. So a restart does not change what it does, only how long one waits.
    """
    if _ended(running) and _ended(_started(place, log, "--finish")):
        return []
    return [f"The watchdog service was still busy after {_TIMEOUT} s; see {place.log}"]


def _ended(process: subprocess.Popen[str]) -> bool:
    """Whether the service ended after its input had."""
    if process.poll() is not None:
        return True
    try:
        process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        _kill(process)
        return False
    return True


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
