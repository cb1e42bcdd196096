"""What the journal could not record, or has lost, is known all the same: nothing is asked, pushed or sent twice."""

import errno
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from command_line import Ended, call, launch
from task_repositories import laboratory

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepRecord
from aind_launcher.system.files import write_whole
from aind_launcher.testing import TaskRepositoryForTests

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

PLUGINS = '''
    import os
    import sqlite3
    from pathlib import Path
    from aind_launcher import hookimpl

    class Counts:
        """Counts its calls, in a file beside the repository; what it sees at the hand-off, it remembers."""

        @hookimpl(trylast=True)
        def post_session(self, session):
            self.count(session, "post_session")

        @hookimpl
        def transfer_session(self, session):
            self.count(session, "transfer_session")
            files = (path for path in session.folder.rglob("*") if path.is_file())
            return sorted(path.relative_to(session.folder).as_posix() for path in files)

        @staticmethod
        def count(session, what):
            with (session.repository.path.parent / "calls.txt").open("a") as calls:
                print(what, file=calls)

    class LocksTheJournal:
        """Another program that opens the journal during the acquisition and keeps it for itself."""

        @hookimpl(tryfirst=True)
        def run_session(self, session):
            self.holder = sqlite3.connect(session.staging.parent.parent / "journal.sqlite", isolation_level=None)
            self.holder.execute("BEGIN IMMEDIATE")

    class DiesOnce:
        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            if not (mark := session.repository.path.parent / "died").exists():
                mark.touch()
                os._exit(7)
'''
OBSTRUCTS = '''
    class Obstructs:
        """Puts a folder where the launcher writes a file."""

        @hookimpl(tryfirst=True)
        def run_session(self, session):
            if len(list(session.folder.parent.glob("123456_*"))) == 1:
                obstructed = (session.repository.path / "obstructed.txt").read_text("utf-8")
                (session.paths.behavior / obstructed).mkdir(parents=True)
'''


def calls(lab: TaskRepositoryForTests) -> list[str]:
    return (lab.root / "calls.txt").read_text("utf-8").split()


def resumed(lab: TaskRepositoryForTests, *arguments: str) -> Ended:
    return call("resume", "--all", "--unattended", *arguments, cwd=lab.path)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def steps(lab: TaskRepositoryForTests, name: str) -> dict[tuple[str, str], StepRecord]:
    with Journal.open(lab.journal) as journal:
        return {(s.id.hook, s.id.plugin): s for s in journal.current_steps(name)}


@pytest.mark.integration
def test_a_journal_locked_from_the_middle_on_is_completed_later_and_nothing_is_done_twice(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"counts": "Counts", "locks": "LocksTheJournal"})
    ended = launch("run", "--subject", "123456", cwd=lab.path)
    (folder,) = lab.data.glob("123456_*")
    handed_off = files(folder)
    assert ended.code == 1, ended.err
    assert "could not be written" in ended.out
    again = resumed(lab)
    assert (again.code, again.out) == (0, "Nothing is left undone.\n")
    with Journal.open(lab.journal) as journal:
        assert [record.state for record in journal.sessions()] == ["completed"]
    assert calls(lab) == ["post_session", "transfer_session"]
    assert files(folder) == handed_off
    assert [path for path in lab.data.glob("[!.]*") if path.is_file()] == []


def test_a_journal_that_knows_less_than_the_sealed_folder_believes_the_folder(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"counts": "Counts"})
    name = lab.run().session.name
    folder = lab.data / name
    handed_off = files(folder)
    # As if nothing that came after the start of the acquisition had reached the disk.
    with sqlite3.connect(lab.journal) as connection:
        connection.execute("UPDATE sessions SET state = 'running', ended = NULL")
        connection.execute("UPDATE sessions SET context = json_set(context, '$.acquisition', NULL)")
        connection.execute("UPDATE sessions SET context = json_set(context, '$.handed_off', json('false'))")
        connection.execute("UPDATE steps SET state = 'running', ended = NULL, result = NULL WHERE hook = 'run_session'")
        connection.execute("DELETE FROM steps WHERE number > (SELECT number FROM steps WHERE hook = 'run_session')")
    connection.close()
    planned = json.loads(resumed(lab, "--dry-run", "--json").out)
    assert [(line["hook"], line["plugin"]) for line in planned] == [
        ("transfer_session", "counts"),
        ("session_finished", "local-store"),
    ]
    assert resumed(lab).code == 0
    assert calls(lab) == ["post_session", "transfer_session", "transfer_session"]
    assert files(folder) == handed_off
    assert lab.stage() == "rung2"


@pytest.mark.parametrize("lost", ["journal", "whole state directory"])
def test_a_session_that_no_journal_knows_is_found_and_its_data_leaves(tmp_path: Path, lost: str) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"counts": "Counts", "dies": "DiesOnce"})
    assert launch("run", "--subject", "123456", cwd=lab.path).code == 7
    (folder,) = lab.data.glob("123456_*")
    if lost == "journal":
        for file in lab.state.glob("journal.sqlite*"):
            file.unlink()
    else:
        shutil.rmtree(lab.state)
    found = resumed(lab)
    assert found.code == 1
    assert f"aind-launch sessions import {folder}" in found.err
    assert "Nothing is left undone" not in found.out
    imported = call("sessions", "import", str(folder), cwd=lab.path)
    assert imported.code == 0, imported.err
    assert "waits for a decision" in resumed(lab).err
    assert call("resume", folder.name, "--acquisition-complete", cwd=lab.path).code == 0
    assert calls(lab) == ["post_session", "transfer_session"]
    left = steps(lab, folder.name)["transfer_session", "counts"].result
    assert {"behavior/trials.txt", "behavior/metrics.json", "behavior/Logs/session_input.json"} <= set(left)
    assert lab.stage() == "rung2"


def test_a_folder_that_is_no_session_is_not_imported(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    (lab.data / "holiday pictures").mkdir(parents=True)
    refused = call("sessions", "import", str(lab.data / "holiday pictures"), cwd=lab.path)
    assert refused.code == 2
    assert "holiday pictures" in refused.err
    assert resumed(lab).code == 0


# What the launcher itself writes


def test_a_write_that_fails_for_the_moment_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"counts": "Counts"})
    failed: list[str] = []

    def write_whole_the_second_time(path: Path, content: str | bytes) -> None:
        if path.name in {"suggestion.json", "metrics.json", "session_input.json", "log.jsonl"}.difference(failed):
            failed.append(path.name)
            raise OSError(errno.EIO, "Input/output error", str(path))
        write_whole(path, content)

    for module in ("folder", "log"):
        monkeypatch.setattr(f"aind_launcher.lifecycle.{module}.write_whole", write_whole_the_second_time)
    outcome = lab.run()
    assert outcome.state == "completed"
    assert sorted(failed) == ["log.jsonl", "metrics.json", "session_input.json", "suggestion.json"]
    left = steps(lab, outcome.session.name)["transfer_session", "counts"].result
    assert {Path(name).name for name in left} >= {*failed, "session.json"}


@pytest.mark.parametrize("missing", ["Logs/suggestion.json", "metrics.json", "Logs/launcher/session.json"])
def test_a_file_that_cannot_be_written_holds_the_hand_off_until_it_can(tmp_path: Path, missing: str) -> None:
    lab = laboratory(tmp_path, PLUGINS + OBSTRUCTS, names={"counts": "Counts", "obstructs": "Obstructs"})
    lab.write("obstructed.txt", missing)
    lab.commit()
    outcome = lab.run()
    obstacle = outcome.session.paths.behavior / missing
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    assert "must be done before the hand-off" in (outcome.held or "")
    assert "transfer_session" not in calls(lab)
    assert "must be done before the hand-off" in call("run", "--subject", "123456", cwd=lab.path).err
    obstacle.rmdir()
    assert resumed(lab).code == 0
    assert f"behavior/{missing}" in steps(lab, outcome.session.name)["transfer_session", "counts"].result


def test_a_folder_is_handed_off_as_it_is_where_somebody_says_so(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS + OBSTRUCTS, names={"counts": "Counts", "obstructs": "Obstructs"})
    lab.write("obstructed.txt", "metrics.json")
    lab.commit()
    name = lab.run().session.name
    assert resumed(lab).code == 1
    assert "transfer_session" not in calls(lab)
    assert resumed(lab, "--hand-off-as-it-is").code == 1
    assert "transfer_session" in calls(lab)
    # What is missing stays known, and nothing is written into what was handed off.
    (lab.data / name / "behavior" / "metrics.json").rmdir()
    for _ in range(2):
        again = resumed(lab)
        assert (again.code, "--hand-off-again" in again.out) == (1, True), again.out
    assert not (lab.data / name / "behavior" / "metrics.json").exists()
    assert call("resume", name, "--hand-off-again", cwd=lab.path).code == 0
    assert (lab.data / name / "behavior" / "metrics.json").is_file()


NO_TEXT = """
    import shutil
    from aind_launcher import StepSkipped, hookimpl

    class Fails:
        @hookimpl
        def post_session(self, session):
            raise FileNotFoundError(2, "No such file", "licks-\\udcff.csv")

    class Skips:
        @hookimpl
        def transfer_session(self, session):
            raise StepSkipped("nothing is to be done with licks-\\udcff.csv")
"""


def test_the_name_of_a_file_that_is_no_text_holds_up_nothing(tmp_path):
    lab = laboratory(tmp_path, NO_TEXT, names={"fails": "Fails", "skips": "Skips"})
    # In a process of its own, since pytest cannot hand on a log that is no text.
    assert launch("run", "--subject", "123456", cwd=lab.path).code == 1
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
        assert record.state == "incomplete"
        assert [(step.id.plugin, step.error) for step in journal.steps(record.name) if step.error] == [
            ("fails", "licks-\\udcff.csv: No such file (more.py:8)"),
            ("skips", "nothing is to be done with licks-\\udcff.csv"),
        ]
        journal.end_session(record.name, "closed", 0, "\udcff is gone")
        assert journal.session(record.name).message == "\\udcff is gone"
