"""A library or a data disk that is not connected refuses the session, instead of beginning anew in an empty folder."""

import errno
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import call
from task_repositories import laboratory, laboratory_with_data

from aind_launcher.system.files import write_whole
from aind_launcher.testing import TaskRepositoryForTests

RUN = ("run", "--subject", "123456")


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory_with_data(tmp_path)


def unplug(lab: TaskRepositoryForTests, how: str) -> None:
    library = lab.root / "library"
    library.rename(lab.root / "unplugged")
    if how == "an empty mount point":
        library.mkdir()


@pytest.mark.parametrize("how", ["an empty mount point", "gone"])
@pytest.mark.parametrize(
    "command",
    [
        ("run", "--subject", "654321"),
        ("animals", "list"),
        ("animals", "show", "654321"),
        ("curricula", "enroll", "654321", "-c", "Ladder"),
        ("doctor",),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_library_that_is_unplugged_invites_nobody_to_enrol(
    lab: TaskRepositoryForTests, how: str, command: tuple[str, ...]
) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    unplug(lab, how)
    told = call(*command, cwd=lab.path)
    assert told.code == 3
    said = told.out + told.err
    assert re.search(r"no animal in the library .*, but 123456 was at rung1 of Ladder in session 123456_", said)
    assert "Connect the library's drive or share" in said
    assert not re.search("enrol (it|one)", said.lower())
    assert not list((lab.root / "library").rglob("*.json"))


def test_a_library_without_animals_on_a_rig_without_sessions_is_new(lab: TaskRepositoryForTests) -> None:
    unplug(lab, "an empty mount point")
    assert "Enrol one with" in call("animals", "list", cwd=lab.path).out
    assert "enrol it with" in call(*RUN, cwd=lab.path).err


def test_doctor_reads_no_animal_to_know_that_there_are_some(tmp_path: Path) -> None:
    plugin = """
from aind_launcher import hookimpl
from aind_launcher.builtin.local_store.library import Library

class Listed(Library):
    def animals(self):
        (self.root.parent / "asked").touch()
        return ()

    overview = animals

class Store:
    @hookimpl(tryfirst=True)
    def animal_store(self, repository, experiment):
        return Listed(repository.parent / "library", "climbing")
"""
    lab = laboratory(tmp_path, plugin, names={"listed": "Store"})
    assert call(*RUN, cwd=lab.path).code == 0
    assert "no animal" not in call("doctor", cwd=lab.path).out
    unplug(lab, "an empty mount point")
    assert "There is no animal in the library" in call("doctor", cwd=lab.path).out
    assert not (lab.root / "asked").exists()


def unplug_data(lab: TaskRepositoryForTests, how: str) -> None:
    lab.data.rename(lab.root / "the disk")
    if how == "an empty mount point":
        lab.data.mkdir()


@pytest.mark.parametrize("how", ["an empty mount point", "gone"])
def test_a_data_disk_that_is_gone_refuses_the_session_unless_the_operator_knows(
    lab: TaskRepositoryForTests, how: str
) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    unplug_data(lab, how)
    refused = call(*RUN, cwd=lab.path)
    assert refused.code == 3
    state = "is empty" if how == "an empty mount point" else "does not exist"
    assert re.search(rf"data {state}, but session 123456_\S+ was written there: its disk may not be", refused.err)
    assert not lab.data.exists() or not list(lab.data.iterdir())
    assert call(*RUN, "--new-data-directory", cwd=lab.path).code == 0
    assert call(*RUN, cwd=lab.path).code == 0


def test_a_data_directory_that_the_transfer_service_emptied_is_in_order(lab: TaskRepositoryForTests) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    for session in lab.data.glob("123456_*"):
        shutil.rmtree(session)
    assert call(*RUN, cwd=lab.path).code == 0


def test_a_data_directory_of_an_older_launcher_is_marked_by_the_next_session(lab: TaskRepositoryForTests) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    (lab.data / ".aind-launcher").unlink()
    assert call(*RUN, cwd=lab.path).code == 0
    assert (lab.data / ".aind-launcher").is_file()


def test_a_mark_of_the_data_directory_that_is_something_else_or_cannot_be_written_stops_nothing(
    lab: TaskRepositoryForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = lab.data / ".aind-launcher"

    def full(path: Path, content: str | bytes) -> None:
        if path == mark:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_whole(path, content)

    with monkeypatch.context() as patched:
        patched.setattr("aind_launcher.lifecycle.folder.write_whole", full)
        run = call(*RUN, cwd=lab.path)
    assert (run.code, "The data directory could not be marked" in run.err) == (0, True)
    mark.mkdir()
    assert call(*RUN, cwd=lab.path).code == 0


@pytest.mark.parametrize(("handed_off", "code"), [(True, 0), (False, 3)])
def test_what_an_older_launcher_handed_off_may_be_gone(
    lab: TaskRepositoryForTests, handed_off: bool, code: int
) -> None:
    assert call(*RUN, cwd=lab.path).code == 0
    unplug_data(lab, "an empty mount point")
    with closing(sqlite3.connect(lab.journal)) as journal, journal:
        older = "UPDATE sessions SET context = json_set(context, '$.rig_name', '', '$.handed_off', json(?))"
        journal.execute(older, (json.dumps(handed_off),))
    assert call(*RUN, cwd=lab.path).code == code


def test_a_session_that_was_refused_left_no_trace(lab: TaskRepositoryForTests) -> None:
    assert call("run", "--subject", "999", cwd=lab.path).code == 3
    assert call(*RUN, cwd=lab.path).code == 0
