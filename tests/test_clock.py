"""A clock that is set back is noticed: what this machine did before would lie in the future."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command_line import call
from contexts import MONDAY, TUESDAY

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord, SessionState
from aind_launcher.lifecycle.clock import clock_check
from aind_launcher.testing import TaskRepositoryForTests

FAR = datetime.fromisoformat("2031-03-02T09:30+00:00")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        yield journal


def enter(journal: Journal, name: str, started: datetime, ended: datetime | None = None) -> None:
    state: SessionState = "completed" if ended else "running"
    folder = Path("data", name)
    record = SessionRecord(name, "123456", Path("task"), folder, state, started, ended, 0 if ended else None, None)
    journal.import_session(record, "{}", ())


def test_a_machine_without_sessions_has_no_clock_to_doubt(journal: Journal) -> None:
    assert clock_check(journal, MONDAY) is None


def test_a_clock_after_the_newest_session_is_right(journal: Journal) -> None:
    enter(journal, "monday", MONDAY, MONDAY + timedelta(hours=1))
    assert clock_check(journal, TUESDAY) is None
    # A clock that the network has put right by some seconds is no clock that was set back.
    assert clock_check(journal, MONDAY + timedelta(minutes=57)) is None


@pytest.mark.parametrize("ended", [None, TUESDAY + timedelta(hours=1)])
def test_a_clock_before_the_newest_session_is_a_warning_with_both_times(
    journal: Journal, ended: datetime | None
) -> None:
    enter(journal, "tuesday", TUESDAY, ended)
    check = clock_check(journal, MONDAY)
    assert check is not None
    assert (check.name, check.outcome) == ("clock", "warning")
    for moment in (MONDAY, ended or TUESDAY):
        assert f"{moment.astimezone():%Y-%m-%d %H:%M}" in check.message
    assert "session tuesday" in check.message
    assert "Set the clock" in (check.hint or "")


def test_an_end_in_the_future_counts_too(journal: Journal) -> None:
    enter(journal, "monday", MONDAY, TUESDAY)
    assert clock_check(journal, MONDAY + timedelta(hours=1)) is not None


def test_one_session_of_2031_is_forgotten_once_a_later_one_has_run(journal: Journal) -> None:
    enter(journal, "far", FAR, FAR)
    assert clock_check(journal, MONDAY) is not None
    # The session that runs now was entered with the clock that is in question.
    enter(journal, "now", MONDAY)
    assert clock_check(journal, MONDAY, running="now") is not None
    enter(journal, "next", TUESDAY)
    assert clock_check(journal, TUESDAY, running="next") is None


def test_what_else_is_known_may_not_lie_in_the_future_either(journal: Journal) -> None:
    enter(journal, "monday", MONDAY)
    known = [("an enrolment", MONDAY), ("the decision on session x", FAR)]
    check = clock_check(journal, TUESDAY, known)
    assert check is not None
    assert "the decision on session x" in check.message
    assert clock_check(journal, TUESDAY, known[:1]) is None


def test_run_and_doctor_warn_and_the_session_is_not_refused(task_repository: TaskRepositoryForTests) -> None:
    lab = task_repository
    assert "clock" not in call("doctor", cwd=lab.path).out
    with Journal.open(lab.journal) as journal:
        enter(journal, "999999_far", FAR, FAR)
    doctor = call("doctor", cwd=lab.path)
    ran = call("run", "--subject", "123456", cwd=lab.path)
    assert ran.code == 0
    for said in (doctor.out, ran.err):
        assert "session 999999_far" in " ".join(said.split())
        assert "2031-03-02" in said
    # That one was entered later.
    assert "999999_far" not in call("doctor", cwd=lab.path).out
    assert "999999_far" not in call("run", "--subject", "123456", cwd=lab.path).err
