"""One launcher per rig: a second is refused and told who holds it, and a dead one holds nothing."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from command_line import SCRIPT, call, end_of, started
from task_repositories import laboratory

from aind_launcher.errors import Refused
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord
from aind_launcher.system.processes import MARKER
from aind_launcher.system.rig import rig_lock
from aind_launcher.testing import TaskRepositoryForTests

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

# Waits in its place until it is told to go on, by whom and how often it was called.
PLUGINS = """
    from aind_launcher import hookimpl

    class Waits:
        @hookimpl
        def post_session(self, session):
            place = session.repository.path.parent
            with (place / "calls.txt").open("a", encoding="utf-8") as calls:
                calls.write(f"{session.name}\\n")
            if (place / "wait").exists():
                print("waiting", flush=True)
                input()
            return "done"
"""


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    made = laboratory(tmp_path, PLUGINS, names={"waits": "Waits"})
    (tmp_path / "wait").touch()
    return made


@contextmanager
def waiting(lab: TaskRepositoryForTests, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A launcher that is in its post-session step as long as the context lasts."""
    with started(*arguments, cwd=lab.path, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        yield process


def only_session(lab: TaskRepositoryForTests) -> SessionRecord:
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
    return record


def calls(lab: TaskRepositoryForTests) -> list[str]:
    return (lab.root / "calls.txt").read_text("utf-8").split()


@pytest.mark.integration
def test_a_second_launcher_is_told_session_time_and_process_of_the_first(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        running = only_session(lab)
        holder = first.pid if os.name != "nt" else psutil.Process(first.pid).children()[0].pid
        for command in (["run", "--subject", "123456"], ["resume", "--all"], ["resume", running.name]):
            second = call(*command, cwd=lab.path)
            assert second.code == 3
            assert f"This rig is busy: session {running.name} since {running.started.astimezone():%Y-%m-%d %H:%M}" in (
                second.err
            )
            assert f"(process {holder}, " in second.err
        assert only_session(lab) == running
        assert end_of(first, "\n").code == 0
    assert only_session(lab).state == "completed"
    assert calls(lab) == [running.name]


@pytest.mark.integration
def test_of_two_resumes_at_once_one_does_the_work(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        first.kill()
    with waiting(lab, "resume", "--all") as second:
        third = call("resume", "--all", cwd=lab.path)
        assert (third.code, "This rig is busy" in third.err) == (3, True)
        assert end_of(second, "\n").code == 0
    (lab.root / "wait").unlink()
    assert call("resume", "--all", cwd=lab.path).out == "Nothing is left undone.\n"
    assert len(calls(lab)) == 2
    assert lab.stage() == "rung2"


def test_questions_are_answered_while_a_session_runs(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        assert call("resume", "--all", "--dry-run", cwd=lab.path).code == 0
        (running,) = json.loads(call("sessions", "list", "--json", cwd=lab.path).out)
        assert (running["state"], running["message"]) == ("running", None)
        assert end_of(first, "\n").code == 0


@pytest.mark.integration
def test_a_launcher_that_died_holds_nothing(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        for child in psutil.Process(first.pid).children():
            child.kill()
        first.kill()
        first.wait()
    assert (lab.state / "rig.json").exists()
    (cut_off,) = json.loads(call("sessions", "list", "--json", cwd=lab.path).out)
    assert cut_off["state"] == "running"
    assert cut_off["message"].startswith("Its launcher was killed, or the power failed. `aind-launch resume ")
    assert cut_off["message"].partition(".")[0] in call("sessions", "show", cwd=lab.path).out
    (lab.root / "wait").unlink()
    following = call("run", "--subject", "123456", cwd=lab.path)
    assert following.code == 0
    assert "1 earlier session(s) of 123456 are unfinished" in following.err
    assert not (lab.state / "rig.json").exists()


def test_who_has_no_session_yet_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text('{"session": "123456_of-a-dead-one", "since": "2026-01-31T10:00:00Z"}')
    busy = pytest.raises(Refused, match=rf"busy: another launcher since .* \(process {os.getpid()}, ")
    with rig_lock(tmp_path), busy, rig_lock(tmp_path):
        pytest.fail("two hold the rig")
    with rig_lock(tmp_path) as lock:
        lock.write_note("123456_of-mine")
        with pytest.raises(Refused, match="busy: session 123456_of-mine since"), rig_lock(tmp_path):
            pytest.fail("two hold the rig")


@pytest.mark.integration
def test_a_scheduled_task_resumes_without_any_terminal(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        first.kill()
    (lab.root / "wait").unlink()
    # Neither input nor output, as where nobody is logged in.
    command = f"{os.fspath(SCRIPT)!r}, 'resume', '--all', '--unattended'"
    closed = f"import os, sys; [os.close(n) for n in (0, 1, 2)]; os.execv({os.fspath(SCRIPT)!r}, [{command}])"
    if os.name == "nt":
        ended = subprocess.run(
            [SCRIPT, "resume", "--all", "--unattended"],
            cwd=lab.path,
            creationflags=0x00000008,  # DETACHED_PROCESS: no console
        )
    else:
        ended = subprocess.run([psutil.Process().exe(), "-c", closed], cwd=lab.path)
    assert ended.returncode == 0
    assert only_session(lab).state == "completed"


def test_a_session_that_was_killed_goes_on_in_a_repository_that_was_moved(lab: TaskRepositoryForTests) -> None:
    with waiting(lab, "run", "--subject", "123456") as first:
        first.kill()
    (lab.root / "wait").unlink()
    resumed = call("resume", cwd=lab.path.rename(lab.root / "moved"))
    assert resumed.code == 0
    assert re.search(r"that task repository is now .*moved\.", resumed.err)


@contextmanager
def orphan_of(kept: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A task whose launcher is gone, and whose output would be kept in `kept`; it lives while the context lasts."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    orphan = subprocess.Popen(
        [sys.executable, "-c", "print('here', flush=True); input()"],
        env={**os.environ, MARKER: f"0123 {int(gone.stdout)} {kept}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert orphan.stdout
        assert orphan.stdout.readline().strip() == b"here"
        yield orphan
    finally:
        orphan.communicate(b"\n")


def test_a_task_that_outlived_its_launcher_keeps_the_next_session_away(task_repository: TaskRepositoryForTests) -> None:
    with (
        orphan_of(task_repository.state / "sessions" / "an-earlier-one"),
        # The Python of a virtual environment is two processes on Windows.
        pytest.raises(Refused, match=r"\(process \d+\) of an earlier session still runs"),
    ):
        task_repository.run()
    assert task_repository.run().state == "completed"


def test_a_task_that_outlived_its_launcher_keeps_its_session_from_being_finished_and_the_plan_says_so(
    task_repository: TaskRepositoryForTests,
) -> None:
    task_repository.break_curriculum()
    session = task_repository.run().session
    task_repository.repair_curriculum()
    with orphan_of(session.staging / "output"):
        refused = [call("resume", *also, cwd=task_repository.path) for also in ((), ("--dry-run",))]
        of_all = call("resume", "--all", "--dry-run", cwd=task_repository.path)
    for ended in refused:
        assert (ended.code, ended.out) == (3, "")
        assert "of an earlier session still runs" in ended.err
    assert of_all.code == 1
    assert "of an earlier session still runs" in of_all.err
    assert call("resume", "--dry-run", cwd=task_repository.path).code == 0
