"""The card of a session, as text: what an operator reads before the animal is on the rig."""

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contexts import a_session, off_curriculum, trainer_state
from rich.console import Console

from aind_launcher.board.card import Card, card_of, unusually_short
from aind_launcher.board.drawing import drawn, written
from aind_launcher.board.words import when
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.register import EntryDecision, RegisterEntry, Ticket, short_digest
from aind_launcher.model.session import Acquisition, Check, SessionContext

NOON = datetime(2026, 3, 4, 12, 0).astimezone()
YESTERDAY = datetime(2026, 3, 3, 14, 2).astimezone()
LONG_RULE = "ladder.rules.when_it_climbs_well"


def entry(number: int, began: datetime, kind: str = "session", **more: Any) -> RegisterEntry:
    stage = more.setdefault("stage", "first")
    known = {
        "ticket": Ticket(register_id="r", number=number),
        "kind": kind,
        "rig": "rig-b",
        "began": began,
        "curriculum": "Ladder",
        "trainer_state": short_digest(trainer_state(stage)),
        **({"session_name": f"123456_{number}", "state": "completed"} if kind == "session" else {}),
    }
    return RegisterEntry(**(known | more))


def decision(stage: str | None, *rules: str) -> EntryDecision:
    return EntryDecision(suggestion="s", outcome="applied", curriculum="Ladder", stage=stage, rule=rules)


def session_of(*entries: RegisterEntry, stage: str | None = "second", **more: Any) -> SessionContext:
    """The session of an animal that stands at `stage` by the last of its entries that put it there."""
    put = next((e for e in reversed(entries) if e.put_the_animal), None)
    state = AnimalState(
        trainer_state=trainer_state(stage),
        metrics={"climbed": 12, "rate": 0.51234},
        session_name=put.session_name if put else None,
        date=put.began if put else YESTERDAY,
        ticket=put.ticket if put else None,
    )
    context: dict[str, Any] = {
        "animal_state": state,
        "animal_entries": entries,
        "rig_name": "rig-a",
        "task": {"name": "Climb"},
        "task_source": "trainer state",
    }
    session = a_session(Path("/data"), date=NOON, **(context | more))
    people = {"experimenter": ["Ana", "Ben"], "notes": "new lick spout"}
    return session.model_copy(update={"session": session.session.model_copy(update=people)})


def text_of(card: Card) -> list[str]:
    console = Console(width=80, file=io.StringIO(), force_terminal=False, highlight=False, legacy_windows=False)
    console.print(drawn(card, NOON, 80, str))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


CLIMBS = (
    entry(1, NOON - timedelta(days=9), "enrolled", by="ana"),
    entry(2, NOON - timedelta(days=3), sessions_at_stage=1, minutes=61.0, decision=decision("first")),
    entry(3, YESTERDAY, sessions_at_stage=2, minutes=58.4, decision=decision("second", LONG_RULE)),
)


def test_the_card_at_eighty_columns() -> None:
    assert text_of(card_of(session_of(*CLIMBS))) == [
        "╭─ Animal 123456 ──────────────────────────────────────────────────────────────╮",
        "│ curriculum     Ladder 1.0.0                                                  │",
        "│ stage          second, since yesterday 14:02, no session there               │",
        "│ last session   yesterday 14:02 on rig-b: completed, 58 min                   │",
        "│ last decision  first -> second                                               │",
        "│ rule           when_it_climbs_well                                           │",
        "│ metrics        climbed 12, rate 0.5123                                       │",
        "│ runs now       Climb, from its stage                                         │",
        "│ on rig         rig-a                                                         │",
        "│ experimenter   Ana, Ben                                                      │",
        "│ notes          new lick spout                                                │",
        "╰──────────────────────────────────────────────────────────────────────────────╯",
    ]


def test_without_a_terminal_it_is_lines_of_any_length() -> None:
    session = session_of(*CLIMBS)
    notes = session.session.model_copy(update={"notes": f"{'long ' * 30}\nand more"})
    lines = list(written(card_of(session.model_copy(update={"session": notes})), NOON))
    assert lines[:3] == [
        "Animal 123456",
        "  curriculum     Ladder 1.0.0",
        "  stage          second, since yesterday 14:02, no session there",
    ]
    assert lines[-2:] == [f"  notes          {'long ' * 30}", "                 and more"]


def fact(name: str, session: SessionContext, **how: Any) -> str | None:
    return card_of(session).facts(NOON, **how).get(name)


@pytest.mark.parametrize(
    ("made", "full", "moved", "rule"),
    [
        (decision("second", LONG_RULE), False, "first -> second", "when_it_climbs_well"),
        (decision("second", LONG_RULE), True, "first -> second", LONG_RULE),
        (decision("second", LONG_RULE, "other.rested"), False, "first -> second", "one of when_it_climbs_well, rested"),
        (decision("second"), False, "first -> second", None),
        (decision(None), False, "first -> off curriculum", None),
        (decision("first"), False, "stays at first", None),
    ],
)
def test_the_last_decision_names_the_rule_that_fired(
    made: EntryDecision, full: bool, moved: str, rule: str | None
) -> None:
    session = session_of(entry(1, YESTERDAY, decision=made), stage=made.stage)
    assert (fact("last decision", session), fact("rule", session, full=full)) == (moved, rule)


@pytest.mark.parametrize(("kind", "told"), [("moved", "moved to"), ("enrolled", "enrolled at")])
def test_who_put_the_animal_there_by_hand_is_named(kind: str, told: str) -> None:
    session = session_of(CLIMBS[1], entry(3, YESTERDAY, kind, stage="third", by="ana"), stage="third")
    assert fact("last decision", session) == f"yesterday 14:02: {told} third by ana"
    assert fact("last session", session) == "3 days ago on rig-b: completed, 61 min"


def test_a_decision_that_another_store_has_is_said_to_be_its_own() -> None:
    session = session_of(*CLIMBS)
    assert session.animal_state
    elsewhere = session.animal_state.model_copy(update={"ticket": None, "session_name": "123456_monday"})
    told = fact("last decision", session.model_copy(update={"animal_state": elsewhere}))
    assert told == "yesterday 14:02: second, by session 123456_monday"


def test_a_stage_counts_its_sessions_and_those_without_any_change() -> None:
    first = entry(1, NOON - timedelta(days=9), decision=decision("second"))
    here = [
        entry(n, NOON - timedelta(days=9 - n), stage="second", sessions_at_stage=n - 1, sessions_unchanged=n - 2)
        for n in (2, 3, 4)
    ]
    came = "second, since 9 days ago, 3 sessions there, 2 since anything changed"
    assert fact("stage", session_of(first, *here)) == came
    # Of an animal that is there for longer than its newest entries tell.
    assert fact("stage", session_of(*here[1:])) == (
        "second, since 6 days ago or longer, 3 sessions there, 2 since anything changed"
    )


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (entry(3, YESTERDAY, decision=decision(None)), "first -> off curriculum"),
        (entry(3, YESTERDAY, "moved", stage=None, by="ana"), "yesterday 14:02: moved off curriculum by ana"),
    ],
    ids=["by its curriculum", "by hand"],
)
def test_an_animal_that_left_and_keeps_its_task_is_shown_to_have_left(left: RegisterEntry, told: str) -> None:
    session = session_of(CLIMBS[0], left)
    assert session.animal_state
    off = session.animal_state.model_copy(update={"trainer_state": off_curriculum("first")})
    session = session.model_copy(update={"animal_state": off})
    assert fact("last decision", session) == told
    stage = "first (off curriculum: nothing decides over this animal), since yesterday 14:02, no session there"
    assert fact("stage", session) == stage


def test_an_animal_that_left_its_curriculum_says_so() -> None:
    session = session_of(entry(1, YESTERDAY, "moved", stage=None), stage=None)
    assert (fact("stage", session) or "").startswith("none (off curriculum: nothing decides over this animal)")


def test_an_animal_without_a_state_has_a_card_of_what_is_known() -> None:
    session = session_of(animal_state=None, task_source="animal", task={"stage_name": "habituation", "name": "Climb"})
    assert card_of(session).facts(NOON) == {
        "runs now": "habituation, the animal's own task.json",
        "on rig": "rig-a",
        "experimenter": "Ana, Ben",
        "notes": "new lick spout",
    }


def test_a_task_that_was_given_says_that_no_curriculum_decides() -> None:
    told = fact("runs now", session_of(*CLIMBS, task_source="file"))
    assert told == "Climb, from --task; no curriculum decides over this session"


def test_every_warning_is_on_the_card_and_only_one_about_the_animal_stands_out() -> None:
    dirty, today = Check.warning("task repository", "It has changes."), Check.warning("ran today", "It had one.")
    sound = Check.passed("disk space")
    of_rig = {"checks": [check.model_dump() for check in (sound, dirty)], "single": dirty.model_dump(), "none": None}
    card = card_of(session_of(*CLIMBS, results={"pre_session": of_rig}))
    assert (card.warnings, card.stands_out) == ((dirty, dirty), False)
    card = card_of(session_of(*CLIMBS, results={"pre_session": {"launcher": [today.model_dump()], **of_rig}}))
    assert (card.warnings[0], card.stands_out) == (today, True)


def test_as_data_it_has_whole_names_and_times() -> None:
    data = card_of(session_of(*CLIMBS)).model_dump(mode="json")
    assert data["last_decision"]["rule"] == [LONG_RULE]
    assert datetime.fromisoformat(data["last_session"]["began"]) == YESTERDAY
    assert (data["stage"], data["sessions_at_stage"], data["metrics"]["climbed"]) == ("second", 0, 12)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (NOON - timedelta(hours=3), "today 09:00"),
        (NOON - timedelta(hours=13), "yesterday 23:00"),
        (NOON - timedelta(hours=37), "2 days ago"),
        (NOON - timedelta(days=13), "13 days ago"),
        (NOON - timedelta(days=14), "2026-02-18 12:00"),
        (NOON + timedelta(days=1), "2026-03-05 12:00"),
    ],
)
def test_a_time_is_said_as_people_say_it(moment: datetime, told: str) -> None:
    assert when(moment, NOON) == told


def took(minutes: float) -> Acquisition:
    return Acquisition(outcome="completed", start=NOON, end=NOON + timedelta(minutes=minutes))


def lasting(*minutes: float | None, state: str = "completed") -> tuple[RegisterEntry, ...]:
    return tuple(entry(n, YESTERDAY, minutes=m, state=state) for n, m in enumerate(minutes, 1))


def test_a_session_of_less_than_half_is_named_against_the_animals_last_ones() -> None:
    before = lasting(10, 58, 60, 61, 59, 63)
    assert unusually_short(took(12), before) == "12 min; its last 5 sessions took 58 to 63 min"
    assert unusually_short(took(30), before) is None
    assert unusually_short(took(12), lasting(60, 60, 60)) == "12 min; its last 3 sessions took 60 min"


@pytest.mark.parametrize(
    "before",
    [(), lasting(60, 60), lasting(60, 60, None), lasting(60, 60, 60, state="interrupted"), lasting(0.5, 0.5, 0.5)],
    ids=["none", "two", "one of unknown length", "broken off", "trials of seconds"],
)
def test_without_enough_whole_sessions_nothing_is_short(before: tuple[RegisterEntry, ...]) -> None:
    assert unusually_short(took(0.1), before) is None


def test_the_last_session_is_said_to_have_been_short() -> None:
    last = fact("last session", session_of(*lasting(60, 60, 60), entry(4, YESTERDAY, minutes=9.0)))
    assert last == "yesterday 14:02 on rig-b: completed, 9 min; its last 3 sessions took 60 min"
