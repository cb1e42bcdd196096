"""What an animal's register says: how sessions stand, how many there were at a stage, and by what the animal stands."""

import json
import os
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
from contexts import MONDAY, TUESDAY, a_session, suggestion, trainer_state
from libraries import ANIMAL, begin, decide, folder_of, stage, standing

from aind_launcher.builtin.local_store.folder import HISTORY, SESSIONS, STATE, AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry, entries
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.errors import BeginAgain
from aind_launcher.model.animal import TrainerStateText, fired_rules
from aind_launcher.model.register import NO_TICKET, RegisterEntry, RigStatus, Ticket
from aind_launcher.model.session import Acquisition, SessionContext

DATA = Path(__file__).parent / "data" / "suggestions"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "a library", "odours")
    made.enroll(ANIMAL, trainer_state("first"), by="me")
    return made


def named(library: Library, name: str, ticket: Ticket | None = None, rig: str = "rig") -> SessionContext:
    context = a_session(library.root, ANIMAL, rig_name=rig, ticket=ticket)
    return context.model_copy(update={"session": context.session.model_copy(update={"session_name": name})})


def session(library: Library, name: str, to: str | None, state: str = "completed") -> Ticket:
    """A whole session: it begins, the curriculum decides, it ends."""
    ticket, began_with = begin(library, name), standing(library)
    if to:
        decide(library, to, name, MONDAY, began_with, ticket)
    library.finish(named(library, name, ticket), state)
    return ticket


def entry_of(library: Library, name: str) -> RegisterEntry:
    (found,) = (e for e in library.register(ANIMAL).entries if (e.kind, e.session_name) == ("session", name))
    return found


def counts(library: Library) -> tuple[int | None, int | None]:
    record = library.register(ANIMAL)
    return record.sessions_at_stage, record.sessions_unchanged


# How many sessions


def test_sessions_at_a_stage_are_counted_from_when_the_animal_came_there(library: Library) -> None:
    assert counts(library) == (0, 0)
    session(library, "one", "first")
    session(library, "two", "first")
    assert counts(library) == (2, 2)
    session(library, "three", "second")
    assert counts(library) == (0, 0)
    assert (entry_of(library, "three").sessions_at_stage, entry_of(library, "three").stage) == (3, "first")
    session(library, "four", "second")
    assert counts(library) == (1, 1)
    session(library, "five", "first")
    session(library, "six", "first")
    # Only since it came back.
    assert counts(library) == (1, 1)


def test_a_session_whose_curriculum_did_not_answer_counts_and_one_that_did_not_take_place_does_not(
    library: Library,
) -> None:
    session(library, "one", None, "incomplete")
    session(library, "two", None, "cancelled")
    assert counts(library) == (1, 1)
    session(library, "three", None, "refused")
    session(library, "four", "first")
    assert counts(library) == (2, 2)


def test_other_parameters_at_the_same_stage_are_a_change(library: Library) -> None:
    session(library, "one", "first")
    changed = TrainerStateText(text=trainer_state("first").text.replace('"Climb"', '"Climb higher"'))
    library.move(ANIMAL, changed, reason="ready", by="me")
    assert counts(library) == (1, 0)
    begin(library, "two")
    assert counts(library) == (2, 1)


def test_a_move_to_another_stage_and_back_begins_to_count_anew(library: Library) -> None:
    session(library, "one", "first")
    library.move(ANIMAL, trainer_state("second"), reason="?", by="me")
    library.move(ANIMAL, trainer_state("first"), reason="no", by="me")
    assert counts(library) == (0, 0)
    session(library, "two", "second")
    # It was put at the second stage and back before it had a session there.
    library.move(ANIMAL, trainer_state("first"), reason="no", by="me")
    assert counts(library) == (0, 0)


def test_a_late_decision_moves_the_animal_and_the_count_begins_anew(library: Library) -> None:
    began_with = standing(library)
    late = begin(library, "one")
    begin(library, "two")
    assert counts(library) == (2, 2)
    assert decide(library, "second", "one", MONDAY, began_with, late) == "applied"
    assert counts(library) == (0, 0)
    begin(library, "three")
    assert counts(library) == (1, 1)


def test_sessions_of_a_library_without_a_register_are_counted_from_its_history(tmp_path: Path) -> None:
    library = Library(tmp_path / "a library", "odours")
    for day, (name, to) in enumerate((("a", "first"), ("b", "second"), ("c", "second"), ("d", "second"))):
        decide(library, to, name, MONDAY + timedelta(days=day), standing(library) if day else None)
    assert counts(library) == (None, None)
    begin(library, "e")
    # Session b brought it there, c and d ran there, and so does this one.
    assert counts(library) == (3, 3)


def test_a_session_with_a_task_of_the_operator_does_not_count_at_the_stage(library: Library) -> None:
    session(library, "one", "first")
    for state in ("completed", "cancelled"):
        of_the_operator = named(library, state).model_copy(update={"task_source": "file"})
        ticket = library.begin(of_the_operator, standing(library), ())
        library.finish(of_the_operator.model_copy(update={"ticket": ticket}), state)
        assert counts(library) == (1, 1)
    session(library, "two", "first")
    assert counts(library) == (2, 2)


# How a session stands


def test_how_a_session_ended_how_long_it_took_and_where_its_data_is_stand_in_its_entry(library: Library) -> None:
    ticket = begin(library, "monday")
    running = entry_of(library, "monday")
    assert (running.state, running.minutes, running.destination, running.ended) == ("running", None, None, None)
    acquired = Acquisition(outcome="completed", start=MONDAY, end=MONDAY + timedelta(minutes=42))
    ended = named(library, "monday", ticket).model_copy(
        update={
            "acquisition": acquired,
            "results": {"transfer_session": {"push": None, "watchdog": {"destination": "//server/data/monday"}}},
        }
    )
    library.finish(ended, "completed")
    entry = entry_of(library, "monday")
    assert (entry.state, entry.minutes, entry.destination) == ("completed", 42, "//server/data/monday")
    assert entry.ended


def test_a_session_that_is_finished_again_changes_nothing(library: Library) -> None:
    ticket = session(library, "monday", "second")
    before = {path: path.read_bytes() for path in (folder_of(library) / SESSIONS).iterdir()}
    library.finish(named(library, "monday", ticket), "completed")
    assert {path: path.read_bytes() for path in (folder_of(library) / SESSIONS).iterdir()} == before


def test_a_session_without_an_entry_gets_none(library: Library) -> None:
    library.finish(named(library, "monday", Ticket(register_id="another", number=1)), "completed")
    library.finish(named(library, "monday"), "completed")
    assert [entry.kind for entry in library.register(ANIMAL).entries] == ["enrolled"]


def test_a_claim_that_the_rig_left_is_closed_when_it_begins_again_and_no_other_rigs(library: Library) -> None:
    begin(library, "dead")
    begin(library, "elsewhere", rig="another rig")
    begin(library, "living")
    assert [entry_of(library, name).state for name in ("dead", "elsewhere", "living")] == [
        "incomplete",
        "running",
        "running",
    ]


def test_a_session_that_begins_again_keeps_its_ticket(library: Library) -> None:
    assert begin(library, "monday") == begin(library, "monday")
    assert len(library.register(ANIMAL).entries) == 2


def test_a_name_that_another_rig_has_is_not_taken(library: Library) -> None:
    begin(library, "monday", rig="west")
    with pytest.raises(BeginAgain, match="Rig west has a session monday already"):
        begin(library, "monday", rig="east")


def test_a_session_whose_animal_was_put_elsewhere_since_it_was_loaded_begins_again(library: Library) -> None:
    loaded = standing(library)
    library.move(ANIMAL, trainer_state("second"), reason="ready", by="me")
    with pytest.raises(BeginAgain, match=f"Animal {ANIMAL} was put at second since it was loaded"):
        library.begin(named(library, "monday"), loaded, ())
    assert [entry.kind for entry in library.register(ANIMAL).entries] == ["enrolled", "moved"]


# By what the animal stands


def old_decision(library: Library, to: str, name: str) -> None:
    """As an older launcher records it, without a ticket."""
    answer = suggestion(to, {"session": name})
    entry = HistoryEntry(
        kind="suggestion",
        date=TUESDAY,
        session_name=name,
        trainer_state=answer.trainer_state.text,
        metrics=answer.metrics,
    )
    animal = AnimalFolder(folder_of(library))
    (animal.history / entry.file_name).write_text(entry.model_dump_json(by_alias=True), encoding="utf-8")
    animal.state.write_text(entry.trainer_state, encoding="utf-8")


def test_what_an_older_launcher_or_another_tool_wrote_gets_a_ticket_when_the_next_session_begins(
    library: Library,
) -> None:
    old_decision(library, "second", "old")
    began_with = standing(library)
    ticket = begin(library, "monday")
    assert [entry.kind for entry in library.register(ANIMAL).entries] == ["enrolled", "found", "session"]
    assert (standing(library).session_name, standing(library).ticket.number) == ("old", 2)
    assert decide(library, "third", "monday", MONDAY, began_with, ticket) == "applied"


def test_a_state_that_another_tool_put_back_is_an_edit_and_not_the_decision_of_then(library: Library) -> None:
    early, began_with = begin(library, "early"), standing(library)
    session(library, "one", "second")
    (folder_of(library) / STATE).write_text(trainer_state("first").text, encoding="utf-8", newline="\n")
    animal = library.read(ANIMAL)
    assert animal.changed_outside
    # The session began before the edit, so that its decision does not count, although the animal looks as it did.
    assert decide(library, "third", "early", MONDAY, began_with, early) == "superseded"
    begin(library, "two")
    assert standing(library).ticket.number == 4
    assert not library.read(ANIMAL).changed_outside


def test_what_another_tool_wrote_is_kept_also_where_a_session_without_a_ticket_replaces_it(library: Library) -> None:
    (folder_of(library) / STATE).write_text(trainer_state("second").text, encoding="utf-8")
    assert decide(library, "third", "monday", MONDAY, standing(library)) == "applied"
    assert [entry.kind for entry in library.history(ANIMAL)].count("found") == 1
    (without,) = (entry for entry in library.history(ANIMAL) if entry.kind == "suggestion")
    assert (without.ticket, without.reason) == (None, "the register does not have the session")


def test_a_decision_that_no_ticket_can_place_says_so(library: Library) -> None:
    began_with = standing(library)
    library.move(ANIMAL, trainer_state("second"), reason="ready", by="me")
    lost = Ticket(register_id="lost", number=99)
    assert decide(library, "third", "monday", MONDAY, began_with, lost) == "superseded"
    late = next(entry for entry in library.history(ANIMAL) if entry.superseded)
    assert "no tickets say which is later" in str(late.reason)


def test_an_applied_decision_that_is_recorded_again_after_a_move_makes_no_second_entry(library: Library) -> None:
    began_with, ticket = standing(library), begin(library, "monday")
    decide(library, "second", "monday", MONDAY, began_with, ticket)
    library.move(ANIMAL, trainer_state("first"), reason="ill", by="me")
    assert decide(library, "second", "monday", MONDAY, began_with, ticket) == "unchanged"
    assert [entry.superseded for entry in library.history(ANIMAL)] == [False, False, False]


def forget(library: Library, name: str) -> None:
    """The launcher was killed before it entered the decision on a session."""
    entry = entry_of(library, name)
    AnimalFolder(folder_of(library)).register.write(entry.model_copy(update={"decision": None}))


def test_a_decision_that_a_killed_launcher_did_not_enter_stays_applied_after_a_move(library: Library) -> None:
    began_with, ticket = standing(library), begin(library, "monday")
    decide(library, "second", "monday", MONDAY, began_with, ticket)
    forget(library, "monday")
    library.move(ANIMAL, trainer_state("third"), reason="ready", by="me")
    assert entry_of(library, "monday").decision.outcome == "applied"
    assert decide(library, "second", "monday", MONDAY, began_with, ticket) == "unchanged"


def test_a_move_that_was_cut_off_is_not_believed_and_does_not_disturb_the_count(library: Library) -> None:
    session(library, "one", "first")
    animal = AnimalFolder(folder_of(library))
    cut_off = RegisterEntry(ticket=NO_TICKET, kind="moved", rig="here", began=MONDAY, stage="second", state="running")
    ticket = animal.register.allot(cut_off).ticket
    move = HistoryEntry(kind="moved", date=MONDAY, trainer_state=trainer_state("second").text, ticket=ticket, by="me")
    (animal.history / move.file_name).write_text(move.model_dump_json(by_alias=True), encoding="utf-8")
    assert library.register(ANIMAL).last_put.session_name == "one"
    session(library, "two", "first")
    assert counts(library) == (2, 2)
    (kept,) = (entry for entry in library.history(ANIMAL) if entry.kind == "moved")
    assert (kept.superseded, kept.reason) == (True, "its launcher was killed before the animal stood there")
    assert animal.register.entry(ticket.number).state == "cancelled"


def test_an_animal_whose_state_is_gone_is_enrolled_again_above_all_sessions(library: Library) -> None:
    began_with, ticket = standing(library), begin(library, "monday")
    (folder_of(library) / STATE).unlink()
    with pytest.raises(BeginAgain, match="no stage"):
        library.begin(named(library, "tuesday"), began_with, ())
    library.enroll(ANIMAL, trainer_state("second"), by="me", replace=True)
    assert stage(library) == "second"
    assert decide(library, "third", "monday", MONDAY, began_with, ticket) == "superseded"


def test_a_register_that_is_lost_leaves_history_and_animal_in_order(library: Library) -> None:
    for name in ("one", "two"):
        session(library, name, "second")
    for path in (folder_of(library) / SESSIONS).iterdir():
        path.unlink()
    session(library, "three", "second")
    assert (standing(library).session_name, standing(library).metrics) == ("three", {"session": "three"})
    assert not any(entry.superseded for entry in entries(folder_of(library) / HISTORY))


# Rigs


def test_what_rigs_report_has_its_age_by_the_clock_of_the_share(library: Library) -> None:
    assert library.rigs() == ()
    for name, hours in (("west", 3), ("east", 0)):
        # The rigs' own clocks are wrong.
        library.report(RigStatus(rig=name, machine=name, written=MONDAY, running="monday"))
        path = library.root / "odours" / "Rigs" / f"{name}.json"
        written = path.stat().st_mtime - hours * 3600
        os.utime(path, (written, written))
    (library.root / "odours" / "Rigs" / "north.json").write_text("{ half", encoding="utf-8")
    east, north, west = library.rigs()
    assert (east.problem, north.rig, "north.json" in str(north.problem)) == (None, "north", True)
    assert (east.rig, west.rig, west.running) == ("east", "west", "monday")
    assert east.age is not None
    assert west.age is not None
    assert east.age < 600
    assert 3 * 3600 <= west.age < 3 * 3600 + 600
    assert sorted(path.name for path in (library.root / "odours" / "Rigs").iterdir()) == [
        "east.json",
        "north.json",
        "west.json",
    ]


# Rules


def with_edges(stage: str, edges: object) -> TrainerStateText:
    document = deepcopy(trainer_state(stage).document)
    document["curriculum"]["graph"]["graph"] = edges

    return TrainerStateText(text=json.dumps(document))


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({"0": [["ladder.up", 1]]}, ("ladder.up",)),
        ({"0": [["ladder.up", 1], ["ladder.lucky", 1], ["ladder.jump", 2]]}, ("ladder.up", "ladder.lucky")),
        ({"1": [["ladder.down", 0]]}, ()),
        ({"0": [["ladder.up", 9]], "7": [["ladder.up", 1]]}, ()),
        ({"0": [["ladder.up"], "ladder.up", ["", 1], [1, 1], None]}, ()),
        ({"0": None}, ()),
        ([], ()),
    ],
)
def test_the_rules_that_may_have_fired_are_the_edges_between_two_stages(
    edges: object, expected: tuple[str, ...]
) -> None:
    assert fired_rules(trainer_state("first"), with_edges("second", edges)) == expected


def test_no_rule_fires_where_the_animal_stays_begins_or_changes_its_curriculum() -> None:
    after = with_edges("second", {"0": [["ladder.up", 1]], "1": [["ladder.stay", 1]]})
    assert fired_rules(None, after) == ()
    assert fired_rules(trainer_state("second"), after) == ()
    assert fired_rules(trainer_state("first", "Another"), after) == ()
    assert fired_rules(trainer_state("first"), with_edges("unknown", {"0": [["ladder.up", 1]]})) == ()


@pytest.mark.parametrize("answer", sorted(DATA.iterdir()), ids=lambda path: path.stem)
def test_each_edge_of_a_real_curriculum_is_found_by_its_stages(answer: Path) -> None:

    state = json.loads(answer.read_text(encoding="utf-8"))["trainer_state"]
    graph = state["curriculum"]["graph"]
    found = 0
    for key, edges in graph["graph"].items():
        for rule, target in edges:
            before, after = ({**state, "stage": graph["nodes"][str(node)]} for node in (key, target))
            texts = [TrainerStateText(text=json.dumps(each)) for each in (before, after)]
            assert rule in fired_rules(*texts)
            found += 1
    assert found
