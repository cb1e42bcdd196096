"""What an operator sees does not decide what a session records: terminals that are lost, logs on a full disk."""

import errno
import io
import sys
from contextlib import suppress

from task_repositories import laboratory

from aind_launcher.cli.terminal import Terminal
from aind_launcher.errors import LauncherError
from aind_launcher.journal.journal import Journal

SEES = """
    from aind_launcher import hookimpl

    class Sees:
        @hookimpl
        def transfer_session(self, session):
            return "seen"
"""


class FullDisk(io.TextIOBase):
    """The file that stderr was sent to, whose disk is full once the acquisition has ended."""

    def write(self, text: str) -> int:
        if "collect" in text:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(text)


def test_a_terminal_that_takes_no_more_does_not_hold_the_data(tmp_path, monkeypatch):
    lab = laboratory(tmp_path, SEES, names={"sees": "Sees"})
    monkeypatch.setattr(sys, "stderr", FullDisk())
    assert lab.run(operator=Terminal(unattended=True)).state == "completed"


class LostTerminal(io.StringIO):
    """A terminal whose connection is lost while the acquisition runs."""

    lost = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.lost:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_an_acquisition_during_which_the_terminal_is_lost_is_no_failed_one(tmp_path, monkeypatch):
    source = """
    import sys
    from aind_launcher import Acquisition, hookimpl
    from aind_launcher.testing import InstantRig

    class Loses(InstantRig):
        @hookimpl
        def run_session(self, session):
            sys.terminal_of_test.lost = True
            return super().run_session(session)
"""
    lab = laboratory(
        tmp_path,
        source,
        settings='disable = ["isolated-curriculum", "acquisition", "instant-rig"]',
        names={"loses": "Loses"},
    )
    monkeypatch.setattr(sys, "stderr", LostTerminal())
    # The progress line puts a stand-in in the place of stderr.
    monkeypatch.setattr(sys, "terminal_of_test", sys.stderr, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    outcome = lab.run(operator=Terminal(unattended=True))
    assert outcome.session.acquisition.outcome == "completed"
    assert outcome.state == "completed"


def test_a_hand_off_during_which_the_terminal_is_lost_is_not_done_twice(tmp_path, monkeypatch):
    source = """
    import sys
    from aind_launcher import hookimpl

    class Hands:
        @hookimpl
        def transfer_session(self, session):
            sys.terminal_of_test.lost = True
            with (session.repository.path.parent / "handed.txt").open("a") as file:
                file.write("once\\n")
"""
    lab = laboratory(tmp_path, source, names={"hands": "Hands"})
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", LostTerminal())
        patched.setattr(sys, "terminal_of_test", sys.stderr, raising=False)
        patched.setenv("TERM", "xterm")
        with suppress(LauncherError):
            lab.run(operator=Terminal(unattended=True))
    monkeypatch.setattr(sys, "terminal_of_test", LostTerminal(), raising=False)
    with Journal.open(lab.journal) as journal:
        (session,) = journal.sessions()
    lab.resume(session.name)
    assert (tmp_path / "handed.txt").read_text() == "once\n"
