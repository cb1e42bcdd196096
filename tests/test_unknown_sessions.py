"""Of sessions that the journal lacks, those of this repository and this machine are named and may be imported."""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest
from command_line import AS_MODULE, call, launch
from task_repositories import laboratory

from aind_launcher.model.session import SessionPaths
from aind_launcher.system.rig import rig_lock
from aind_launcher.testing import TaskRepositoryForTests

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

BEGUN = "behavior/.aind-launcher-session.json"
DIES = """
    import os
    from aind_launcher import hookimpl

    class Dies:
        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            os._exit(7)
"""


def cut_off(root: Path) -> tuple[TaskRepositoryForTests, Path]:
    """A repository, and the folder of its session whose launcher died before it was sealed."""
    lab = laboratory(root, DIES, names={"dies": "Dies"})
    assert launch("run", "--subject", "123456", cwd=lab.path).code == 7
    (folder,) = lab.data.glob("123456_*")
    return lab, folder


def sealed(root: Path) -> tuple[TaskRepositoryForTests, Path]:
    """A repository, and the sealed folder of its session, in which the curriculum failed."""
    lab = laboratory(root)
    lab.break_curriculum()
    folder = lab.run().session.folder
    lab.repair_curriculum()
    return lab, folder


def name_machine(folder: Path, machine: str | None) -> None:
    """Write into a folder that is not sealed which machine its session was begun on."""
    record = json.loads((folder / BEGUN).read_bytes())
    record.pop("machine")
    (folder / BEGUN).write_text(json.dumps({"machine": machine, **record} if machine else record), encoding="utf-8")


def lose_journal(lab: TaskRepositoryForTests) -> None:
    for file in lab.state.glob("journal.sqlite*"):
        file.unlink()


def neighbour(lab: TaskRepositoryForTests, root: Path) -> tuple[TaskRepositoryForTests, dict[str, str]]:
    """Another task repository, with the same data and state directories as `lab`."""
    there = {"AIND_LAUNCHER_DATA_DIRECTORY": str(lab.data), "AIND_LAUNCHER_STATE_DIRECTORY": str(lab.state)}
    return laboratory(root), there


@pytest.mark.parametrize("begun", [cut_off, sealed])
def test_a_session_of_another_repository_is_neither_named_nor_imported(tmp_path, begun):
    lab, folder = begun(tmp_path / "mine")
    lose_journal(lab)
    other, same_places = neighbour(lab, tmp_path / "other")
    found = call("resume", "--all", cwd=other.path, environment=same_places)
    assert (found.code, found.out) == (0, "Nothing is left undone.\n")
    refused = call("sessions", "import", str(folder), cwd=other.path, environment=same_places)
    assert refused.code == 3
    assert f"belongs to {lab.path}" in refused.err
    lab.path.rename(tmp_path / "no longer there")
    assert f"import {folder}" in call("resume", "--all", cwd=other.path, environment=same_places).err
    # A person who imports it gives it to that repository, which goes on with it.
    assert call("sessions", "import", str(folder), cwd=other.path, environment=same_places).code == 0
    resume = ("resume", folder.name, "--acquisition-complete")
    other.break_curriculum()
    assert call(*resume, cwd=other.path, environment=same_places).code == 1
    other.repair_curriculum()
    assert call(*resume, cwd=other.path, environment=same_places).code == 0


@pytest.mark.parametrize("begun", [cut_off, sealed])
def test_a_session_of_another_machine_is_not_named(tmp_path, monkeypatch, begun):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "node", lambda: "rig-2")
        lab, folder = begun(tmp_path)
    if begun is cut_off:
        name_machine(folder, "rig-2")
    shutil.rmtree(lab.state)
    assert call("resume", "--all", cwd=lab.path).code == 0
    imported = call("sessions", "import", str(folder), cwd=lab.path)
    if begun is sealed:
        assert imported.code == 0, imported.err
    else:
        assert imported.code == 3
        assert "rig-2" in imported.err
        assert 'delete the line "machine"' in imported.err
        name_machine(folder, None)
        assert call("sessions", "import", str(folder), cwd=lab.path).code == 0


def test_a_folder_names_its_machine_until_it_is_sealed_and_then_in_its_record(tmp_path):
    _, folder = cut_off(tmp_path / "cut off")
    assert json.loads((folder / BEGUN).read_bytes())["machine"] == platform.node()
    _, folder = sealed(tmp_path / "sealed")
    assert not (folder / BEGUN).exists()
    assert json.loads((SessionPaths(folder).launcher / "session.json").read_bytes())["machine"] == platform.node()


def test_a_session_whose_folder_is_gone_is_not_named(tmp_path):
    lab, folder = cut_off(tmp_path)
    lose_journal(lab)
    shutil.rmtree(folder)
    assert call("resume", "--all", cwd=lab.path).code == 0


def test_a_machine_may_be_renamed(tmp_path, monkeypatch):
    lab, folder = cut_off(tmp_path)
    lose_journal(lab)
    monkeypatch.setattr(platform, "node", lambda: "another name")
    assert f"import {folder}" in call("resume", "--all", cwd=lab.path).err
    assert call("sessions", "import", str(folder), cwd=lab.path).code == 0


def test_an_import_waits_for_the_rig(tmp_path):
    lab, folder = sealed(tmp_path)
    lose_journal(lab)
    with rig_lock(lab.state):
        assert call("sessions", "import", str(folder), cwd=lab.path).code == 3


def test_a_dry_run_names_what_the_journal_lacks(tmp_path):
    lab, folder = sealed(tmp_path)
    lose_journal(lab)
    planned = call("resume", "--dry-run", cwd=lab.path)
    assert f"aind-launch sessions import {folder}" in planned.err
    assert (planned.code, planned.out) == (1, "")


# Only an administrator can play another account.
if shutil.which("setpriv") and os.getuid() == 0:

    @pytest.mark.parametrize("place", ["data", "state/sessions"])
    @pytest.mark.integration
    def test_a_folder_of_another_account_keeps_nobody_from_running(tmp_path, place):
        lab, _ = sealed(tmp_path)
        private = tmp_path / place / "999_2026-01-01T000000Z"
        (private / "behavior").mkdir(parents=True)
        (private / "session.json").write_text("{}", encoding="utf-8")
        shutil.chown(private, "nobody")
        private.chmod(0o700)
        limits = ("--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all")
        as_anybody = ("setpriv", *limits, *AS_MODULE)
        for command in (["resume", "--all"], ["run", "--subject", "123456"]):
            ended = launch(*command, cwd=lab.path, program=as_anybody)
            assert (ended.code, "999" in ended.err) == (0, False), ended.err
        if place == "data":
            ended = launch("sessions", "import", str(private), cwd=lab.path, program=as_anybody)
            assert (ended.code, "not readable" in ended.err) == (2, True), ended.err


def test_a_record_nested_without_end_keeps_nobody_from_running(tmp_path):
    lab, folder = sealed(tmp_path)
    lose_journal(lab)
    (SessionPaths(folder).launcher / "session.json").write_text("[" * 100_000, encoding="utf-8")
    assert call("run", "--subject", "123456", cwd=lab.path).code == 0


def bad_step(record):
    record["steps"][-1]["state"] = "banana"


def bad_result(record):
    (step,) = (step for step in record["steps"] if step["hook"] == "run_session" and step["result"])
    step["result"] = {"outcome": "banana"}


@pytest.mark.parametrize("damage", ["torn", bad_step, bad_result])
def test_a_damaged_record_gives_way_to_what_was_staged(tmp_path, damage):
    lab, folder = sealed(tmp_path)
    lose_journal(lab)
    path = SessionPaths(folder).launcher / "session.json"
    record = json.loads(path.read_bytes())
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:500])
    else:
        damage(record)
        path.write_text(json.dumps(record), encoding="utf-8")
    assert f"import {folder}" in call("resume", "--all", cwd=lab.path).err
    imported = call("sessions", "import", str(folder), cwd=lab.path)
    assert imported.code == 0, imported.err
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert "--hand-off-again" in call("resume", folder.name, "--acquisition-complete", cwd=lab.path).out
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    ended = call("resume", folder.name, "--hand-off-again", cwd=lab.path)
    assert ended.code == 0, ended.out + ended.err
    assert lab.stage() == "rung2"


def test_a_folder_whose_record_is_another_sessions_is_not_imported(tmp_path):
    lab, folder = cut_off(tmp_path)
    copy = folder.with_name("999_2026-01-01T000000Z")
    shutil.copytree(folder, copy)
    refused = call("sessions", "import", str(copy), cwd=lab.path)
    assert (refused.code, "no record of a session" in refused.err) == (2, True), refused.err


@pytest.mark.parametrize("name", ["222_2026-99-99T999999Z", "x y_2026-01-01T000000Z", "nul_2026-01-01T000000Z"])
def test_what_other_tools_left_is_not_named(tmp_path, name):
    lab = laboratory(tmp_path)
    (lab.data / name / "behavior").mkdir(parents=True)
    (lab.data / name / "behavior" / "trainer_state.json").write_text("{}", encoding="utf-8")
    (lab.data / "111_2026-01-01T000000Z").write_text("a file", encoding="utf-8")
    assert call("resume", "--all", cwd=lab.path).code == 0
    assert call("sessions", "import", str(lab.data / name), cwd=lab.path).code == 2


@pytest.mark.parametrize("damage", [b'{"machine": "\\q', b'{"machine": "\xff"'])
def test_a_record_whose_machine_is_damaged_keeps_nobody_from_running(tmp_path, damage):
    lab, folder = sealed(tmp_path)
    lose_journal(lab)
    (SessionPaths(folder).launcher / "session.json").write_bytes(damage + b'", "context": {}}')
    found = call("resume", "--all", cwd=lab.path)
    assert found.code == 1, found.err
    assert f"import {folder}" in found.err
    assert lab.run().exit_code == 0


def test_notes_and_other_sessions_of_the_animal_do_not_leave_with_the_data(tmp_path: Path) -> None:
    lab, cut = cut_off(tmp_path)
    assert call("sessions", "note", cut.name, "the spout was blocked", cwd=lab.path).code == 0
    assert call("resume", cut.name, "-p", "no:dies", cwd=lab.path).code == 0
    after = lab.data / json.loads(call("run", "-s", "123456", "--json", "-p", "no:dies", cwd=lab.path).out)["session"]
    for folder in (cut, after):
        left = (SessionPaths(folder).launcher / "session.json").read_text(encoding="utf-8")
        assert ("the spout" in left, "animal_entries" in left) == (False, False)
