"""Tables in a pipe and on a terminal."""

from math import inf
from pathlib import Path, PurePosixPath

import pytest
from command_line import launch
from interrupted_sessions import RUN
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.cli.printing import print_table
from aind_launcher.cli.table import Table
from aind_launcher.cli.terminal import print_check, show_error
from aind_launcher.errors import LauncherError
from aind_launcher.model.session import Check


def test_columns_of_a_table_in_a_pipe_stand_below_each_other_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    # Two cells each for the first, one for both characters of the second.
    for name, cells in (("小鼠", 4), ("e\u0301", 1), ("mouse", 5)):
        print_table(("", ""), [(name, "first"), ("a longer name", "second")], empty="")
        first, second = capsys.readouterr().out.splitlines()
        padding = " " * (len("a longer name") + 2 - cells)
        assert first == f"{name}{padding}first"
        assert second == "a longer name  second"


@pytest.mark.parametrize("error", [LauncherError("what \x1b[2J", "hint \x1b[2J"), ValueError("what \x1b[2J")])
def test_what_a_program_said_does_not_steer_the_terminal_that_shows_why_it_failed(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    show_error(error)
    print_check(Check.failed("camera", "what \x1b[2J", "hint \x1b[2J"))
    shown = capsys.readouterr()
    assert ("what" in shown.err, "what" in shown.out, "\x1b" in shown.err + shown.out) == (True, True, False)


@pytest.mark.posix_only("Windows has no device that is full")
@pytest.mark.parametrize("command", [("sessions", "list"), ("--help",)])
def test_what_a_full_disk_does_not_take_is_said_in_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    lab = laboratory(tmp_path)
    with Path("/dev/full").open("w") as full:
        ended = launch(*command, cwd=lab.path, stdout=full.fileno())
    assert ended.code == 1
    assert "Error: What is printed cannot be written: No space left on device.\n  Send it" in ended.err
    assert "does not know" not in ended.err


SESSION = "123456_2026-01-31T170000Z"
FOLDER = PurePosixPath("/data of the rig/123456_2026-01-31T170000Z/behavior")
MESSAGE = "the step failed, since the service did not answer"
ROWS = (
    (SESSION, "completed", "2026-01-31 17:00:00", "", FOLDER),
    (SESSION, "incomplete", "2026-01-31 17:00:00", MESSAGE, FOLDER),
)


def lines_at(width: float) -> list[str]:
    table = Table(("session", "state", "started", "message", "folder"), ROWS, width)
    return ["  ".join(line).rstrip() for line in (*table.head(), *table.body())]


@pytest.mark.parametrize("width", [20, 40, 60, 79, 100, 119, 159, inf])
def test_no_width_breaks_a_name_a_time_or_a_path(width: float) -> None:
    lines = lines_at(width)
    for name, state, started, message, folder in ROWS:
        for whole in (name, state, started, str(folder), *message.split()):
            assert any(whole in line for line in lines)
    widest = max(len(str(FOLDER)), len(SESSION)) + 4
    assert all(len(line) <= max(width, widest) for line in lines)


def test_columns_that_do_not_fit_stand_in_further_lines_of_their_row() -> None:
    assert lines_at(79) == [
        "session                    state       started",
        "    message",
        "    folder",
        "123456_2026-01-31T170000Z  completed   2026-01-31 17:00:00",
        "    /data of the rig/123456_2026-01-31T170000Z/behavior",
        "123456_2026-01-31T170000Z  incomplete  2026-01-31 17:00:00",
        f"    {MESSAGE}",
        "    /data of the rig/123456_2026-01-31T170000Z/behavior",
    ]


@pytest.mark.posix_only("Windows has no terminals that a test can make")
def test_a_session_can_be_copied_from_a_narrow_terminal(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    name = lab.run(notes=None).session.name
    with at_terminal("sessions", "list", cwd=lab.path, columns=80) as window:
        assert window.end() == 0
    assert f"{name}  " in window.shown
    with at_terminal(*RUN, cwd=lab.path, columns=50) as window:
        assert window.end() == 0
    assert str(tmp_path / "library") in window.shown
    assert str(tmp_path / "state" / "sessions") in window.shown
