"""The real command line: in a process of its own, as an operator's terminal sees it, or quickly in this one."""

import io
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from aind_launcher.cli import main
from aind_launcher.testing import forgetting_plugins_of

Ended = subprocess.CompletedProcess[str]


def launch(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Call the installed `aind-launch` in `cwd`; its output goes into pipes.

    :param environment: laid over that of the test.
    """
    program = shutil.which("aind-launch", path=sysconfig.get_path("scripts"))
    assert program, "the launcher is not installed"
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def done(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What `launch` prints on stdout where it ends well; the test fails where it does not."""
    ended = launch(*arguments, cwd=cwd, environment=environment)
    assert ended.returncode == 0, f"{arguments} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def call(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """The same as `launch`, without the half second that a process takes to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, forgetting_plugins_of(cwd), _hearing_signals_as_before():
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["aind-launch", *arguments])
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    texts = [stream.buffer.getvalue().decode("utf-8").replace(os.linesep, "\n") for stream in (out, err)]
    return Ended(arguments, ended.value.code, *texts)


@contextmanager
def _hearing_signals_as_before() -> Iterator[None]:
    """The program keeps its handlers until its process ends, which is here the process of all tests."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
