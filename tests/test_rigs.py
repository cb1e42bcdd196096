"""What a rig is called and says of itself, and what `today` makes of it, also where it cannot be read."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from cohorts import a_day, enrol, report
from command_line import call, started
from task_repositories import laboratory

from aind_launcher.board.today import today
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.register import at_once
from aind_launcher.lifecycle.inputs import rig_name
from aind_launcher.model.clock import now
from aind_launcher.model.names import checked_name
from aind_launcher.settings.layers import LauncherSettings


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", "climbing")


@pytest.mark.parametrize("text", ["", "{ half", '{"schema": 9, "box": "box-2"}'], ids=["empty", "half", "newer"])
def test_a_rig_whose_report_cannot_be_read_is_named_and_says_nothing(library: Library, text: str) -> None:
    enrol(library, "1")
    session = a_day(library, "1", "running", rig="box-2")
    report(library, "box-1")
    file = library.root / "climbing" / "Rigs" / "box-2.json"
    file.write_text(text, encoding="utf-8")
    os.utime(file, (time.time() - 3 * 3600,) * 2)
    other, told = today(library.overview(), library.rigs(), now(), stuck_after=10).rigs
    assert (other.rig, other.problem) == ("box-1", None)
    assert (told.running, [left.session_name for left in told.unfinished]) == (None, [session])
    assert "box-2.json" in str(told.problem)
    data = told.as_data()
    assert (data["problem"], data["machine"], data["age"] // 3600) == (told.problem, None, 3)


def test_a_report_that_cannot_be_read_and_sessions_of_another_task_repository_stand_in_the_table(
    tmp_path: Path,
) -> None:
    lab = laboratory(tmp_path)
    lab.add_animal("77")
    box = ("--set", "rig-name=box-2")
    lab.break_curriculum()
    assert call("run", "--subject", "77", *box, cwd=lab.path).code == 1
    lab.repair_curriculum()
    # The same rig, and the same state directory.
    other = lab.root / "another repository"
    shutil.copytree(lab.path, other)
    assert call("run", "--subject", "123456", *box, cwd=other).code == 0
    (lab.root / "library" / "climbing" / "Rigs" / "box-1.json").write_text("{ half", encoding="utf-8")
    told = call("today", cwd=lab.path).out
    assert re.search(r"^box-1 +unreadable +\d+ s ago", told, re.MULTILINE)
    (left,) = [line for line in told.splitlines() if line.startswith("box-2")]
    assert re.search(r"s ago +77_\S+Z: curriculum_suggest \(ladder\): RuntimeError: the ladder is broken$", left)


@pytest.mark.parametrize("name", ["Käfig", "box 1", "box/1", ".", "CON", "a" * 129, ""])
def test_a_setting_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    lab = laboratory(tmp_path)
    refused = call("run", "--subject", "123456", "--set", f"rig-name={name}", cwd=lab.path)
    assert refused.code == 2
    assert "rig-name" in refused.err
    assert re.search("not a valid rig-name|has 129 characters", refused.err)


def test_names_of_rig_files_stay_as_they_are_where_they_can_and_are_told_apart_where_not(tmp_path: Path) -> None:
    def named(name: str) -> str:
        file = tmp_path / "rig.json"
        file.write_text(json.dumps({"rig_name": name}), encoding="utf-8")
        return rig_name(LauncherSettings(rig=file))

    assert named("box-1.a+b_2") == "box-1.a+b_2"
    altered = [
        named(name) for name in ("Käfig", "Kéfig", "box 1", "box/1", "box-1", "CON", "箱", "笼", "a" * 129, "a" * 130)
    ]
    assert len(set(altered)) == len(altered)
    assert [checked_name("rig", name) for name in altered] == altered
    assert re.fullmatch("box-1-[0-9a-f]{6}", named("box 1"))


@pytest.mark.posix_only("Windows has no files that wait for their writer")
@pytest.mark.integration
@pytest.mark.parametrize("command", [("today",), ("animals", "list")], ids=" ".join)
def test_one_ctrl_c_ends_what_waits_for_a_share_that_hangs(tmp_path: Path, command: tuple[str, ...]) -> None:
    lab = laboratory(tmp_path)
    for subject in ("77", "88", "99"):
        lab.add_animal(subject)
    state = lab.subjects / "88" / "trainer_state.json"
    state.unlink()
    os.mkfifo(state)
    # It can be opened for writing once the command reads it, which then waits for what nobody writes.
    with started(*command, cwd=lab.path) as process, state.open("wb"):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


def test_of_many_reads_the_problem_of_one_is_raised_and_all_results_are_in_their_order() -> None:
    assert at_once(str, range(40)) == [str(number) for number in range(40)]
    with pytest.raises(ZeroDivisionError):
        at_once(lambda number: 1 // number, [3, 2, 1, 0])
