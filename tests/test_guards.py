"""What is unusual about a session is said before it starts: by real registers, libraries and journals."""

import json
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command_line import call, launch
from contexts import a_session
from task_repositories import laboratory, laboratory_with_data

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.register import Register
from aind_launcher.model.clock import now
from aind_launcher.model.names import names_like
from aind_launcher.model.register import RigStatus
from aind_launcher.model.session import Acquisition
from aind_launcher.testing import TaskRepositoryForTests

RUN = ("run", "--subject", "123456")


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory_with_data(tmp_path)


def library_of(lab: TaskRepositoryForTests) -> Library:
    return Library(lab.root / "library", "climbing")


def session_on(lab: TaskRepositoryForTests, rig: str, began: datetime) -> None:
    """A session of the animal on another rig, of an hour."""
    took = Acquisition(outcome="completed", start=began, end=began + timedelta(minutes=60))
    library, session = library_of(lab), a_session(lab.root, date=began, rig_name=rig, acquisition=took)
    ticket = library.begin(session, library.read("123456").state, ())
    library.finish(session.model_copy(update={"ticket": ticket}), "completed")


def warnings(told: str) -> list[str]:
    return re.findall(r"^  warning:? +(.+)$", told, re.M)


def test_a_second_session_today_is_said_once_with_the_newest_and_how_many(lab: TaskRepositoryForTests) -> None:
    assert not warnings(call(*RUN, "--set", "rig-name=a", cwd=lab.path).out)
    second = call(*RUN, "--set", "rig-name=b", cwd=lab.path)
    (told,) = warnings(second.out)
    assert re.fullmatch(r"ran today: The animal had a session today, at \d\d:\d\d on a: completed\.", told)
    (told,) = warnings(call(*RUN, "--set", "rig-name=b", cwd=lab.path).out)
    assert re.fullmatch(r"ran today: .* 2 sessions today, the newest at \d\d:\d\d on b: completed\.", told)
    # Before the session once, too: below the card.
    assert len(re.findall("ran today", second.err)) == 1
    assert second.err.index("Animal 123456") < second.err.index("ran today")


def test_a_session_of_yesterday_is_nothing_unusual(lab: TaskRepositoryForTests) -> None:
    session_on(lab, "a", now() - timedelta(days=1))
    run = call(*RUN, "--set", "rig-name=a", cwd=lab.path)
    assert (run.code, warnings(run.err)) == (0, [])
    assert re.search(r"last session +yesterday \d\d:\d\d on a: completed", run.err)


def test_another_rig_than_always_is_said_and_not_where_the_animal_changes_rigs(lab: TaskRepositoryForTests) -> None:
    for day in (9, 8, 7):
        session_on(lab, "a", now() - timedelta(days=day))
    told, _ = warnings(call(*RUN, "--set", "rig-name=b", cwd=lab.path).out)
    assert told == "another rig: This is rig b; the animal's last 3 sessions were on a."
    # By now it was on both.
    again = call(*RUN, "--set", "rig-name=c", cwd=lab.path)
    assert "another rig" not in again.out + again.err


def test_the_journal_keeps_of_the_animals_other_sessions_what_a_resume_compares_with(
    lab: TaskRepositoryForTests,
) -> None:
    for day in range(9, 0, -1):
        session_on(lab, "a", now() - timedelta(days=day))
    lab.break_curriculum()
    run = json.loads(call(*RUN, "--set", "rig-name=a", "--json", cwd=lab.path).out)
    shown = json.loads(call("sessions", "show", run["session"], "--json", cwd=lab.path).out)
    assert len(shown["context"]["animal_entries"]) == 6
    lab.repair_curriculum()
    resumed = call("resume", "--all", cwd=lab.path)
    assert warnings(resumed.out) == ["unusually short: 0 s; its last 5 sessions took 60 min."]


def test_the_summary_names_a_session_that_was_unusually_short(lab: TaskRepositoryForTests) -> None:
    for day in (9, 8, 7):
        session_on(lab, "a", now() - timedelta(days=day))
    run = call(*RUN, "--set", "rig-name=a", cwd=lab.path)
    assert warnings(run.out) == ["unusually short: 0 s; its last 3 sessions took 60 min."]


def claimed_on(lab: TaskRepositoryForTests, rig: str, began: datetime) -> str:
    """A session of the animal that another rig never said to have ended."""
    library, session = library_of(lab), a_session(lab.root, date=began, rig_name=rig)
    library.begin(session, library.read("123456").state, ())
    return session.name


def test_a_session_on_another_rig_now_is_said_and_blocks_nothing(lab: TaskRepositoryForTests) -> None:
    name = claimed_on(lab, "z", now() - timedelta(minutes=5))
    library_of(lab).report(RigStatus(rig="z", machine="m", written=now(), running=name))
    run = call(*RUN, "--set", "rig-name=b", cwd=lab.path)
    (told,) = warnings(run.out)
    assert (run.code, f"running elsewhere: Rig z is at session {name} of this animal, since" in told) == (0, True)


def test_who_moves_an_animal_is_told_of_its_session_that_runs_now(lab: TaskRepositoryForTests) -> None:
    off = ("animals", "move", "123456", "--off-curriculum", "--reason", "surgery")
    assert call(*off, cwd=lab.path).err == ""
    name = claimed_on(lab, "z", now() - timedelta(minutes=5))
    for says, how in ((None, "began on rig z at .*, and nobody saw its end"), (name, "is running on rig z, since")):
        library_of(lab).report(RigStatus(rig="z", machine="m", written=now(), running=says))
        moved = call(*off, cwd=lab.path)
        assert (moved.code, moved.out) == (0, "Animal 123456: rung1 -> off curriculum.\n")
        told = " ".join(moved.err.split())
        assert re.fullmatch(f"Session {name} of this animal {how}.* What it decides does not move the animal.*", told)


def test_what_a_rig_says_that_is_silent_for_a_day_is_not_believed_whatever_the_rigs_clock(
    lab: TaskRepositoryForTests,
) -> None:
    for rig, silent in (("y", timedelta(hours=25)), ("z", timedelta(hours=23))):
        name = claimed_on(lab, rig, now() - timedelta(days=40) + silent)
        library_of(lab).report(RigStatus(rig=rig, machine="m", written=now() - timedelta(days=40), running=name))
        file = lab.root / "library" / "climbing" / "Rigs" / f"{rig}.json"
        heard = file.stat().st_mtime - silent.total_seconds()
        os.utime(file, (heard, heard))
    (told,) = warnings(call(*RUN, "--set", "rig-name=b", cwd=lab.path).out)
    since = (now() - timedelta(days=40) + silent).astimezone()
    assert told.startswith("running elsewhere: Rig z ")
    assert f"since {since:%Y-%m-%d} " in told


@pytest.mark.parametrize("says", ["nothing", "another session"])
def test_a_session_on_another_rig_whose_end_was_not_seen_asks_to_look_for_the_animal(
    lab: TaskRepositoryForTests, says: str
) -> None:
    # Its launcher was killed and its rig is used again, but nobody has said what became of the animal.
    name = claimed_on(lab, "z", now() - timedelta(hours=1))
    running = "77_2026-01-31T100000Z" if says == "another session" else None
    library_of(lab).report(RigStatus(rig="z", machine="m", written=now(), running=running))
    run = call(*RUN, "--set", "rig-name=b", "--json", cwd=lab.path)
    card = json.loads(run.out)["card"]
    (told,) = (check for check in card["warnings"] if check["name"] != "ran today")
    assert (run.code, told["name"], card["stands_out"]) == (0, "end not seen", True)
    assert f"Session {name} of this animal began on rig z at " in told["message"]
    # By now it was somewhere else.
    assert not [told for told in warnings(call(*RUN, "--set", "rig-name=b", cwd=lab.path).out) if "not seen" in told]


def test_two_rigs_of_one_name_are_told_of_each_other_and_leave_each_others_sessions_alone(
    lab: TaskRepositoryForTests,
) -> None:
    name = claimed_on(lab, "z", now() - timedelta(minutes=5))
    entry = library_of(lab).register("123456", 1).entries[0]
    Register(lab.subjects / "123456" / "sessions").write(entry.model_copy(update={"installation": "W10DT1:D:/state"}))
    status = RigStatus(rig="z", machine="W10DT1", installation="W10DT1:D:/state", written=now(), running=name)
    library_of(lab).report(status)
    told = call("doctor", "--set", "rig-name=z", cwd=lab.path)
    clash = r"Another launcher reports as rig z, too: W10DT1:D:/state, last at \d{4}-\d\d-\d\d \d\d:\d\d\."
    assert re.search(rf"warning rig name: {clash}", " ".join((told.out + told.err).split()))
    run = call(*RUN, "--set", "rig-name=z", cwd=lab.path)
    (elsewhere,) = warnings(run.out)
    assert f"running elsewhere: Rig z, another of this name, is at session {name} of this animal" in elsewhere
    assert re.search(clash, " ".join(run.err.split()))
    entries = library_of(lab).register("123456", 2).entries
    assert [entry.state for entry in entries] == ["running", "completed"]
    # What this rig reported itself is no clash.
    assert "Another launcher" not in call(*RUN, "--set", "rig-name=z", cwd=lab.path).err


def test_a_session_of_earlier_days_whose_end_was_not_seen_is_nothing_unusual(lab: TaskRepositoryForTests) -> None:
    claimed_on(lab, "z", now() - timedelta(days=2))
    library_of(lab).report(RigStatus(rig="z", machine="m", written=now()))
    assert warnings(call(*RUN, "--set", "rig-name=b", cwd=lab.path).out) == []


def test_as_data_the_outcome_has_the_card_and_the_rule(lab: TaskRepositoryForTests) -> None:
    call(*RUN, "--set", "rig-name=a", cwd=lab.path)
    told = json.loads(call(*RUN, "--set", "rig-name=b", "--json", "-e", "ana", cwd=lab.path).out)
    card = told["card"]
    assert (card["stage"], card["rig"], card["experimenter"]) == ("rung2", "b", ["ana"])
    assert (card["last_session"]["rig"], card["last_decision"]["before"]) == ("a", "rung1")
    assert [check["name"] for check in card["warnings"]] == ["ran today"]
    assert (told["rule"], told["unusually_short"]) == ([], None)


def test_a_number_like_a_known_one_is_asked_for(lab: TaskRepositoryForTests) -> None:
    lab.add_animal("801001")
    run = call("run", "-s", "80100l", cwd=lab.path)
    assert (run.code, "Animal 80100l is unknown (local-store)." in run.err) == (3, True)
    assert "Did you mean 801001?" in run.err
    shown = call("animals", "show", "8O1001", cwd=lab.path)
    assert (shown.code, "Did you mean 801001?" in shown.err) == (3, True)
    assert "Did you mean" not in call("run", "-s", "999", cwd=lab.path).err
    # What was refused is not an animal.
    assert "Did you mean 801001?" in call("run", "-s", "80100I", cwd=lab.path).err


def test_an_animal_of_the_journal_is_known_though_its_store_lost_it(lab: TaskRepositoryForTests) -> None:
    lab.add_animal("801001")
    assert call("run", "-s", "801001", cwd=lab.path).code == 0
    shutil.rmtree(lab.subjects / "801001")
    assert "Did you mean 801001?" in call("run", "-s", "8001001", cwd=lab.path).err


def test_a_task_for_an_animal_that_nobody_knows_is_said_until_it_ran_here(lab: TaskRepositoryForTests) -> None:
    lab.add_animal("801001")
    task = lab.root / "task.json"
    task.write_text('{"name": "Habituation"}', encoding="utf-8")
    run = ("--task", str(task), "--unattended")
    first = call("run", "-s", "80100l", *run, cwd=lab.path)
    assert warnings(first.out) == ["unknown animal: Animal 80100l is unknown, and it had no session on this rig."]
    assert "Did you mean 801001? Check the number." in first.err
    assert not warnings(call("run", "-s", "80100l", *run, cwd=lab.path).out)
    assert not warnings(call("run", "-s", "801001", *run, cwd=lab.path).out)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("80100l", ("801001",)),
        ("8O1OO1", ("801001",)),
        ("80101", ("801001", "801011")),
        ("801010", ("801001", "801011")),
        ("8010011", ("801001", "801011")),
        ("901001", ("801001",)),
        ("999", ()),
        ("801001", ("801011",)),
        ("", ()),
    ],
)
def test_a_name_may_be_meant_for_what_looks_the_same_or_is_one_slip_away(name: str, like: tuple[str, ...]) -> None:
    assert names_like(name, ["801011", "801001", "Mouse-7"]) == like


def test_a_litters_numbers_look_different() -> None:
    assert names_like("801002", ["801001", "801003"], only_looks=True) == ()
    assert names_like("mouse-7", ["Mouse-7"], only_looks=True) == ("Mouse-7",)


def test_a_look_that_fails_warns_and_refuses_nothing(tmp_path: Path) -> None:
    plugin = """
from aind_launcher import hookimpl
from aind_launcher.builtin.local_store.library import Library

class Other(Library):
    def rigs(self):
        return [{"rig": "z"}]

class Store:
    @hookimpl(tryfirst=True)
    def animal_store(self, repository, experiment):
        return Other(repository.parent / "library", "climbing")
"""
    lab = laboratory(tmp_path, plugin, names={"other": "Store"})
    library, session = library_of(lab), a_session(lab.root, date=now() - timedelta(days=1), rig_name="z")
    library.begin(session, library.read("123456").state, ())
    run = call(*RUN, cwd=lab.path)
    assert (run.code, lab.stage()) == (0, "rung2")
    assert warnings(run.out)[0].startswith("running elsewhere: This could not be looked at: AttributeError: ")


@pytest.mark.parametrize("dates", [{"began": "0001-01-01T00:00:00Z"}, {"ended": "9999-12-31T23:59:00Z"}])
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
@pytest.mark.integration
def test_an_entry_whose_dates_cannot_be_is_damaged_and_stops_nothing(
    lab: TaskRepositoryForTests, dates: dict[str, str], zone: str
) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    entry = max((lab.subjects / "123456" / "sessions").glob("*.json"))
    entry.write_text(json.dumps(json.loads(entry.read_text(encoding="utf-8")) | dates), encoding="utf-8")
    for command in (RUN, ("today",), ("animals", "list"), ("animals", "show", "123456")):
        ended = launch(*command, cwd=lab.path, environment={"TZ": zone})
        assert (ended.code, ended.err.count("Error")) == (0, 0), ended.err
