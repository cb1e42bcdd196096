"""Damage in the journal costs what it hit and nothing else."""

import sqlite3
from contextlib import closing

import pytest

from aind_launcher.journal.file import is_damaged
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepId

NAME = "1_2026-01-31T100000Z"
PLUGINS = ("first", "second", "third")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    with Journal.open(path) as journal:
        for name in (NAME, "2_2026-01-31T100000Z"):
            journal.keep_session(name, "1", tmp_path, tmp_path, "{}")
            journal.end_session(name, "incomplete", 1, "why")
        for plugin in PLUGINS:
            step = StepId(NAME, "post_session", plugin)
            journal.end_step(journal.begin_step(step).ended_as("done", error="e", result={"pushed": plugin}))
    return path


def changed(path, sql):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE steps SET result = '{\"pushe' WHERE plugin = 'second'",
        "UPDATE steps SET started = '2026-99-31' WHERE plugin = 'second'",
        "UPDATE steps SET state = 'dnne' WHERE plugin = 'second'",
    ],
)
def test_a_step_that_makes_no_sense_is_lost_alone(path, damage, caplog):
    changed(path, damage)
    with Journal.open(path) as journal:
        assert [step.id.plugin for step in journal.steps(NAME)] == ["first", "third"]
        assert journal.impaired is None
        assert len(journal.sessions()) == 2
    assert "was set aside" in caplog.text
    with Journal.open(path) as journal:
        assert len(journal.steps(NAME)) == 2


@pytest.mark.parametrize("damage", ["state = 'dnne'", "started = 'then'"])
def test_a_session_that_makes_no_sense_is_lost_alone(path, damage):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE copy AS SELECT * FROM sessions")
        connection.execute("DROP TABLE sessions")
        connection.execute("ALTER TABLE copy RENAME TO sessions")
        connection.execute(f"UPDATE sessions SET {damage} WHERE name LIKE '1%'")  # noqa: S608
    with Journal.open(path) as journal:
        assert [record.name for record in journal.sessions()] == ["2_2026-01-31T100000Z"]
        assert [step.id.plugin for step in journal.steps(NAME)] == ["first", "second", "third"]


def test_a_byte_that_is_no_text_loses_no_step(path):
    changed(path, "UPDATE steps SET error = CAST(x'666f6fff' AS TEXT) WHERE plugin = 'second'")
    with Journal.open(path) as journal:
        journal.keep_session(NAME, "1", path, path, "{}")
        assert [(step.id.plugin, step.error) for step in journal.steps(NAME)][1] == ("second", "foo\ufffd")
        assert len(journal.steps(NAME)) == 3
        journal.end_session(NAME, "completed", 0)


def test_what_comes_after_a_torn_page_is_read_from_the_end(path):
    with Journal.open(path) as journal:
        for number in range(40):
            step = StepId(NAME, "transfer_session", f"plugin{number:02}")
            journal.end_step(journal.begin_step(step).ended_as("done", result="x" * 1500))
    changed(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    torn = content.index(b"plugin20done") // 4096 * 4096
    content[torn : torn + 4096] = bytes([255]) * 4096
    path.write_bytes(content)
    with Journal.open(path) as journal:
        found = [step.id.plugin for step in journal.steps(NAME)]
    assert {"first", "plugin00", "plugin39"} <= set(found)
    assert found == [*PLUGINS, *(f"plugin{number:02}" for number in range(40) if f"plugin{number:02}" in found)]


def test_a_journal_in_use_is_never_taken_for_damaged(path, monkeypatch):
    monkeypatch.setattr("aind_launcher.journal.file.LOCK_TIMEOUT", 0, raising=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Journal.open(path) as journal:
            assert "locked" in (journal.impaired or "")
    assert list(path.parent.glob("*set-aside*")) == []


def test_bytes_in_the_place_of_a_text_stop_nothing(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE copy AS SELECT * FROM steps")
        connection.execute("DROP TABLE steps")
        connection.execute("ALTER TABLE copy RENAME TO steps")
        connection.execute("UPDATE steps SET result = CAST(result AS BLOB) WHERE plugin = 'second'")
    with Journal.open(path) as journal:
        journal.keep_session(NAME, "1", path, path, "{}")
        assert [step.id.plugin for step in journal.steps(NAME)] == ["first", "third"]


def test_a_schema_that_is_no_text_is_set_aside(path):
    changed(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE steps", b"CREATE TA\xffLE steps"))
    with Journal.open(path) as journal:
        assert journal.impaired is None
        journal.keep_session(NAME, "1", path, path, "{}")
    (aside,) = path.parent.glob("*set-aside*.sqlite")
    assert b"\xff" in aside.read_bytes()


@pytest.mark.parametrize("asked", [lambda journal: journal.session("\udcff"), lambda journal: journal.steps("\udcff")])
def test_a_name_that_is_no_text_is_unknown_and_no_damage(path, asked):
    with Journal.open(path) as journal:
        assert not asked(journal)
        assert len(journal.sessions()) == 2
    assert list(path.parent.glob("*set-aside*")) == []


def test_a_mistake_in_a_program_is_no_damage():
    assert not is_damaged(sqlite3.ProgrammingError("Cannot operate on a closed database."))
