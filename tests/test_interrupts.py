"""Ctrl-C, and whatever else asks the launcher to end: nothing it started lives on, and nothing is lost."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from programs import SCRIPT, Ended, aind_launch
from task_repositories import laboratory

from aind_launcher.journal.journal import Journal, SessionRecord, StepRecord
from aind_launcher.model.session import SessionContext
from aind_launcher.testing import TaskRepositoryForTests

# An acquisition with a valve that must not stay open, and one that does not listen.
TASK = """
    import os, pathlib, signal, sys, time

    folder, listens = pathlib.Path(sys.argv[1]), sys.argv[2] == "listens"

    def close(*_):
        if listens:
            (folder / "valve.txt").write_text("closed")
            sys.exit(0)
        (folder / "asked.txt").touch()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), close)
    (folder / "process.part").write_text(str(os.getpid()))
    (folder / "process.part").rename(folder / "process.txt")
    while True:
        time.sleep(60)
"""
PLUGINS = """
    import time
    from pathlib import Path
    from aind_launcher import Check, hookimpl

    def wait_for_nothing():
        # In pieces: one that Python code cannot be reached in is abandoned.
        while True:
            time.sleep(0.05)

    def hang(session, what):
        if (session.repository.path.parent / f"hang in {what}").exists():
            (session.repository.path.parent / "hangs").touch()
            wait_for_nothing()

    class Looks:
        @hookimpl
        def pre_session(self, session):
            hang(session, "a check")

    class Runs:
        @hookimpl
        def run_session(self, session):
            hang(session, "an acquisition")

    class Pushes:
        @hookimpl
        def post_session(self, session):
            hang(session, "a push")
            return "pushed"

    class Patient:
        @hookimpl
        def post_session(self, session):
            try:
                hang(session, "patience")
            except KeyboardInterrupt:
                (session.repository.path.parent / "swallowed").touch()
                wait_for_nothing()

    class Sees:
        @hookimpl
        def transfer_session(self, session):
            hang(session, "a hand-off")
            return "seen"
"""
ENDINGS = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "CTRL_BREAK_EVENT") if hasattr(signal, name)]
if os.name == "nt":
    ENDINGS = ["CTRL_BREAK_EVENT"]  # the others end a process there, or reach the whole console


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, PLUGINS, names={n: n.title() for n in ("looks", "pushes", "patient", "sees")})


@contextmanager
def started(lab: TaskRepositoryForTests, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    flags = 0x00000200 if sys.platform == "win32" else 0  # CREATE_NEW_PROCESS_GROUP, to which a Ctrl-Break can be sent
    with subprocess.Popen(
        [SCRIPT, *(arguments or ("run", "--subject", "123456"))],
        cwd=lab.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        creationflags=flags,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()


def ended(process: "subprocess.Popen[str]") -> Ended:
    out, err = process.communicate()
    assert "Traceback" not in err
    return Ended(process.returncode, out, err)


def hangs(lab: TaskRepositoryForTests, what: str) -> Path:
    (lab.root / f"hang in {what}").touch()
    return lab.root / "hangs"


def works_again(lab: TaskRepositoryForTests) -> None:
    for mark in lab.root.glob("hang*"):
        mark.unlink()


def story(lab: TaskRepositoryForTests) -> tuple[SessionRecord, SessionContext, dict[tuple[str, str], StepRecord]]:
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
        steps = {(s.id.hook, s.id.plugin): s for s in journal.current_steps(record.name)}
        return record, SessionContext.model_validate_json(journal.context(record.name)), steps


def press(process: "subprocess.Popen[str]", name: str = ENDINGS[0]) -> None:
    process.send_signal(signal.Signals[name])


# Before the acquisition


@pytest.mark.parametrize("name", ENDINGS)
def test_during_the_checks_the_session_is_cancelled_and_nothing_acquired(
    lab: TaskRepositoryForTests, name: str
) -> None:
    mark = hangs(lab, "a check")
    with started(lab) as process:
        wait_for(process, mark.exists)
        press(process, name)
        assert ended(process).code == 130
    record, _, steps = story(lab)
    assert (record.state, record.exit_code, record.message) == ("cancelled", 130, "interrupted by the operator")
    assert ("run_session", "instant-rig") not in steps
    assert not lab.data.exists()
    works_again(lab)
    assert aind_launch(lab.path, "run", "--subject", "123456").code == 0


# During the acquisition


def with_task(root: Path, listens: bool, grace: float) -> TaskRepositoryForTests:
    command = [sys.executable, "{repository}/task.py", "{session_directory}", "listens" if listens else "does not"]
    lab = laboratory(
        root,
        PLUGINS,
        f"""disable = ["isolated-curriculum", "instant-rig"]
[tool.aind-launcher.plugin.acquisition]
command = {json.dumps(command)}
close-grace = {grace}
""",
        names={"sees": "Sees"},
    )
    lab.write("task.py", TASK)
    lab.commit()
    return lab


def task_of(lab: TaskRepositoryForTests, process: "subprocess.Popen[str]") -> int:
    """The process of the task, once it runs."""
    wait_for(process, lambda: any(lab.data.glob("*/process.txt")))
    (told,) = lab.data.glob("*/process.txt")
    return int(told.read_text("utf-8"))


def is_over(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("name", ENDINGS)
def test_during_the_acquisition_the_task_closes_and_its_data_is_kept(tmp_path: Path, name: str) -> None:
    lab = with_task(tmp_path, listens=True, grace=60)
    with started(lab) as process:
        task = task_of(lab, process)
        press(process, name)
        assert ended(process).code == 130
    assert is_over(task)
    record, session, steps = story(lab)
    assert (session.folder / "valve.txt").read_text("utf-8") == "closed"
    assert session.acquisition is not None
    assert (session.acquisition.outcome, session.disposition) == ("interrupted", "keep")
    assert (record.state, record.exit_code) == ("interrupted", 130)
    assert steps["transfer_session", "sees"].state == "done"
    assert lab.stage() == "rung1"


def test_a_task_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    lab = with_task(tmp_path, listens=False, grace=0.4)
    with started(lab) as process:
        task = task_of(lab, process)
        press(process)
        assert ended(process).code == 130
    assert is_over(task)
    record, session, _ = story(lab)
    assert (session.folder / "asked.txt").exists()
    assert record.state == "interrupted"


def test_a_second_ctrl_c_ends_task_and_launcher_at_once(tmp_path: Path) -> None:
    lab = with_task(tmp_path, listens=False, grace=600)
    with started(lab) as process:
        task = task_of(lab, process)
        press(process)
        wait_for(process, lambda: any(lab.data.glob("*/asked.txt")))
        press(process)
        assert ended(process).code == 130
    assert is_over(task)
    record, session, steps = story(lab)
    assert (record.state, session.acquisition) == ("incomplete", None)
    assert ("transfer_session", "sees") not in steps
    # What was cut off is known to have been, and its data kept.
    assert aind_launch(lab.path, "resume", "--all").code == 0
    record, session, steps = story(lab)
    assert session.acquisition is not None
    assert (record.state, session.acquisition.outcome, session.disposition) == ("interrupted", "interrupted", "keep")
    assert steps["transfer_session", "sees"].state == "done"


def test_an_acquisition_of_a_plugins_own_is_kept_too(tmp_path: Path) -> None:
    lab = laboratory(
        tmp_path,
        PLUGINS,
        'disable = ["isolated-curriculum", "acquisition", "instant-rig"]',
        names={"runs": "Runs", "sees": "Sees"},
    )
    mark = hangs(lab, "an acquisition")
    with started(lab) as process:
        wait_for(process, mark.exists)
        press(process)
        assert ended(process).code == 130
    record, session, steps = story(lab)
    assert session.acquisition is not None
    assert (record.state, session.acquisition.outcome, session.disposition) == ("interrupted", "interrupted", "keep")
    assert steps["transfer_session", "sees"].state == "done"


def test_where_no_plugin_runs_the_acquisition_the_session_is_refused(tmp_path: Path) -> None:
    lab = laboratory(
        tmp_path, PLUGINS, 'disable = ["isolated-curriculum", "acquisition", "instant-rig"]', {"runs": "Runs"}
    )
    refused = aind_launch(lab.path, "run", "--subject", "123456")
    assert (refused.code, "No plugin ran the acquisition" in refused.err) == (3, True)
    assert story(lab)[0].state == "refused"
    assert aind_launch(lab.path, "resume", "--all").out == "Nothing is left undone.\n"


if hasattr(os, "openpty"):

    @pytest.mark.parametrize(
        ("answer", "code", "state", "stage"),
        [
            ("score\n", 130, "interrupted", "rung2"),
            ("keep\n", 130, "interrupted", "rung1"),
            ("discard\n", 130, "discarded", "rung1"),
            ("\x03", 130, "incomplete", "rung1"),
        ],
    )
    def test_who_sits_at_the_rig_says_what_becomes_of_the_data(
        tmp_path: Path, answer: str, code: int, state: str, stage: str
    ) -> None:
        lab = with_task(tmp_path, listens=True, grace=60)
        rig, terminal = os.openpty()
        with subprocess.Popen(
            [SCRIPT, "run", "--subject", "123456"],
            cwd=lab.path,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            # The terminal's own Ctrl-C reaches the launcher.
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        ) as process:
            os.close(terminal)
            shown = b""
            while b"running" not in shown and not any(lab.data.glob("*/process.txt")):
                shown += os.read(rig, 4096)
            task = task_of(lab, process)  # type: ignore[arg-type]
            os.write(rig, b"\x03")
            while b"Answer" not in shown:
                shown += os.read(rig, 4096)
            os.write(rig, answer.encode())
            try:
                while True:
                    # A Ctrl-C that comes just before readline begins to wait is heard with the next key: a person
                    # presses again.
                    if not select.select([rig], [], [], 5)[0]:
                        os.write(rig, answer.encode())
                        continue
                    if not (chunk := os.read(rig, 4096)):
                        break
                    shown += chunk
            except OSError:  # Linux says so where the other side is closed
                pass
            assert process.wait() == code, shown.decode()
        os.close(rig)
        assert "What becomes of its data?" in shown.decode()
        assert is_over(task)
        assert story(lab)[0].state == state
        assert lab.stage() == stage


# After the acquisition


def is_left_to_resume(lab: TaskRepositoryForTests) -> None:
    record, _, steps = story(lab)
    assert record.state == "incomplete"
    assert (steps["post_session", "pushes"].state, steps["post_session", "pushes"].error) == ("failed", "interrupted")
    works_again(lab)
    assert aind_launch(lab.path, "resume", "--all").code == 0
    assert story(lab)[2]["post_session", "pushes"].result == "pushed"
    assert lab.stage() == "rung2"


# Elsewhere Ctrl-C cannot be pressed for one process alone.
if hasattr(os, "fork"):

    def test_after_the_acquisition_ctrl_c_gives_up_the_step_and_hands_off(lab: TaskRepositoryForTests) -> None:
        mark = hangs(lab, "a push")
        with started(lab) as process:
            wait_for(process, mark.exists)
            press(process)
            run = ended(process)
        record, session, steps = story(lab)
        assert (run.code, record.exit_code, session.handed_off) == (1, 1, True), run.err
        assert f"post session (pushes) was given up; `aind-launch resume {record.name}` does it." in run.err
        assert steps["transfer_session", "sees"].state == "done"
        is_left_to_resume(lab)

    def test_ctrl_c_gives_up_an_endless_step_of_a_resume_too(lab: TaskRepositoryForTests) -> None:
        mark = hangs(lab, "a push")
        for command in (("run", "--subject", "123456"), ("resume", "--all")):
            mark.unlink(missing_ok=True)
            with started(lab, *command) as process:
                wait_for(process, mark.exists)
                press(process)
                assert ended(process).code == 1
        is_left_to_resume(lab)

    def test_a_second_ctrl_c_in_the_next_step_ends_the_launcher(lab: TaskRepositoryForTests) -> None:
        mark = hangs(lab, "a push")
        hangs(lab, "a hand-off")
        with started(lab) as process:
            wait_for(process, mark.exists)
            mark.unlink()
            press(process)
            wait_for(process, mark.exists)
            press(process)
            run = ended(process)
        record, _, steps = story(lab)
        assert (run.code, record.exit_code, record.state) == (130, 130, "incomplete")
        assert f"Session {record.name} is safe; `aind-launch resume {record.name}` goes on." in run.err
        assert steps["transfer_session", "sees"].error == "interrupted"
        is_left_to_resume(lab)


@pytest.mark.parametrize("name", [name for name in ENDINGS if name != "SIGINT"])
def test_after_the_acquisition_whatever_ends_the_program_leaves_the_step_to_resume(
    lab: TaskRepositoryForTests, name: str
) -> None:
    mark = hangs(lab, "a push")
    with started(lab) as process:
        wait_for(process, mark.exists)
        press(process, name)
        assert ended(process).code == 130
    record, session, _ = story(lab)
    assert (record.exit_code, session.handed_off) == (130, False)
    is_left_to_resume(lab)


def test_a_plugin_that_swallows_ctrl_c_is_ended_by_the_second(lab: TaskRepositoryForTests) -> None:
    mark = hangs(lab, "patience")
    with started(lab) as process:
        wait_for(process, mark.exists)
        press(process)
        wait_for(process, (lab.root / "swallowed").exists)
        press(process)
        assert ended(process).code == 130
    assert story(lab)[0].state == "incomplete"
    works_again(lab)
    assert aind_launch(lab.path, "resume", "--all").code == 0
