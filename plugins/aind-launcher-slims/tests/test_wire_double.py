"""The double is proved with the real client and its own models, before anything is built on it."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from aind_slims_api import SlimsClient, models
from aind_slims_api.exceptions import SlimsRecordNotFound
from aind_slims_api.models import SlimsAttachment, SlimsBehaviorSession, SlimsInstrument, SlimsMouseContent, SlimsUser
from slims import criteria
from slims.internal import _SlimsApiException

from aind_launcher_slims.wire_double import SlimsDouble

# The client reads pydantic's `model_fields` from instances.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute")

MONDAY = datetime(2025, 11, 17, 9, 30, 15, 123000, tzinfo=UTC)


@pytest.fixture
def client(slims_double: SlimsDouble) -> SlimsClient:
    return SlimsClient(slims_double.url, slims_double.username, slims_double.password)


@pytest.fixture
def mouse(slims_double: SlimsDouble, client: SlimsClient) -> SlimsMouseContent:
    slims_double.add_animal("123456", cntn_cf_baselineWeight={"amount": 24.5, "unit_display": "g"})
    found: SlimsMouseContent = client.fetch_model(SlimsMouseContent, barcode="123456")
    return found


def session(mouse: SlimsMouseContent, **fields: Any) -> SlimsBehaviorSession:
    return SlimsBehaviorSession(mouse_pk=mouse.pk, **{"date": MONDAY, "task": "foraging", **fields})


def test_the_client_reads_an_animal_with_its_unit(mouse: SlimsMouseContent) -> None:
    assert (mouse.barcode, mouse.baseline_weight_g, mouse.water_restricted) == ("123456", 24.5, False)
    assert mouse.pk is not None and mouse.created_on is not None


def test_an_animal_that_is_not_there_is_not_found(client: SlimsClient) -> None:
    with pytest.raises(SlimsRecordNotFound):
        client.fetch_model(SlimsMouseContent, barcode="000000")


def test_a_session_comes_back_as_it_was_added(
    slims_double: SlimsDouble, client: SlimsClient, mouse: SlimsMouseContent
) -> None:
    slims_double.add_instrument("rig-1")
    slims_double.add_user("anna")
    instrument = client.fetch_model(SlimsInstrument, name="rig-1")
    trainer = client.fetch_model(SlimsUser, username="anna")
    fields = {
        "instrument_pk": instrument.pk,
        "trainer_pks": [trainer.pk],
        "task_stage": "stage one",
        "task_schema_version": "1.2.3",
        "software_version": "abc",
        "is_curriculum_suggestion": True,
        "notes": "calm – and quick",  # noqa: RUF001
    }
    added = client.add_model(session(mouse, **fields))
    found = client.fetch_model(SlimsBehaviorSession, mouse_pk=mouse.pk)
    for record in (added, found):
        assert {name: getattr(record, name) for name in fields} == fields
        assert (record.mouse_pk, record.date, record.task) == (mouse.pk, MONDAY, "foraging")
    assert added.pk == found.pk is not None


def test_an_update_changes_only_the_fields_that_are_named(client: SlimsClient, mouse: SlimsMouseContent) -> None:
    added = client.add_model(session(mouse, notes="before", task_stage="one"))
    changed = added.model_copy(update={"notes": "after", "task_stage": "two"})
    client.update_model(changed, "notes")
    found = client.fetch_model(SlimsBehaviorSession, mouse_pk=mouse.pk)
    assert (found.notes, found.task_stage, found.pk) == ("after", "one", added.pk)


def test_an_attachment_comes_back_byte_for_byte(client: SlimsClient, mouse: SlimsMouseContent) -> None:
    added = client.add_model(session(mouse))
    content = '{"ü": "\\u20ac €"}\r\n'.encode()
    pk = client.add_attachment_content(added, "TrainerState", content)
    (listed,) = client.fetch_attachments(added)
    assert (listed.pk, listed.name) == (pk, "TrainerState")
    assert client.fetch_attachment_content(listed).content == content
    assert client.fetch_attachment(added, name="TrainerState").pk == pk
    with pytest.raises(SlimsRecordNotFound):
        client.fetch_attachment(added, name="Metrics")


def test_attachments_of_one_record_are_not_those_of_another(client: SlimsClient, mouse: SlimsMouseContent) -> None:
    one, other = client.add_model(session(mouse)), client.add_model(session(mouse))
    client.add_attachment_content(one, "TrainerState", "1")
    assert client.fetch_attachments(other) == []
    assert [type(found) for found in client.fetch_attachments(one)] == [SlimsAttachment]


def test_rows_are_sorted_and_paged(client: SlimsClient, mouse: SlimsMouseContent) -> None:
    for task, day in (("b", 2), ("c", 3), ("a", 1)):
        client.add_model(session(mouse, task=task, date=MONDAY.replace(day=day)))

    def tasks(**arguments: Any) -> list[str]:
        return [found.task for found in client.fetch_models(SlimsBehaviorSession, mouse_pk=mouse.pk, **arguments)]

    assert tasks(sort="date") == ["a", "b", "c"]
    assert tasks(sort=["-date"]) == ["c", "b", "a"]
    assert tasks(sort="-task", start=1, end=3) == ["b", "a"]
    assert client.fetch_model(SlimsBehaviorSession, mouse_pk=mouse.pk).task == "a", "the last one that was created"


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (criteria.equals("task", "Beta"), {"Beta"}),
        (criteria.equals_ignore_case("task", "beta"), {"Beta"}),
        (criteria.not_equals("task", "beta"), {"Alpha"}),
        (criteria.starts_with("task", "al"), {"Alpha"}),
        (criteria.ends_with("task", "TA"), {"Beta"}),
        (criteria.contains("task", "a"), {"Alpha", "Beta"}),
        (criteria.is_one_of("task", ["Alpha", "Gamma"]), {"Alpha"}),
        (criteria.is_not_one_of("task", ["Alpha"]), {"Beta"}),
        (criteria.less_than("date", MONDAY.replace(day=18)), {"Alpha"}),
        (criteria.less_than_or_equal("date", MONDAY), {"Alpha"}),
        (criteria.greater_than("date", MONDAY), {"Beta"}),
        (criteria.greater_than_or_equal("date", MONDAY), {"Alpha", "Beta"}),
        (criteria.between_inclusive("date", MONDAY, MONDAY.replace(hour=23)), {"Alpha"}),
        (criteria.is_na("task_stage"), {"Beta"}),
        (criteria.is_not(criteria.equals("task", "Beta")), {"Alpha"}),
        (
            criteria.disjunction().add(criteria.equals("task", "Beta")).add(criteria.equals("task", "Alpha")),
            {"Alpha", "Beta"},
        ),
        (
            criteria.conjunction().add(criteria.equals("task", "Beta")).add(criteria.equals("task", "Alpha")),
            set(),
        ),
    ],
)
def test_every_criterion_of_the_client_selects_what_it_says(
    client: SlimsClient, mouse: SlimsMouseContent, criterion: criteria.Criterion, expected: set[str]
) -> None:
    client.add_model(session(mouse, task="Alpha", task_stage="one"))
    client.add_model(session(mouse, task="Beta", date=MONDAY.replace(day=19)))
    found = client.fetch_models(SlimsBehaviorSession, criterion)
    assert {record.task for record in found} == expected


def test_a_criterion_without_a_value_selects_too(client: SlimsClient, mouse: SlimsMouseContent) -> None:
    client.add_model(session(mouse, task="Alpha", task_stage="one"))
    client.add_model(session(mouse, task="Beta"))
    # The models' own fetch cannot send these two.
    for criterion, expected in ((criteria.is_null, "Beta"), (criteria.is_not_null, "Alpha")):
        (found,) = client.fetch("ContentEvent", criterion("cnvn_cf_taskStage"))
        assert found.cnvn_cf_task.value == expected


def test_records_of_another_type_are_not_seen(slims_double: SlimsDouble, client: SlimsClient) -> None:
    slims_double.add_animal("123456", cntn_fk_contentType=7)
    with pytest.raises(SlimsRecordNotFound):
        client.fetch_model(SlimsMouseContent, barcode="123456")
    slims_double.add("ReferenceDataRecord", rdrc_name="rig-1")
    assert client.fetch_model(models.instrument.SlimsInstrumentRdrc, name="rig-1").name == "rig-1"


def test_an_unknown_field_is_refused_with_its_name(client: SlimsClient) -> None:
    with pytest.raises(_SlimsApiException, match="cnvn_colour"):
        client.fetch("ContentEvent", cnvn_colour="red")
    with pytest.raises(_SlimsApiException, match="colour"):
        client.add("ContentEvent", {"colour": "red"})


def test_a_record_is_removed(slims_double: SlimsDouble, client: SlimsClient, mouse: SlimsMouseContent) -> None:
    pk = client.add_model(session(mouse)).pk
    client.db.fetch_by_pk("ContentEvent", pk).remove()
    assert slims_double.records() == []
    assert client.db.fetch_by_pk("ContentEvent", pk) is None


def test_wrong_credentials_are_noticed_only_with_the_first_request(slims_double: SlimsDouble) -> None:
    intruder = SlimsClient(slims_double.url, slims_double.username, "wrong")
    with pytest.raises(_SlimsApiException, match="HTTP Status 401"):
        intruder.fetch_model(SlimsMouseContent, barcode="123456")
    # The client hands this page out as if it were the attachment.
    assert b"401" in intruder.fetch_attachment_content(1).content


def test_a_fault_strikes_the_request_that_it_names(slims_double: SlimsDouble, client: SlimsClient) -> None:
    slims_double.add_user("anna")
    slims_double.fault(503, method="GET", path="^User", nth=2)
    assert client.fetch_model(SlimsUser, username="anna").username == "anna"
    with pytest.raises(_SlimsApiException, match="503"):
        client.fetch_model(SlimsUser, username="anna")
    assert client.fetch_model(SlimsUser, username="anna").username == "anna"
    assert [exchange.status for exchange in slims_double.exchanges] == [200, 503, 200]


@pytest.mark.parametrize(("cut", "records"), [("before commit", 0), ("after commit", 1)])
def test_a_cut_loses_the_answer_and_only_before_the_commit_the_record(
    slims_double: SlimsDouble, client: SlimsClient, mouse: SlimsMouseContent, cut: Any, records: int
) -> None:
    slims_double.fault(cut=cut, method="PUT")
    with pytest.raises(requests.ConnectionError):
        client.add_model(session(mouse))
    assert len(slims_double.records()) == records


def test_a_delayed_answer_has_taken_effect(
    slims_double: SlimsDouble, mouse: SlimsMouseContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    slims_double.fault(delay=60, method="PUT")
    body = {"cnvn_fk_content": mouse.pk}
    with pytest.raises(requests.Timeout):
        requests.put(
            f"{slims_double.url}rest/ContentEvent",
            json=body,
            auth=(slims_double.username, slims_double.password),
            timeout=0.3,
        )
    assert len(slims_double.records()) == 1


def test_records_outlast_the_server(slims_double: SlimsDouble, client: SlimsClient, mouse: SlimsMouseContent) -> None:
    slims_double.stop()
    with pytest.raises(requests.ConnectionError):
        client.fetch_model(SlimsMouseContent, barcode="123456")
    slims_double.start()
    assert client.fetch_model(SlimsMouseContent, barcode="123456").pk == mouse.pk
