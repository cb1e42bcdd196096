"""The journal keeps every step, survives what happens to its file, and never stops a session."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from contexts import a_session, journal_on_a_full_disk
from hypothesis import given
from hypothesis import strategies as st

from aind_launcher.errors import LauncherError
from aind_launcher.journal.file import connect, merge
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import UNFINISHED, StepId
from aind_launcher.model.clock import now

STEP = StepId("1_2026-01-31T100000Z", "post_session", "slims", "abc")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def journal(path, tmp_path):
    with Journal.open(path) as opened:
        opened.keep_session(STEP.session, "1", tmp_path, tmp_path / "data", "{}")
        yield opened


def test_a_step_is_running_before_and_done_after(journal, path):
    attempt = journal.begin_step(STEP)
    with Journal.open(path) as another:
        assert another.last_attempt(STEP).state == "running"
    journal.end_step(attempt.ended_as("done", result={"record": 5}))
    with Journal.open(path) as another:
        record = another.last_attempt(STEP)
    assert (record.state, record.attempt, record.result, record.error) == ("done", 1, {"record": 5}, None)
    assert record.duration is not None
    assert record.duration >= 0


def test_every_attempt_is_kept(journal):
    for state, error in (("failed", "no answer"), ("failed", "no answer again"), ("done", None)):
        journal.end_step(journal.begin_step(STEP).ended_as(state, error=error))
    assert [(s.attempt, s.state, s.error) for s in journal.steps(STEP.session)] == [
        (1, "failed", "no answer"),
        (2, "failed", "no answer again"),
        (3, "done", None),
    ]
    assert [s.attempt for s in journal.current_steps(STEP.session)] == [3]


def test_another_suggestion_makes_another_step(journal):
    late = StepId(STEP.session, STEP.hook, STEP.plugin, "def")
    journal.end_step(journal.begin_step(STEP).ended_as("done"))
    assert journal.last_attempt(late) is None
    assert journal.begin_step(late).attempt == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_a_plugin_returned_comes_back_as_it_was(result):
    with Journal(connect(":memory:"), Path("memory")) as journal:
        journal.end_step(journal.begin_step(STEP).ended_as("done", result=result))
        assert journal.last_attempt(STEP).result == result


def test_sessions_are_found_by_subject_state_and_time(path, tmp_path):
    with Journal.open(path) as journal:
        for name, subject in (("1_a", "1"), ("1_b", "1"), ("2_a", "2")):
            journal.keep_session(name, subject, tmp_path, tmp_path, "{}")
        journal.end_session("1_b", "completed", 0)
        assert [s.name for s in journal.sessions(subject="1")] == ["1_a", "1_b"]
        assert [s.name for s in journal.sessions(states=("completed",))] == ["1_b"]
        assert journal.sessions(since=now() + timedelta(hours=1)) == ()
        ended = journal.session("1_b")
        assert (ended.state, ended.exit_code) == ("completed", 0)
        assert ended.ended is not None
        assert ended.ended >= ended.started


@pytest.mark.parametrize(
    "wanted",
    [{}, {"last": 3}, {"subject": "1"}, {"states": UNFINISHED}, {"since": now()}, {"subject": "1", "since": now()}],
    ids=["all", "newest", "subject", "unfinished", "since", "subject since"],
)
def test_a_list_of_sessions_reads_no_context_and_sorts_only_what_it_found_by_an_index(journal, wanted):
    read: set[str] = set()
    statements: list[str] = []

    def allowed(action, table, column, *_):
        read.add(column)
        return sqlite3.SQLITE_OK

    journal._file.set_authorizer(allowed)
    journal._file.set_trace_callback(statements.append)
    journal.sessions(**wanted)
    assert "started" in read
    assert "context" not in read
    plan = [row["detail"] for row in journal._file.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert "USING INDEX sessions_by_" in plan[0]


def test_the_newest_sessions_are_listed_oldest_first_whatever_zone_they_came_from(journal):
    known = journal.session(STEP.session)
    for hours in (3, -2, 5):
        zone = timezone(timedelta(hours=hours))
        started = (known.started + timedelta(minutes=abs(hours))).astimezone(zone)
        journal.import_session(replace(known, name=f"in {hours}", started=started), "{}", ())
    assert [s.name for s in journal.sessions(last=3)] == ["in -2", "in 3", "in 5"]
    assert [s.name for s in journal.sessions(since=known.started + timedelta(minutes=4))] == ["in 5"]


def test_a_context_is_read_on_its_own(journal, tmp_path):
    session = a_session(tmp_path)
    journal.keep_session(session.name, session.subject, tmp_path, session.folder, session.model_dump_json())
    assert journal.context(session.name) == session
    with pytest.raises(LauncherError, match="has no session 2_x"):
        journal.context("2_x")


def test_writes_are_durable_before_they_return(journal, path):
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_a_corrupt_journal_is_set_aside_and_said_so(path, caplog):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is not a database" * 1000)
    with Journal.open(path) as journal:
        assert journal.sessions() == ()
        assert journal.impaired is None
    assert "was set aside" in caplog.text
    (aside,) = path.parent.glob("*set-aside*.sqlite")
    assert aside.read_bytes().startswith(b"this is not")


def test_a_locked_journal_does_not_stop_a_session(path, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("aind_launcher.journal.file.LOCK_TIMEOUT", 0)
    with Journal.open(path):
        pass
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with Journal.open(path, tmp_path / "data") as journal:
        journal.keep_session(STEP.session, "1", tmp_path, tmp_path, "{}")
        assert journal.session(STEP.session)
    assert "database is locked" in caplog.text
    (substitute,) = (tmp_path / "data").iterdir()
    assert f"it is in {substitute}" in caplog.text
    holder.close()
    with Journal.open(path, tmp_path / "data") as journal:
        assert journal.session(STEP.session)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_substitute_that_cannot_be_written_either_leaves_memory(path, tmp_path, caplog):
    (tmp_path / "data").write_text("in the way")
    with Journal.open(path) as journal:
        journal.keep_session(STEP.session, "1", tmp_path, tmp_path, "{}")
    with journal_on_a_full_disk(path, tmp_path / "data") as journal:
        journal.end_session(STEP.session, "completed", 0, "x" * 100_000)
        assert journal.session(STEP.session).state == "completed"
    assert "memory only" in caplog.text


def test_the_substitute_of_another_machine_in_the_same_folder_is_left_alone(path, tmp_path):
    with journal_on_a_full_disk(tmp_path / "file" / "journal.sqlite", tmp_path / "data") as other:
        other.keep_session("2_x", "2", tmp_path, tmp_path, "x" * 100_000)
        (substitute,) = (tmp_path / "data").glob("*.sqlite")
        with Journal.open(path, tmp_path / "data") as journal:
            assert journal.session("2_x") is None
        assert substitute.is_file()


def test_a_journal_that_cannot_take_in_its_substitute_yet_is_not_taken_for_whole(path, tmp_path, monkeypatch):
    journal = journal_on_a_full_disk(path, tmp_path / "data")
    journal.keep_session(STEP.session, "1", tmp_path, tmp_path, "x" * 100_000)
    with monkeypatch.context() as full_disk:
        full_disk.setattr("aind_launcher.journal.journal.connect", cannot_be_opened)
        journal.close()
    monkeypatch.setattr("aind_launcher.journal.file.merge", cannot_be_opened)
    with Journal.open(path, tmp_path / "data") as journal:
        assert "full" in (journal.impaired or "")
    monkeypatch.undo()
    with Journal.open(path, tmp_path / "data") as journal:
        assert journal.session(STEP.session)
        assert journal.impaired is None


def cannot_be_opened(*_):
    raise sqlite3.OperationalError("database or disk is full")


def test_a_disk_that_fills_up_does_not_stop_a_session(journal, path, caplog):
    attempt = journal.begin_step(STEP)
    with journal_on_a_full_disk(path) as full:
        full.end_step(attempt.ended_as("done", result="x" * 100_000))
        assert "full" in (full.impaired or "")
        record = full.last_attempt(STEP)
    assert (record.state, len(record.result)) == ("done", 100_000)
    assert "memory only" in caplog.text


def test_a_folder_that_cannot_be_made_does_not_stop_a_session(tmp_path, caplog):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with Journal.open(in_the_way / "journal.sqlite", tmp_path / "data") as journal:
        assert journal.begin_step(STEP).attempt == 1
        assert journal.impaired
    assert f"is recorded in {tmp_path / 'data'}" in caplog.text


def test_no_step_is_begun_that_nobody_could_know_of(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with Journal.open(in_the_way / "journal.sqlite") as journal:
        with pytest.raises(OSError, match="nor can a file in its place"):
            journal.begin_step(STEP)
        assert journal.steps(STEP.session) == ()


FIRST_SCHEMA = """
    CREATE TABLE sessions (name TEXT PRIMARY KEY, subject TEXT NOT NULL, repository TEXT NOT NULL, folder TEXT NOT NULL,
        state TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, exit_code INTEGER, message TEXT, context TEXT NOT NULL
    ) STRICT;
    CREATE TABLE steps (number INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (name),
        hook TEXT NOT NULL, plugin TEXT NOT NULL, suggestion TEXT NOT NULL, attempt INTEGER NOT NULL,
        state TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, error TEXT, result TEXT,
        UNIQUE (session, hook, plugin, suggestion, attempt)) STRICT;
    INSERT INTO sessions VALUES ('1_x', '1', '/r', '/d', 'incomplete', '2026-01-31T09:00:00.500000-08:00',
        NULL, 1, NULL, '{}');
    INSERT INTO steps VALUES (1, '1_x', 'post_session', 'slims', 'abc', 1, 'done',
        '2026-01-31T17:00:00.000000+00:00', '2026-01-31T17:00:01.000000+00:00', NULL, '5');
    PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_schema_still_opens(path):
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_SCHEMA)
    connection.close()
    with Journal.open(path) as journal:
        (step,) = journal.steps("1_x")
        assert (step.id.key, step.result, step.state) == ("abc", 5, "done")
        start = datetime(2026, 1, 31, 17, 0, 0, 500_000, UTC)
        assert [s.started for s in journal.sessions(since=start, states=["incomplete"])] == [start]
        journal.end_step(journal.begin_step(step.id).ended_as("done"))


def test_what_can_be_read_of_a_damaged_journal_may_be_of_the_first_schema():
    whole = connect(":memory:")
    with closing(sqlite3.connect(":memory:")) as source, Journal(whole, Path("memory")) as journal:
        source.row_factory = sqlite3.Row
        source.executescript(FIRST_SCHEMA)
        merge(source, whole)
        assert [step.id.key for step in journal.steps("1_x")] == ["abc"]


def test_a_journal_of_a_newer_launcher_is_refused_and_left_alone(path):
    path.parent.mkdir(parents=True)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(LauncherError, match="newer launcher"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_the_journal_is_shared_by_its_readers(journal, path):
    with Journal.open(path) as reader:
        journal.end_step(journal.begin_step(STEP).ended_as("done"))
        assert reader.last_attempt(STEP).state == "done"
