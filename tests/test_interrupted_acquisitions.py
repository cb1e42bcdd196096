"""Ctrl-C during the acquisition: the task closes and its data is kept, and the operator says what becomes of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import call, end_of, started
from contexts import a_session
from interrupted_sessions import ENDINGS, PLUGINS, RUN, interrupted_in, press, story, wait_for
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.model.session import Acquisition
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


# Each starts the whole program at a terminal, or sends it signals.
pytestmark = pytest.mark.integration


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


def task_of(lab: TaskRepositoryForTests, process: "subprocess.Popen[Any]") -> int:
    """The process of the task, once it runs."""
    wait_for(process, lambda: any(lab.data.glob("*/process.txt")))
    (told,) = lab.data.glob("*/process.txt")
    return int(told.read_text("utf-8"))


def is_over(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
@pytest.mark.parametrize("name", ENDINGS)
def test_during_the_acquisition_the_task_closes_and_its_data_is_kept(tmp_path: Path, name: str) -> None:
    lab = with_task(tmp_path, listens=True, grace=60)
    with started(*RUN, cwd=lab.path) as process:
        task = task_of(lab, process)
        press(process, name)
        assert end_of(process).code == 130
    assert is_over(task)
    record, session, steps = story(lab)
    assert (session.folder / "valve.txt").read_text("utf-8") == "closed"
    assert session.acquisition is not None
    assert (session.acquisition.outcome, session.disposition) == ("interrupted", "keep")
    assert (record.state, record.exit_code) == ("interrupted", 130)
    assert steps["transfer_session", "sees"].state == "done"
    assert lab.stage() == "rung1"


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
def test_a_task_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    lab = with_task(tmp_path, listens=False, grace=0.4)
    with started(*RUN, cwd=lab.path) as process:
        task = task_of(lab, process)
        press(process)
        assert end_of(process).code == 130
    assert is_over(task)
    record, session, _ = story(lab)
    assert (session.folder / "asked.txt").exists()
    assert record.state == "interrupted"


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
def test_a_second_ctrl_c_ends_task_and_launcher_at_once(tmp_path: Path) -> None:
    lab = with_task(tmp_path, listens=False, grace=600)
    with started(*RUN, cwd=lab.path) as process:
        task = task_of(lab, process)
        press(process)
        wait_for(process, lambda: any(lab.data.glob("*/asked.txt")))
        press(process)
        assert end_of(process).code == 130
    assert is_over(task)
    record, session, steps = story(lab)
    assert (record.state, session.acquisition) == ("incomplete", None)
    assert ("transfer_session", "sees") not in steps
    # What was cut off is known to have been, and its data kept.
    assert call("resume", "--all", cwd=lab.path).code == 0
    record, session, steps = story(lab)
    assert session.acquisition is not None
    assert (record.state, session.acquisition.outcome, session.disposition) == ("interrupted", "interrupted", "keep")
    assert steps["transfer_session", "sees"].state == "done"


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
def test_an_acquisition_of_a_plugins_own_is_kept_too(tmp_path: Path) -> None:
    lab = laboratory(
        tmp_path,
        PLUGINS,
        'disable = ["isolated-curriculum", "acquisition", "instant-rig"]',
        names={"runs": "Runs", "sees": "Sees"},
    )
    assert interrupted_in(lab, "an acquisition").code == 130
    record, session, steps = story(lab)
    assert session.acquisition is not None
    assert (record.state, session.acquisition.outcome, session.disposition) == ("interrupted", "interrupted", "keep")
    assert steps["transfer_session", "sees"].state == "done"


def test_where_no_plugin_runs_the_acquisition_the_session_is_refused(tmp_path: Path) -> None:
    lab = laboratory(
        tmp_path, PLUGINS, 'disable = ["isolated-curriculum", "acquisition", "instant-rig"]', {"runs": "Runs"}
    )
    refused = call(*RUN, cwd=lab.path)
    assert (refused.code, "No plugin ran the acquisition" in refused.err) == (3, True)
    assert story(lab)[0].state == "refused"
    assert call("resume", "--all", cwd=lab.path).out == "Nothing is left undone.\n"


@pytest.mark.posix_only("Windows has no terminals that a test can make")
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
    with at_terminal(*RUN, cwd=lab.path) as window:
        task = task_of(lab, window.process)
        window.type("\x03")
        window.until("Answer")
        window.type(answer)
        # A Ctrl-C that comes just before readline begins to wait is heard with the next key: a person presses again.
        assert window.end(again=answer) == code, window.shown
    assert "What becomes of its data?" in window.shown
    assert is_over(task)
    assert story(lab)[0].state == state
    assert lab.stage() == stage


# The plugin alone

INTERRUPTED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from contexts import a_session
from aind_launcher.builtin.acquisition import AcquisitionProgram
import signal
if sys.platform == "win32":
    # Only Ctrl-Break can be sent to a group of its own there.
    signal.signal(signal.SIGBREAK, signal.default_int_handler)

task = '''
import pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
def close(*_):
    (folder / "valves.txt").write_text("closed")
    sys.exit(0)
signal.signal(signal.SIGINT, close)
if hasattr(signal, "SIGBREAK"):
    signal.signal(signal.SIGBREAK, close)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("running", child.pid, flush=True)
time.sleep(600)
'''

session = a_session(Path(sys.argv[2]))
session.staging.mkdir(parents=True)
session.folder.mkdir(parents=True)
command = [sys.executable, "-c", task, "{session_directory}"]
settings = AcquisitionProgram.Settings(command=command, close_grace=30)
result = AcquisitionProgram(settings).run_session(session, os.environ)
print(result.model_dump_json())
"""


@pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
def test_ctrl_c_asks_the_program_to_close_and_leaves_nothing_of_it_running(tmp_path: Path) -> None:
    flags = {"creationflags": 0x00000200} if os.name == "nt" else {}
    launcher = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(Path(__file__).parent), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        **flags,  # type: ignore[call-overload]
    )
    session = a_session(tmp_path)
    printed = session.staged_output / "acquisition.stdout.txt"
    wait_for(launcher, lambda: printed.is_file() and printed.read_text("utf-8").endswith("\n"))
    grandchild = int(printed.read_text("utf-8").split()[1])
    launcher.send_signal(signal.Signals["CTRL_BREAK_EVENT" if os.name == "nt" else "SIGINT"])
    told, _ = launcher.communicate()
    result = Acquisition.model_validate_json(told)
    assert result.outcome == "interrupted"
    assert result.exit_code is None
    assert str(session.staged_output) in (result.message or "")
    assert (session.folder / "valves.txt").read_text("utf-8") == "closed"
    assert is_over(grandchild)
    assert "running" in (session.staged_output / "acquisition.stdout.txt").read_text("utf-8")
