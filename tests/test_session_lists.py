"""Lists of sessions tell what was decided, people write notes, and the library learns what is given up."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from command_line import call, launch, started
from contexts import trainer_state
from hypothesis import given
from hypothesis import strategies as st
from task_repositories import laboratory

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.cli.since import moment
from aind_launcher.errors import UsageError
from aind_launcher.model.clock import now
from aind_launcher.model.store import Decision, with_rules
from aind_launcher.system.rig import rig_lock
from aind_launcher.testing import SUBJECT, TaskRepositoryForTests


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    """A task repository after two sessions, of which the curriculum failed on the second."""
    made = laboratory(tmp_path)
    assert call("run", "--subject", SUBJECT, "--set", "rig-name=box-1", cwd=made.path).code == 0
    made.break_curriculum()
    assert call("run", "--subject", SUBJECT, "--set", "rig-name=box-1", cwd=made.path).code == 1
    made.repair_curriculum()
    return made


def listed(lab: TaskRepositoryForTests, *options: str) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = json.loads(call("sessions", "list", *options, "--json", cwd=lab.path).out)
    return sessions


def library(lab: TaskRepositoryForTests) -> Library:
    return Library(lab.root / "library", "climbing")


def test_a_list_of_sessions_shows_what_was_decided_on_each(lab: TaskRepositoryForTests) -> None:
    _, late = listed(lab)
    assert [session["decision"] for session in listed(lab)] == ["rung1 -> rung2", None]
    library(lab).move(SUBJECT, trainer_state("third"), reason="a try", by="me")
    assert call("resume", late["session"], cwd=lab.path).code == 0
    assert [session["decision"] for session in listed(lab)] == ["rung1 -> rung2", "superseded"]
    assert re.search(r"Z +completed .* rung1 -> rung2", call("sessions", "list", cwd=lab.path).out)


def test_a_list_of_animals_shows_their_last_run_and_the_sessions_at_the_stage(lab: TaskRepositoryForTests) -> None:
    (animal,) = json.loads(call("animals", "list", "--json", cwd=lab.path).out)
    assert (animal["sessions_at_stage"], animal["sessions_unchanged"]) == (1, 1)
    assert animal["last_session"]["session_name"] == listed(lab)[-1]["session"]
    assert re.search(r"rung2 +1 .*:\d\d, box-1$", call("animals", "list", cwd=lab.path).out, re.MULTILINE)


def test_an_animal_that_cannot_be_read_does_not_widen_the_table(lab: TaskRepositoryForTests) -> None:
    usual = call("animals", "list", cwd=lab.path).out.splitlines()[1]
    (lab.subjects / "77").mkdir()
    (lab.subjects / "77" / "trainer_state.json").write_text("{oops", encoding="utf-8")
    whole, damaged = call("animals", "list", cwd=lab.path).out.splitlines()[1:]
    assert (whole.split(), len(whole) < len(usual) + 20) == (usual.split(), True)
    assert re.search(r"^77 +unreadable +The trainer state in .* is not JSON", damaged)


# -- since ---------------------------------------------------------------------------------------------------------


def test_sessions_since_a_day(lab: TaskRepositoryForTests) -> None:
    assert len(listed(lab, "--since", "today")) == 2
    assert len(listed(lab, "--since", "yesterday")) == 2
    assert listed(lab, "--since", f"{now() + timedelta(days=1):%Y-%m-%d}") == []
    assert call("sessions", "list", "--since", "", cwd=lab.path).code == 2


# Windows has no list of zones.
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_today_and_yesterday_begin_at_midnight_of_this_machine(moment_of_asking: datetime) -> None:
    today, yesterday = (moment(day, moment_of_asking).astimezone() for day in ("today", "yesterday"))
    day = moment_of_asking.astimezone().date()
    assert (today.date(), yesterday.date()) == (day, day - timedelta(days=1))
    assert {today.time(), yesterday.time()} == {time.min}


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=ZONES))
def test_a_date_means_itself_whatever_its_zone(date: datetime) -> None:
    assert moment(date.isoformat(), now()) == datetime.fromisoformat(date.isoformat())


@given(st.one_of(st.text(), st.from_regex(r"\d{1,30}[hdw]", fullmatch=True)))
def test_what_is_no_moment_is_refused_in_a_sentence(text: str) -> None:
    asked = datetime(2026, 3, 2, tzinfo=UTC)
    try:
        found = moment(text, asked)
    except UsageError as error:
        assert error.message.startswith(f"--since {text} is ")
        assert error.hint
    else:
        assert found.tzinfo is not None


# -- notes ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="arguments on Windows are Unicode")
def test_what_is_kept_and_is_no_text_is_refused(lab: TaskRepositoryForTests) -> None:
    name = listed(lab)[0]["session"]
    note, move = ("sessions", "note", name), ("animals", "move", "123456", "--off-curriculum", "--reason")
    for words in ((*note, "spout \udcff"), (*note, "spout", "--by", "kim \udcff"), (*move, "spout \udcff")):
        ended = launch(*words, cwd=lab.path)
        assert (ended.code, "is not text" in ended.err) == (2, True)
    assert listed(lab)[0]["notes"] == []


def test_notes_are_shown_with_their_session_also_after_the_journal_was_lost(lab: TaskRepositoryForTests) -> None:
    done, other = (session["session"] for session in listed(lab))
    folder = Path(listed(lab)[0]["folder"])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert call("sessions", "note", done, "the spout was blocked", "--by", "kim", cwd=lab.path).code == 0
    with rig_lock(lab.state):
        # An operator writes while the next animal runs.
        assert call("sessions", "note", done, "é: weighed twice", "--by", "kim", cwd=lab.path).code == 0
    told = [("kim", "the spout was blocked"), ("kim", "é: weighed twice")]

    def notes() -> list[list[tuple[str, str]]]:
        return [[(note["by"], note["text"]) for note in session["notes"]] for session in listed(lab)]

    assert notes() == [told, []]
    shown = call("sessions", "show", done, cwd=lab.path).out
    assert re.search(r"^noted +by +note\n\S+ \S+ +kim +the spout was blocked\n.* kim +é: weighed twice$", shown, re.M)
    assert "note" not in {
        step["hook"] for step in json.loads(call("sessions", "show", "--json", cwd=lab.path).out)["steps"]
    }
    assert listed(lab)[0]["state"] == "completed"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    lab.journal.unlink()
    assert call("sessions", "import", str(folder), str(lab.data / other), cwd=lab.path).code == 0
    assert notes() == [told, []]
    assert call("resume", "--all", cwd=lab.path).code == 0
    assert notes() == [told, []]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["1_2026-01-01T000000Z", "x"], "The journal has no session 1_2026-01-01T000000Z"),
        ([None, " "], "The note is empty"),
    ],
)
def test_a_note_needs_a_session_and_a_text(
    lab: TaskRepositoryForTests, arguments: list[str | None], sentence: str
) -> None:
    session = listed(lab)[0]["session"]
    ended = call("sessions", "note", *(argument or session for argument in arguments), cwd=lab.path)
    assert (ended.code, sentence in ended.err) == (2, True)


# -- what is left on a rig -----------------------------------------------------------------------------------------


def unfinished(lab: TaskRepositoryForTests) -> list[str]:
    """By what the rigs reported, and by the register."""
    data = json.loads(call("today", "--json", cwd=lab.path).out)
    return [session["session"] for rig in data["rigs"] for session in rig["unfinished"]]


def test_what_is_given_up_or_brought_back_is_known_to_the_library(lab: TaskRepositoryForTests) -> None:
    done, left = (session["session"] for session in listed(lab))
    box = ("--set", "rig-name=box-1")
    assert unfinished(lab) == [left]
    assert call("sessions", "close", left, "--reason", "the data is lost", *box, cwd=lab.path).code == 0
    assert unfinished(lab) == []
    assert library(lab).register(SUBJECT).entries[-1].state == "closed"
    lab.journal.unlink()
    assert call("sessions", "import", str(lab.data / done), *box, cwd=lab.path).code == 0
    assert unfinished(lab) == [done]


def test_a_session_is_given_up_also_without_the_library(lab: TaskRepositoryForTests) -> None:
    left = listed(lab)[-1]["session"]
    (lab.root / "library").rename(lab.root / "unplugged")
    ended = call("sessions", "close", left, "--reason", "the data is lost", cwd=lab.path)
    assert (ended.code, ended.out.startswith(f"{left}: closed.")) == (0, True)
    # Nothing is written where the library would be.
    assert not (lab.root / "library").exists()


def test_a_session_is_given_up_also_where_the_store_is_broken(lab: TaskRepositoryForTests) -> None:
    left = listed(lab)[-1]["session"]
    lab.write(
        "more.py", "from aind_launcher import hookimpl\n@hookimpl\ndef animal_store():\n    raise OSError('no disk')"
    )
    lab.configure("", {"broken": "more"})
    ended = launch("sessions", "close", left, "--reason", "the data is lost", cwd=lab.path)
    assert (ended.code, ended.out.startswith(f"{left}: closed.")) == (0, True)
    assert "The animals' store cannot be asked: Plugin broken" in ended.err
    assert "Traceback" not in ended.err


WAITS = """
    from aind_launcher import hookimpl

    class Waits:
        @hookimpl(tryfirst=True)
        def run_session(self, session):
            if session.subject == "1":
                print("waiting", flush=True)
                input()
"""


@pytest.mark.integration
def test_an_animal_is_running_while_its_rig_is_at_it_and_unfinished_once_the_rig_was_killed(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, WAITS, names={"waits": "Waits"})
    for subject in ("1", "2"):
        lab.add_animal(subject)

    def statuses() -> dict[str, str]:
        animals = json.loads(call("today", "--json", cwd=lab.path).out)["animals"]
        return {animal["subject"]: animal["status"] for animal in animals}

    assert statuses() == {"1": "unknown", "123456": "unknown", "2": "unknown"}
    with started("run", "--subject", "1", cwd=lab.path, stdin=subprocess.PIPE) as process:
        assert "waiting\n" in (process.stdout or ())
        assert statuses() == {"1": "running", "123456": "unknown", "2": "unknown"}
        process.kill()
        process.wait()
    # Its rig says so when it is used again.
    assert call("run", "--subject", "2", cwd=lab.path).code == 0
    assert statuses() == {"1": "not handed off", "123456": "unknown", "2": "done"}
    (left,) = [line for line in call("today", cwd=lab.path).out.splitlines() if "its end was not seen" in line]
    assert " 1_" in left


# -- decisions -----------------------------------------------------------------------------------------------------


def test_the_decisions_of_an_animal_are_shown_with_their_metrics(lab: TaskRepositoryForTests) -> None:
    shown = call("animals", "show", SUBJECT, cwd=lab.path).out
    assert re.search(r'suggestion +rung2 +\S+Z +\{"climbed": 1\}$', shown, re.MULTILINE)


def test_the_rule_of_an_older_decision_is_found_in_the_curriculum() -> None:
    def decision(
        stage: str, *, kind: str = "suggestion", superseded: bool = False, **recorded: tuple[str, ...]
    ) -> Decision:
        document = json.loads(trainer_state(stage).text)
        document["curriculum"]["graph"]["graph"] = {"0": [["rules.up", 1]], "1": [["rules.top", 2], ["rules.down", 0]]}
        state = json.dumps(document)
        return Decision(kind=kind, date=now(), trainer_state=state, superseded=superseded, **recorded)

    history = [
        decision("first", kind="enrolled"),
        decision("second"),
        decision("third", superseded=True),
        decision("first"),
        decision("third", kind="moved"),
        decision("third"),
        decision("first", rule=("rules.recorded",)),
        # A newer launcher has recorded that none fired: the session had not run with what was before.
        decision("second", rule=()),
    ]
    rules = [(), ("rules.up",), ("rules.top",), ("rules.down",), (), (), ("rules.recorded",), ()]
    assert [decision.rule for decision in with_rules(history)] == rules
