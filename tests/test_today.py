"""`aind-launch today`: who ran, who is due or stuck, what was decided and why, what is unfinished and where."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cohorts import a_day, enrol, report
from command_line import SCRIPT, call, launch
from contexts import folder_for_everybody, off_curriculum, read_only, trainer_state
from task_repositories import laboratory

from aind_launcher.board.decision import entry_text
from aind_launcher.board.today import RigToday, Today, today
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.clock import now
from aind_launcher.system.rig import rig_lock
from aind_launcher.testing import TaskRepositoryForTests

YESTERDAY = now() - timedelta(days=1, hours=1)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library", "climbing")


def seen(library: Library, stuck_after: int = 10) -> Today:
    return today(library.overview(), library.rigs(), now(), stuck_after)


def statuses(library: Library) -> dict[str, str]:
    return {animal.record.subject: animal.status for animal in seen(library).animals}


def rig_of(library: Library, name: str = "box-1") -> RigToday:
    return next(rig for rig in seen(library).rigs if rig.rig == name)


def silent_for(library: Library, rig: str, age: timedelta) -> None:
    file = library.root / library.experiment / "Rigs" / f"{rig}.json"
    then = time.time() - age.total_seconds()
    os.utime(file, (then, then))


# -- how an animal's day stands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("completed", "done"),
        ("failed", "failed"),
        ("interrupted", "failed"),
        ("discarded", "failed"),
        ("incomplete", "not handed off"),
        ("cancelled", "due"),
        ("refused", "due"),
    ],
)
def test_a_session_of_today_says_how_its_animal_stands(library: Library, state: str, status: str) -> None:
    enrol(library, "1")
    assert statuses(library) == {"1": "due"}
    a_day(library, "1", state)
    assert statuses(library) == {"1": status}


def test_an_animal_that_ran_yesterday_is_due_whatever_became_of_it(library: Library) -> None:
    for subject, state in (("1", "completed"), ("2", "failed"), ("3", "incomplete")):
        enrol(library, subject)
        a_day(library, subject, state, date=YESTERDAY)
    assert statuses(library) == {"1": "due", "2": "due", "3": "due"}


def test_moves_by_hand_do_not_hide_that_an_animal_ran_nor_a_failure_what_was_decided(library: Library) -> None:
    enrol(library, "1")
    a_day(library, "1", to="second", date=YESTERDAY)
    a_day(library, "1", "failed", date=YESTERDAY + timedelta(minutes=1))
    a_day(library, "1", "failed", date=YESTERDAY + timedelta(minutes=2))
    (animal,) = seen(library).animals
    assert animal.decided
    assert entry_text(animal.decided) == "first -> second"
    a_day(library, "1")
    for stage in ("first", "second", "third"):
        library.move("1", trainer_state(stage), reason="a try", by="me")
    (animal,) = seen(library).animals
    assert (animal.status, animal.stage) == ("done", "third")
    assert animal.decided
    assert entry_text(animal.decided) == "moved to third by me"


def test_running_is_believed_where_the_rig_says_so_too(library: Library) -> None:
    enrol(library, "1")
    session = a_day(library, "1", "running")
    assert statuses(library) == {"1": "not handed off"}
    assert [left.session_name for left in rig_of(library).unfinished] == [session]
    report(library, "box-1", running="2_2026-01-01T000000Z")
    assert statuses(library) == {"1": "not handed off"}
    report(library, "box-1", running=session)
    assert statuses(library) == {"1": "running"}
    assert (rig_of(library).running, rig_of(library).unfinished) == (session, ())
    # The rig was switched off: nobody closes what it claimed.
    silent_for(library, "box-1", timedelta(hours=25))
    assert statuses(library) == {"1": "not handed off"}
    assert rig_of(library).running is None
    assert [left.session_name for left in rig_of(library).unfinished] == [session]


def test_a_rig_that_is_silent_for_a_day_is_stale(library: Library) -> None:
    enrol(library, "1")
    session = a_day(library, "1", "incomplete", date=YESTERDAY)
    report(library, "box-1", unfinished=session)
    report(library, "box-2")
    silent_for(library, "box-1", timedelta(hours=23))
    assert not rig_of(library).is_stale
    silent_for(library, "box-1", timedelta(hours=25))
    assert rig_of(library).is_stale
    assert not rig_of(library, "box-2").is_stale
    # The register knows of it, too; the rig says why.
    assert [left.message for left in rig_of(library).unfinished] == ["SLIMS is down"]


def test_an_animal_without_a_change_for_many_sessions_is_stuck(library: Library) -> None:
    for subject in ("1", "2", "3"):
        enrol(library, subject)
        for number in range(4):
            to = "second" if (subject, number) == ("2", 2) else None
            a_day(library, subject, to=to, date=YESTERDAY + timedelta(minutes=number))
    (library.folder("3") / "trainer_state.json").write_text(off_curriculum("first").text, encoding="utf-8")
    assert [animal.record.sessions_unchanged for animal in seen(library).animals] == [4, 1, 0]
    assert [a.record.subject for a in seen(library, 1).animals if a.is_stuck] == ["1", "2"]
    assert [a.record.subject for a in seen(library, 4).only(stuck=True).animals] == ["1"]


def test_an_animal_that_cannot_be_read_is_one_line(library: Library) -> None:
    enrol(library, "1")
    enrol(library, "2")
    (library.folder("1") / "trainer_state.json").write_text("{oops", encoding="utf-8")
    assert statuses(library) == {"1": "unreadable", "2": "due"}
    assert [
        animal.record.subject for animal in seen(library).only(not_run=True, stage="third", rig="box-9").animals
    ] == ["1"]


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> TaskRepositoryForTests:
    """For tests that change nothing."""
    return a_morning(tmp_path_factory.mktemp("morning"))


def a_morning(root: Path) -> TaskRepositoryForTests:
    """Two rigs: one animal ran on the first, the curriculum of another failed on the second, and a third is due."""
    made = laboratory(root, "from aind_launcher import hookimpl", names={})
    for subject in ("77", "88"):
        made.add_animal(subject, "rung4")
    assert call("run", "--subject", "123456", "--set", "rig-name=box-1", cwd=made.path).code == 0
    made.break_curriculum()
    assert call("run", "--subject", "77", "--set", "rig-name=box-2", cwd=made.path).code == 1
    made.repair_curriculum()
    library = Library(made.root / "library", "climbing")
    library.move("88", library.read("88").state.trainer_state, reason="a try", by="me")
    return made


def test_a_morning_is_seen_by_one_command(lab: TaskRepositoryForTests) -> None:
    ended = launch("today", cwd=lab.path)
    assert (ended.code, ended.err) == (0, "")
    first, *lines = ended.out.splitlines()
    assert re.fullmatch(rf"\w+day {now().astimezone():%Y-%m-%d}: 3 animals; 1 due, 1 done, 1 not handed off\.", first)
    assert [re.sub(r"\d\d:\d\d", "TIME", line) for line in lines if line[:1].isdigit()] == [
        "123456  done            rung2  0         0          today TIME, box-1  rung1 -> rung2",
        "77      not handed off  rung4  1         1          today TIME, box-2  rung4, by another tool",
        "88      due             rung4  0         0                              moved to rung4 by me",
    ]
    (left,) = [line for line in lines if line.startswith("box-2")]
    assert re.search(r"s ago +77_\S+Z: curriculum_suggest \(ladder\): RuntimeError: the ladder is broken$", left)


@pytest.mark.parametrize(
    ("options", "subjects", "rigs"),
    [
        ([], ["123456", "77", "88"], ["box-1", "box-2"]),
        (["--not-run"], ["88"], ["box-1", "box-2"]),
        (["--stage", "rung4"], ["77", "88"], ["box-1", "box-2"]),
        (["--stage", "rung2", "--not-run"], [], ["box-1", "box-2"]),
        (["--rig", "box-2"], ["77"], ["box-2"]),
        (["--stuck"], [], ["box-1", "box-2"]),
        (["--stuck", "--stuck-after", "1"], ["77"], ["box-1", "box-2"]),
    ],
    ids=" ".join,
)
def test_who_is_asked_for_is_shown(
    lab: TaskRepositoryForTests, options: list[str], subjects: list[str], rigs: list[str]
) -> None:
    data = json.loads(call("today", *options, "--json", cwd=lab.path).out)
    assert [animal["subject"] for animal in data["animals"]] == subjects
    assert [rig["rig"] for rig in data["rigs"]] == rigs
    told = call("today", *options, cwd=lab.path).out
    assert [line.split()[0] for line in told.splitlines() if line[:1].isdigit()] == subjects
    assert ("No animal is as asked for." in told) == (subjects == [])
    assert (f": {len(subjects)} of 3 animals" in told) == (len(subjects) < 3)


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize(
    ("option", "name", "those"),
    [("--rig", "box-9", "box-1, box-2"), ("--stage", "rung99", "rung2, rung4")],
    ids=["rig", "stage"],
)
def test_a_name_that_nothing_has_is_refused_with_those_there_are(
    lab: TaskRepositoryForTests, option: str, name: str, those: str, as_json: list[str]
) -> None:
    ended = call("today", option, name, *as_json, cwd=lab.path)
    assert (ended.code, bool(ended.out)) == (2, bool(as_json))
    assert name in ended.err and those in ended.err


def test_a_stage_at_which_no_animal_is_just_now_is_no_mistake(library: Library) -> None:
    enrol(library, "1", "first")
    assert seen(library).stages == ("first", "second", "third")


def test_the_names_in_the_json_are_those_of_the_manual(lab: TaskRepositoryForTests) -> None:
    data = json.loads(call("today", "--json", cwd=lab.path).out)
    ran, waits, _ = data["animals"]
    assert data["date"] == f"{now().astimezone():%Y-%m-%d}"
    assert (ran["status"], ran["stage"], ran["stuck"]) == ("done", "rung2", False)
    assert (ran["last_session"]["rig"], ran["last_session"]["state"]) == ("box-1", "completed")
    assert (ran["last_decision"]["from_stage"], ran["last_decision"]["stage"]) == ("rung1", "rung2")
    (left,) = data["rigs"][1]["unfinished"]
    assert left["session"] == waits["last_session"]["session"]

    def names(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(names, value))
        return set(value).union(*map(names, value.values())) if isinstance(value, dict) else set()

    manual = (Path(__file__).parent.parent / "docs" / "today.md").read_text(encoding="utf-8")
    assert names(data) - set(re.findall(r"`(\w+)`", manual)) == set()


def test_it_takes_no_lock_and_leaves_no_trace(lab: TaskRepositoryForTests) -> None:
    with rig_lock(lab.state):
        assert call("today", cwd=lab.path).code == 0
    manager = lab.root / "a manager's machine"
    before = sorted(lab.root.rglob("*"))
    ended = call("today", "--set", f"state-directory={manager}", cwd=lab.path)
    assert (ended.code, sorted(lab.root.rglob("*"))) == (0, before)


def test_a_library_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    with folder_for_everybody() as share:
        library = Library(share / "library", "climbing")
        enrol(library, "1")
        a_day(library, "1")
        report(library, "box-1")
        with read_only(library.root):
            assert statuses(library) == {"1": "done"}
            assert not rig_of(library).is_stale


@pytest.mark.parametrize("unplugged", ["gone", "empty"])
def test_a_library_that_is_unplugged_does_not_look_like_one_without_animals(tmp_path: Path, unplugged: str) -> None:
    lab = a_morning(tmp_path)
    root = lab.root / "library"
    root.rename(lab.root / "elsewhere")
    if unplugged == "empty":
        root.mkdir()
    for options in ([], ["--stuck"], ["--not-run"]):
        ended = call("today", *options, cwd=lab.path)
        assert (ended.code, ended.out) == (3, "")
        assert re.search(r"77 was at rung4 of Ladder in session 77_\S+", ended.err)
        assert re.search("Connect .* drive or share", ended.err)
    # This machine never had a session: what can be said is said.
    ended = call("today", "--set", f"state-directory={lab.root / 'new'}", cwd=lab.path)
    assert ended.code == 0
    told = "" if unplugged == "empty" else ", which does not exist"
    assert re.search(rf"No animal in the library \S.*\){told}\. If there should be one, connect its drive", ended.out)


def test_a_store_without_a_register_shows_what_it_has(tmp_path: Path) -> None:
    store = """
        from aind_launcher import AnimalRecord, TrainerStateText, hookimpl

        STATE = TrainerStateText(text='{"curriculum": {"name": "Ladder"}, "stage": {"name": "rung3"}}')

        class Store:
            place = "a table"

            def overview(self):
                return [AnimalRecord("1", STATE), AnimalRecord("2")]

            def rigs(self):
                return []

        class Table:
            @hookimpl
            def animal_store(self):
                return Store()
        """
    lab = laboratory(tmp_path, store, names={"table": "Table"})
    told = call("today", cwd=lab.path).out
    assert "2 unknown." in told
    assert re.search(r"^1 +unknown +rung3$", told, re.MULTILINE)
    assert re.search(r"^2 +unknown +no curriculum$", told, re.MULTILINE)


def test_watching_needs_a_terminal(lab: TaskRepositoryForTests) -> None:
    for options in ([], ["--json"]):
        ended = call("today", "--watch", *options, cwd=lab.path)
        assert (ended.code, bool(ended.out)) == (2, bool(options))
        assert "--watch draws on a terminal" in ended.err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.integration
def test_a_watch_is_drawn_anew_goes_on_without_the_library_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    lab = a_morning(tmp_path)
    screen, terminal = os.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    command = [str(SCRIPT), "today", "--watch", "1"]
    with subprocess.Popen(
        command, cwd=lab.path, env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as watch:
        os.close(terminal)
        shown = _shown_until(screen, r"Ctrl-C ends this.*Ctrl-C ends this")
        assert shown.count("\x1b[2J") == 2
        assert max(len(re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line)) for line in shown.splitlines()) <= 80
        (lab.root / "library").rename(lab.root / "elsewhere")
        assert "rung2" in _shown_until(screen, r"Not read again since \d\d:\d\d:\d\d: .*was at rung")
        (lab.root / "elsewhere").rename(lab.root / "library")
        _shown_until(screen, r"Ctrl-C ends this")
        os.kill(watch.pid, signal.SIGINT)
        assert watch.wait() == 0
    os.close(screen)


def _shown_until(screen: int, pattern: str) -> str:
    shown = ""
    while not re.search(pattern, shown, re.DOTALL):
        shown += os.read(screen, 4096).decode("utf-8")
    return shown


# -- what it costs -------------------------------------------------------------------------------------------------

OPERATIONS = """
import json, sys
from pathlib import Path
from aind_launcher.builtin.local_store.library import Library

root = Path(sys.argv[1])
done = []

def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, Path)):
        path = Path(arguments[0])
        if path.is_relative_to(root):
            done.append(path.relative_to(root).as_posix())

sys.addaudithook(note)
Library(root, "climbing").overview()
print(json.dumps(done))
"""


def test_an_animal_costs_four_file_operations(library: Library) -> None:
    for subject in ("1", "2", "3", "4"):
        enrol(library, subject)
        for number in range(3):
            a_day(library, subject, to="second", date=YESTERDAY + timedelta(minutes=number))
    program = [sys.executable, "-c", OPERATIONS, str(library.root)]
    told = subprocess.run(program, check=True, capture_output=True, encoding="utf-8").stdout
    animal = ["sessions", "sessions/000003.json", "sessions/000004.json", "trainer_state.json"]
    each = [f"climbing/Subjects/{subject}/{file}" for subject in ("1", "2", "3", "4") for file in animal]
    assert sorted(json.loads(told)) == ["climbing/Subjects", *each]
