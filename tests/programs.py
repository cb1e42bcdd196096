"""The real program in a process that meets a misfortune at a chosen write or instant.

Where nothing of that kind happens, the program is called by `command_line.py`.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from command_line import KILL, Ended

Misfortune = Literal["kill", "full", "read-only"]


class Programs:
    """Calls the program from a process that has imported it already, which saves most of the time of a call.

    Where processes cannot be forked (Windows), each call is a process that starts from nothing.
    """

    def __init__(self, scratch: Path, preload: Path | None = None) -> None:
        self._scratch = scratch
        self._environment = {"LD_PRELOAD": str(preload)} if preload else {}
        self._origin = self._start("serve") if hasattr(os, "fork") else None

    def call(
        self,
        folder: Path,
        *arguments: str,
        at: int | None = None,
        happens: Misfortune = "kill",
        within: Path | None = None,
        kill_after: float | None = None,
        interrupts: tuple[float, ...] = (),
        injected: tuple[Any, ...] | None = None,
    ) -> Ended:
        """Call the program.

        :param at: the instant before or after a write at which it is met by a misfortune, from 1; 0 counts them only.
        :param happens: it is killed; or from then on no file can grow, or nothing be written in `within`.
        :param kill_after: seconds after which it is killed.
        :param interrupts: seconds after which Ctrl-C is pressed, each from the one before.
        :param injected: what to tell the injector that was preloaded; `writes` are then the file operations.
        """
        files = {name: str(self._scratch / name) for name in ("out", "err", "writes")}
        wish = {
            "folder": str(folder),
            "arguments": arguments,
            "files": files,
            "at": at,
            "happens": happens,
            "within": str(within),
            "kill_after": kill_after,
            "interrupts": interrupts,
            "injected": injected,
        }
        for file in files.values():
            Path(file).write_bytes(b"")
        if self._origin:
            code = int(self._tell(self._origin, wish))
        else:
            with self._start("once") as once:
                self._tell(once, wish, answers=False)
                if kill_after is not None:
                    time.sleep(kill_after)
                    once.kill()
            code = once.returncode
        out, err, writes = ((self._scratch / name).read_text("utf-8") for name in ("out", "err", "writes"))
        return Ended(code, out, err, tuple(writes.splitlines()))

    def close(self) -> None:
        if self._origin:
            self._origin.communicate()

    def _start(self, how: str) -> "subprocess.Popen[str]":
        command, environment = [sys.executable, __file__, how], {**os.environ, **self._environment}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    @staticmethod
    def _tell(process: "subprocess.Popen[str]", wish: dict[str, Any], *, answers: bool = True) -> str:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(wish) + "\n")
        process.stdin.flush()
        return process.stdout.readline() if answers else ""


@contextmanager
def programs(scratch: Path, preload: Path | None = None) -> Iterator[Programs]:
    """:param preload: a library in the program and all that it starts."""
    scratch.mkdir(parents=True, exist_ok=True)
    opened = Programs(scratch, preload)
    try:
        yield opened
    finally:
        opened.close()


def _serve() -> None:
    """Fork a child for each line on stdin, and answer with how it ended."""
    import urllib.request  # noqa: F401  (for the plugins)

    import aind_launcher.builtin.acquisition
    import aind_launcher.builtin.checks
    import aind_launcher.builtin.local_store.plugin
    import aind_launcher.cli.resume
    import aind_launcher.cli.run
    import aind_launcher.cli.sessions
    import aind_launcher.curriculum.installed
    import aind_launcher.testing  # noqa: F401  (which the task repositories of tests use)

    # One that comes before the program has begun waits for that: Python itself would answer it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for line in sys.stdin:
        wish = json.loads(line)
        pipes = {name: os.pipe() for name in ("out", "err")}
        child = os.fork()
        if child == 0:
            os._exit(_call(wish, pipes["out"][1], pipes["err"][1]))
        readers = []
        for name, (reading, writing) in pipes.items():
            os.close(writing)
            readers.append(threading.Thread(target=_keep, args=(reading, Path(wish["files"][name]))))
            readers[-1].start()
        for pause in wish["interrupts"]:
            time.sleep(pause)
            os.kill(child, signal.SIGINT)
        if wish["kill_after"] is not None:
            time.sleep(wish["kill_after"])
            os.kill(child, KILL)
        _, status = os.waitpid(child, 0)
        for reader in readers:
            reader.join()
        print(os.waitstatus_to_exitcode(status), flush=True)


def _keep(reading: int, file: Path) -> None:
    with os.fdopen(reading, "rb") as pipe:
        file.write_bytes(pipe.read())


def _call(wish: dict[str, Any], out: int, err: int) -> int:
    """What the console script does."""
    for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, err)):
        os.dup2(opened, number)
    os.chdir(wish["folder"])
    sys.argv = ["aind-launch", *wish["arguments"]]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if wish["at"] is not None:
        _watch_writes(wish["at"], wish["happens"], Path(wish["within"]), Path(wish["files"]["writes"]))
    from aind_launcher.cli import main
    from aind_launcher.system import interrupts

    if wish["injected"]:
        _inject(wish["files"]["writes"], *wish["injected"])
    try:
        interrupts.hold_from_now_on()
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        return ended.code if isinstance(ended.code, int) else 0
    raise AssertionError("the program ends with an exit code")


def _watch_writes(at: int, happens: Misfortune, within: Path, names: Path) -> None:
    """Count the instants before and after each write of this process, and let something happen at one of them."""
    from aind_launcher.journal.journal import Journal

    count = 0

    def instant(name: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            _befall(happens, within)
        if not at:
            with names.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")

    def watched(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def around(*arguments: Any, **options: Any) -> Any:
            instant(f"before {name(*arguments, **options)}")
            result = function(*arguments, **options)
            instant(f"after {name(*arguments, **options)}")
            return result

        return around

    Journal._write = watched(Journal._write, lambda _, session, changes, **__: _named(*changes[0]))  # type: ignore[method-assign]
    Path.replace = watched(Path.replace, lambda _, target: f"file {Path(target).name}")  # type: ignore[method-assign]


def _inject(writes: str, root: str, at: int, problem: int, lasting: int, halved: int) -> None:
    """Set up `faults/inject.c`, which was preloaded."""
    # It must not hang: the alarm ends it.
    signal.alarm(60)
    arm = ctypes.CDLL(None).inject_from_now_on
    arm.argtypes = [ctypes.c_char_p, *[ctypes.c_int] * 4, ctypes.c_char_p]
    arm(os.fsencode(root), at, problem, lasting, halved, os.fsencode(writes))


def _befall(happens: Misfortune, within: Path) -> None:
    if happens == "kill":
        os.kill(os.getpid(), KILL)
    elif happens == "full":
        import resource

        # Python ignores the signal that comes with it; what is left is an error like that of a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    else:
        # As `contexts.read_only`, but for the program alone and for good.
        for part in (within, *within.rglob("*")):
            part.chmod(0o555 if part.is_dir() else 0o444)
        if os.geteuid() == 0:
            os.seteuid(65534)  # nobody: the administrator may write anything


def _named(sql: str, values: dict[str, Any]) -> str:
    what = f"{values['hook']} {values['plugin']}" if "hook" in values else values["name"]
    return f"journal {sql.split()[0]} {what} {values.get('state', '')}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve()
    else:
        wish = json.loads(sys.stdin.readline())
        out, err = (os.open(wish["files"][name], os.O_WRONLY) for name in ("out", "err"))
        sys.exit(_call(wish, out, err))
