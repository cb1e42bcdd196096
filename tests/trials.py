"""Sessions of the real program, each in a world of its own, and what must be true of them whatever happened."""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import Ended
from programs import Programs, programs
from recording_server import NAMES, PLUGINS, RecordingServer, contents, recording_server
from task_repositories import laboratory

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord
from aind_launcher.testing import TaskRepositoryForTests


@dataclass(frozen=True)
class Trial:
    """An animal's session in a world of its own: data, state and library; only the task repository is shared."""

    laboratory: TaskRepositoryForTests
    server: RecordingServer
    programs: Programs
    root: Path
    subject: str

    def call(self, command: str, *arguments: str, **misfortune: Any) -> Ended:
        places = {
            "data-directory": self.root / "data",
            "state-directory": self.root / "state",
            "plugin.local-store.library": self.root / "library",
        }
        settings = [part for name, place in places.items() for part in ("--set", f"{name}={place}")]
        return self.programs.call(self.laboratory.path, command, *arguments, *settings, **misfortune)

    def run(self, **misfortune: Any) -> Ended:
        return self.call("run", "--subject", self.subject, **misfortune)

    def timed_run(self) -> float:
        begun = time.monotonic()
        assert self.run().code == 0
        return time.monotonic() - begun

    @property
    def sessions(self) -> tuple[SessionRecord, ...]:
        path = self.root / "state" / "journal.sqlite"
        if not path.exists():
            return ()
        with Journal.open(path) as journal:
            return journal.sessions()

    @property
    def stage(self) -> str:
        path = self.root / "library" / "climbing" / "Subjects" / self.subject / "trainer_state.json"
        stage: str = json.loads(path.read_text("utf-8"))["stage"]["name"]
        return stage

    def assert_whole(self) -> None:
        """No file is half-written, and the animal's state is the old one or the new one."""
        for path in self.root.rglob("*.json"):
            json.loads(path.read_text("utf-8"))
        for path in self.root.rglob("*.jsonl"):
            for line in path.read_text("utf-8").splitlines():
                json.loads(line)
        if (self.root / "state" / "journal.sqlite").exists():
            connection = sqlite3.connect(self.root / "state" / "journal.sqlite")
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
        assert self.stage in ("rung1", "rung2")

    def finish(self) -> str:
        """Do what an operator would after the power was back: resume, and run again what never began.

        :return: how far the session was.
        """
        self.assert_whole()
        left = self.sessions
        resumed = self.call("resume", "--all", "--unattended")
        how_far = "resumed"
        if "waits for a decision" in resumed.err:
            how_far = "in the acquisition"
            assert resumed.code == 1
            (waiting,) = self.sessions
            assert waiting.state == "incomplete"
            resumed = self.call("resume", waiting.name, "--acquisition-complete")
        assert resumed.code == 0, resumed.err
        if not left or self.sessions[0].state == "cancelled":
            how_far = "before the acquisition"
            assert all(not self.server.counts(record.name) for record in left)
            assert self.stage == "rung1"
            again = self.run()
            assert again.code == 0, again.err
        elif left[0].state == "completed":
            how_far = "at its end"
        self.assert_finished(cut_off=how_far == "in the acquisition")
        return how_far

    def assert_finished(self, *, cut_off: bool = False) -> None:
        self.assert_whole()
        *cancelled, session = self.sessions
        assert all(record.state == "cancelled" for record in cancelled)
        nothing = self.call("resume", "--all", "--dry-run")
        assert (nothing.code, nothing.out) == (0, "Nothing is left undone.\n")
        if cut_off and session.state == "failed":
            # It was cut off before it had data: nothing decides on it.
            assert self.stage == "rung1"
            return
        assert session.state == "completed"
        assert self.stage == "rung2"
        counts = self.server.counts(session.name)
        assert set(counts.values()) == {1}, counts
        done = {key.rpartition("/")[0] for key in counts} - {""}
        assert done == {
            f"{hook}/{plugin}" for hook in ("post_session", "transfer_session") for plugin in ("Push", "Notes")
        }
        # One that was cut off as it began has data all the same, and is never begun again.
        assert counts["run_session"] == 1 or cut_off
        assert [path.name for path in session.folder.rglob("*.part")] == []
        # What was handed off first is what lies there now.
        key = f"{session.name}/transfer_session/Notes/0"
        (handed_off,) = [told for made, told in self.server.made if made == key]
        assert handed_off == contents(session.folder)


class Trials:
    """Makes trials: each has an animal on its first rung."""

    def __init__(self, root: Path, server: RecordingServer, opened: Programs) -> None:
        self.server = server
        self._root, self._programs = root, opened
        self._laboratory = laboratory(root / "template", PLUGINS, server.settings, NAMES)
        self._made = 0

    def new(self) -> Trial:
        self._made += 1
        root = self._root / f"trial {self._made}"
        # The service knows all of them, so each has a subject of its own.
        subject = str(1000 + self._made)
        place = root / "library" / "climbing" / "Subjects" / subject
        place.mkdir(parents=True)
        shutil.copy(self._laboratory.subjects / "123456" / "trainer_state.json", place)
        return Trial(self._laboratory, self.server, self._programs, root, subject)


@contextmanager
def trials_in(root: Path) -> Iterator[Trials]:
    with recording_server() as server, programs(root / "scratch") as opened:
        yield Trials(root, server, opened)
