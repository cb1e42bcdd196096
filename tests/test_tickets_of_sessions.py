"""Whole sessions and their tickets: one that begins again, one that never came to its acquisition, a lost journal."""

from pathlib import Path

import pytest
from command_line import call, launch
from task_repositories import laboratory
from test_unknown_sessions import lose_journal, sealed

from aind_launcher.builtin.local_store.folder import SESSIONS, AnimalFolder
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.errors import BeginAgain
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord
from aind_launcher.model.register import RegisterEntry
from aind_launcher.testing import SUBJECT, TaskRepositoryForTests, ladder_state

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

MEANWHILE = """
    import os
    import signal
    import time
    from aind_launcher import hookimpl
    from aind_launcher.builtin.local_store.library import Library
    from aind_launcher.testing import ladder_state

    class Meanwhile:
        @hookimpl
        def pre_session(self, session):
            root = session.repository.path.parent
            library = Library(root / "library", "climbing")
            if (root / "moved").exists():
                library.move(session.subject, ladder_state("rung5"), "ready", "somebody")
                if not (root / "always").exists():
                    (root / "moved").unlink()
            if (root / "taken").exists():
                (root / "taken").unlink()
                there = session.model_copy(update={"rig_name": "another rig"})
                library.begin(there, library.read(session.subject).state, ())

        @hookimpl(trylast=True)
        def begin_session(self, session):
            root = session.repository.path.parent
            if (root / "ctrl-c").exists():
                signal.raise_signal(signal.SIGINT)
                while True:
                    time.sleep(0.01)
            if (root / "kill").exists():
                os._exit(7)
"""


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, MEANWHILE, names={"meanwhile": "Meanwhile"})


def library_of(lab: TaskRepositoryForTests) -> Library:
    return Library(lab.root / "library", "climbing")


def sessions_in_the_register(lab: TaskRepositoryForTests) -> list[RegisterEntry]:
    return [entry for entry in library_of(lab).register(SUBJECT).entries if entry.kind == "session"]


def sessions_in_the_journal(lab: TaskRepositoryForTests) -> tuple[SessionRecord, ...]:
    with Journal.open(lab.journal) as journal:
        return journal.sessions()


def test_a_session_whose_animal_is_moved_meanwhile_begins_again_with_the_new_state(lab: TaskRepositoryForTests) -> None:
    (lab.root / "moved").touch()
    outcome = lab.run()
    assert outcome.state == "completed"
    assert outcome.session.animal_state.trainer_state.stage == "rung5"
    assert lab.stage() == "rung6"
    refused, done = sessions_in_the_journal(lab)
    assert (refused.state, done.name, done.state) == ("refused", outcome.session.name, "completed")
    assert refused.name != done.name
    (entry,) = sessions_in_the_register(lab)
    assert (entry.session_name, entry.stage, entry.ticket) == (done.name, "rung5", outcome.session.ticket)
    assert not (lab.data / refused.name).exists()


def test_a_session_whose_animal_is_moved_again_and_again_is_refused(lab: TaskRepositoryForTests) -> None:
    (lab.root / "moved").touch()
    (lab.root / "always").touch()
    with pytest.raises(BeginAgain, match="was put at rung5 since it was loaded"):
        lab.run()
    assert {record.state for record in sessions_in_the_journal(lab)} == {"refused"}
    assert sessions_in_the_register(lab) == []


def test_a_session_whose_name_another_rig_has_begins_again_with_another(lab: TaskRepositoryForTests) -> None:
    (lab.root / "taken").touch()
    outcome = lab.run()
    theirs, own = sessions_in_the_register(lab)
    assert (theirs.rig, theirs.state) == ("another rig", "running")
    assert (own.session_name, own.state) == (outcome.session.name, "completed")
    assert own.session_name != theirs.session_name


def test_a_session_that_is_interrupted_before_its_acquisition_is_cancelled_in_the_register(
    lab: TaskRepositoryForTests,
) -> None:
    (lab.root / "ctrl-c").touch()
    # In a process of its own, where the program's handler hears Ctrl-C.
    assert launch("run", "--subject", SUBJECT, cwd=lab.path).code == 130
    (entry,) = sessions_in_the_register(lab)
    assert (entry.state, entry.decision) == ("cancelled", None)
    (lab.root / "ctrl-c").unlink()
    lab.run()
    assert [entry.sessions_at_stage for entry in sessions_in_the_register(lab)] == [1, 1]


def test_a_session_whose_launcher_was_killed_before_its_acquisition_is_cancelled_by_the_resume(
    lab: TaskRepositoryForTests,
) -> None:
    (lab.root / "kill").touch()
    assert launch("run", "--subject", SUBJECT, cwd=lab.path).code == 7
    (entry,) = sessions_in_the_register(lab)
    assert entry.state == "running"
    assert lab.resume(str(entry.session_name)).state == "cancelled"
    (entry,) = sessions_in_the_register(lab)
    assert entry.state == "cancelled"


def test_a_session_whose_launcher_was_killed_before_its_acquisition_is_cancelled_when_the_next_one_begins(
    lab: TaskRepositoryForTests,
) -> None:
    (lab.root / "kill").touch()
    assert launch("run", "--subject", SUBJECT, cwd=lab.path).code == 7
    (lab.root / "kill").unlink()
    lab.run()
    assert [(entry.state, entry.sessions_at_stage) for entry in sessions_in_the_register(lab)] == [
        ("cancelled", 1),
        ("completed", 1),
    ]
    assert [record.state for record in sessions_in_the_journal(lab)] == ["cancelled", "completed"]


def test_a_ticket_comes_back_with_the_record_of_a_session_where_the_journal_was_lost(tmp_path: Path) -> None:
    lab, folder = sealed(tmp_path)
    (entry,) = sessions_in_the_register(lab)
    lose_journal(lab)
    assert call("sessions", "import", str(folder), cwd=lab.path).code == 0
    with Journal.open(lab.journal) as journal:
        assert journal.context(folder.name).ticket == entry.ticket
    assert lab.resume(folder.name).suggestion
    (entry,) = sessions_in_the_register(lab)
    assert (entry.state, entry.decision.outcome, entry.decision.stage) == ("completed", "applied", "rung2")
    # What was decided is compared by the ticket: a move since outlasts it.
    library_of(lab).move(SUBJECT, ladder_state("rung9"), "ready", "me")
    assert lab.resume(folder.name).state == "completed"
    assert lab.stage() == "rung9"


@pytest.mark.parametrize("back", [1, 2], ids=["the newest", "an older one"])
def test_an_entry_of_the_register_that_cannot_be_read_is_passed_over_with_one_warning(
    lab: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture, back: int
) -> None:
    for _ in range(2):
        lab.run()
    library = library_of(lab)
    register = AnimalFolder(library.folder(SUBJECT)).register
    number = register.numbers()[-back]
    entry = register.folder / f"{number:06d}.json"
    entry.unlink()
    # As a share's fault, or the lack of a right: it is there and cannot be read.
    entry.mkdir()
    caplog.clear()
    outcome = lab.run()
    assert (outcome.state, lab.stage()) == ("completed", "rung4")
    warnings = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert [text for text in warnings if "cannot be read" in text] == [
        f"In {register.folder}, entry {number} cannot be read and is passed over."
    ]
    assert outcome.session.ticket.number == register.numbers()[-1]
    assert len({ticket.register_id for ticket in (each.ticket for each in library.register(SUBJECT).entries)}) == 1
    assert library.overview()[0].problem is None


def test_a_session_whose_own_entry_cannot_be_read_keeps_its_decision_for_a_resume(lab: TaskRepositoryForTests) -> None:
    lab.break_curriculum()
    session = lab.run().session
    lab.repair_curriculum()
    entry = library_of(lab).folder(SUBJECT) / SESSIONS / f"{session.ticket.number:06d}.json"
    written = entry.read_bytes()
    entry.unlink()
    entry.mkdir()
    assert lab.resume(session.name).state == "incomplete"
    assert lab.stage() == "rung1"
    entry.rmdir()
    entry.write_bytes(written)
    assert lab.resume(session.name).state == "completed"
    assert lab.stage() == "rung2"
    assert sessions_in_the_register(lab)[-1].decision.outcome == "applied"
