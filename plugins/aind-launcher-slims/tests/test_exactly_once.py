"""However often a push breaks off, and wherever: one record of the session, with its two attachments."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from conftest import MONDAY, SUBJECT, SUNDAY, TUESDAY, plugin_for, session_of, standing, state_text, suggested
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_launcher import CurriculumSuggestion, SessionContext, TransientError
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble

CUTS = ("before commit", "after commit")
START = standing("start", SUNDAY)


@contextmanager
def a_slims(session: SessionContext, *, recorded: bool) -> Iterator[tuple[SlimsDouble, Slims]]:
    """A SLIMS with the animal; perhaps with a record of the session from before its suggestion came."""
    with SlimsDouble() as double:
        double.add_animal(SUBJECT)
        plugin = plugin_for(double)
        if recorded:
            plugin.post_session(session, None)
        double.exchanges.clear()
        yield double, plugin


def requests_of_a_push(*, recorded: bool) -> int:
    session = session_of(MONDAY, START)
    with a_slims(session, recorded=recorded) as (double, plugin):
        plugin.post_session(session, suggested("next"))
        return len(double.exchanges)


REQUESTS = {recorded: requests_of_a_push(recorded=recorded) for recorded in (False, True)}


def pushed_until_done(plugin: Slims, session: SessionContext, suggestion: CurriculumSuggestion | None) -> str:
    for _ in range(40):
        try:
            return plugin.post_session(session, suggestion).outcome
        except TransientError:
            continue
    raise AssertionError("the push never ended")


def assert_whole(double: SlimsDouble, stages: dict[str, str | None]) -> None:
    """One record for each session, with both attachments where it had a suggestion."""
    records = double.records()
    assert len(records) == len(stages)
    for name, stage in stages.items():
        (record,) = [record for record in records if name in record["cnvn_cf_notes"]]
        attached = double.attachments(record["cnvn_pk"])
        assert sorted(found.name for found in attached) == ([] if stage is None else ["Metrics", "TrainerState"])
        assert stage is None or state_text(stage).encode() in [found.content for found in attached]


@pytest.mark.parametrize(
    ("recorded", "request_index", "cut"),
    [(recorded, k, cut) for recorded, count in REQUESTS.items() for k in range(1, count + 1) for cut in CUTS],
)
def test_a_push_that_is_cut_at_any_request_is_completed_by_the_next(
    recorded: bool, request_index: int, cut: str
) -> None:
    session = session_of(MONDAY, START)
    with a_slims(session, recorded=recorded) as (double, plugin):
        double.fault(cut=cut, nth=request_index)  # type: ignore[arg-type]
        with pytest.raises(TransientError, match="cannot be reached"):
            plugin.post_session(session, suggested("next", trials=7))
        # What is not complete does not count yet.
        state = plugin.load_animal_state(session)
        assert state is None or (state.trainer_state.stage, state.metrics) == ("next", {"trials": 7})
        assert plugin.post_session(session, suggested("next", trials=7)).outcome in ("applied", "unchanged")
        assert_whole(double, {session.name: "next"})
        state = plugin.load_animal_state(session)
        assert state is not None and (state.trainer_state.stage, state.metrics) == ("next", {"trials": 7})


@pytest.mark.parametrize("recorded", [False, True])
def test_attachments_of_a_push_that_broke_off_are_not_taken_for_another_suggestions(recorded: bool) -> None:
    session = session_of(MONDAY, START)
    with a_slims(session, recorded=recorded) as (double, plugin):
        # All but the last request: both attachments are there, and nothing says that they count.
        double.fault(cut="before commit", nth=REQUESTS[recorded])
        with pytest.raises(TransientError):
            plugin.post_session(session, suggested("first answer", trials=1))
        plugin.post_session(session, suggested("second answer", trials=2))
        assert len(double.records()) == 1
        state = plugin.load_animal_state(session)
        assert state is not None and (state.trainer_state.stage, state.metrics) == ("second answer", {"trials": 2})


@pytest.mark.parametrize("request_index", range(1, REQUESTS[False] + 1))
@pytest.mark.parametrize("cut", CUTS)
def test_a_push_that_broke_off_before_the_next_session_does_not_put_the_animal_back(
    request_index: int, cut: str
) -> None:
    monday, tuesday = session_of(MONDAY, START, 1), session_of(TUESDAY, START, 2)
    with a_slims(monday, recorded=False) as (double, plugin):
        double.fault(cut=cut, nth=request_index)  # type: ignore[arg-type]
        with pytest.raises(TransientError):
            plugin.post_session(monday, suggested("of monday"))
        assert plugin.post_session(tuesday, suggested("of tuesday")).outcome == "applied"
        # Only an answer that was lost after everything was written had made Monday's decision count.
        was_whole = (request_index, cut) == (REQUESTS[False], "after commit")
        late = plugin.post_session(monday, suggested("of monday"))
        assert late.outcome == ("unchanged" if was_whole else "superseded")
        assert_whole(double, {monday.name: "of monday", tuesday.name: "of tuesday"})
        state = plugin.load_animal_state(tuesday)
        assert state is not None and state.trainer_state.stage == "of tuesday"


def test_an_answer_that_comes_too_late_has_still_been_written_once() -> None:
    session = session_of(MONDAY, START)
    with a_slims(session, recorded=False) as (double, plugin):
        hasty = plugin_for(double, timeout=0.3)
        double.fault(delay=60, method="PUT")
        with pytest.raises(TransientError, match="did not answer within 0.3 s"):
            hasty.post_session(session, suggested("next"))
        double.faults.clear()
        assert plugin.post_session(session, suggested("next")).outcome == "applied"
        assert_whole(double, {session.name: "next"})


FAULTS = st.lists(st.tuples(st.integers(1, 25), st.sampled_from((*CUTS, 503, 429))), max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.permutations([(MONDAY, False), (MONDAY, True), (TUESDAY, False), (TUESDAY, True)]),
    faults=FAULTS,
    linked=st.booleans(),
    ahead=st.booleans(),
)
def test_the_state_is_the_latest_sessions_in_any_order_and_through_any_faults(
    order: list[tuple[datetime, bool]], faults: list[tuple[int, str | int]], linked: bool, ahead: bool
) -> None:
    """Each session is pushed without and with its suggestion, in any order; Tuesday's may have run with Monday's.

    Monday's rig may have a clock that is years ahead.
    """
    by_its_clock = {MONDAY: MONDAY.replace(year=2031) if ahead else MONDAY, TUESDAY: TUESDAY}
    of_monday = standing("of monday", by_its_clock[MONDAY], session_of(by_its_clock[MONDAY]).name)
    sessions = {
        MONDAY: session_of(by_its_clock[MONDAY], START, 1),
        TUESDAY: session_of(TUESDAY, of_monday if linked else START, 2),
    }
    stages = {MONDAY: "of monday", TUESDAY: "of tuesday"}
    with SlimsDouble() as double:
        double.add_animal(SUBJECT)
        plugin = plugin_for(double)
        for index, kind in faults:
            if isinstance(kind, int):
                double.fault(kind, nth=index)
            else:
                double.fault(cut=kind, nth=index)  # type: ignore[arg-type]
        outcomes = {}
        for date, answered in order:
            suggestion = suggested(stages[date]) if answered else None
            outcomes[date, answered] = pushed_until_done(plugin, sessions[date], suggestion)
        double.faults.clear()
        assert_whole(double, {sessions[date].name: stage for date, stage in stages.items()})
        late = order.index((MONDAY, True)) > order.index((TUESDAY, True))
        assert (outcomes[MONDAY, True] == "superseded") == late
        assert outcomes[TUESDAY, True] in ("applied", "unchanged")
        state = plugin.load_animal_state(session_of(TUESDAY.replace(day=19)))
        assert state is not None
        assert (state.trainer_state.text, state.ticket) == (state_text("of tuesday"), sessions[TUESDAY].ticket)
        is_dated_later = ahead and order.index((MONDAY, True)) < order.index((TUESDAY, True))
        assert state.date > by_its_clock[MONDAY] if is_dated_later else state.date == TUESDAY
