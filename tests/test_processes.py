"""Child processes: where their output goes, and the end of the whole tree."""

import _thread
import itertools
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from aind_launcher.errors import LauncherError, UsageError
from aind_launcher.system.inherited import curriculum_environment
from aind_launcher.system.processes import Ended, Program, run_child
from aind_launcher.system.tail import OnLine

pytestmark = pytest.mark.usefixtures("interrupts_held")

# Starts a process that would live for a minute, may be cut off from its parent, and says its id.
GRANDCHILD = """
import subprocess, sys
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session={apart})
print(sleeper.pid, flush=True)
"""
LISTENING = """
import signal, time
for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), {handler})
try:
    print("ready", flush=True)
    while True:
        time.sleep(60)
except KeyboardInterrupt:
    print("valve closed", flush=True)
"""


def without_terminal(platform: str) -> dict[str, Any]:
    """Arguments for `subprocess` that start a process without a terminal, which is a console on Windows."""
    return {"creationflags": 0x00000008} if platform == "win32" else {"start_new_session": True}  # DETACHED_PROCESS


class Run:
    """Runs Python code as a child, and knows where its output is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stdout, self.stderr = folder / "kept" / "out.txt", folder / "kept" / "err.txt"
        self.env = curriculum_environment(os.environ, sys.platform) | {"FAMILY": uuid.uuid4().hex}

    def __call__(self, code: str, *arguments: str, **how: Any) -> Ended:
        return self.command(sys.executable, "-c", code, *arguments, **how)

    def command(self, *command: str | Path, **how: Any) -> Ended:
        given: dict[str, Any] = {"cwd": self.folder, "env": self.env} | how
        return run_child(Program(command, stdout=self.stdout, stderr=self.stderr, **given))

    def living(self) -> list[psutil.Process]:
        """All that a child of this test started and that still runs, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FAMILY") == self.env["FAMILY"]:
                    found.append(process)
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    assert not run.living()


def ctrl_c_at(word: str, occurrence: int = 1) -> OnLine:
    """Presses Ctrl-C in the launcher when the child says `word`."""
    left = itertools.count(occurrence, -1)

    def on_line(_: str, line: str) -> None:
        if word in line and next(left) == 1:
            _thread.interrupt_main()

    return on_line


class TestAChild:
    def test_is_told_by_its_exit_code_and_all_its_output_is_kept(self, run: Run) -> None:
        ended = run("import sys; print('é'); sys.stderr.buffer.write(b'\\xff'); sys.exit(7)")
        assert (ended.exit_code, ended.ended_by) == (7, "itself")
        assert run.stdout.read_bytes().startswith("é".encode())
        assert run.stderr.read_bytes() == b"\xff"

    def test_has_no_stdin(self, run: Run) -> None:
        assert run("import sys; print(repr(sys.stdin.read()))").exit_code == 0
        assert run.stdout.read_text().strip() == "''"

    def test_gets_its_arguments_untouched(self, run: Run) -> None:
        arguments = ["a b", "", '"', "$HOME", "%PATH%", "{x}", "*", "é"]
        run("import sys; print(sys.argv[1:])", *arguments)
        assert run.stdout.read_text(encoding="utf-8").strip() == str(arguments)

    def test_is_told_by_the_signal_that_ended_it(self, run: Run) -> None:
        ended = run("import os; os.abort()")
        assert ended.exit_code == (3 if os.name == "nt" else -signal.SIGABRT)

    def test_is_found_on_the_path_that_it_is_given(self, run: Run) -> None:
        env = curriculum_environment(os.environ, sys.platform) | {"PATH": str(Path(sys.executable).parent)}
        assert run.command(Path(sys.executable).name, "-c", "", env=env).exit_code == 0

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    def test_has_its_lines_shown_as_they_come(self, run: Run) -> None:
        shown: list[tuple[str, str]] = []
        code = "print('one\\r'); print(); print('é', file=sys.stderr); print('x' * 20000); print('end', end='')"
        run(f"import sys; {code}", on_line=lambda stream, line: shown.append((stream, line)))
        lines = [line for stream, line in shown if stream == "stdout"]
        assert lines[:2] == ["one", ""]
        assert lines[-1] == "end"
        assert "".join(lines[2:-1]) == "x" * 20000
        assert ("stderr", "é") in shown

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    def test_has_only_the_beginning_of_a_flood_shown(self, run: Run) -> None:
        shown: list[str] = []
        run("print('x\\n' * 100_000, end='')", on_line=lambda _, line: shown.append(line))
        hidden = [int(line.split()[1]) for line in shown if line.endswith(" more lines are in out.txt")]
        assert shown.count("x") + sum(hidden) == 100_000
        assert len(shown) < 10_000

    def test_lives_on_where_its_lines_cannot_be_shown(self, run: Run) -> None:
        def broken(stream: str, line: str) -> None:
            raise BrokenPipeError(stream)

        assert run("print('a' * 100000)", on_line=broken).exit_code == 0
        assert run.stdout.stat().st_size > 100_000

    def test_may_remove_what_is_kept_of_it(self, run: Run) -> None:
        assert run(f"import os; os.name == 'nt' or os.remove({str(run.stdout)!r})", output_limit=10).exit_code == 0


class TestTheEndOfATree:
    @pytest.mark.parametrize("apart", [False, True])
    def test_comes_with_the_end_of_the_child(self, run: Run, apart: bool) -> None:
        assert run(GRANDCHILD.format(apart=apart)).ended_by == "itself"
        assert int(run.stdout.read_text()) not in [process.pid for process in run.living()]

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    @pytest.mark.parametrize("apart", [False, True])
    def test_comes_with_ctrl_c(self, run: Run, apart: bool) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(
                GRANDCHILD.format(apart=apart) + "print('ready', flush=True); sleeper.wait()",
                on_line=ctrl_c_at("ready"),
            )
        assert not run.living()

    def test_comes_with_the_time_out(self, run: Run) -> None:
        ended = run("import time; time.sleep(60)", timeout=0.2)
        assert ended.ended_by == "timeout"
        assert ended.exit_code in (-9, 15)

    def test_comes_with_output_without_end(self, run: Run) -> None:
        ended = run("while True: print('x' * 1000)", output_limit=100_000)
        assert ended.ended_by == "output limit"
        assert run.stdout.stat().st_size > 100_000

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    def test_reaches_a_family_that_is_still_growing(self, run: Run) -> None:
        growing = (
            GRANDCHILD.format(apart=True)
            .replace("\nsleeper", "\nfor _ in range(300):\n  sleeper")
            .replace("\nprint", "\n  print")
        )
        with pytest.raises(KeyboardInterrupt):
            run(growing, on_line=ctrl_c_at("", occurrence=5))
        assert len(run.stdout.read_text().splitlines()) >= 5
        assert not run.living()

    def test_spares_who_is_not_of_the_family(self, run: Run) -> None:
        neighbour = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            run("import time; time.sleep(60)", timeout=0.2)
            assert neighbour.poll() is None
        finally:
            neighbour.communicate(b"\n")
        assert neighbour.returncode == 0


class TestTheGraceToClose:
    @pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
    def test_lets_a_program_clean_up(self, run: Run) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(LISTENING.format(handler="signal.default_int_handler"), on_line=ctrl_c_at("ready"), close_grace=1000)
        assert run.stdout.read_text().splitlines() == ["ready", "valve closed"]

    def test_is_given_after_a_time_out_too(self, run: Run) -> None:
        ended = run("import time; time.sleep(60)", timeout=0.2, close_grace=1000)
        assert ended.ended_by == "timeout"
        assert ended.exit_code != -9

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    def test_ends_for_a_program_that_ignores_it(self, run: Run) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(LISTENING.format(handler="signal.SIG_IGN"), on_line=ctrl_c_at("ready"), close_grace=0.2)
        assert run.stdout.read_text().splitlines() == ["ready"]

    @pytest.mark.not_in_wine("Wine 8 cannot send Ctrl-Break")
    def test_is_over_with_a_second_ctrl_c(self, run: Run) -> None:
        at_first, at_second = ctrl_c_at("ready"), ctrl_c_at("asked")

        def on_line(stream: Literal["stdout", "stderr"], line: str) -> None:
            at_first(stream, line)
            at_second(stream, line)

        with pytest.raises(KeyboardInterrupt):
            # Without the second one this would take longer than any test may.
            run(LISTENING.format(handler="lambda *_: print('asked', flush=True)"), on_line=on_line, close_grace=100_000)
        assert "asked" in run.stdout.read_text()

    def test_is_asked_for_by_a_launcher_without_a_terminal(self, run: Run) -> None:
        # As of a scheduled task. On Windows it has no console, where Python's own `os.kill` fails and ends the child.
        code = """if True:
            import os, sys
            from pathlib import Path
            from aind_launcher.system.processes import Program, run_child
            sleep = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
            program = Program(
                sleep, cwd=Path(), env=dict(os.environ), stdout=Path("o"), stderr=Path("e"), timeout=2, close_grace=1
            )
            ended = run_child(program)
            Path("told.txt").write_text(ended.ended_by)
        """
        subprocess.run([sys.executable, "-c", code], cwd=run.folder, check=True, **without_terminal(sys.platform))
        assert (run.folder / "told.txt").read_text() == "timeout"


class TestAProgramThatCannotBeStarted:
    def test_is_named(self, run: Run) -> None:
        with pytest.raises(UsageError, match="'no-such-program' was not found"):
            run.command("no-such-program")
        with pytest.raises(UsageError, match=r"gone.*does not exist"):
            run.command(run.folder / "gone" / "program")

    def test_is_told_from_a_folder_that_is_not_there(self, run: Run) -> None:
        with pytest.raises(UsageError, match=r"its folder .*gone does not exist"):
            run("", cwd=run.folder / "gone")

    def test_is_told_from_one_whose_interpreter_is_gone(self, run: Run) -> None:
        script = run.folder / "curriculum"
        script.write_text("#!/no/such/python\n")
        script.chmod(0o755)
        with pytest.raises(UsageError, match=r"curriculum cannot be started.*Install it anew"):
            run.command(script)

    def test_is_told_from_output_that_cannot_be_kept(self, run: Run) -> None:
        (run.folder / "kept").touch()
        with pytest.raises(LauncherError, match="cannot be kept"):
            run("")


class TestTheEnvironment:
    def test_is_what_the_child_sees_and_no_more(self, run: Run) -> None:
        run("import os; print(*sorted(os.environ), sep='\\n')")
        # The C library adds a locale of its own, and Wine what it needs itself.
        seen = {name for name in run.stdout.read_text().split() if not name.startswith(("LC_CTYPE", "WINE"))}
        assert seen - run.env.keys() == {"AIND_LAUNCHER_CHILD"}
