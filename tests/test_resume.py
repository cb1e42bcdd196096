"""What a resume does of what was left undone, and what an operator may say of it."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from command_line import Ended, call

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.journal.journal import Journal
from aind_launcher.testing import TaskRepositoryForTests

FAILS = """
from aind_launcher import hookimpl


class Fails:
    @hookimpl
    def post_session(self, session):
        if not (session.repository.path.parent / "corrected").exists():
            raise RuntimeError("down")


class Sends:
    @hookimpl
    def transfer_session(self, session):
        return "sent"


class Refuses:
    @hookimpl
    def pre_session(self, session):
        raise RuntimeError("the valve is stuck")
"""


@pytest.fixture
def repository(task_repository: TaskRepositoryForTests) -> TaskRepositoryForTests:
    task_repository.write("mine.py", FAILS)
    task_repository.configure(plugins={"fails": "mine:Fails"})
    return task_repository


def resume_all(repository: TaskRepositoryForTests, *left_out: str) -> Ended:
    """:param left_out: plugins, of this call alone."""
    return call("resume", "--all", *(part for name in left_out for part in ("-p", f"no:{name}")), cwd=repository.path)


def test_what_a_plugin_has_to_do_waits_while_it_is_left_out(repository: TaskRepositoryForTests) -> None:
    name = repository.run().session.name
    assert resume_all(repository, "fails").code == 1
    (repository.root / "corrected").touch()
    assert resume_all(repository).code == 0
    assert repository.steps(name)["post_session", "fails"].state == "done"


def test_an_answer_stands_also_where_its_plugin_is_left_out(repository: TaskRepositoryForTests) -> None:
    name = repository.run().session.name
    resume_all(repository, "ladder")
    with Journal.open(repository.journal) as journal:
        identities = {step.id.key for step in journal.steps(name) if step.id.hook == "post_session"}
    assert len(identities) == 1


def test_a_late_answer_is_sealed_into_a_folder_that_stays(task_repository: TaskRepositoryForTests) -> None:
    task_repository.break_curriculum()
    name = task_repository.run().session.name
    task_repository.repair_curriculum()
    outcome = task_repository.resume(name)
    record = json.loads((outcome.session.paths.launcher / "session.json").read_text())
    suggested = [step for step in record["steps"] if step["hook"] == "curriculum_suggest" and step["result"]]
    assert [step["state"] for step in suggested] == ["done"]


def test_a_session_that_nobody_can_finish_is_closed(repository: TaskRepositoryForTests) -> None:
    name = repository.run().session.name
    assert call("sessions", "close", name, "--reason", "the file is lost", cwd=repository.path).code == 0
    with Journal.open(repository.journal) as journal:
        record = journal.session(name)
    assert record
    assert record.state == "closed"
    assert str(record.message).endswith("the file is lost")
    assert "Nothing is left undone" in resume_all(repository).out


def test_a_dry_run_reads_the_sealed_folder_and_writes_nothing(repository: TaskRepositoryForTests) -> None:
    name = repository.run().session.name
    with closing(sqlite3.connect(repository.journal)) as connection:
        connection.execute("DELETE FROM steps WHERE hook IN ('post_session', 'seal_folder')")
        connection.commit()
        before = list(connection.iterdump())
        planned = json.loads(call("resume", name, "--dry-run", "--json", cwd=repository.path).out)
        assert list(connection.iterdump()) == before
    assert {step["plugin"]: step["why"] for step in planned}["fails"] == "RuntimeError: down (mine.py:9)"


def test_a_plan_says_that_the_folder_is_gone(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"fails": "mine:Fails", "sends": "mine:Sends"})
    session = repository.run().session
    shutil.rmtree(session.folder)
    for also in ((), ("--dry-run",)):
        ended = call("resume", session.name, "--hand-off-again", *also, cwd=repository.path)
        assert (ended.code, ended.out) == (1, "")
        assert f"The folder {session.folder} is gone" in ended.err


def test_a_session_that_was_refused_stays_as_it_is_and_the_plan_says_so(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"refuses": "mine:Refuses"})
    assert call("run", "--subject", "123456", cwd=repository.path).code == 3
    with Journal.open(repository.journal) as journal:
        (refused,) = journal.sessions()
    planned = call("resume", refused.name, "--dry-run", cwd=repository.path)
    assert (planned.code, planned.out) == (0, "Nothing is left undone.\n")
    assert call("resume", refused.name, cwd=repository.path).code == 0
    with Journal.open(repository.journal) as journal:
        assert journal.sessions() == (refused,)


def library(repository: TaskRepositoryForTests) -> Library:
    return Library(repository.root / "library", "climbing")


def unfinished_on_this_rig(repository: TaskRepositoryForTests) -> list[str]:
    (status,) = library(repository).rigs()
    return [session.session_name for session in status.unfinished]


@pytest.mark.parametrize("cut_off", ["after its ticket", "before the ticket was kept", "while the ticket was given"])
def test_a_session_that_was_cut_off_before_its_acquisition_no_longer_waits_once_it_is_resumed(
    repository: TaskRepositoryForTests, cut_off: str
) -> None:
    session = repository.run().session
    with closing(sqlite3.connect(repository.journal)) as connection:
        (ticket,) = connection.execute("SELECT rowid FROM steps WHERE hook = 'begin_session'").fetchone()
        connection.execute("DELETE FROM steps WHERE rowid > ?", (ticket,))
        connection.execute("UPDATE sessions SET state = 'running', context = json_remove(context, '$.acquisition')")
        if cut_off != "after its ticket":
            connection.execute("UPDATE sessions SET context = json_remove(context, '$.ticket')")
        if cut_off == "while the ticket was given":
            connection.execute("UPDATE steps SET state = 'running', result = NULL WHERE rowid = ?", (ticket,))
        connection.commit()
    shutil.rmtree(session.folder)
    assert unfinished_on_this_rig(repository) == [session.name]
    assert repository.resume(session.name).state == "cancelled"
    assert unfinished_on_this_rig(repository) == []
    assert library(repository).register("123456").entries[-1].state == "cancelled"
