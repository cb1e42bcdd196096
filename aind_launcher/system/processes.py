"""Child processes: where their output goes, and the end of the whole tree."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, Literal

import psutil

from aind_launcher.errors import Refused, TransientError, UsageError
from aind_launcher.system import interrupts
from aind_launcher.system.files import make_folder, share
from aind_launcher.system.inherited import tool_environment
from aind_launcher.system.interrupts import InterruptedAgain
from aind_launcher.system.programs import find_program
from aind_launcher.system.tail import OnLine, Tail

# Set for every child and inherited by all that it starts, so that they are found whatever became of their parents.
MARKER: Final = "AIND_LAUNCHER_CHILD"

# Ctrl-C cannot wake a wait on Windows, so waits are cut into pieces; the end of the child wakes them at once.
_PIECE: Final = 0.2
# Seconds for which killing is repeated. A process that is still there hangs in a driver, and no program can end it.
_KILL_TIMEOUT: Final = 10.0


EndedBy = Literal["itself", "timeout", "output limit"]


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    :param exit_code: its own; negative for a signal, as in `subprocess`.
    :param ended_by: *itself*, or what made the launcher end it.
    """

    exit_code: int
    ended_by: EndedBy


@dataclass(frozen=True)
class Program:
    """A program to run: its command line, where its output goes, and what makes the launcher end it.

    Its output goes into files, not pipes: nothing is lost, and a process that keeps a pipe open cannot make us wait.

    :param env: all of its environment; see `inherited`.
    :param timeout: seconds after which it is ended.
    :param close_grace: how many seconds it gets to close by itself before it is killed.
    :param output_limit: bytes on both outputs together after which it is ended.
    :param on_line: called with each line as it comes, from a thread of its own; very long lines in pieces.
    :param on_close: called before it is asked to close, because of a Ctrl-C or a limit.
    """

    command: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    stdout: Path
    stderr: Path
    timeout: float | None = None
    close_grace: float = 0.0
    output_limit: int | None = None
    on_line: OnLine | None = None
    on_close: Callable[[], None] = lambda: None


def run_child(program: Program) -> Ended:
    """Run `program` to its end; nothing that it started lives on when this returns or raises.

    :raises UsageError: the program or its folder does not exist, or it cannot be started.
    :raises TransientError: the files of its output cannot be made.
    :raises KeyboardInterrupt: after the tree has ended.
    :raises InterruptedAgain: at a second Ctrl-C during `close_grace`, which kills the tree at once.
    """
    # Ctrl-C waits while the program is started, which a virus scanner may delay, and while its tree is killed.
    with interrupts.held(inf):
        child = _Child(program)
        tail = Tail(program.stdout, program.stderr, program.on_line) if program.on_line else None
        try:
            try:
                ended_by = child.wait(program.timeout, program.output_limit)
            except KeyboardInterrupt:
                try:
                    child.close()
                except KeyboardInterrupt:
                    raise InterruptedAgain from None
                raise
            if ended_by != "itself":
                child.close()
        finally:
            child.kill()
            if tail:
                tail.finish()
    return Ended(child.exit_code, ended_by)


class _Child:
    """A process and all that it started."""

    def __init__(self, program: Program) -> None:
        path = path_of(program)
        self._program = program
        # Finds its tree whatever becomes of the parents and, if the launcher dies, names the session's folder.
        self._mark = f"{uuid.uuid4().hex} {os.getpid()} {program.stdout.parent}"
        try:
            for output in (program.stdout, program.stderr):
                make_folder(output.parent)
            out, err = program.stdout.open("wb"), program.stderr.open("wb")
            for output in (program.stdout, program.stderr):
                share(output)
        except OSError as error:
            raise TransientError(
                f"The output of {path} cannot be kept in {program.stdout.parent}: {error.strerror}.",
                "See that its disk has room and can be written.",
            ) from None
        with out, err:
            try:
                # In a group of its own, so that a Ctrl-C reaches the launcher alone.
                self._process = subprocess.Popen(
                    [path, *map(str, program.command[1:])],
                    cwd=program.cwd,
                    env={**program.env, MARKER: self._mark},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            except (OSError, ValueError) as error:
                raise _unstartable(path, program.cwd, error) from None
        self._ended = threading.Event()
        self._since = _created(self._process.pid)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def exit_code(self) -> int:
        code = self._process.returncode
        return -9 if code is None else code  # killed, and hanging in a driver

    @interrupts.heard()
    def wait(self, timeout: float | None, output_limit: int | None = None) -> EndedBy:
        """Wait until it ends, or has to be ended."""
        deadline = inf if timeout is None else time.monotonic() + timeout
        piece = _PIECE if output_limit is None else _PIECE / 4
        while not self._ended.wait(max(0, min(piece, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return "timeout"
            if output_limit is not None and self._printed() > output_limit:
                return "output limit"
        return "itself"

    @interrupts.heard()
    def close(self) -> None:
        """Ask it to close, in all the ways that programs listen to, and wait for its grace at the most."""
        self._program.on_close()
        grace = self._program.close_grace
        ways = ways_to_close(self._process) if grace > 0 else []
        for way in ways:
            if not self._ended.is_set():
                with suppress(OSError, subprocess.TimeoutExpired):
                    way()
                self.wait(grace / len(ways))

    def kill(self) -> None:
        """End it and all that it started, also processes whose parent has ended."""
        deadline = time.monotonic() + _KILL_TIMEOUT
        pause = 0.001
        killed = set[psutil.Process]()
        # Repeated, because a process that starts while the others are killed is only found in the next round. One that
        # is just ending has lost its mark already, so those that were killed are asked again.
        while (leftovers := {*self._leftovers(), *filter(_runs, killed)}) or not self._ended.is_set():
            killed |= leftovers
            for process in leftovers:
                with suppress(psutil.Error):
                    process.kill()
            self._process.kill()
            if time.monotonic() > deadline:
                return
            time.sleep(pause)
            pause = min(pause * 2, _PIECE)

    def _printed(self) -> int:
        # The child may have removed the files.
        with suppress(OSError):
            return sum(output.stat().st_size for output in (self._program.stdout, self._program.stderr))
        return 0

    def _watch(self) -> None:
        self._process.wait()
        self._ended.set()

    def _leftovers(self) -> Iterator[psutil.Process]:
        """The processes of its tree that still run: its descendants, its group, and those with its mark."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                # Cheap questions first: an older process cannot be one of its tree.
                if process.pid == os.getpid() or process.create_time() < self._since - 1:
                    continue
                if _runs(process) and self._is_ours(process):
                    yield process

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == self._process.pid:
            return not self._ended.is_set()
        if sys.platform != "win32" and os.getpgid(process.pid) == self._process.pid:
            return True
        with suppress(psutil.AccessDenied):
            if process.environ().get(MARKER) == self._mark:
                return True
        return not self._ended.is_set() and any(parent.pid == self._process.pid for parent in process.parents())


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def ways_to_close(process: "subprocess.Popen[bytes]") -> list[Callable[[], object]]:
    """How a program is asked to close, in the order tried; each way gets an equal part of the grace.

    SIGINT comes before SIGTERM: Python and .NET programs clean up (close valves) on the first and just die of the
    second. On Windows windows get WM_CLOSE first, as console programs just die of CTRL_BREAK if they do not handle it.
    """
    if sys.platform != "win32":
        return [partial(os.killpg, process.pid, number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [partial(_close_windows, process.pid), partial(_send_ctrl_break, process.pid)]


def _close_windows(pid: int) -> None:
    taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
    command = [str(taskkill), "/PID", str(pid), "/T"]
    subprocess.run(command, env=tool_environment(os.environ), capture_output=True, timeout=_PIECE * 10, check=False)


def _send_ctrl_break(group: int) -> None:
    """Send Ctrl-Break to a process group of Windows, from a launcher that may have no console.

    `os.kill` would raise SystemError and end the process where the launcher has none, as under pythonw or as a
    scheduled task. The program then has a console of its own, which the launcher joins for the moment.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        joined = kernel.AttachConsole(group)  # refused where the launcher has a console, which the program then shares
        kernel.GenerateConsoleCtrlEvent(signal.CTRL_BREAK_EVENT, group)
        if joined:
            kernel.FreeConsole()


def path_of(program: Program) -> str:
    """Where `program` is: on the child's PATH, or relative to its folder; the same on every platform.

    :raises UsageError: it has no folder and is not on the PATH.
    """
    name = str(program.command[0])
    search = next((value for key, value in program.env.items() if key.upper() == "PATH"), os.defpath)
    if Path(name).name != name:
        return str(find_program(name, "", [program.cwd]) or program.cwd / name)
    found = find_program(name, search)
    if found is None:
        raise UsageError(f"The program {name!r} was not found.", "Install it, or give its full path.")
    return str(found)


def _unstartable(program: str, cwd: Path, error: OSError | ValueError) -> UsageError:
    if not cwd.is_dir():
        return UsageError(f"{program} cannot be started: its folder {cwd} does not exist.")
    if not Path(program).exists():
        return UsageError(f"The program {program} does not exist.", "Install it, or correct its path.")
    # A script whose interpreter is gone also counts as not found.
    reason = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"The program {program} cannot be started: {reason}.", "Install it anew.")


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return time.time() - 5


def _name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except (psutil.AccessDenied, OSError):
        return "A program"


def is_running_since(pid: int, moment: float) -> bool:
    """Whether the process `pid` runs and is the one that ran at `moment`, not a later one of the same number."""
    try:
        return psutil.Process(pid).create_time() <= moment + 1
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def refuse_orphans(*places: Path) -> None:
    """Refuse to go on beside a task or a curriculum that outlived its launcher, as far as this account can see it.

    :param places: where its output would be kept.
    :raises Refused: one runs; two acquisitions would drive one rig, or one folder be handed off while it grows.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            mark = process.environ().get(MARKER)
            if mark is None or not _runs(process):
                continue
            _, launcher, folder = mark.split(" ", 2)
            if is_running_since(int(launcher), process.create_time()):
                continue
            if any(Path(folder).is_relative_to(place) for place in places):
                raise Refused(
                    f"{_name_of(process)} (process {process.pid}) of an earlier session still runs; "
                    "its launcher was killed.",
                    f"End it, or wait for it. What it prints is in {folder}.",
                )
