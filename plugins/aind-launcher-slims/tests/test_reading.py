"""Which of an animal's sessions in SLIMS says where it stands, also where other tools and people wrote them."""

import json

import pytest
from conftest import MONDAY, SUNDAY, TUESDAY, foreign, session_of, state_text, suggested

from aind_launcher import AnimalError, TransientError
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble


def test_an_animal_without_sessions_has_no_state(plugin: Slims) -> None:
    assert plugin.load_animal_state(session_of(MONDAY)) is None


@pytest.mark.parametrize("name", ["TrainerState", "trainer_state.json", "trainer_state"])
def test_another_tools_trainer_state_is_read_byte_for_byte(slims: SlimsDouble, plugin: Slims, name: str) -> None:
    foreign(slims, MONDAY, {name: state_text("theirs"), "metrics.json": '{"trials": NaN}', "task": "{}"})
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.trainer_state.text == state_text("theirs")
    assert state.session_name is None and abs((state.date - MONDAY).total_seconds()) < 0.001
    assert isinstance(state.metrics, dict) and state.metrics.keys() == {"trials"}


def test_the_latest_by_date_wins_whenever_it_was_written(slims: SlimsDouble, plugin: Slims) -> None:
    foreign(slims, TUESDAY, {"TrainerState": state_text("newer")})
    foreign(slims, SUNDAY, {"TrainerState": state_text("older")})
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.trainer_state.stage == "newer"


def test_sessions_without_a_trainer_state_are_passed_over(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(session_of(SUNDAY), suggested("ours"))
    foreign(slims, MONDAY, {"notes.txt": "calm"})
    foreign(slims, None, {})
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.trainer_state.stage == "ours"


def test_the_search_for_a_trainer_state_ends(
    slims: SlimsDouble, plugin: Slims, caplog: pytest.LogCaptureFixture
) -> None:
    foreign(slims, SUNDAY, {"TrainerState": state_text("long ago")})
    for minute in range(30):
        foreign(slims, MONDAY.replace(minute=minute), {})
    assert plugin.load_animal_state(session_of(TUESDAY)) is None
    assert "no trainer state with the last 30 sessions" in caplog.text


def test_the_newest_attachment_of_a_name_wins(slims: SlimsDouble, plugin: Slims) -> None:
    pk = foreign(slims, MONDAY, {"TrainerState": state_text("first")})
    slims.attach(pk, "TrainerState", state_text("corrected").encode())
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.trainer_state.stage == "corrected"


def test_our_date_is_exact_where_slims_rounds_it(slims: SlimsDouble, plugin: Slims) -> None:
    pushed = plugin.post_session(session_of(MONDAY), suggested("morning"))
    noon = int(MONDAY.replace(hour=12, minute=0, second=0, microsecond=0).timestamp() * 1000)
    slims.update("ContentEvent", pushed.record, cnvn_cf_scheduledDate=noon)
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.date == MONDAY


@pytest.mark.parametrize(
    ("text", "problem"),
    [("not json", "is not JSON"), (json.dumps({"a": 1}), "is not a trainer state"), ("\udcff", "is not JSON")],
)
def test_an_unreadable_trainer_state_is_an_error_that_names_the_record(
    slims: SlimsDouble, plugin: Slims, text: str, problem: str
) -> None:
    pk = foreign(slims, MONDAY, {})
    slims.attach(pk, "TrainerState", text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AnimalError, match=f"record {pk} of SLIMS.*{problem}|{problem}.*record {pk} of SLIMS") as raised:
        plugin.load_animal_state(session_of(TUESDAY))
    assert "\n" not in str(raised.value)


def test_an_attachment_whose_content_is_not_there_yet_is_worth_a_second_try(slims: SlimsDouble, plugin: Slims) -> None:
    foreign(slims, MONDAY, {"TrainerState": ""})
    with pytest.raises(TransientError, match="does not give the content of attachment"):
        plugin.load_animal_state(session_of(TUESDAY))
    foreign(slims, TUESDAY, {"TrainerState": state_text("there")})
    slims.fault(404, path="^repo/")
    with pytest.raises(TransientError, match="does not give the content of attachment"):
        plugin.load_animal_state(session_of(TUESDAY))


def test_a_session_that_cannot_be_read_is_never_passed_over(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(session_of(SUNDAY), suggested("older"))
    pk = foreign(slims, MONDAY, {"TrainerState": state_text("newer")}, cnvn_cf_stageIsOnCurriculum="perhaps")
    with pytest.raises(Exception, match=f"Record {pk} of ContentEvent in SLIMS cannot be read"):
        plugin.load_animal_state(session_of(TUESDAY))
