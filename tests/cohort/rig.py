"""One rig of the cohort: a folder with its settings, its state and its data, and the launcher on it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from command_line import Ended

from aind_launcher.builtin.local_store.library import Library
from cohort.plan import Unplugged

HERE = Path(__file__).parent
EXPERIMENT = "demo"
# Seconds; nothing here takes so long.
LONGEST = 120
_FOREIGN = ("AIND_LAUNCHER_", "XDG_CONFIG_DIRS", "PYTHON", "TZ")


@dataclass
class Rig:
    """A rig of its own, but for the task repository and the library, which all rigs share.

    :param share: what its drive is connected to; the library lies there.
    """

    home: Path
    repository: Path
    share: Path
    clock: timedelta = field(default_factory=timedelta)

    def __post_init__(self) -> None:
        settings = {
            "rig-name": self.name,
            "data-directory": str(self.data),
            "state-directory": str(self.home / "state"),
            "plugin.local-store.library": str(self._drive / "library"),
        }
        file = self.home / "config" / "aind-launcher" / "aind-launcher.toml"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()), "utf-8")
        self.data.mkdir()
        self.plug()

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def _drive(self) -> Path:
        return self.home / "drive"

    @property
    def library(self) -> Library:
        """All animals, also while they are unplugged from this rig."""
        return Library(self.share / "library", EXPERIMENT)

    def plug(self, how: Unplugged | None = None) -> None:
        """Connect the drive of the library; to nothing, or to something empty, where that is `how`."""
        self._drive.unlink(missing_ok=True)
        if how == "empty":
            shutil.rmtree(self.home / "empty", ignore_errors=True)
            (self.home / "empty").mkdir()
            self._drive.symlink_to(self.home / "empty")
        elif how is None:
            self._drive.symlink_to(self.share)

    def call(self, *arguments: str, at: datetime, clock: timedelta | None = None) -> Ended:
        """Call the launcher here, at a true time."""
        return self.start(*arguments, at=at, clock=clock).end()

    def listed(self, *arguments: str, at: datetime) -> Any:
        """What a command says with `--json`."""
        ended = self.call(*arguments, "--json", at=at)
        if ended.code:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)} ended with {ended.code}: {ended.err}")
        return json.loads(ended.out)

    def start(self, *arguments: str, at: datetime, clock: timedelta | None = None) -> "Started":
        """Start the launcher here.

        :param clock: how far the rig's clock is off now; by default, as far as all day.
        """
        seen = at + (self.clock if clock is None else clock)
        process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "shifted.py"), seen.isoformat(), *arguments],
            cwd=self.repository,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        return Started(process)

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        # The real machine's folder stays behind it: uv may be told there where the package index is.
        return own | {"XDG_CONFIG_DIRS": f"{self.home / 'config'}{os.pathsep}/etc/xdg", "TZ": "UTC"}


@dataclass
class Started:
    """A launcher that was started."""

    process: "subprocess.Popen[str]"
    orphans: list[psutil.Process] = field(default_factory=list)

    def end(self, timeout: float = LONGEST) -> Ended:
        """How it ended.

        :raises subprocess.TimeoutExpired: it did not.
        """
        out, err = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, out, err)

    def killed_after(self, seconds: float) -> Ended:
        """How it ended, at the latest by a kill after so many seconds."""
        try:
            return self.end(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> Ended:
        """Kill its process group. The task has one of its own and goes on, as on a rig."""
        self.orphans = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.end()

    def orphans_ended(self) -> None:
        """Wait for the task and whatever else outlived its launcher."""
        psutil.wait_procs(self.orphans, timeout=LONGEST)


@contextmanager
def door() -> Iterator["Door"]:
    """Where a task waits until the simulation lets it begin."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        made = Door(server)
        try:
            yield made
        finally:
            made.open()


@dataclass
class Door:
    """Tasks that were started with `settings` wait before it."""

    server: socket.socket
    _waiting: socket.socket | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """What lets the launcher start the task so."""
        inputs = {"session": "session", "rig": "rig", "task": "task", "folder": "session_directory"}
        places = [part for option, place in inputs.items() for part in (f"--{option}", f"{{{place}}}")]
        port = str(self.server.getsockname()[1])
        command = [sys.executable, str(HERE / "held_task.py"), port, "simulated_task.py", *places]
        return ("--set", f"plugin.acquisition.command={json.dumps(command)}")

    def wait(self, started: Started) -> bool:
        """Wait until the task stands before the door, so that its session has begun; False if it never will."""
        while started.process.poll() is None:
            with suppress(TimeoutError):
                self._waiting, _ = self.server.accept()
                return True
        return False

    def open(self) -> None:
        """Let the task begin."""
        if self._waiting:
            self._waiting.close()
            self._waiting = None
