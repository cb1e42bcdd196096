"""A register that a killed launcher or a bad disk left half-done: `aind-launch today` says what it does not know."""

from datetime import timedelta
from pathlib import Path

import pytest
from cohorts import a_day, enrol
from contexts import trainer_state

from aind_launcher.board.today import AnimalToday, entry_text, today
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


def test_a_move_whose_launcher_was_killed_is_not_shown_as_the_last_decision(library: Library) -> None:
    a_day(library, "1", to="second")
    a_day(library, "1", date=now() + timedelta(minutes=1))
    move = HistoryEntry(kind="moved", date=now(), trainer_state=trainer_state("third").text, by="kim")
    tickets.of_person(AnimalFolder(library.folder("1")), library.read("1").state, move)
    decided = animal(library).decided
    assert (animal(library).stage, decided and entry_text(decided)) == ("second", "first -> second")
    assert animal(library).record.sessions_at_stage == 1
