"""A run of a curriculum: started, watched, ended, and every way in which it can fail told apart."""

import itertools
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aind_launcher.curriculum.contract import read_suggestion
from aind_launcher.errors import CurriculumError, CurriculumFailed, CurriculumTimedOut, NoCommand, UsageError
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import scratch_folder
from aind_launcher.system.inherited import curriculum_environment
from aind_launcher.system.processes import Program, run_child
from aind_launcher.system.tail import OnLine

_LAST_LINES: Final = 5
_TAIL: Final = 64 << 10
# Bytes that a short answer may have.
_SHORT: Final = 16 << 20
# How argparse, click and what is built on them end where they do not know what they are asked.
_NOT_UNDERSTOOD: Final = 2
_TRACEBACK: Final = re.compile(r"^[ +]*(?:Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE)


def run_curriculum(
    argv: Sequence[str],
    cwd: Path,
    kept: Path,
    *,
    timeout: float | None = None,
    output_limit: int = _SHORT,
    on_line: OnLine | None = None,
) -> CurriculumSuggestion:
    """Run a curriculum and read its answer, without provenance.

    :param kept: a folder; all that it prints is kept there, each attempt under names of its own.
    :param timeout: seconds, as `output_limit` is bytes, after which its whole process tree is ended.
    :raises CurriculumError: one of its kinds: failed, timed out, no answer; itself where it could not be started.
    """
    out, err = _next_attempt(kept)
    environ = curriculum_environment(os.environ, sys.platform)
    program = Program(argv, cwd, environ, out, err, timeout, output_limit=output_limit, on_line=on_line)
    _run(program, "The curriculum", f"All that it printed is in {out} and {err.name}.")
    return read_suggestion(out)


def ask(argv: Sequence[str], cwd: Path, timeout: float | None = None) -> str:
    """The answer of a short command: ``list``, ``init``, ``version``, ``dsl-version``.

    :raises NoCommand: the curriculum's command line does not know it.
    :raises CurriculumError: it could not be started, ended badly or not in time; it names the command, the exit code
        and the last lines of stderr.
    """
    # The program's own folder would be noise.
    command = " ".join([Path(argv[0]).name, *argv[1:]])
    with scratch_folder() as folder:
        out, err = Path(folder, "stdout.txt"), Path(folder, "stderr.txt")
        environ = curriculum_environment(os.environ, sys.platform)
        _run(Program(argv, cwd, environ, out, err, timeout, output_limit=_SHORT), f"'{command}'", may_lack=True)
        return out.read_bytes().decode("utf-8", "surrogateescape")


def how_it_ended(exit_code: int, platform: str) -> str:
    """In words: *ended with exit code 1*, *was ended by SIGKILL*, *crashed (0xC0000005)*."""
    if exit_code < 0:
        names = {int(known): known.name for known in signal.Signals}
        return f"was ended by {names.get(-exit_code, f'signal {-exit_code}')}"
    if platform == "win32" and exit_code >= 0x80000000:
        return f"crashed (0x{exit_code:08X})"
    return f"ended with exit code {exit_code}"


def last_lines(stderr: str) -> list[str]:
    """What of stderr says why: the exception at the end of a traceback, else the last lines."""
    # Programs on Windows end their lines with a carriage return, too.
    *before, last = _TRACEBACK.split(stderr.replace("\r\n", "\n"))
    lines = [line.rstrip() for line in last.splitlines() if line.strip()]
    if before:
        # Frames are indented; the exception's first line is not, and its message may go on for more.
        exception = list(itertools.dropwhile(lambda line: line.startswith((" ", "\t")), lines))
        return (exception or lines)[:_LAST_LINES]
    return lines[-_LAST_LINES:]


def _run(program: Program, name: str, hint: str | None = None, *, may_lack: bool = False) -> None:
    """Run `program` to its end.

    :param name: what the errors call it.
    :param may_lack: it may be a command that the curriculum lacks.
    """
    try:
        ended = run_child(program)
    except UsageError as error:
        raise CurriculumError(
            f"The curriculum's environment is incomplete. {error.message}",
            "Run `aind-launch curricula sync`, which builds it again.",
        ) from None
    if ended.ended_by == "timeout":
        how = f"did not end within {program.timeout:g} seconds and was ended"
        raise CurriculumTimedOut(f"{name} {how}{_last_words(program.stderr)}", hint)
    if ended.ended_by == "output limit":
        how = f"printed more than {(program.output_limit or 0) / (1 << 20):g} MiB and was ended"
    elif ended.exit_code:
        how = how_it_ended(ended.exit_code, sys.platform)
    else:
        return
    kind = NoCommand if may_lack and ended.exit_code == _NOT_UNDERSTOOD else CurriculumFailed
    raise kind(f"{name} {how}{_last_words(program.stderr)}", hint)


def _next_attempt(kept: Path) -> tuple[Path, Path]:
    """Files for stdout and stderr that no earlier attempt has written."""
    names = itertools.chain(["curriculum"], (f"curriculum-{attempt}" for attempt in itertools.count(2)))
    attempts = ((kept / f"{name}.stdout.txt", kept / f"{name}.stderr.txt") for name in names)
    return next(files for files in attempts if not any(file.exists() for file in files))


def _last_words(stderr: Path) -> str:
    """The end of a sentence about a curriculum that went wrong."""
    try:
        with stderr.open("rb") as file:
            file.seek(max(0, stderr.stat().st_size - _TAIL))
            lines = last_lines(file.read().decode("utf-8", "replace"))
    except OSError as error:
        return f", and what it wrote to stderr cannot be read: {error.strerror}."
    return ": " + "\n".join(lines).rstrip(".") + "." if lines else ", and wrote nothing to stderr."
