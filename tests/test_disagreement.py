"""Which store's state a session runs with, where several know its animal."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from task_repositories import laboratory

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.errors import Refused
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.register import Ticket
from aind_launcher.testing import TaskRepositoryForTests, ladder_state

# Asked before `local-store`, as each plugin of a repository; it gives no tickets.
OTHER = """
    from aind_launcher import AnimalState, hookimpl

    class Other:
        @hookimpl
        def load_animal_state(self, session):
            said = session.repository.path.parent / "other.json"
            return AnimalState.model_validate_json(said.read_text("utf-8")) if said.exists() else None
"""
LONG_AGO, TO_COME = datetime(2020, 1, 1, tzinfo=UTC), datetime(2131, 1, 1, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, OTHER, names={"other": "Other"})


def said(
    lab: TaskRepositoryForTests, stage: str, date: datetime, ticket: Ticket | None = None, session: str | None = None
) -> None:
    """From now on the other store says this."""
    state = AnimalState(trainer_state=ladder_state(stage), date=date, ticket=ticket, session_name=session)
    (lab.root / "other.json").write_text(state.model_dump_json(), encoding="utf-8")


def begins_with(lab: TaskRepositoryForTests) -> str | None:
    """The stage that the next session runs with."""
    state = lab.run().session.animal_state
    return state.trainer_state.stage if state else None


@pytest.mark.parametrize(
    ("register", "above", "date", "stage"),
    [
        ("same", 1, LONG_AGO, "rung7"),  # The library was restored from a copy.
        ("same", -1, TO_COME, "rung2"),
        ("same", 0, TO_COME, "rung2"),
        ("another", 90, TO_COME, "rung2"),  # The library gives the tickets, and the other store is behind.
        (None, 0, TO_COME, "rung2"),
    ],
)
def test_tickets_of_the_store_that_gives_them_say_whose_state_is_newest(
    lab: TaskRepositoryForTests,
    caplog: pytest.LogCaptureFixture,
    register: str | None,
    above: int,
    date: datetime,
    stage: str,
) -> None:
    ticket = lab.run().session.ticket
    assert ticket and lab.stage() == "rung2"
    other = Ticket(register_id=ticket.register_id if register == "same" else "another", number=ticket.number + above)
    said(lab, "rung7", date, other if register else None)
    assert begins_with(lab) == stage
    store = "other" if stage == "rung7" else "local-store"
    assert f"The stores disagree: {'local-store' if store == 'other' else 'other'} has stage" in caplog.text
    assert f"Going on with {store}: tickets, not dates, say what is later." in caplog.text


@pytest.mark.parametrize(("date", "stage"), [(LONG_AGO, "rung1"), (TO_COME, "rung7")])
def test_without_tickets_the_latest_date_says_whose_state_is_newest(
    lab: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture, date: datetime, stage: str
) -> None:
    said(lab, "rung7", date)
    assert begins_with(lab) == stage
    assert "the newest." in caplog.text


def test_where_only_the_store_that_keeps_tickets_answers_its_state_is_taken(lab: TaskRepositoryForTests) -> None:
    (lab.subjects / "123456" / "trainer_state.json").unlink()
    said(lab, "rung7", LONG_AGO, Ticket(register_id="another", number=3))
    assert begins_with(lab) == "rung7"


def test_what_a_person_wrote_into_the_library_since_the_last_ticket_is_later_than_what_other_stores_keep(
    lab: TaskRepositoryForTests,
) -> None:
    ticket = lab.run().session.ticket
    assert ticket
    said(lab, "rung7", TO_COME, ticket)
    (lab.subjects / "123456" / "trainer_state.json").write_text(ladder_state("rung4").text, encoding="utf-8")
    assert begins_with(lab) == "rung4"
    # It was found then, and took a ticket of its own.
    entries = Library(lab.root / "library", "climbing").register("123456").entries
    assert [(entry.kind, entry.number) for entry in entries[-2:]] == [
        ("found", ticket.number + 1),
        ("session", ticket.number + 2),
    ]
    assert len({entry.ticket.register_id for entry in entries}) == 1


def test_an_animal_that_only_another_store_knows_gets_a_ticket_all_the_same(lab: TaskRepositoryForTests) -> None:
    said(lab, "rung7", TO_COME)
    session = lab.run("777777").session
    assert session.ticket
    (entry,) = Library(lab.root / "library", "climbing").register("777777").entries
    assert (entry.ticket, entry.stage, entry.session_name) == (session.ticket, "rung7", session.name)


class Answering(Operator):
    attended = True

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
        self.asked += [question, *answers.values()]
        return self.answer


def test_a_later_decision_that_the_library_never_got_refuses_a_session_at_which_nobody_is(
    lab: TaskRepositoryForTests,
) -> None:
    lab.run()
    # A session while the library was left out or could not be reached has no ticket.
    said(lab, "rung7", TO_COME, session="123456_of_that_day")
    with pytest.raises(Refused) as refused:
        lab.run()
    assert "local-store has stage rung2" in refused.value.message
    assert "other has stage rung7, by session 123456_of_that_day" in refused.value.message
    assert "aind-launch animals move 123456" in str(refused.value.hint)
    assert lab.stage() == "rung2"
    # The state does not matter to a session with a task of its own.
    (lab.root / "task.json").write_text('{"name": "Climb"}', encoding="utf-8")
    assert lab.run(task_file=lab.root / "task.json").state == "completed"


@pytest.mark.parametrize(("store", "stage", "then"), [("other", "rung7", "rung8"), ("local-store", "rung2", "rung3")])
def test_whoever_is_at_the_rig_says_which_of_two_decisions_is_the_later_one(
    lab: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture, store: str, stage: str, then: str
) -> None:
    lab.run()
    said(lab, "rung7", TO_COME, session="123456_of_that_day")
    operator = Answering(store)
    session = lab.run(operator=operator).session
    assert session.animal_state and session.animal_state.trainer_state.stage == stage
    assert "Where does the animal stand?" in operator.asked[0]
    assert f"Going on with {store}, as the operator says." in caplog.text
    assert lab.stage() == then


def test_an_older_decision_and_one_that_the_library_has_are_asked_about_by_nobody(lab: TaskRepositoryForTests) -> None:
    name = lab.run().session.name
    said(lab, "rung7", LONG_AGO, session="123456_of_that_day")
    assert begins_with(lab) == "rung2"
    said(lab, "rung7", TO_COME, session=name)
    assert begins_with(lab) == "rung3"
