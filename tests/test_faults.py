"""Whatever a plugin, a disk or the journal does: the session goes on, says so, and can be finished."""

import sqlite3
from pathlib import Path

import pytest
from command_line import call, closed_pipe, launch
from contexts import journal_on_a_full_disk
from task_repositories import laboratory

from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepRecord
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.resume import ResumeOptions
from aind_launcher.testing import TaskRepositoryForTests

PLUGINS = '''
    import json
    import os
    import sys
    from pathlib import Path
    from aind_launcher import hookimpl

    def deep(levels):
        value = 0
        for _ in range(levels):
            value = [value]
        return value

    def circular():
        value = []
        value.append(value)
        return value

    # Each is returned by a plugin of its own.
    ODD = {
        "surrogate": "half a character: \\ud83d", "nan": float("nan"), "number": 10 ** 5000, "deep": deep(150),
        "deeper": deep(230), "deepest": deep(5000), "circular": circular(), "bytes": b"\\xff\\xfe", "type": int,
        "generator": (n for n in ()), "keys": {(1, 2): 3}, "path": Path("x"), "set": {1}, "control": "\\x00\\x1b[2J",
    }

    class Returns:
        @hookimpl
        def post_session(self, session, suggestion):
            return ODD[type(self).__name__.lower()]

    for name in ODD:
        globals()[name.title()] = type(name.title(), (Returns,), {})

    def happened_before(session, what):
        """Whether this was called before for this session."""
        mark = session.repository.path.parent / f"{session.name} {what}"
        mark_was_there = mark.exists()
        mark.touch()
        return mark_was_there

    class Exits:
        @hookimpl
        def post_session(self, session):
            if not happened_before(session, "exits"):
                os._exit(7)

    class AlwaysExits:
        @hookimpl(trylast=True)
        def post_session(self, session):
            os._exit(7)

    class QuitsTheRun:
        @hookimpl(tryfirst=True)
        def run_session(self, session):
            (session.folder / "behavior" / "trials.txt").write_text("half")
            sys.exit("goodbye")

    class CannotSay:
        @hookimpl
        def post_session(self):
            class Mute(Exception):
                def __str__(self):
                    raise RuntimeError("no words")
            raise Mute

    class Twice:
        @hookimpl
        def post_session(self, session):
            if not (happened_before(session, "once") and happened_before(session, "twice")):
                raise OSError("the server is down")
            return "pushed"

    class Asks:
        interactive = True

        @hookimpl
        def post_session(self, session):
            return "answered"

    class Sees:
        @hookimpl
        def transfer_session(self, session):
            if not session.folder.is_dir():
                raise FileNotFoundError(session.folder)
            names = sorted(path.name for path in session.folder.rglob("*") if path.is_file())
            return {"number": session.hand_off, "names": names}

    class Away:
        @hookimpl
        def post_session(self, session):
            if not happened_before(session, "away"):
                session.folder.rename(session.folder.with_name("elsewhere"))

    class Ruins:
        @hookimpl
        def post_session(self, session):
            from glob import glob
            if not happened_before(session, "ruined"):
                for file in glob(str(session.staging.parent.parent / "journal.sqlite*")):
                    with open(file, "r+b") as opened:
                        opened.write(b"ruined " * 4096)
'''


UNSTORABLE = """
    class Decides:
        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            from aind_launcher import CurriculumSuggestion
            state = session.animal_state.trainer_state
            suggestion = CurriculumSuggestion(text='{}', trainer_state=state)
            return suggestion.model_copy(update={"new_files": ("caf\\udce9.txt",)})

    class MissesTheEnd:
        @hookimpl
        def session_finished(self):
            raise OSError("the display is off")
"""


class Somebody(Operator):
    """Somebody is at the rig, who takes every default."""

    attended = True


def steps(lab: TaskRepositoryForTests, name: str) -> dict[tuple[str, str], StepRecord]:
    with Journal.open(lab.journal) as journal:
        return {(s.id.hook, s.id.plugin): s for s in journal.current_steps(name)}


# Plugins


def test_a_session_goes_on_and_resumes_whatever_a_plugin_returns(tmp_path: Path) -> None:
    odd = ["surrogate", "nan", "number", "deep", "deeper", "deepest", "circular"]
    odd += ["bytes", "type", "generator", "keys", "path", "set", "control"]
    names = {name: name.title() for name in odd} | {"sees": "Sees", "twice": "Twice"}
    lab = laboratory(tmp_path, PLUGINS, names=names)
    outcome = lab.run()
    assert {s.id.plugin for s in outcome.steps if s.state == "failed"} == {"twice"}
    done = steps(lab, outcome.session.name)
    assert {name for name in odd if done["post_session", name].state != "done"} == set()
    for _ in range(2):
        outcome = lab.resume(outcome.session.name)
    assert outcome.state == "completed"


def test_a_decision_that_cannot_be_stored_fails_its_step_and_the_data_leaves(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS + UNSTORABLE, names={"decides": "Decides", "sees": "Sees"})
    outcome = lab.run()
    assert "cannot be stored" in (steps(lab, outcome.session.name)["curriculum_suggest", "decides"].error or "")
    assert steps(lab, outcome.session.name)["transfer_session", "sees"].state == "done"
    assert lab.stage() == "rung1"


def test_an_end_that_a_plugin_misses_again_is_no_success_of_a_resume(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS + UNSTORABLE, names={"misses": "MissesTheEnd"})
    name = lab.run().session.name
    assert call("resume", name, cwd=lab.path).code == 1


def test_an_error_that_cannot_describe_itself_fails_its_step_alone(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"mute": "CannotSay", "sees": "Sees"})
    outcome = lab.run()
    assert steps(lab, outcome.session.name)["post_session", "mute"].error == "Mute: a Mute (more.py:64)"
    assert steps(lab, outcome.session.name)["transfer_session", "sees"].state == "done"


def test_what_fails_twice_and_then_works_is_done_by_the_third_call(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, 'required-steps = ["twice"]', names={"twice": "Twice", "sees": "Sees"})
    outcome = lab.run()
    for _ in range(2):
        assert (outcome.state, outcome.held) == ("incomplete", "twice must be done before the hand-off")
        assert ("transfer_session", "sees") not in steps(lab, outcome.session.name)
        outcome = lab.resume(outcome.session.name)
    assert (outcome.state, outcome.held) == ("completed", None)
    assert steps(lab, outcome.session.name)["post_session", "twice"].attempt == 3


def test_a_held_hand_off_is_shown_at_every_start(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, 'required-steps = ["twice"]', names={"twice": "Twice", "sees": "Sees"})
    name = lab.run().session.name
    started = call("run", "--subject", "123456", cwd=lab.path)
    assert f"{name}: twice must be done before the hand-off" in started.err


def test_a_plugin_that_ends_the_process_is_called_again_by_resume(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"exits": "Exits", "sees": "Sees"})
    assert launch("run", "--subject", "123456", cwd=lab.path).code == 7
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
    assert record.state == "running"
    assert steps(lab, record.name)["post_session", "exits"].state == "running"
    assert lab.resume(record.name).state == "completed"
    assert steps(lab, record.name)["post_session", "exits"].attempt == 2


def only_session(lab: TaskRepositoryForTests) -> str:
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
    return record.name


@pytest.mark.integration
def test_a_plugin_that_always_ends_the_process_can_be_left_out(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"exits": "AlwaysExits", "sees": "Sees"})
    assert launch("run", "--subject", "123456", cwd=lab.path).code == 7
    assert launch("resume", "--all", cwd=lab.path).code == 7
    # For one call: all else is done, and what it has to do waits.
    assert launch("resume", "--all", "-p", "no:exits", cwd=lab.path).code == 1
    assert steps(lab, only_session(lab))["transfer_session", "sees"].state == "done"
    # For good: nothing is left.
    disabled = 'disable=["isolated-curriculum", "acquisition", "exits"]'
    assert launch("resume", "--all", "--set", disabled, cwd=lab.path).code == 0
    with Journal.open(lab.journal) as journal:
        assert [record.state for record in journal.sessions()] == ["completed"]


def test_an_acquisition_that_quits_has_failed_and_its_data_leaves(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"quits": "QuitsTheRun", "sees": "Sees"})
    outcome = lab.run()
    assert (outcome.state, outcome.exit_code) == ("failed", 4)
    assert outcome.session.acquisition is not None
    assert outcome.session.acquisition.message == "SystemExit: goodbye (more.py:56)"
    assert "trials.txt" in steps(lab, outcome.session.name)["transfer_session", "sees"].result["names"]
    assert lab.stage() == "rung1"


def test_a_plugin_that_asks_a_person_waits_for_one(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"asks": "Asks", "sees": "Sees"})
    outcome = lab.run()
    for _ in range(2):
        assert outcome.state == "incomplete"
        assert "asks a person" in (steps(lab, outcome.session.name)["post_session", "asks"].error or "")
        assert call("resume", "--all", "--unattended", cwd=lab.path).code == 1
    assert lab.resume(outcome.session.name, operator=Somebody()).state == "completed"
    assert steps(lab, outcome.session.name)["post_session", "asks"].result == "answered"


def test_the_folder_is_handed_off_again_where_a_late_answer_belongs_into_it(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"sees": "Sees"})
    lab.write("curriculum-is-broken", "")
    name = lab.run().session.name
    (lab.path / "curriculum-is-broken").unlink()
    lab.resume(name)
    assert "suggestion.json" not in steps(lab, name)["transfer_session", "sees"].result["names"]
    planned = call("resume", name, "--hand-off-again", "--dry-run", cwd=lab.path).out
    assert [line.split()[1] for line in planned.splitlines()[1:]] == [
        "keep_suggestion",
        "seal_folder",
        "transfer_session",
        "session_finished",
    ]
    again = lab.resume(name, ResumeOptions(hand_off_again=True))
    assert again.state == "completed"
    result = steps(lab, name)["transfer_session", "sees"].result
    assert result["number"] == 1
    assert {"suggestion.json", "metrics.json"} <= set(result["names"])
    assert lab.stage() == "rung2"


# The session's folder


def test_a_folder_that_vanished_is_said_and_the_session_finished_when_it_is_back(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"away": "Away", "sees": "Sees"})
    outcome = lab.run()
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    assert lab.stage() == "rung2"
    seal = steps(lab, outcome.session.name)["seal_folder", "launcher"]
    assert "is gone" in (seal.error or "")
    assert ("transfer_session", "sees") not in steps(lab, outcome.session.name)
    assert lab.resume(outcome.session.name).state == "incomplete"
    assert not outcome.session.folder.exists()
    (lab.data / "elsewhere").rename(outcome.session.folder)
    assert lab.resume(outcome.session.name).state == "completed"
    assert "session.json" in steps(lab, outcome.session.name)["transfer_session", "sees"].result["names"]


def test_what_power_left_half_written_does_not_leave_with_the_data(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, 'required-steps = ["twice"]', names={"twice": "Twice", "sees": "Sees"})
    session = lab.run().session
    (session.paths.behavior / ".metrics.json.x1y2.part").write_text("{")
    with (session.staging / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"time": "2026-')
    lab.resume(session.name)
    outcome = lab.resume(session.name)
    assert outcome.state == "completed"
    names = steps(lab, session.name)["transfer_session", "sees"].result["names"]
    assert [name for name in names if name.endswith(".part")] == []
    lines = (session.paths.launcher / "log.jsonl").read_text("utf-8").splitlines()
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert len(lines) > 5


# The journal


@pytest.mark.parametrize("content", [b"no database " * 999, b"", b"SQLite format 3\0" + b"\1" * 4096])
def test_a_corrupt_journal_is_set_aside_and_the_session_goes_on(tmp_path: Path, content: bytes) -> None:
    lab = laboratory(tmp_path)
    lab.state.mkdir()
    lab.journal.write_bytes(content)
    ended = call("run", "--subject", "123456", cwd=lab.path)
    assert ended.code == 0
    assert lab.stage() == "rung2"
    aside = [path.read_bytes() for path in lab.state.glob("*set-aside.sqlite")]
    assert aside == ([content] if content else [])
    assert ("set aside" in ended.err) == bool(content)
    with Journal.open(lab.journal) as journal:
        assert [record.state for record in journal.sessions()] == ["completed"]


def test_a_journal_that_is_ruined_during_a_session_does_not_stop_it(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"ruins": "Ruins", "sees": "Sees", "asks": "Asks"})
    outcome = lab.run()
    assert outcome.state == "incomplete"
    assert lab.stage() == "rung2"
    assert {s.id.plugin for s in outcome.steps if s.state == "waiting"} == {"asks"}
    # It is known all the same, and finished.
    assert lab.resume(outcome.session.name, operator=Somebody()).state == "completed"


@pytest.mark.integration
def test_a_locked_journal_is_gone_on_without_and_completed_later(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"asks": "Asks"})
    earlier = lab.run().session.name
    holder = sqlite3.connect(lab.journal, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    ended = launch("run", "--subject", "123456", cwd=lab.path)
    asked = [launch(*command, cwd=lab.path) for command in (("resume", "--all"), ("sessions", "list"))]
    holder.close()
    assert ended.code == 1
    assert "database is locked" in ended.err
    # A substitute knows of no sessions; that is no answer.
    assert [(each.code, each.out, "What sessions there are cannot be told" in each.err) for each in asked] == [
        (1, "", True)
    ] * 2
    assert lab.stage() == "rung3"
    with Journal.open(lab.journal, lab.data) as journal:
        first, second = journal.sessions()
    assert (first.name, first.state, second.state) == (earlier, "incomplete", "incomplete")
    assert list(lab.data.glob(".*.sqlite*")) == []
    assert lab.resume(second.name, operator=Somebody()).state == "completed"


def test_a_full_disk_does_not_cost_a_journal_that_is_whole(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    name = lab.run().session.name
    with journal_on_a_full_disk(lab.journal) as journal:
        journal.keep_session("123456_x", "123456", tmp_path, tmp_path, "x" * 1_000_000)
        assert "full" in (journal.impaired or "")
        assert journal.session("123456_x")
    # It was freed before the launcher ended.
    with Journal.open(lab.journal) as journal:
        assert {record.name for record in journal.sessions()} == {name, "123456_x"}


# What lies around


def test_a_file_where_a_folder_belongs_refuses_the_session(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    lab.data.write_text("in the way")
    ended = call("run", "--subject", "123456", cwd=lab.path)
    assert ended.code == 3
    assert str(lab.data) in ended.err
    assert lab.data.read_text() == "in the way"


def test_a_terminal_that_is_gone_does_not_stop_a_session(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"sees": "Sees"})
    with closed_pipe() as terminal:
        launch("run", "--subject", "123456", cwd=lab.path, stdout=terminal, stderr=terminal)
    with Journal.open(lab.journal) as journal:
        assert [record.state for record in journal.sessions()] == ["completed"]
    assert lab.stage() == "rung2"
