"""While the acquisition runs, a terminal shows animal, stage, time and the task's last lines; a pipe gets all lines."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from command_line import launch
from interrupted_sessions import RUN
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.testing import TaskRepositoryForTests

# Each starts the whole program at a terminal, or sends it signals.
pytestmark = pytest.mark.integration

# Ten lines, of which the ninth is long and would clear the screen.
TASK = """
    import pathlib, sys, time

    for number in range(1, 9):
        print("trial", number)
    print("trial 9\\x1b[2J" + 100 * ".")
    print("trial 10", flush=True)
    while len(sys.argv) > 1 and not pathlib.Path(sys.argv[1], "go on").exists():
        time.sleep(0.01)
"""
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def lab_with_task(root: Path, *arguments: str) -> TaskRepositoryForTests:
    command = json.dumps([sys.executable, "{repository}/task.py", *arguments])
    section = f"[tool.aind-launcher.plugin.acquisition]\ncommand = {command}"
    lab = laboratory(root, settings=f'disable = ["isolated-curriculum", "instant-rig"]\n{section}')
    lab.write("task.py", TASK)
    lab.commit()
    return lab


@pytest.mark.posix_only("Windows has no terminals that a test can make")
def test_a_terminal_shows_animal_stage_time_and_the_last_lines_cut_to_its_width(tmp_path: Path) -> None:
    lab = lab_with_task(tmp_path, "{session_directory}")
    with at_terminal(*RUN, cwd=lab.path, columns=40) as window:
        window.until("trial 10")
        during = window.shown
        (session,) = lab.data.glob("123456_*")
        (session / "go on").touch()
        assert window.end() == 0
    assert "\x1b[2J" not in window.shown
    shown = [line for line in STEERING.sub("", during).splitlines() if line]
    title, *lines = shown[max(i for i, line in enumerate(shown) if "stage rung1" in line) :]
    assert re.match(r"\d:\d\d:\d\d 123456, stage rung1: run sess", title)
    assert [line.rstrip() for line in lines[:3]] == [
        "  trial 8",
        "  trial 9\N{REPLACEMENT CHARACTER}[2J".ljust(39, ".") + "\N{HORIZONTAL ELLIPSIS}",
        "  trial 10",
    ]
    assert {len(line) for line in (title, lines[1])} == {40}
    assert "done    run session (acquisition)" in STEERING.sub("", window.shown)


@pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
def test_without_a_terminal_every_line_is_printed_as_it_comes(tmp_path: Path) -> None:
    lab = lab_with_task(tmp_path)
    run = launch(*RUN, cwd=lab.path)
    assert run.code == 0, run.err
    # A pipe on Windows has the code page of the country, in which that character is escaped.
    replaced = r"\ufffd" if os.name == "nt" else "\N{REPLACEMENT CHARACTER}"
    assert [line for line in run.err.splitlines() if line.startswith("  trial")] == [
        *(f"  trial {number}" for number in range(1, 9)),
        f"  trial 9{replaced}[2J" + 100 * ".",
        "  trial 10",
    ]
    assert "\x1b" not in run.err + run.out


@pytest.mark.posix_only("Windows has no terminals that a test can make")
def test_a_terminal_that_cannot_take_a_line_back_gets_every_line(tmp_path: Path) -> None:
    lab = lab_with_task(tmp_path)
    with at_terminal(*RUN, cwd=lab.path, term="dumb") as window:
        assert window.end() == 0
    assert "  trial 1\r\n" in window.shown
    assert "\x1b[" not in window.shown
