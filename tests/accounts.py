"""Two operators with accounts of their own at one machine, played by an administrator."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_line import Ended
from contexts import folder_for_everybody

from aind_launcher.testing import TaskRepositoryForTests

# The program, with a folder of the test in the place of those into which every login of this machine may write.
PROGRAM = """
import sys
from pathlib import Path
from aind_launcher.system import rig
rig.SHARED_FOLDERS = (Path(sys.argv.pop(1)),)
from aind_launcher.cli import main
main()
"""
GROUP = 20100
# Only an administrator can.
CAN_PLAY_ACCOUNTS = bool(shutil.which("setpriv")) and os.geteuid() == 0
# Both may read everything: an administrator's Python may lie in a private folder. What they may write is what counts.
READS_ALL = (
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
)


@dataclass(frozen=True)
class Account:
    """A login whose files only it may change, as most have it.

    :param root: a folder of this test that every login may reach.
    """

    root: Path
    number: int
    group: int

    @property
    def home(self) -> Path:
        return self.root / f"home of {self.number}"

    def start(self, *arguments: str, cwd: Path) -> "subprocess.Popen[str]":
        """A launcher that runs beside the test."""
        self.home.mkdir(exist_ok=True)
        os.chown(self.home, self.number, self.group)
        git = self.home / ".gitconfig"
        git.write_text("[safe]\ndirectory = *\n", encoding="utf-8")
        login = (f"--reuid={self.number}", f"--regid={self.group}", "--clear-groups", *READS_ALL)
        own = {"HOME": str(self.home), "LOGNAME": f"login-{self.number}", "GIT_CONFIG_GLOBAL": str(git)}
        return subprocess.Popen(
            ["setpriv", *login, sys.executable, "-c", PROGRAM, str(self.root / "lock"), *arguments],
            cwd=cwd,
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            umask=0o022,
        )

    def call(self, *arguments: str, cwd: Path) -> Ended:
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)


@contextmanager
def two_accounts() -> Iterator[tuple[Path, Account, Account]]:
    """A folder that both may reach, and the two, of one group."""
    with folder_for_everybody() as root:
        lock = root / "lock"
        lock.mkdir()
        # As /run/lock and /tmp are.
        lock.chmod(0o1777)
        yield root, Account(root, 20001, GROUP), Account(root, 20002, GROUP)


def for_the_group(folder: Path) -> None:
    """Make a folder as an administrator makes one that a group shares."""
    folder.mkdir()
    shutil.chown(folder, group=GROUP)
    folder.chmod(0o2775)


def without_state_directory(lab: TaskRepositoryForTests) -> None:
    """Let each login have the state directory that it has without a setting."""
    pyproject = lab.path / "pyproject.toml"
    lines = pyproject.read_text("utf-8").splitlines(keepends=True)
    pyproject.write_text("".join(line for line in lines if not line.startswith("state-directory")), encoding="utf-8")
    lab.commit()
