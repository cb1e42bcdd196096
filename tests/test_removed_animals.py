"""An animal that is removed is gone from every list, lies whole in the archive, and comes back when it is put back."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from command_line import call
from contexts import MONDAY, a_session, suggestion
from filelock import Timeout
from refusals import REFUSED, USAGE, refuse
from task_repositories import laboratory
from terminals import at_terminal

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.locks import locked
from aind_launcher.errors import BeginAgain, TransientError
from aind_launcher.testing import SUBJECT, TaskRepositoryForTests

REMOVE = ("animals", "remove", SUBJECT)
BY = ("--by", "ana", "--reason", "the end", "--yes")
# What enrols without an environment, and a store that lacks what it may lack.
PLUGINS = """
    from aind_launcher import hookimpl
    from aind_launcher.testing import ladder_state

    class Sources:
        def first_state(self, curriculum, stage, *, source, allow_dirty, progress):
            return ladder_state("rung1")

        def verify(self, trainer_state, *, allow_dirty, progress):
            pass

    class Curricula:
        @hookimpl
        def curriculum_sources(self):
            return Sources()

    class Store:
        place = "the register"

        @hookimpl
        def animal_store(self):
            return self
"""


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, PLUGINS, names={"curricula": "Curricula"})


def archive(lab: TaskRepositoryForTests) -> list[Path]:
    return sorted((lab.subjects.parent / "Archive").iterdir())


def listed(lab: TaskRepositoryForTests) -> list[str]:
    return [animal["subject"] for animal in json.loads(call("animals", "list", "--json", cwd=lab.path).out)]


def test_it_is_gone_from_every_list_and_whole_in_the_archive(lab: TaskRepositoryForTests) -> None:
    lab.add_animal("123457")
    lab.run()
    before = {path.relative_to(lab.subjects / SUBJECT) for path in (lab.subjects / SUBJECT).rglob("*.json")}
    removed = call(*REMOVE, *BY, cwd=lab.path)
    (folder,) = archive(lab)
    assert removed.out == f"Animal {SUBJECT} was removed. All that was known of it is in {folder}.\n"
    (note,) = folder.glob("removed_*.json")
    assert {path.relative_to(folder) for path in folder.rglob("*.json") if path != note} == before
    facts = json.loads(note.read_text(encoding="utf-8"))
    assert (facts["subject"], facts["by"], facts["reason"]) == (SUBJECT, "ana", "the end")
    assert facts["date"]

    assert listed(lab) == ["123457"]
    assert SUBJECT not in call("today", cwd=lab.path).out
    assert not (lab.subjects / SUBJECT).exists()
    for arguments in (("animals", "show", SUBJECT), (*REMOVE, "--yes")):
        refuse(REFUSED, f"{SUBJECT} is not in the library .* any more: it was removed", *arguments, cwd=lab.path)
    # It is no number that somebody may have meant.
    refuse(REFUSED, r"was removed \(local-store\)\. Did you mean 123457", "run", "--subject", SUBJECT, cwd=lab.path)
    assert SUBJECT not in call("run", "--subject", "123458", cwd=lab.path).err.replace("123457", "")


def test_it_comes_back_when_its_folder_is_put_back(lab: TaskRepositoryForTests) -> None:
    lab.run()
    shown = call("animals", "show", SUBJECT, cwd=lab.path).out
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    archive(lab)[0].rename(lab.subjects / SUBJECT)
    assert call("animals", "show", SUBJECT, cwd=lab.path).out == shown
    assert lab.run().exit_code == 0
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    assert len([*archive(lab)[0].glob("removed_*.json")]) == 2


def test_a_library_whose_last_animal_was_removed_is_not_called_unplugged(lab: TaskRepositoryForTests) -> None:
    lab.run()
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    assert call("animals", "list", cwd=lab.path).out.startswith("No animal in the library")
    assert call("today", cwd=lab.path).code == 0
    assert "animals:" not in call("doctor", cwd=lab.path).out


def test_its_number_is_free_for_another_animal_which_can_be_removed_too(lab: TaskRepositoryForTests) -> None:
    lab.run()
    for count in (1, 2):
        assert call(*REMOVE, *BY, cwd=lab.path).code == 0
        enrolled = call("curricula", "enroll", SUBJECT, "-c", "Ladder", cwd=lab.path)
        assert enrolled.code == 0, enrolled.err
        (record,) = json.loads(call("animals", "list", "--json", cwd=lab.path).out)
        assert (record["stage"], record["sessions_at_stage"]) == ("rung1", 0)
        assert len(archive(lab)) == count
    assert lab.run().exit_code == 0


def test_an_unfinished_session_refuses_it_and_its_resume_does_not_bring_the_animal_back(
    lab: TaskRepositoryForTests,
) -> None:
    lab.break_curriculum()
    session = lab.run().session.name
    keeps = (lab.root / "library",)
    refuse(REFUSED, f"unfinished sessions: {session} on .* --yes", *REMOVE, cwd=lab.path, keeps=keeps)
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    lab.repair_curriculum()
    resumed = call("resume", session, cwd=lab.path)
    assert resumed.code == 0
    assert re.search(r"came too late: the animal was removed from the library .* record alone", resumed.err)
    assert lab.steps(session)["record_state", "local-store"].result["outcome"] == "superseded"
    assert (listed(lab), len(archive(lab))) == ([], 1)
    assert "Nothing is left undone" in call("resume", "--all", cwd=lab.path).out


def test_what_was_decided_on_it_is_not_the_state_of_another_animal_with_its_number(lab: TaskRepositoryForTests) -> None:
    lab.break_curriculum()
    session = lab.run().session.name
    lab.repair_curriculum()
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    lab.add_animal(stage="rung5")
    assert call("resume", session, cwd=lab.path).code == 0
    assert lab.stage() == "rung5"


def test_what_waited_while_the_animal_was_removed_does_not_bring_it_back(
    lab: TaskRepositoryForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(lab.root / "library", "climbing")
    began_with = library.read(SUBJECT).state

    @contextmanager
    def waiting(path: Path, timeout: float) -> Iterator[None]:
        monkeypatch.undo()
        library.remove(SUBJECT, "ana")
        with locked(path, timeout):
            yield

    monkeypatch.setattr("aind_launcher.builtin.local_store.library.locked", waiting)
    recorded = library.record(SUBJECT, suggestion("rung2", {}), "a session", MONDAY, began_with)
    assert recorded.outcome == "superseded"
    assert (library.subjects(), len(archive(lab))) == ((), 1)
    with pytest.raises(BeginAgain):
        library.begin(a_session(library.root, SUBJECT, MONDAY, animal_state=began_with), began_with, ())
    assert library.subjects() == ()


def test_a_session_of_another_rig_that_is_not_over_refuses_it(lab: TaskRepositoryForTests) -> None:
    session = lab.run().session.name
    (entry,) = (lab.subjects / SUBJECT / "sessions").glob("*2.json")
    entry.write_text(entry.read_text(encoding="utf-8").replace('"completed"', '"running"'), encoding="utf-8")
    refuse(REFUSED, f"unfinished sessions: {session} on ", *REMOVE, cwd=lab.path, keeps=(lab.root / "library",))


def test_one_that_cannot_be_read_is_removed_like_any_other(lab: TaskRepositoryForTests) -> None:
    (lab.subjects / SUBJECT / "trainer_state.json").write_text("{oops", encoding="utf-8")
    assert call(*REMOVE, *BY, cwd=lab.path).code == 0
    assert listed(lab) == []


def test_while_another_rig_writes_it_nothing_is_moved(lab: TaskRepositoryForTests) -> None:
    library = Library(lab.root / "library", "climbing", lock_timeout=0.05)
    with locked(lab.subjects / SUBJECT / ".lock", 1), pytest.raises(TransientError, match="written by another rig"):
        library.remove(SUBJECT, "ana")
    assert library.subjects() == (SUBJECT,)


def test_a_rig_that_locks_it_at_that_moment_keeps_its_lock(
    lab: TaskRepositoryForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = lab.subjects / SUBJECT / ".lock"
    with ExitStack() as rig:

        @contextmanager
        def locked_next_by_another(path: Path, timeout: float) -> Iterator[None]:
            with locked(path, timeout):
                yield
            path.parent.mkdir(exist_ok=True)
            rig.enter_context(locked(path, 0))

        monkeypatch.setattr("aind_launcher.builtin.local_store.library.locked", locked_next_by_another)
        Library(lab.root / "library", "climbing").remove(SUBJECT, "ana")
        assert lock.is_file()
        with pytest.raises(Timeout), locked(lock, 0):
            pass


def test_without_a_terminal_it_needs_a_yes(lab: TaskRepositoryForTests) -> None:
    refuse(USAGE, "Nobody can be asked .* Add --yes", *REMOVE, cwd=lab.path, keeps=(lab.root / "library",))


def test_a_store_that_cannot_do_it_says_so(lab: TaskRepositoryForTests) -> None:
    names = {"curricula": "more:Curricula", "other": "more:Store"}
    lab.configure('disable = ["isolated-curriculum", "acquisition", "local-store"]', names)
    refuse(USAGE, "Animals cannot be removed from the register. Remove", *REMOVE, cwd=lab.path)


@pytest.mark.posix_only("Windows has no terminals that a test can make")
@pytest.mark.integration
def test_at_a_terminal_it_is_confirmed(lab: TaskRepositoryForTests) -> None:
    for answer, code in (("", REFUSED), ("yes", 0)):
        with at_terminal(*REMOVE, cwd=lab.path) as window:
            window.until("Answer [no]:")
            window.type(f"{answer}\n")
            assert window.end() == code
        assert (lab.subjects / SUBJECT).exists() == bool(code)
