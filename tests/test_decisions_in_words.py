"""How a decision on an animal is said to people."""

from datetime import timedelta
from pathlib import Path

import pytest
from cohorts import a_day, enrol
from contexts import a_session, off_curriculum, suggestion, trainer_state

from aind_launcher.board.decision import entry_text
from aind_launcher.board.today import today
from aind_launcher.board.words import ago
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.cli.story import decision
from aind_launcher.journal.records import StepId, StepRecord
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.clock import now
from aind_launcher.model.register import EntryDecision, RegisterEntry, Ticket


def entry(decision: EntryDecision | None = None, **more: object) -> RegisterEntry:
    about = {"kind": "session", "rig": "box-1", "began": now(), "curriculum": "Ladder", "stage": "first", **more}
    return RegisterEntry.model_validate(about | {"ticket": Ticket(register_id="a", number=1), "decision": decision})


def decided(outcome: str = "applied", stage: str | None = "second", rule: tuple[str, ...] = ()) -> EntryDecision:
    given = {"suggestion": "0", "outcome": outcome, "curriculum": "Ladder", "stage": stage, "rule": rule}
    return EntryDecision.model_validate(given)


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (entry(decided(rule=("rules.hit_rate_high",))), "first -> second by hit_rate_high"),
        (entry(decided(rule=("a.fast", "a.slow"))), "first -> second by one of fast, slow"),
        (entry(decided()), "first -> second"),
        (entry(decided(stage="first")), "stays at first"),
        (entry(decided(stage=None)), "first -> off curriculum"),
        (entry(decided("superseded")), "superseded"),
        (entry(decided("unchanged", stage="first")), "stays at first"),
        (entry(kind="moved", by="me"), "moved to first by me"),
        (entry(kind="enrolled", by="me"), "enrolled at first by me"),
        (entry(kind="moved", by="me", stage=None), "moved off curriculum by me"),
        (entry(kind="found"), "first, by another tool"),
    ],
    ids=lambda told: told if isinstance(told, str) else "",
)
def test_a_decision_is_told_with_its_rule_or_with_who_made_it(told: RegisterEntry, text: str) -> None:
    assert entry_text(told) == text


def test_an_animal_that_left_its_curriculum_is_shown_to_have_left(tmp_path: Path) -> None:
    library = Library(tmp_path / "library", "climbing")
    for subject in ("1", "2"):
        enrol(library, subject)
        a_day(library, subject)
    a_day(library, "1", to=off_curriculum("first"), date=now() + timedelta(minutes=1))
    library.move("2", off_curriculum("first"), reason="surgery", by="me")
    for animal in today(library.overview(), library.rigs(), now(), 10).animals:
        assert animal.decided
        assert "off curriculum" in entry_text(animal.decided)
        # Nobody counts how long it stands at a stage where nothing decides.
        assert animal.record.sessions_at_stage == 0


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([("applied", None)], "first -> second"),
        ([("applied", "the session ran with first")], "first -> second, but the session ran with first"),
        ([("superseded", "session x is later")], "superseded: session x is later"),
        ([("applied", None), ("superseded", "session x is later")], "superseded: session x is later"),
        # Launchers of before gave no reason.
        ([("superseded", None)], "superseded: the animal has moved on since"),
    ],
)
def test_a_decision_that_is_not_what_it_seems_says_why(
    tmp_path: Path, results: list[tuple[str, str | None]], told: str
) -> None:
    state = AnimalState(trainer_state=trainer_state("first"), date=now())
    session = a_session(tmp_path, animal_state=state)
    records = [
        StepRecord(StepId(session.name, "record_state", f"store-{n}"), 1, "done", now(), now()).ended_as(
            "done", result={"outcome": outcome, "because": because}
        )
        for n, (outcome, because) in enumerate(results)
    ]
    assert decision(session, suggestion("second"), records) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(59.4, "59 s ago"), (61, "1 min ago"), (3 * 3600, "3 h ago"), (47 * 3600, "1 d ago")]
)
def test_how_long_ago_a_rig_was_heard_of_is_said_in_one_unit(seconds: float, told: str) -> None:
    assert ago(seconds) == told
