"""The real program in a process of its own: run to its end, or killed at a certain write or instant."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(sysconfig.get_path("scripts"), "aind-launch.exe" if os.name == "nt" else "aind-launch")
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


def aind_launch(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Ended:
    """Call the installed program, without a terminal."""
    ended = subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class Programs:
    """Calls the program from a process that has imported it already, which saves most of the time of a call.

    Where processes cannot be forked (Windows), each call is a process that starts from nothing.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._origin = self._start("serve") if hasattr(os, "fork") else None

    def call(self, folder: Path, *arguments: str, kill_at: int | None = None, kill_after: float | None = None) -> Ended:
        """Call the program with its output in files.

        :param kill_at: the instant before or after a write at which it is killed, from 1; 0 counts them only.
        :param kill_after: seconds after which it is killed.
        """
        files = {name: str(self._scratch / name) for name in ("out", "err", "writes")}
        wish = {
            "folder": str(folder),
            "arguments": arguments,
            "files": files,
            "kill_at": kill_at,
            "kill_after": kill_after,
        }
        for file in files.values():
            Path(file).write_bytes(b"")
        if self._origin:
            code = int(self._tell(self._origin, wish))
        else:
            once = self._start("once")
            self._tell(once, wish, answers=False)
            if kill_after is not None:
                time.sleep(kill_after)
                once.kill()
            code = once.wait()
        out, err, writes = ((self._scratch / name).read_text("utf-8") for name in ("out", "err", "writes"))
        return Ended(code, out, err, tuple(writes.splitlines()))

    def close(self) -> None:
        if self._origin:
            self._origin.communicate()

    @staticmethod
    def _start(how: str) -> "subprocess.Popen[str]":
        command = [sys.executable, __file__, how]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @staticmethod
    def _tell(process: "subprocess.Popen[str]", wish: dict[str, Any], *, answers: bool = True) -> str:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(wish) + "\n")
        process.stdin.flush()
        return process.stdout.readline() if answers else ""


@contextmanager
def programs(scratch: Path) -> Iterator[Programs]:
    scratch.mkdir(parents=True, exist_ok=True)
    opened = Programs(scratch)
    try:
        yield opened
    finally:
        opened.close()


def _serve() -> None:
    """Fork a child for each line on stdin, and answer with how it ended."""
    import urllib.request  # noqa: F401  (for the plugins)

    import aind_launcher.builtin.acquisition
    import aind_launcher.builtin.checks
    import aind_launcher.builtin.local_store
    import aind_launcher.cli.resume
    import aind_launcher.cli.run
    import aind_launcher.cli.sessions  # noqa: F401

    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_call(wish))
        if wish["kill_after"] is not None:
            time.sleep(wish["kill_after"])
            os.kill(child, KILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _call(wish: dict[str, Any]) -> int:
    """What the console script does."""
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, wish["files"]["out"], os.O_WRONLY),
        (2, wish["files"]["err"], os.O_WRONLY),
    ):
        os.dup2(os.open(name, flags), number)
    os.chdir(wish["folder"])
    sys.argv = ["aind-launch", *wish["arguments"]]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if wish["kill_at"] is not None:
        _watch_writes(wish["kill_at"], Path(wish["files"]["writes"]))
    from aind_launcher.cli import main

    try:
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        return ended.code if isinstance(ended.code, int) else 0
    raise AssertionError("the program ends with an exit code")


def _watch_writes(kill_at: int, names: Path) -> None:
    """Count the instants before and after each write of this process, and end it at one of them."""
    from aind_launcher.journal import Journal

    count = 0

    def instant(name: str) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), KILL)
        with names.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    def watched(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def around(*arguments: Any, **options: Any) -> Any:
            instant(f"before {name(*arguments, **options)}")
            result = function(*arguments, **options)
            instant(f"after {name(*arguments, **options)}")
            return result

        return around

    Journal._write = watched(Journal._write, lambda _, sql, values: f"journal {sql.split()[0]} {_step(values)}")  # type: ignore[method-assign]
    Path.replace = watched(Path.replace, lambda _, target: f"file {Path(target).name}")  # type: ignore[method-assign]


def _step(values: Any) -> str:
    if isinstance(values, dict):
        return f"{values['hook']} {values['plugin']} {values['state']}"
    return " ".join(str(value) for value in values if isinstance(value, str) and len(value) < 30)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve()
    else:
        sys.exit(_call(json.loads(sys.stdin.readline())))
