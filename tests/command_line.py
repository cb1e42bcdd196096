"""The real command line, called as an operator calls it: in a process of its own, or quickly in this one.

Processes that meet a misfortune at a chosen write are those of `programs.py`.
"""

import io
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from aind_launcher.cli import main
from aind_launcher.testing import forgetting_plugins_of

SCRIPT = Path(sysconfig.get_path("scripts"), "aind-launch.exe" if os.name == "nt" else "aind-launch")
INSTALLED = (os.fspath(SCRIPT),)
AS_MODULE = (sys.executable, "-m", "aind_launcher")
# As power that fails: nothing is cleaned up. On Windows every signal ends a process so.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@dataclass(frozen=True)
class Ended:
    """How a call of the program ended.

    :param writes: what it wrote, one line for each instant before and after a write; where it was asked for.
    """

    code: int
    out: str
    err: str
    writes: tuple[str, ...] = ()

    @property
    def killed(self) -> bool:
        return self.code in (-KILL, KILL)


def launch(
    *arguments: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    program: tuple[str, ...] = INSTALLED,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> Ended:
    """Call the installed program in a process of its own, without a terminal.

    :param environment: laid over that of the test.
    """
    ended = subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        encoding="utf-8",
        check=False,
    )
    return Ended(ended.returncode, ended.stdout or "", ended.stderr or "")


def done(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What `launch` prints on stdout where it ends well; the test fails where it does not."""
    ended = launch(*arguments, cwd=cwd, environment=environment)
    assert ended.code == 0, f"{arguments} ended with {ended.code}:\n{ended.out}\n{ended.err}"
    return ended.out


def call(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """The same as `launch`, without the half second that a process takes to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, forgetting_plugins_of(cwd), hearing_signals_as_before():
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["aind-launch", *arguments])
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    said, warned = (stream.buffer.getvalue().decode("utf-8").replace(os.linesep, "\n") for stream in (out, err))
    return Ended(ended.value.code, said, warned)


@contextmanager
def started(*arguments: str, cwd: Path, stdin: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[str]"]:
    """A launcher that runs beside the test, and is killed if it still does when the context ends."""
    flags = 0x00000200 if sys.platform == "win32" else 0  # CREATE_NEW_PROCESS_GROUP, to which a Ctrl-Break can be sent
    with subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        creationflags=flags,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end_of(process: "subprocess.Popen[str]", answer: str | None = None) -> Ended:
    """Wait until a launcher that was started ends.

    :param answer: what it reads from its stdin.
    """
    out, err = process.communicate(answer)
    assert "Traceback" not in err
    return Ended(process.returncode, out, err)


@contextmanager
def closed_pipe() -> Iterator[int]:
    """An output that nobody reads any more, such as a terminal that was closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@contextmanager
def hearing_signals_as_before() -> Iterator[None]:
    """The program keeps its handlers until its process ends, which is here the process of all tests."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
