"""A register that a killed launcher or a bad disk left half-done: `aind-launch today` says what it does not know."""

import re
import shlex
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cohorts import a_day, enrol
from command_line import call
from contexts import trainer_state
from task_repositories import laboratory

from aind_launcher.board.decision import entry_text
from aind_launcher.board.today import AnimalToday, today
from aind_launcher.builtin.local_store import tickets
from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.clock import now


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "library", "climbing")
    enrol(made, "1")
    return made


def animal(library: Library) -> AnimalToday:
    (found,) = today(library.overview(), library.rigs(), now(), 10).animals
    return found


@pytest.mark.parametrize("content", ["", '{"schema": 1, "tick'], ids=["empty", "half"])
def test_an_animal_whose_newest_entry_is_damaged_is_not_shown_by_the_one_before(library: Library, content: str) -> None:
    a_day(library, "1", to="second")
    damaged = library.folder("1") / "sessions" / "000003.json"
    damaged.write_text(content, encoding="utf-8")
    found = animal(library)
    assert (found.status, found.stage, found.record.last_session) == ("unreadable", "second", None)
    assert str(damaged) in str(found.record.problem)
    # What came after it tells all that is shown.
    a_day(library, "1", date=now() + timedelta(minutes=1))
    assert (animal(library).status, animal(library).record.problem) == ("done", None)


def test_an_animal_whose_trainer_state_is_gone_is_not_taken_for_one_without_curriculum(library: Library) -> None:
    a_day(library, "1", to="second")
    (library.folder("1") / "trainer_state.json").unlink()
    assert animal(library).status == "unreadable"
    assert "its trainer_state.json is gone" in str(animal(library).record.problem)


def test_an_animal_of_its_own_task_needs_no_trainer_state(library: Library) -> None:
    (library.folder("1") / "trainer_state.json").unlink()
    for folder in ("history", "sessions"):
        shutil.rmtree(library.folder("1") / folder)
    (library.folder("1") / "task.json").write_text("{}", encoding="utf-8")
    assert animal(library).status == "unknown"


def test_a_session_of_an_animal_whose_trainer_state_is_gone_is_refused_with_how_to_restore_it(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    lab.add_animal("12345", "rung1")
    for missing in ("journal of this rig", "another rig's"):
        assert call("run", "--subject", "123456", cwd=lab.path).code == 0, missing
        (lab.subjects / "123456" / "trainer_state.json").unlink()
        other = ("--set", f"state-directory={tmp_path / 'other'}") if missing != "journal of this rig" else ()
        ended = call("run", "--subject", "123456", *other, cwd=lab.path)
        assert (ended.code, "Did you mean" in ended.err, "Connect" in ended.err) == (3, False, False)
        (restore,) = set(re.findall(r"`aind-launch (animals move .*?)`", ended.err))
        assert call(*shlex.split(restore), cwd=lab.path).code == 0


def test_a_move_whose_launcher_was_killed_is_not_shown_as_the_last_decision(library: Library) -> None:
    a_day(library, "1", to="second")
    a_day(library, "1", date=now() + timedelta(minutes=1))
    move = HistoryEntry(kind="moved", date=now(), trainer_state=trainer_state("third").text, by="kim")
    tickets.of_person(AnimalFolder(library.folder("1")), library.read("1").state, move)
    decided = animal(library).decided
    assert (animal(library).stage, decided and entry_text(decided)) == ("second", "first -> second")
    assert animal(library).record.sessions_at_stage == 1
