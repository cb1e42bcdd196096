"""Whether a decision becomes the animal's in SLIMS is said by tickets; dates only keep the order that others see."""

from datetime import datetime, timedelta

import pytest
from conftest import MONDAY, SUNDAY, TUESDAY, begun, foreign, session_of, standing, state_text, suggested

from aind_launcher import AnimalState, SessionContext, Ticket, TransientError
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble

WEDNESDAY = SUNDAY.replace(day=19)
WRONG_CLOCK = SUNDAY.replace(year=2031)


def stands(plugin: Slims) -> AnimalState:
    state = plugin.load_animal_state(session_of(WEDNESDAY))
    assert state is not None
    return state


def stage(plugin: Slims) -> str | None:
    return stands(plugin).trainer_state.stage


def dated(slims: SlimsDouble, outcome: str) -> dict[str, int]:
    """The dates that other tools see, by stage, of the records with that outcome."""
    records = [record for record in slims.records() if f"outcome={outcome}" in (record["cnvn_cf_notes"] or "")]
    return {record["cnvn_cf_taskStage"]: record["cnvn_cf_scheduledDate"] for record in records}


def milliseconds(date: datetime) -> int:
    return int(date.timestamp() * 1000)


def unreached(session: SessionContext) -> SessionContext:
    """The same session where SLIMS did not answer at its beginning."""
    return session.model_copy(update={"results": {}, "animal_state": None})


def test_a_ticket_is_kept_with_the_record_and_given_back(plugin: Slims) -> None:
    session = begun(plugin, MONDAY, 4)
    plugin.post_session(session, suggested("next"))
    assert (stands(plugin).session_name, stands(plugin).ticket) == (session.name, session.ticket)


def test_a_session_of_a_rig_with_a_slow_clock_is_not_undone_by_an_earlier_one_that_is_resumed(
    slims: SlimsDouble, plugin: Slims
) -> None:
    earlier = begun(plugin, MONDAY, 1)
    slow = begun(plugin, MONDAY - timedelta(hours=2), 2)
    assert plugin.post_session(slow, suggested("of the slow rig")).outcome == "applied"
    late = plugin.post_session(earlier, suggested("resumed"))
    assert late.outcome == "superseded"
    assert late.because == f"session {slow.name}, which began later, put the animal at stage of the slow rig"
    assert stage(plugin) == "of the slow rig"
    # Each has its own date.
    assert dated(slims, "applied") == {"of the slow rig": milliseconds(MONDAY - timedelta(hours=2))}
    assert dated(slims, "superseded") == {"resumed": milliseconds(MONDAY)}


def test_a_slow_rig_that_is_resumed_late_still_moves_the_animal_on(slims: SlimsDouble, plugin: Slims) -> None:
    slow = begun(plugin, MONDAY - timedelta(hours=2), 2)
    plugin.post_session(begun(plugin, MONDAY, 1), suggested("earlier"))
    assert plugin.post_session(slow, suggested("of the slow rig")).outcome == "applied"
    assert (stage(plugin), stands(plugin).ticket) == ("of the slow rig", slow.ticket)
    # Other tools find the latest by its date.
    dates = dated(slims, "applied")
    assert dates["of the slow rig"] > dates["earlier"] == milliseconds(MONDAY)


def test_a_session_of_2031_does_not_stay_the_newest(slims: SlimsDouble, plugin: Slims) -> None:
    ahead = begun(plugin, WRONG_CLOCK, 1)
    monday, tuesday = begun(plugin, MONDAY, 2), begun(plugin, TUESDAY, 3)
    plugin.post_session(ahead, suggested("of 2031"))
    assert plugin.post_session(tuesday, suggested("of tuesday")).outcome == "applied"
    assert plugin.post_session(monday, suggested("of monday")).outcome == "superseded"
    assert (stage(plugin), stands(plugin).ticket) == ("of tuesday", tuesday.ticket)
    dates = dated(slims, "applied")
    assert dates["of tuesday"] > dates["of 2031"]


def test_of_two_decisions_that_were_pushed_at_once_the_one_with_the_higher_ticket_holds(
    slims: SlimsDouble, plugin: Slims
) -> None:
    ahead, tuesday = begun(plugin, WRONG_CLOCK, 1), begun(plugin, TUESDAY, 2)
    plugin.post_session(tuesday, suggested("of tuesday"))
    # As if neither push had seen the other's record.
    pushed = plugin.post_session(ahead, suggested("of 2031"))
    (record,) = (record for record in slims.records() if record["cnvn_pk"] == pushed.record)
    notes = record["cnvn_cf_notes"].replace("outcome=superseded", "outcome=applied")
    slims.update("ContentEvent", pushed.record, cnvn_cf_notes=notes)
    assert stage(plugin) == "of tuesday"
    # What follows is the latest for other tools, too.
    plugin.post_session(begun(plugin, WEDNESDAY, 3), suggested("of wednesday"))
    dates = dated(slims, "applied")
    assert max(dates, key=dates.__getitem__) == "of wednesday"


@pytest.mark.parametrize("date", [SUNDAY, TUESDAY])
def test_a_state_that_somebody_writes_into_slims_after_a_session_is_where_slims_has_the_animal(
    slims: SlimsDouble, plugin: Slims, date: datetime
) -> None:
    """Whatever date it has: that of the session before it may be wrong."""
    plugin.post_session(begun(plugin, MONDAY, 1), suggested("next"))
    foreign(slims, date, {"TrainerState": state_text("by hand")})
    assert (stage(plugin), stands(plugin).ticket) == ("by hand", None)
    session = begun(plugin, WEDNESDAY, 2)
    assert plugin.post_session(session, suggested("after it")).outcome == "applied"
    assert (stage(plugin), stands(plugin).ticket) == ("after it", session.ticket)


def test_what_was_planned_in_slims_before_a_session_does_not_hold_its_decision_back(
    slims: SlimsDouble, plugin: Slims
) -> None:
    foreign(slims, WEDNESDAY, {"TrainerState": state_text("planned")})
    session = begun(plugin, MONDAY, 1)
    assert plugin.post_session(session, suggested("decided")).outcome == "applied"
    assert stage(plugin) == "decided"
    assert dated(slims, "applied")["decided"] > milliseconds(WEDNESDAY)


def test_a_state_that_somebody_writes_while_a_session_runs_stays(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(begun(plugin, SUNDAY, 1), suggested("before"))
    session = begun(plugin, MONDAY, 2)
    pk = foreign(slims, SUNDAY, {"TrainerState": state_text("by hand")})
    late = plugin.post_session(session, suggested("decided"))
    assert late.outcome == "superseded"
    assert late.because == (
        f"SLIMS does not have the animal where this session began: record {pk}, which another tool or a person made, "
        "put it at stage by hand"
    )
    assert stage(plugin) == "by hand"


@pytest.mark.parametrize("recorded", [False, True])
def test_a_first_state_that_somebody_writes_while_a_session_runs_stays(
    slims: SlimsDouble, plugin: Slims, recorded: bool
) -> None:
    session = begun(plugin, MONDAY, 1)
    foreign(slims, SUNDAY, {"TrainerState": state_text("by hand")})
    if recorded:
        plugin.post_session(session, None)
    assert plugin.post_session(session, suggested("decided")).outcome == "superseded"
    assert stage(plugin) == "by hand"


def test_numbers_of_different_registers_are_not_compared(slims: SlimsDouble, plugin: Slims) -> None:
    """The library was restored from a copy: it goes on with another register, where SLIMS has the animal."""
    plugin.post_session(begun(plugin, WRONG_CLOCK, 5, "lost"), suggested("of the lost days"))
    ahead, behind = begun(plugin, MONDAY, 3, "restored"), begun(plugin, TUESDAY, 9, "lost")
    assert plugin.post_session(ahead, suggested("restored")).outcome == "applied"
    assert (stage(plugin), stands(plugin).ticket) == ("restored", ahead.ticket)
    late = plugin.post_session(behind, suggested("resumed"))
    assert late.outcome == "superseded" and late.because
    assert late.because == (
        f"SLIMS does not have the animal where this session began: session {ahead.name} put it at stage restored"
    )
    other = unreached(begun(plugin, WEDNESDAY, 99, "another"))
    assert plugin.post_session(other, suggested("unasked")).outcome == "superseded"
    assert (stage(plugin), stands(plugin).ticket) == ("restored", ahead.ticket)


def test_a_slims_that_is_ahead_of_a_restored_library_keeps_what_it_has(plugin: Slims) -> None:
    """The library was restored from a copy, and nothing told it: it gives a number a second time."""
    plugin.post_session(begun(plugin, TUESDAY, 5), suggested("ahead"))
    behind = standing("copied", SUNDAY, "123456_2025-11-16T093015Z")
    session = unreached(begun(plugin, WEDNESDAY, 4)).model_copy(update={"animal_state": behind})
    assert plugin.post_session(session, suggested("given twice")).outcome == "superseded"
    assert stage(plugin) == "ahead"


@pytest.mark.parametrize(("number", "outcome"), [(1, "superseded"), (3, "applied")])
def test_a_slims_that_was_not_reached_at_the_beginning_compares_tickets_at_the_push(
    plugin: Slims, number: int, outcome: str
) -> None:
    session = unreached(begun(plugin, MONDAY, number))
    plugin.post_session(begun(plugin, TUESDAY, 2), suggested("second"))
    assert plugin.post_session(session, suggested("decided")).outcome == outcome


def test_without_a_ticket_a_decision_applies_where_slims_stands_as_another_store_said(plugin: Slims) -> None:
    plugin.post_session(begun(plugin, SUNDAY, 1), suggested("before"))
    as_the_library_said = stands(plugin)
    session = session_of(MONDAY, as_the_library_said)
    assert plugin.post_session(session, suggested("decided")).outcome == "applied"
    assert (stage(plugin), stands(plugin).ticket) == ("decided", None)
    # The animal has moved on; the date of a session says nothing.
    other = session_of(TUESDAY, as_the_library_said)
    assert plugin.post_session(other, suggested("too late")).outcome == "superseded"
    assert stage(plugin) == "decided"


@pytest.mark.parametrize("was_empty", [False, True])
def test_without_a_ticket_a_decision_applies_once_slims_has_the_session_before_it(
    plugin: Slims, was_empty: bool
) -> None:
    """SLIMS missed that session, whose decision another store had."""
    if not was_empty:
        plugin.post_session(begun(plugin, SUNDAY - timedelta(days=1)), suggested("of saturday"))
    sunday = begun(plugin, SUNDAY)
    monday = begun(plugin, MONDAY).model_copy(update={"animal_state": standing("of sunday", SUNDAY, sunday.name)})
    assert plugin.post_session(sunday, suggested("of sunday")).outcome == "applied"
    assert plugin.post_session(monday, suggested("of monday")).outcome == "applied"
    assert stage(plugin) == "of monday"


def test_a_state_that_came_after_the_record_of_a_session_is_not_replaced_by_its_late_decision(
    slims: SlimsDouble, plugin: Slims
) -> None:
    session = unreached(begun(plugin, MONDAY, 1))
    assert plugin.post_session(session, None).outcome == "recorded"
    foreign(slims, TUESDAY, {"TrainerState": state_text("by hand")})
    assert plugin.post_session(session, suggested("late")).outcome == "superseded"
    assert stage(plugin) == "by hand"


def test_a_state_by_hand_does_not_let_an_earlier_session_come_after_a_later_one(
    slims: SlimsDouble, plugin: Slims
) -> None:
    earlier = unreached(begun(plugin, MONDAY, 1))
    plugin.post_session(begun(plugin, TUESDAY, 2), suggested("of tuesday"))
    foreign(slims, TUESDAY, {"TrainerState": state_text("by hand")})
    assert plugin.post_session(earlier, suggested("late")).outcome == "superseded"
    assert stage(plugin) == "by hand"


def test_a_decision_of_an_older_launcher_is_seen(slims: SlimsDouble, plugin: Slims) -> None:
    """It writes marks without tickets, beside rigs that have them."""
    plugin.post_session(begun(plugin, WRONG_CLOCK, 1), suggested("of 2031"))
    old = session_of(MONDAY, stands(plugin))
    assert plugin.post_session(old, suggested("without ticket")).outcome == "applied"
    assert stage(plugin) == "without ticket"
    session = begun(plugin, TUESDAY, 2)
    assert plugin.post_session(session, suggested("with one")).outcome == "applied"
    assert (stage(plugin), stands(plugin).ticket) == ("with one", session.ticket)


def test_a_push_that_was_killed_is_completed_by_its_ticket(slims: SlimsDouble, plugin: Slims) -> None:
    ahead = begun(plugin, WRONG_CLOCK, 1)
    monday = begun(plugin, MONDAY, 2)
    slims.fault(cut="after commit", path="^repo", nth=1)
    with pytest.raises(TransientError):
        plugin.post_session(monday, suggested("of monday"))
    plugin.post_session(ahead, suggested("of 2031"))
    assert plugin.post_session(monday, suggested("of monday")).outcome == "applied"
    assert plugin.post_session(monday, suggested("of monday")).outcome == "unchanged"
    assert plugin.post_session(ahead, suggested("of 2031")).outcome == "unchanged"
    assert (stage(plugin), stands(plugin).ticket) == ("of monday", monday.ticket)
    assert len(slims.records()) == 2


def test_another_answer_of_the_first_session_takes_the_place_of_its_own(plugin: Slims) -> None:
    session = begun(plugin, MONDAY)
    assert plugin.post_session(session, suggested("first")).outcome == "applied"
    assert plugin.post_session(session, suggested("second")).outcome == "applied"
    assert stage(plugin) == "second"


def test_a_late_suggestion_gives_the_record_of_its_session_the_ticket(slims: SlimsDouble, plugin: Slims) -> None:
    session = begun(plugin, MONDAY, 7)
    plugin.post_session(session, None)
    plugin.post_session(session, suggested("late"))
    assert stands(plugin).ticket == Ticket(register_id="library", number=7)
    assert slims.records()[0]["cnvn_cf_notes"].count("ticket=library/7") == 1
