"""A watch on a screen that is too small for all animals and rigs."""

import os
import re
from pathlib import Path

import pytest
from cohorts import a_day, enrol, report

from aind_launcher.board.today import today
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.cli import printing
from aind_launcher.cli.today import _print
from aind_launcher.model.clock import now


@pytest.mark.parametrize("width", [79, 200])
def test_a_small_screen_shows_the_summary_and_what_somebody_should_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    library = Library(tmp_path / "library", "climbing")
    for subject in map(str, range(10, 40)):
        enrol(library, subject)
        a_day(library, subject, "completed", rig=f"box-{subject}")
        report(library, f"box-{subject}")
    enrol(library, "90")
    report(library, "box-90", unfinished=a_day(library, "90", "incomplete", rig="box-90"))

    def shown(height: float) -> str:
        _print(today(library.overview(), library.rigs(), now(), 10), library, height)
        return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)

    monkeypatch.setattr(printing, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    told = shown(20)
    assert len(told.splitlines()) <= 20
    assert re.search(r"^\w+day .*: 31 animals; 30 done, 1 not handed off\.$", told, re.MULTILINE)
    assert re.search(r"^90 +not handed off", told, re.MULTILINE)
    assert re.search(r"^box-90 .*", told, re.MULTILINE)
    animals, rigs = map(int, re.findall(r"^and (\d+) more (?:animals|rigs); a taller window", told, re.MULTILINE))
    assert len(re.findall(r"^\d\d ", told, re.MULTILINE)) == 31 - animals
    assert len(re.findall(r"^box-", told, re.MULTILINE)) == 31 - rigs
    # Where there is room, all stand in their usual order.
    told = shown(400)
    assert re.findall(r"^(\d\d) ", told, re.MULTILINE) == [*map(str, range(10, 40)), "90"]
