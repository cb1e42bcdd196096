"""The library keeps where animals stand, whole, whoever writes and whatever ends it."""

import json
import math
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from contexts import MONDAY, TUESDAY, folder_for_everybody, read_only, suggestion, trainer_state
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import ANIMAL, begin, decide, folder_of, stage, standing

from aind_launcher.builtin.local_store.folder import HISTORY, LOCK, STATE, TASK
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.errors import AnimalError, TransientError, UsageError
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "a library", "odours")


# Where an animal stands


def test_an_unknown_animal_has_no_state_and_leaves_no_folder(library: Library) -> None:
    assert library.read(ANIMAL).state is None
    assert not library.read(ANIMAL).has_task
    assert library.task(ANIMAL) is None
    assert library.history(ANIMAL) == ()
    assert not library.root.exists()


def test_an_enrolled_animal_stands_where_it_was_enrolled_without_metrics(library: Library) -> None:
    before = now()
    library.enroll(ANIMAL, trainer_state("first"), by="the operator")
    state = standing(library)
    assert (state.trainer_state, state.metrics, state.session_name) == (trainer_state("first"), None, None)
    assert before <= state.date <= now()
    (entry,) = library.history(ANIMAL)
    assert (entry.kind, entry.by) == ("enrolled", "the operator")


def test_an_animal_has_one_spelling_on_every_system(library: Library) -> None:
    library.enroll("demo-mouse", trainer_state("first"), by="me")
    with pytest.raises(AnimalError, match="has no DEMO-Mouse, but it has demo-mouse") as refused:
        library.read("DEMO-Mouse")
    assert refused.value.hint == "Write demo-mouse."
    with pytest.raises(AnimalError, match="it has demo-mouse"):
        library.enroll("Demo-mouse", trainer_state("first"), by="me")
    with pytest.raises(AnimalError, match="has no Odours, but it has odours"):
        Library(library.root, "Odours").read("demo-mouse")
    assert [animal.subject for animal in library.animals()] == [*library.subjects()] == ["demo-mouse"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_trainer_state_is_kept_as_the_curriculum_wrote_it(library: Library, newline: str) -> None:
    text = trainer_state("first").text.replace("\n", newline).replace("Climb", "Kletter\u00fcbung")
    library.enroll(ANIMAL, TrainerStateText(text=text), by="me")
    assert (folder_of(library) / STATE).read_bytes() == text.encode("utf-8")
    assert standing(library).trainer_state.text == text
    assert library.history(ANIMAL)[0].trainer_state == text


def test_a_suggestion_becomes_the_animals_state_with_its_metrics(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    answer = suggestion("second", {"hits": 12, "rate": math.inf, "empty": None})
    date = now() + timedelta(hours=1)
    recorded = library.record(ANIMAL, answer, "monday", date, standing(library))
    assert recorded.outcome == "applied"
    assert standing(library) == AnimalState(
        trainer_state=TrainerStateText(text=answer.trainer_state.text),
        metrics={"hits": 12, "rate": math.inf, "empty": None},
        session_name="monday",
        date=date,
    )
    assert recorded.trainer_state.read_text("utf-8") == answer.trainer_state.text
    assert HistoryEntry.model_validate_json(recorded.entry.read_bytes()).suggestion_digest == answer.digest


def test_metrics_that_json_lacks_survive(library: Library) -> None:
    library.record(ANIMAL, suggestion("second", [math.nan]), "monday", MONDAY, None)
    metrics = standing(library).metrics
    assert isinstance(metrics, list)
    assert isinstance(metrics[0], float)
    assert math.isnan(metrics[0])


def test_a_state_written_by_another_tool_counts_and_is_marked(library: Library) -> None:
    decide(library, "second", "monday", MONDAY)
    path = folder_of(library) / STATE
    path.write_text(trainer_state("third").text, encoding="utf-8", newline="\n")
    os.utime(path, (TUESDAY.timestamp(), TUESDAY.timestamp()))
    animal = library.read(ANIMAL)
    assert animal.changed_outside
    assert animal.state == AnimalState(trainer_state=trainer_state("third"), date=TUESDAY)


def test_a_state_that_another_tool_only_laid_out_anew_is_still_the_same(library: Library) -> None:
    decide(library, "second", "monday", MONDAY)
    compact = json.dumps(trainer_state("second").document)
    (folder_of(library) / STATE).write_text(compact, encoding="utf-8-sig")
    animal = library.read(ANIMAL)
    assert not animal.changed_outside
    assert animal.state is not None
    assert (animal.state.session_name, animal.state.trainer_state.text) == ("monday", compact)


def test_what_was_changed_outside_is_kept_before_it_is_replaced(library: Library) -> None:
    path = folder_of(library) / STATE
    path.parent.mkdir(parents=True)
    path.write_text(trainer_state("second").text, encoding="utf-8", newline="\n")
    os.utime(path, (MONDAY.timestamp(), MONDAY.timestamp()))
    library.move(ANIMAL, trainer_state("third"), reason="ready", by="me")
    assert [(entry.kind, entry.trainer_state) for entry in library.history(ANIMAL)] == [
        ("found", trainer_state("second").text),
        ("moved", trainer_state("third").text),
    ]


def test_the_newest_decision_for_the_same_state_gives_its_metrics(library: Library) -> None:
    monday, tuesday = (begin(library, name) for name in ("monday", "tuesday"))
    # The clock of the second session's rig is a day behind.
    decide(library, "second", "monday", TUESDAY, ticket=monday)
    decide(library, "second", "tuesday", MONDAY, ticket=tuesday)
    assert standing(library).metrics == {"session": "tuesday"}
    library.record(ANIMAL, suggestion("second", "scored again"), "tuesday", MONDAY, None, tuesday)
    assert standing(library).metrics == "scored again"


# Who may change it


def test_an_animal_is_not_enrolled_twice_unless_it_is_replaced(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("second"), by="me")
    with pytest.raises(AnimalError, match=r"enrolled already: stage second of Ladder, since \d{4}-"):
        library.enroll(ANIMAL, trainer_state("first"), by="me")
    assert stage(library) == "second"
    library.enroll(ANIMAL, trainer_state("first"), by="me", replace=True)
    assert stage(library) == "first"
    assert len(library.history(ANIMAL)) == 2


def test_an_unreadable_state_can_be_replaced_and_is_kept(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("second"), by="me")
    (folder_of(library) / STATE).write_text("{ half", encoding="utf-8")
    library.enroll(ANIMAL, trainer_state("first"), by="me", replace=True)
    assert stage(library) == "first"
    (kept,) = folder_of(library).glob("trainer_state.unreadable-*.json")
    assert kept.read_text("utf-8") == "{ half"


def test_a_state_that_is_gone_is_restored_from_the_last_decision_whatever_its_kind(library: Library) -> None:
    decide(library, "second", "monday", MONDAY)
    library.enroll(ANIMAL, trainer_state("first"), by="me", replace=True)
    (folder_of(library) / STATE).unlink()
    assert "is gone" in str(library.lost(ANIMAL))
    (last,) = (folder_of(library) / HISTORY).glob("*_enrolled_*")
    assert f'--to "{last}"' in str(library.lost(ANIMAL))


def test_an_enrolment_that_was_cut_off_is_made_again(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    (folder_of(library) / STATE).unlink()
    assert library.lost(ANIMAL) is None
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    assert stage(library) == "first"


def test_a_move_keeps_reason_name_and_the_metrics_of_the_same_curriculum(library: Library) -> None:
    decide(library, "second", "monday", MONDAY)
    library.move(ANIMAL, trainer_state("first"), reason="moved on too early", by="the operator")
    assert (stage(library), standing(library).metrics) == ("first", {"session": "monday"})
    entry = library.history(ANIMAL)[-1]
    assert (entry.kind, entry.reason, entry.by) == ("moved", "moved on too early", "the operator")
    library.move(ANIMAL, trainer_state("first", "Another"), reason="new project", by="the operator")
    assert standing(library).metrics is None


def test_an_animal_that_is_not_enrolled_cannot_be_moved(library: Library) -> None:
    with pytest.raises(AnimalError, match="curricula enroll 123456"):
        library.move(ANIMAL, trainer_state("first"), reason="?", by="me")


def test_mondays_decision_that_comes_after_tuesdays_is_kept_and_changes_nothing(library: Library) -> None:
    assert decide(library, "third", "tuesday", TUESDAY) == "applied"
    before = (folder_of(library) / STATE).read_bytes()
    late = library.record(ANIMAL, suggestion("second"), "monday", MONDAY, None)
    assert late.outcome == "superseded"
    assert "session tuesday" in (late.because or "")
    assert (folder_of(library) / STATE).read_bytes() == before
    entry = HistoryEntry.model_validate_json(late.entry.read_bytes())
    assert entry.superseded
    assert entry.trainer_state == suggestion("second").trainer_state.text


def test_a_move_during_a_session_outlasts_the_sessions_decision(library: Library) -> None:
    decide(library, "second", "monday", MONDAY)
    ran_with = standing(library)
    library.move(ANIMAL, trainer_state("first"), reason="ill", by="me")
    assert decide(library, "third", "tuesday", TUESDAY, ran_with) == "superseded"
    assert stage(library) == "first"


def test_a_superseded_decision_for_the_same_state_does_not_give_its_metrics(library: Library) -> None:
    decide(library, "second", "tuesday", TUESDAY)
    assert decide(library, "second", "monday", MONDAY) == "superseded"
    assert standing(library).session_name == "tuesday"


def test_an_animal_put_by_hand_where_a_superseded_decision_wanted_it_was_put_there_by_hand(library: Library) -> None:
    decide(library, "third", "tuesday", TUESDAY)
    late = library.record(ANIMAL, suggestion("second"), "monday", MONDAY, None)
    late.trainer_state.write_text(suggestion("second").trainer_state.text, encoding="utf-8")
    assert library.read(ANIMAL).changed_outside
    assert standing(library).session_name is None


@pytest.mark.parametrize("date", [MONDAY, TUESDAY])
def test_a_decision_that_is_recorded_again_changes_nothing(library: Library, date: datetime) -> None:
    decide(library, "second", "monday", date)
    first = {path: path.stat().st_mtime_ns for path in folder_of(library).rglob("*.json")}
    assert decide(library, "second", "monday", date) == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in folder_of(library).rglob("*.json")} == first


def test_a_superseded_decision_that_is_recorded_again_is_kept_once(library: Library) -> None:
    decide(library, "third", "tuesday", TUESDAY)
    for _ in range(2):
        assert decide(library, "second", "monday", MONDAY) == "superseded"
    library.move(ANIMAL, trainer_state("first"), reason="ill", by="me")
    assert decide(library, "second", "monday", MONDAY) == "superseded"
    assert sum(entry.superseded for entry in library.history(ANIMAL)) == 1


@pytest.mark.integration
@settings(max_examples=40)
@given(order=st.permutations(range(4)), again=st.lists(st.integers(0, 3), max_size=4))
def test_in_whatever_order_decisions_come_the_latest_sessions_stands(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], again: list[int]
) -> None:
    library = Library(tmp_path_factory.mktemp("library"), "odours")
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    stages = ("first", "second", "third", "second")
    tickets = [begin(library, f"session-{number}") for number in range(4)]
    for number in (*order, *again):
        # Clocks go backwards: only tickets say what is later.
        date = MONDAY - timedelta(days=number)
        decide(library, stages[number], f"session-{number}", date, ticket=tickets[number])
    assert standing(library).session_name == "session-3"
    decided = [entry.session_name for entry in library.history(ANIMAL) if entry.kind == "suggestion"]
    assert sorted(map(str, decided)) == [f"session-{number}" for number in range(4)]


# What cannot be read or written


@pytest.mark.parametrize("subject", ["", "../../x", "a/b", "a\\b", "CON", ".hidden"])
def test_a_name_that_is_no_name_is_refused(library: Library, subject: str) -> None:
    attempts: list[Callable[[str], object]] = [library.read, library.task, library.history, library.refuse_known]
    for attempt in attempts:
        with pytest.raises(UsageError, match="valid subject"):
            attempt(subject)
    with pytest.raises(UsageError, match="valid subject"):
        library.enroll(subject, trainer_state("first"), by="me")
    with pytest.raises(UsageError, match="valid experiment"):
        Library(library.root, subject).read(ANIMAL)


@pytest.mark.parametrize("content", [b"{ half", b"", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_state_that_cannot_be_read_names_its_file_and_the_mend(library: Library, content: bytes) -> None:
    path = folder_of(library) / STATE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(AnimalError) as caught:
        library.read(ANIMAL)
    assert str(path) in caught.value.message
    assert caught.value.hint
    with pytest.raises(AnimalError):
        library.enroll(ANIMAL, trainer_state("first"), by="me")
    with pytest.raises(AnimalError):
        library.move(ANIMAL, trainer_state("first"), reason="?", by="me")
    with pytest.raises(AnimalError):
        library.record(ANIMAL, suggestion("first"), "monday", MONDAY, None)
    assert path.read_bytes() == content
    (listed,) = library.animals()
    assert listed.state is None
    assert str(path) in (listed.problem or "")


@pytest.mark.parametrize("content", [b"{ half", b"[]", b"\xff"])
def test_a_task_that_cannot_be_read_names_its_file(library: Library, content: bytes) -> None:
    path = folder_of(library) / TASK
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(AnimalError, match=r"task\.json"):
        library.task(ANIMAL)


def test_a_file_in_the_history_that_is_no_decision_is_passed_over_and_named(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    decide(library, "second", "monday", MONDAY)
    good = next((folder_of(library) / HISTORY).iterdir())
    bad = good.with_name(good.name.replace("2026", "2027"))
    bad.write_text("{ half", encoding="utf-8")
    assert standing(library).session_name == "monday"
    assert [entry.session_name for entry in library.history(ANIMAL)] == ["monday"]
    assert bad.name in caplog.text


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_a_library_that_may_not_be_written_says_so_and_stays_as_it_is() -> None:
    with folder_for_everybody() as folder:
        library = Library(folder / "library", "odours")
        library.enroll(ANIMAL, trainer_state("first"), by="me")
        with read_only(folder):
            assert stage(library) == "first"
            for subject in (ANIMAL, "654321"):
                with pytest.raises(TransientError, match=subject) as caught:
                    library.record(subject, suggestion("second"), "monday", now(), None)
                assert "may write there" in (caught.value.hint or "")
        assert stage(library) == "first"
        assert len(library.history(ANIMAL)) == 1


def test_an_animal_that_another_rig_holds_is_waited_for_and_then_said_to_be_held(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    impatient = Library(library.root, library.experiment, lock_timeout=0)
    lock = folder_of(library) / LOCK
    with FileLock(lock), pytest.raises(TransientError) as caught:
        impatient.record(ANIMAL, suggestion("second"), "monday", now(), None)
    assert str(lock) in caught.value.message
    assert stage(library) == "first"


def test_animals_are_listed_and_strange_files_are_not(library: Library) -> None:
    assert library.animals() == ()
    library.enroll("b", trainer_state("first"), by="me")
    Library(library.root, "sounds").enroll("c", trainer_state("first"), by="me")
    (folder_of(library, "a")).mkdir()
    (folder_of(library, "a") / TASK).write_text('{"name": "Habituation"}', encoding="utf-8")
    (folder_of(library, "notes.txt")).write_text("not an animal", encoding="utf-8")
    (library.root / "no experiment").mkdir()
    assert [(animal.subject, animal.has_task, animal.state is None) for animal in library.animals()] == [
        ("a", True, True),
        ("b", False, False),
    ]
    assert library.task("a") == {"name": "Habituation"}


def test_a_folder_that_is_no_subjects_name_is_listed_as_a_problem(library: Library) -> None:
    library.enroll("b", trainer_state("first"), by="me")
    folder_of(library, "an animal").mkdir()
    listed = {animal.subject: animal.problem for animal in library.animals()}
    assert "valid subject" in (listed["an animal"] or "")
    assert listed["b"] is None


def test_an_animal_that_is_moved_back_counts_its_sessions_at_the_stage_anew(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    ticket = begin(library, "monday")
    assert library.register(ANIMAL).sessions_at_stage == 1
    assert decide(library, "second", "monday", MONDAY, standing(library), ticket) == "applied"
    library.move(ANIMAL, trainer_state("first"), "moved on too early", "me")
    record = library.register(ANIMAL)
    assert (record.sessions_at_stage, record.sessions_unchanged) == (0, 0)
    begin(library, "tuesday", TUESDAY)
    assert library.register(ANIMAL).sessions_at_stage == 1
