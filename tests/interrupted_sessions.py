"""Sessions in which a plugin hangs until the launcher is interrupted, as an operator or the system does."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from command_line import Ended, end_of, started

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.model.session import SessionContext
from aind_launcher.testing import TaskRepositoryForTests

# Without the question before it, which has tests of its own.
RUN = ("run", "--subject", "123456", "--yes")
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


def wait_for(process: "subprocess.Popen[Any]", happened: Callable[[], bool]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)  # and leave the processor to it


def hangs(lab: TaskRepositoryForTests, what: str) -> Path:
    (lab.root / f"hang in {what}").touch()
    return lab.root / "hangs"


def interrupted_in(
    lab: TaskRepositoryForTests, what: str, *, by: str = ENDINGS[0], command: Sequence[str] = RUN
) -> Ended:
    """How a launcher ends that is interrupted when a plugin hangs in `what`."""
    mark = hangs(lab, what)
    mark.unlink(missing_ok=True)
    with started(*command, cwd=lab.path) as process:
        wait_for(process, mark.exists)
        press(process, by)
        return end_of(process)


def works_again(lab: TaskRepositoryForTests) -> None:
    for mark in lab.root.glob("hang*"):
        mark.unlink()


def story(lab: TaskRepositoryForTests) -> tuple[SessionRecord, SessionContext, dict[tuple[str, str], StepRecord]]:
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
        steps = {(s.id.hook, s.id.plugin): s for s in journal.current_steps(record.name)}
        return record, journal.context(record.name), steps


def press(process: "subprocess.Popen[Any]", name: str = ENDINGS[0]) -> None:
    process.send_signal(signal.Signals[name])
