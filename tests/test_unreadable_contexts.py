"""A session of which the journal has nonsense is said to be so; the others, and its data, do not wait for it."""

import sqlite3
from contextlib import closing

import pytest
from command_line import call
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests


@pytest.fixture
def lab(tmp_path) -> TaskRepositoryForTests:
    lab = laboratory(tmp_path)
    lab.break_curriculum()
    return lab


def spoil(lab: TaskRepositoryForTests, name: str) -> None:
    with closing(sqlite3.connect(lab.journal)) as connection, connection:
        connection.execute("UPDATE sessions SET context = '{}' WHERE name = ?", (name,))


def test_it_is_said_in_one_sentence(lab):
    name = lab.run().session.name
    spoil(lab, name)
    shown = call("sessions", "show", name, cwd=lab.path)
    assert shown.code == 1
    assert f"session {name} cannot be read" in " ".join(shown.err.split())
    assert len(shown.err.splitlines()) < 6


def test_its_sealed_folder_is_believed(lab):
    name = lab.run().session.name
    spoil(lab, name)
    lab.repair_curriculum()
    assert call("resume", name, cwd=lab.path).code == 0
    assert lab.stage() == "rung2"
    assert call("sessions", "show", name, cwd=lab.path).code == 0


def test_a_session_without_a_sealed_folder_waits_alone(lab):
    names = [lab.run().session.name for _ in range(2)]
    spoil(lab, names[0])
    (lab.data / names[0] / "behavior" / "Logs" / "launcher" / "session.json").unlink()
    lab.repair_curriculum()
    resumed = call("resume", "--all", cwd=lab.path)
    assert resumed.code == 1
    assert f"session {names[0]} cannot be read" in " ".join(resumed.err.split())
    assert f"{names[1]}: completed" in resumed.out


def test_it_does_not_keep_a_new_library_from_its_first_animal(lab):
    spoil(lab, lab.run().session.name)
    (lab.root / "library").rename(lab.root / "old")
    for command in (("animals", "list"), ("today",)):
        told = call(*command, cwd=lab.path)
        assert (told.code, "cannot be read" in told.err) == (0, False)
    refused = call("run", "--subject", "555", cwd=lab.path)
    assert (refused.code, "Animal 555 is unknown" in refused.err) == (3, True)
