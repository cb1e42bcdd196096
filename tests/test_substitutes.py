"""What took the journal's place is taken in once: nothing old replaces what is newer, and nothing is passed over."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer

import pytest
from command_line import call
from task_repositories import laboratory

from aind_launcher.journal.file import begun_substitute, connect, merge
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepId

STEP = StepId("1_2026-01-31T100000Z", "post_session", "slims", "abc")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.sqlite"


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Another program has `file` and keeps it for itself."""
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield holder
    holder.close()


@pytest.fixture
def quick_to_give_up(monkeypatch):
    """Nobody waits for who has the journal locked."""
    monkeypatch.setattr("aind_launcher.journal.file.LOCK_TIMEOUT", 0)


def begun_in_substitute(path, data):
    """A journal whose session was begun while its file was locked, so that it is recorded in a substitute."""
    Journal.open(path, data).close()
    with locked(path):
        journal = Journal.open(path, data)
        journal.keep_session(STEP.session, "1", path.parent, data, "{}")
        attempt = journal.begin_step(STEP)
    return journal, attempt


def abandoned(path, data):
    """The substitute of a launcher that was killed."""
    journal, _ = begun_in_substitute(path, data)
    journal._file.close()
    journal._in_hand.close()
    (file,) = data.glob("*.sqlite")
    return file


def fill_up(journal):
    (pages,) = journal._file.execute("PRAGMA page_count").fetchone()
    journal._file.execute(f"PRAGMA max_page_count = {pages}")


def states(journal):
    return [step.state for step in journal.steps(STEP.session)], journal.session(STEP.session).state


@pytest.mark.usefixtures("quick_to_give_up")
def test_a_substitute_that_was_given_up_replaces_nothing_that_is_newer(path, tmp_path):
    journal, attempt = begun_in_substitute(path, tmp_path / "data")
    fill_up(journal)
    journal.end_step(attempt.ended_as("done", result="x" * 50_000))
    journal.end_session(STEP.session, "completed", 0)
    journal.close()
    assert journal.impaired is None
    assert list((tmp_path / "data").iterdir()) == []
    with Journal.open(path, tmp_path / "data") as again:
        assert states(again) == (["done"], "completed")


def test_an_older_journal_is_merged_without_replacing_what_is_newer():
    new_file, old_file = connect(":memory:"), connect(":memory:")
    with Journal(new_file, Path("new")) as new, Journal(old_file, Path("old")) as old:
        for journal in (old, new):
            journal.keep_session(STEP.session, "1", Path("r"), Path("d"), "{}")
            attempt = journal.begin_step(STEP)
        new.end_step(attempt.ended_as("done", result=5))
        new.end_session(STEP.session, "completed", 0)
        merge(old_file, new_file)
        new._names_in_hand.clear()
        assert states(new) == (["done"], "completed")
        merge(new_file, old_file)
        old._names_in_hand.clear()
        assert states(old) == (["done"], "completed")


@pytest.mark.usefixtures("quick_to_give_up")
def test_who_only_looks_leaves_no_substitute(path, tmp_path):
    Journal.open(path).close()
    with locked(path), Journal.open(path, tmp_path / "data") as journal:
        assert journal.impaired
        assert journal.sessions() == ()
    assert not (tmp_path / "data").exists()


@pytest.mark.posix_only("Windows has no such modes; the folder's rights hold")
@pytest.mark.usefixtures("quick_to_give_up")
def test_a_substitute_may_be_taken_in_by_whoever_the_mask_allows(path, tmp_path):
    before = os.umask(0o002)
    try:
        file = abandoned(path, tmp_path / "data")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o664


@pytest.mark.parametrize("problem", ["locked", "damaged"])
@pytest.mark.usefixtures("quick_to_give_up")
def test_a_journal_without_what_its_substitute_has_is_not_taken_for_whole(path, tmp_path, problem):
    file = abandoned(path, tmp_path / "data")
    good = {part: part.read_bytes() for part in file.parent.iterdir()}
    with locked(file):
        if problem == "damaged":
            for part in good:
                part.write_bytes(b"garbage" * 1000)
        with Journal.open(path, tmp_path / "data") as journal:
            assert str(file) in (journal.impaired or "")
    for part, content in good.items():
        part.write_bytes(content)
    with Journal.open(path, tmp_path / "data") as journal:
        assert journal.impaired is None
        assert states(journal) == (["running"], "running")
    assert list(file.parent.iterdir()) == []


@pytest.mark.usefixtures("quick_to_give_up")
def test_the_substitute_of_a_launcher_that_is_at_work_is_left_to_it(path, tmp_path):
    file = abandoned(path, tmp_path / "data")
    with locked(file), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as launcher:
        note = {"session": STEP.session, "since": "2099-01-01T00:00:00+00:00", "process": launcher.pid, "login": "me"}
        (path.parent / "rig.json").write_text(json.dumps(note), encoding="utf-8")
        with Journal.open(path, tmp_path / "data") as journal:
            assert journal.impaired is None
        launcher.communicate(b"\n")
        with Journal.open(path, tmp_path / "data") as journal:
            assert str(file) in (journal.impaired or "")


@pytest.mark.usefixtures("quick_to_give_up")
def test_resume_waits_for_a_substitute_that_a_backup_has_and_a_new_session_does_not(tmp_path):
    lab = laboratory(tmp_path)
    lab.break_curriculum()
    name = lab.run().session.name
    lab.repair_curriculum()
    file = abandoned(lab.journal, lab.data)
    with locked(file):
        refused = call("resume", name, cwd=lab.path)
        assert refused.code == 1
        assert str(file) in refused.err
        assert call("run", "--subject", "123456", cwd=lab.path).code == 0
    assert call("resume", name, cwd=lab.path).code == 0


@pytest.mark.usefixtures("quick_to_give_up")
def test_what_closing_a_session_could_not_record_is_no_success(tmp_path, monkeypatch):
    lab = laboratory(tmp_path)
    lab.break_curriculum()
    name = lab.run().session.name
    with closing(sqlite3.connect(lab.journal, isolation_level=None, check_same_thread=False)) as other:
        # Called right before the journal is written.
        monkeypatch.setattr("aind_launcher.system.rig.login", lambda: str(other.execute("BEGIN IMMEDIATE")))
        ended = call("sessions", "close", name, "--reason", "the rig was flooded", cwd=lab.path)
    assert ended.code == 1
    assert "locked" in ended.err
    assert "closed" not in ended.out


@pytest.mark.usefixtures("quick_to_give_up")
def test_a_substitute_that_is_full_from_the_start_leaves_memory(path, tmp_path, monkeypatch, caplog):
    def full(file):
        connection = begun_substitute(file)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr("aind_launcher.journal.journal.begun_substitute", full)
    Journal.open(path).close()
    with locked(path), Journal.open(path, tmp_path / "data") as journal:
        journal.keep_session(STEP.session, "1", path.parent, tmp_path, "x" * 100_000)
        assert journal.session(STEP.session)
    assert "memory only" in caplog.text


@pytest.mark.integration
def test_who_comes_second_waits_until_a_substitute_is_taken_in(path, tmp_path):
    file = abandoned(path, tmp_path / "data")
    first = connect(file, alone=True)
    Timer(0.3, first.close).start()
    with Journal.open(path, tmp_path / "data") as second:
        assert second.impaired is None
        assert states(second) == (["running"], "running")
