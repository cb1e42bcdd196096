"""A register gives each number once, whoever dies in the middle and whatever the file system lacks."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contexts import MONDAY
from libraries import ANIMAL
from rig_processes import Rig, rigs

from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.register import Register
from aind_launcher.model.register import NO_TICKET, EntryDecision, RegisterEntry, Ticket
from aind_launcher.system.files import unfinished_files

ENTRY = RegisterEntry(ticket=NO_TICKET, kind="session", rig="here", began=MONDAY)
AT = '{"ticket": {"register_id": "r", "number": 2}, "kind": "session", "rig": "here", "began": "%s"}'


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "a library", "odours")


@pytest.fixture
def register(library: Library) -> Register:
    return AnimalFolder(library.folder(ANIMAL)).register


@pytest.fixture
def two() -> Iterator[tuple[Rig, ...]]:
    with rigs("west", "east") as started:
        yield started


def allotment(library: Library, name: str, **more: Any) -> dict[str, Any]:
    root, clock = str(library.root), MONDAY.isoformat()
    return {"do": "allot", "library": root, "clock": clock, "name": name, "count": 1, **more}


@pytest.mark.parametrize("without_links", [False, True])
def test_a_rig_that_dies_at_any_touch_of_a_file_costs_a_number_at_most(
    library: Library, register: Register, two: tuple[Rig, ...], without_links: bool
) -> None:
    west, east = two
    given: list[int] = []
    answer = None
    for fatal in itertools.count(1):
        answer = west.do(allotment(library, f"dead {fatal}", fatal=fatal, without_links=without_links))
        after = east.do(allotment(library, f"living {fatal}", without_links=without_links))
        assert after
        given += [ticket["number"] for each in (answer, after) if each for ticket in each["tickets"]]
        assert given == sorted(set(given))
        if answer:
            break
    assert fatal > 8
    entries = register.entries(register.numbers())
    assert len({entry.ticket.register_id for entry in entries}) == 1
    names = [entry.session_name for entry in entries]
    assert len(names) == len(set(names))
    # Those that died before they could answer may have their number, but nobody has half of one.
    living = [entry.number for entry in entries if str(entry.session_name).startswith("living")]
    assert living == [number for number in given if register.entry(number).session_name.startswith("living")]
    assert len(living) == fatal
    # What the dead left half-written is nobody's session.
    assert unfinished_files(register.folder)
    assert register.newest(1)[0].session_name == f"living {fatal}-0"


def test_a_rig_that_dies_while_it_writes_an_entry_leaves_the_old_one_or_the_new(
    library: Library, register: Register, two: tuple[Rig, ...]
) -> None:
    west = two[0]
    library.folder(ANIMAL).mkdir(parents=True)
    for fatal in itertools.count(1):
        entry = register.allot(ENTRY.model_copy(update={"session_name": f"monday {fatal}", "state": "running"}))
        task = {
            **allotment(library, f"monday {fatal}"),
            "do": "finish",
            "state": "completed",
            "date": MONDAY.isoformat(),
        }
        answer = west.do({**task, "ticket": entry.ticket.model_dump(), "fatal": fatal})
        written = register.entry(entry.number)
        assert written
        assert written.model_copy(update={"state": None, "ended": None}) == entry.model_copy(update={"state": None})
        assert written.state in ("running", "completed")
        if answer is not None:
            break
    assert written.state == "completed"
    assert fatal > 8


@pytest.mark.parametrize("without_links", [False, True])
@pytest.mark.integration
def test_rigs_that_take_tickets_at_once_without_a_lock_get_each_its_own(
    library: Library, register: Register, without_links: bool
) -> None:
    names = ("west", "east", "north", "south")
    with rigs(*names) as four:
        for rig in four:
            # They are started before they are at it together.
            assert rig.do(allotment(library, rig.name, count=0))
        for rig in four:
            rig.ask(allotment(library, rig.name, count=25, without_links=without_links, without_locks=True))
        answers = [rig.answer() for rig in four]
    tickets = [Ticket.model_validate(ticket) for answer in answers if answer for ticket in answer["tickets"]]
    assert sorted(ticket.number for ticket in tickets) == list(range(1, 101))
    assert len({ticket.register_id for ticket in tickets}) == 1
    entries = register.entries(register.numbers())
    assert [entry.ticket for entry in entries] == sorted(tickets, key=lambda ticket: ticket.number)
    assert len({entry.session_name for entry in entries}) == 100


def test_a_ticket_that_the_register_has_not_given_yet_shows_that_it_is_an_old_copy(register: Register) -> None:
    first, second = (register.allot(ENTRY).ticket for _ in range(2))
    register.allot(ENTRY, [first, second, None])
    assert register.allot(ENTRY, [second]).ticket.register_id == first.register_id
    of_the_future = first.model_copy(update={"number": 9})
    after = register.allot(ENTRY, [of_the_future]).ticket
    assert after.register_id != first.register_id
    # No number is given twice, so that files that are named by it keep their order.
    assert after.number == 10
    assert not after.is_above(second)
    assert register.allot(ENTRY).ticket.is_above(after)
    assert register.allot(ENTRY, [of_the_future]).ticket.register_id == after.register_id


def test_a_register_that_is_lost_goes_on_above_the_numbers_that_are_known(register: Register) -> None:
    known = Ticket(register_id="lost", number=7)
    ticket = register.allot(ENTRY, [known]).ticket
    assert (ticket.number, ticket.register_id == "lost") == (8, False)


@pytest.mark.parametrize("content", ["", "{ half", "[]", AT % "0001-01-01T00:00:00Z", AT % "9999-12-31T23:59:00Z"])
def test_what_is_no_entry_is_passed_over_and_its_number_is_not_given_again(register: Register, content: str) -> None:
    first = register.allot(ENTRY)
    (register.folder / "000002.json").write_text(content, encoding="utf-8")
    (register.folder / ".000003.json.x.part").write_text(content, encoding="utf-8")
    (register.folder / "notes.json").write_text(content, encoding="utf-8")
    third = register.allot(ENTRY)
    assert third.number == 3
    assert third.ticket.is_above(first.ticket)
    assert register.newest(20) == (first, third)
    assert register.entry(2) is None


@pytest.mark.parametrize("lost", [True, False], ids=["an answer was lost", "another rig was faster"])
def test_an_entry_that_is_there_is_its_own_only_if_it_made_it(
    register: Register, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    link = os.link
    answers: list[int] = []

    def link_over_a_lossy_network(part: Path, path: Path) -> None:
        if not answers:
            answers.append(1)
            if lost:
                link(part, path)
            else:
                path.write_text("{}", encoding="utf-8")
        link(part, path)

    monkeypatch.setattr(os, "link", link_over_a_lossy_network)
    entry = register.allot(ENTRY)
    assert entry.number == (1 if lost else 2)
    assert register.newest(20) == (entry,)


def test_what_a_newer_launcher_wrote_into_an_entry_stays_there_when_it_is_written_again(register: Register) -> None:
    register.allot(ENTRY.model_copy(update={"session_name": "monday", "state": "running"}))
    path = register.folder / "000001.json"
    decision = {"suggestion": "x", "outcome": "applied", "curriculum": "Ladder", "rule": [], "confidence": 0.9}
    newer = {**json.loads(path.read_text("utf-8")), "schema": 2, "weight": 21.5, "decision": decision}
    path.write_text(json.dumps(newer), encoding="utf-8")
    register.write(register.entry(1).model_copy(update={"state": "completed"}))
    assert json.loads(path.read_text("utf-8")) == {**newer, "state": "completed"}


def test_an_entry_can_be_read_after_a_decision_that_names_no_stage(register: Register) -> None:
    decided = EntryDecision(suggestion="x", outcome="applied", curriculum=None, stage=None)
    entry = register.allot(ENTRY.model_copy(update={"decision": decided}))
    assert register.entry(1) == entry


@pytest.mark.integration
def test_a_register_whose_only_entry_was_cut_off_goes_on(register: Register) -> None:
    register.folder.mkdir(parents=True)
    (register.folder / "000001.json").touch()
    assert register.allot(ENTRY).number == 2
