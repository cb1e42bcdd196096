"""A launcher that is killed at any instant loses nothing and does nothing twice."""

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import KILL, Ended, Programs, programs
from recording_server import NAMES, PLUGINS, RecordingServer, contents, recording_server
from task_repositories import Laboratory, laboratory

from aind_launcher.journal import Journal, SessionRecord

INSTANTS = 200
# The same instants in every run; in parts, so that several processes can share the work.
PARTS = 8


@dataclass(frozen=True)
class Trial:
    """An animal's session in a world of its own: data, state and library; only the task repository is shared."""

    laboratory: Laboratory
    server: RecordingServer
    programs: Programs
    root: Path
    subject: str

    def call(self, command: str, *arguments: str, **kill: float | int | None) -> Ended:
        places = {
            "data-directory": self.root / "data",
            "state-directory": self.root / "state",
            "plugin.local-store.library": self.root / "library",
        }
        settings = [part for name, place in places.items() for part in ("--set", f"{name}={place}")]
        return self.programs.call(self.laboratory.repository, command, *arguments, *settings, **kill)  # type: ignore[arg-type]

    def run(self, **kill: float | int | None) -> Ended:
        return self.call("run", "--subject", self.subject, **kill)

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
        nothing = self.call("resume", "--all", "--dry-run")
        assert (nothing.code, nothing.out) == (0, "Nothing is left undone.\n")


class Trials:
    """Makes trials: each has an animal on its first rung."""

    def __init__(self, root: Path, server: RecordingServer, opened: Programs) -> None:
        self._root, self._server, self._programs = root, server, opened
        self._laboratory = laboratory(root / "template", PLUGINS, server.settings, NAMES)
        self._made = 0

    def new(self) -> Trial:
        self._made += 1
        root = self._root / f"trial {self._made}"
        # The service knows all of them, so each has a subject of its own.
        subject = str(1000 + self._made)
        place = root / "library" / "climbing" / "Subjects" / subject
        place.mkdir(parents=True)
        shutil.copy(self._laboratory.subjects / "123" / "trainer_state.json", place)
        return Trial(self._laboratory, self._server, self._programs, root, subject)


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[Trials]:
    with recording_server() as server, programs(tmp_path / "scratch") as opened:
        yield Trials(tmp_path, server, opened)


def test_without_a_kill_a_session_does_everything_once(trials: Trials) -> None:
    trial = trials.new()
    ended = trial.run(at=0)
    assert ended.code == 0, ended.err
    # Each step is written before and after it, and each write is an instant to be killed at.
    assert "after journal INSERT post_session push done" in ended.writes
    assert len(ended.writes) > 80
    trial.assert_finished()


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_a_write_a_session_is_finished_by_resume(trials: Trials, part: int) -> None:
    writes = trials.new().run(at=0).writes
    reached = set()
    for number in range(1 + part, len(writes) + 1, PARTS):
        trial = trials.new()
        ended = trial.run(at=number)
        assert ended.killed, writes[number - 1]
        print(f"killed {writes[number - 1]}")
        reached.add(trial.finish())
    assert reached >= {"before the acquisition", "resumed"}


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_instant_a_session_is_finished_by_resume(trials: Trials, part: int) -> None:
    duration = min(trials.new().timed_run() for _ in range(3))
    chance = random.Random(part)  # noqa: S311
    for _ in range(INSTANTS // PARTS):
        trial = trials.new()
        instant = chance.random() * duration
        trial.run(kill_after=instant)
        print(f"killed after {instant:.4f} s of {duration:.4f} s: {trial.finish()}")


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_a_resume_that_is_killed_at_a_write_is_finished_by_the_next(trials: Trials, part: int) -> None:
    template = trials.new()
    names = template.run(at=0).writes
    early = 1 + next(n for n, name in enumerate(names) if "before" in name and "collect_inputs" in name)

    def cut_off() -> Trial:
        trial = trials.new()
        assert trial.run(at=early).killed
        return trial

    writes = cut_off().call("resume", "--all", at=0).writes
    assert len(writes) > 50
    for number in range(1 + part, len(writes) + 1, PARTS):
        trial = cut_off()
        assert trial.call("resume", "--all", at=number).killed
        print(f"killed {writes[number - 1]}")
        trial.finish()


@pytest.mark.integration
def test_who_dies_between_an_effect_and_its_answer_does_not_make_it_again(trials: Trials) -> None:
    reference = trials.new()
    reference.run()
    effects = [key.partition("/")[2] for key, _ in trials._server.made]
    assert len(effects) == 5
    for effect in effects:
        trial = trials.new()

        def die(key: str, process: int, effect: str = effect) -> None:
            if key.endswith(effect):
                os.kill(process, KILL)
                raise ConnectionAbortedError

        trial.server.before_answer = die
        assert trial.run().killed
        assert trial.server.counts(trial.sessions[0].name)[effect] == 1
        trial.server.before_answer = lambda key, process: None
        trial.finish()


@pytest.mark.integration
def test_an_answer_that_is_lost_is_asked_for_again(trials: Trials) -> None:
    trial = trials.new()
    lost: list[str] = []

    def lose(key: str, process: int) -> None:
        if key not in lost and "run_session" not in key:
            lost.append(key)
            raise ConnectionAbortedError

    trial.server.before_answer = lose
    ended = trial.run()
    assert ended.code == 1
    assert len(lost) == 4
    trial.finish()
