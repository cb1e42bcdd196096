"""What a session leaves in SLIMS."""

import json
import logging

import pytest
from conftest import (
    MONDAY,
    SUBJECT,
    SUNDAY,
    TUESDAY,
    foreign,
    plugin_for,
    session_of,
    standing,
    state_text,
    suggested,
)

from aind_launcher import Acquisition, AnimalError, StepSkipped
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble


def test_a_suggestion_becomes_a_session_with_its_two_attachments(slims: SlimsDouble, plugin: Slims) -> None:
    rig, anna = slims.add_instrument("rig-1"), slims.add_user("anna")
    session = session_of(MONDAY, experimenter=["Anna"], notes="drank well")
    pushed = plugin.post_session(session, suggested("stage two", score=0.5))
    (record,) = slims.records()
    assert (pushed.outcome, pushed.record) == ("applied", record["cnvn_pk"])
    assert (record["cnvn_cf_task"], record["cnvn_cf_taskSchemaVersion"]) == ("Foraging", "1.2.3")
    assert (record["cnvn_cf_taskStage"], record["cnvn_cf_stageIsOnCurriculum"]) == ("stage two", True)
    assert (record["cnvn_fk_instrument"], record["cnvn_cf_fk_trainer"]) == (rig, [anna])
    assert (record["cnvn_cf_softwareVersion"], record["cnvn_fk_contentEventType"]) == ("c" * 40, 10)
    assert record["cnvn_cf_scheduledDate"] == int(MONDAY.timestamp() * 1000)
    assert record["cnvn_cf_notes"].startswith("drank well\n\n") and session.name in record["cnvn_cf_notes"]
    attached = {attachment.name: attachment.content for attachment in slims.attachments(pushed.record)}
    assert attached.keys() == {"TrainerState", "Metrics"}
    assert attached["TrainerState"] == state_text("stage two").encode()
    assert json.loads(attached["Metrics"]) == {"score": 0.5}


def test_what_was_pushed_is_where_the_animal_stands(plugin: Slims) -> None:
    session = session_of(MONDAY)
    plugin.post_session(session, suggested("stage two", score=0.5))
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None
    assert state.trainer_state.text == state_text("stage two")
    assert (state.metrics, state.session_name, state.date) == ({"score": 0.5}, session.name, MONDAY)


def test_a_session_without_suggestion_is_recorded_and_decides_nothing(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(session_of(SUNDAY), suggested("stage one"))
    session = session_of(MONDAY, standing("stage one", SUNDAY))
    assert plugin.post_session(session, None).outcome == "recorded"
    record = slims.records()[-1]
    assert (record["cnvn_cf_taskStage"], record["cnvn_cf_stageIsOnCurriculum"]) == ("stage one", False)
    assert slims.attachments(record["cnvn_pk"]) == []
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.date == SUNDAY


def test_an_animal_without_curriculum_is_recorded_with_its_own_task(slims: SlimsDouble, plugin: Slims) -> None:
    session = session_of(MONDAY).model_copy(update={"task": {"name": "Calibration", "version": "2"}})
    plugin.post_session(session, None)
    (record,) = slims.records()
    assert (record["cnvn_cf_task"], record["cnvn_cf_taskSchemaVersion"]) == ("Calibration", "2")
    assert record["cnvn_cf_taskStage"] is None


def test_sessions_without_suggestion_can_be_left_out(slims: SlimsDouble) -> None:
    with pytest.raises(StepSkipped, match="record-without-suggestion"):
        plugin_for(slims, record_without_suggestion=False).post_session(session_of(MONDAY), None)
    assert slims.exchanges == [] and slims.records() == []


def test_a_failed_acquisition_stands_in_the_notes(slims: SlimsDouble, plugin: Slims) -> None:
    acquisition = Acquisition(outcome="failed", start=MONDAY, end=MONDAY)
    plugin.post_session(session_of(MONDAY).model_copy(update={"acquisition": acquisition}), None)
    assert slims.records()[0]["cnvn_cf_notes"].startswith("The acquisition failed.\n")


def test_a_late_suggestion_completes_the_record_of_its_session(slims: SlimsDouble, plugin: Slims) -> None:
    session = session_of(MONDAY, notes="calm")
    first = plugin.post_session(session, None)
    late = plugin.post_session(session, suggested("stage two"))
    (record,) = slims.records()
    assert (late.outcome, late.record, first.record) == ("applied", record["cnvn_pk"], record["cnvn_pk"])
    assert (record["cnvn_cf_taskStage"], record["cnvn_cf_stageIsOnCurriculum"]) == ("stage two", True)
    assert record["cnvn_cf_notes"].count("aind-launcher:") == 1 and record["cnvn_cf_notes"].startswith("calm")
    assert [found.name for found in slims.attachments(late.record)] == ["Metrics", "TrainerState"]


def test_notes_that_somebody_wrote_meanwhile_stay(slims: SlimsDouble, plugin: Slims) -> None:
    session = session_of(MONDAY)
    pushed = plugin.post_session(session, None)
    mark = slims.records()[0]["cnvn_cf_notes"]
    slims.update("ContentEvent", pushed.record, cnvn_cf_notes=f"lost 2 g\n{mark}\nwatch the left spout")
    plugin.post_session(session, suggested("stage two"))
    notes = slims.records()[0]["cnvn_cf_notes"]
    assert notes.startswith("lost 2 g\naind-launcher: ") and notes.endswith("applied\nwatch the left spout")


def test_pushing_again_changes_nothing(slims: SlimsDouble, plugin: Slims) -> None:
    session = session_of(MONDAY)
    plugin.post_session(session, suggested("stage two"))
    before = slims.records()
    assert plugin.post_session(session, suggested("stage two")).outcome == "unchanged"
    assert plugin.post_session(session, None).outcome == "unchanged"
    assert slims.records() == before
    assert len(slims.attachments(before[0]["cnvn_pk"])) == 2


def test_another_suggestion_of_the_same_session_takes_the_place_of_the_first(slims: SlimsDouble, plugin: Slims) -> None:
    session = session_of(MONDAY)
    plugin.post_session(session, suggested("stage two", trials=1))
    assert plugin.post_session(session, suggested("stage three", trials=2)).outcome == "applied"
    assert len(slims.records()) == 1
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None
    assert (state.trainer_state.stage, state.metrics, state.date) == ("stage three", {"trials": 2}, MONDAY)


def test_mondays_suggestion_after_tuesdays_is_kept_and_superseded(
    slims: SlimsDouble, plugin: Slims, caplog: pytest.LogCaptureFixture
) -> None:
    start = standing("stage one", SUNDAY)
    plugin.post_session(session_of(TUESDAY, start), suggested("from tuesday"))
    monday = session_of(MONDAY, start)
    late = plugin.post_session(monday, suggested("from monday"))
    assert late.outcome == "superseded" and late.because and "from tuesday" in late.because
    assert "too late" in caplog.text
    record = slims.records()[-1]
    assert record["cnvn_cf_stageIsOnCurriculum"] is False and "outcome=superseded" in record["cnvn_cf_notes"]
    assert len(slims.attachments(late.record)) == 2
    assert plugin.post_session(monday, suggested("from monday")).outcome == "superseded"
    state = plugin.load_animal_state(session_of(TUESDAY.replace(day=19)))
    assert state is not None and state.trainer_state.stage == "from tuesday"


def test_a_session_that_ran_with_a_state_from_the_future_moves_the_animal_on(plugin: Slims) -> None:
    """Another rig's clock was ahead, or somebody scheduled the state for tomorrow."""
    plugin.post_session(session_of(TUESDAY), suggested("scheduled"))
    ran_with = plugin.load_animal_state(session_of(MONDAY))
    session = session_of(MONDAY, ran_with)
    assert plugin.post_session(session, suggested("next")).outcome == "applied"
    state = plugin.load_animal_state(session_of(MONDAY))
    assert state is not None and (state.trainer_state.stage, state.session_name) == ("next", session.name)


def test_a_state_that_cannot_be_read_holds_nothing_back(slims: SlimsDouble, plugin: Slims) -> None:
    pushed = plugin.post_session(session_of(SUNDAY, number=1), suggested("stage one"))
    for attachment in slims.attachments(pushed.record):
        slims.remove("Attachment", attachment.pk)
    with pytest.raises(AnimalError, match=f"record {pushed.record} of SLIMS is gone"):
        plugin.load_animal_state(session_of(MONDAY))
    assert plugin.post_session(session_of(MONDAY, number=2), suggested("stage two")).outcome == "applied"


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("missing", ["TrainerState", "Metrics"])
def test_an_attachment_that_slims_lost_holds_no_later_record_back(
    slims: SlimsDouble, plugin: Slims, caplog: pytest.LogCaptureFixture, missing: str, status: int
) -> None:
    earlier = foreign(slims, SUNDAY, {"TrainerState": state_text("theirs"), "Metrics": "{}"})
    lost = next(attachment for attachment in slims.attachments(earlier) if attachment.name == missing)
    slims.fault(status, path=f"^repo/{lost.pk}$")
    assert plugin.post_session(session_of(MONDAY, number=2), suggested("stage two")).outcome == "applied"
    assert plugin.post_session(session_of(TUESDAY, number=3), None).outcome == "recorded"
    assert f"The trainer state of record {earlier} is not compared; its session and date are" in caplog.text
    state = plugin.load_animal_state(session_of(TUESDAY))
    assert state is not None and state.trainer_state.stage == "stage two"


def test_a_state_from_the_future_that_slims_lost_afterwards_is_known_by_its_session_and_date(
    slims: SlimsDouble, plugin: Slims
) -> None:
    plugin.post_session(session_of(TUESDAY), suggested("scheduled"))
    session = session_of(MONDAY, plugin.load_animal_state(session_of(MONDAY)))
    slims.fault(404, path="^repo/", method="GET")
    assert plugin.post_session(session, suggested("next")).outcome == "applied"


def test_a_later_state_that_slims_lost_is_not_replaced_by_an_earlier_sessions(
    slims: SlimsDouble, plugin: Slims
) -> None:
    start = standing("start", SUNDAY)
    plugin.post_session(session_of(TUESDAY, start), suggested("of tuesday"))
    slims.fault(404, path="^repo/", method="GET")
    late = plugin.post_session(session_of(MONDAY, start), suggested("of monday"))
    assert late.outcome == "superseded" and late.because and "at no known stage" in late.because


def test_an_unknown_instrument_and_trainer_are_left_out_with_a_warning(
    slims: SlimsDouble, plugin: Slims, caplog: pytest.LogCaptureFixture
) -> None:
    slims.add_user("anna")
    with caplog.at_level(logging.WARNING):
        plugin.post_session(session_of(MONDAY, experimenter=["anna", "bert"]), suggested("stage two"))
    (record,) = slims.records()
    assert record["cnvn_fk_instrument"] is None and len(record["cnvn_cf_fk_trainer"]) == 1
    assert "no instrument rig-1" in caplog.text and "no user bert" in caplog.text


def test_the_setting_names_the_instrument_before_the_rig_does(slims: SlimsDouble) -> None:
    slims.add_instrument("rig-1")
    named = slims.add_instrument("447-1-A")
    plugin_for(slims, instrument="447-1-A").post_session(session_of(MONDAY), None)
    assert slims.records()[0]["cnvn_fk_instrument"] == named


def test_another_animals_sessions_do_not_matter(slims: SlimsDouble, plugin: Slims) -> None:
    slims.add_animal("654321")
    plugin.post_session(session_of(TUESDAY, subject="654321"), suggested("of another"))
    assert plugin.load_animal_state(session_of(MONDAY)) is None
    assert plugin.post_session(session_of(MONDAY), suggested("stage one")).outcome == "applied"
    state = plugin.load_animal_state(session_of(MONDAY, subject=SUBJECT))
    assert state is not None and state.trainer_state.stage == "stage one"
