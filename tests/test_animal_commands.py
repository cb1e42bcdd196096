"""Animals are moved by hand, and what was lost is restored, never begun anew."""

import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import call
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    """A task repository after two sessions."""
    made = laboratory(tmp_path)
    for _ in range(2):
        assert call("run", "--subject", "123456", cwd=made.path).code == 0
    return made


def test_an_animal_is_moved_by_hand_with_reason_and_name_kept(lab: TaskRepositoryForTests) -> None:
    state = json.loads((lab.subjects / "123456" / "trainer_state.json").read_text(encoding="utf-8"))
    state["stage"]["name"] = "rung7"
    file = lab.root / "state.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    move = ("animals", "move", "123456", "--to", str(file), "--reason", "climbs well", "--by", "me")
    assert call(*move, cwd=lab.path).out == "Animal 123456: rung3 -> stage rung7 of Ladder.\n"
    off = ("animals", "move", "123456", "--off-curriculum", "--reason", "surgery", "--by", "me")
    assert call(*off, cwd=lab.path).out == "Animal 123456: rung7 -> off curriculum.\n"
    shown = call("animals", "show", "123456", cwd=lab.path).out
    assert re.search(r"stage +rung7 \(off curriculum\)", shown)
    assert re.search(r"moved +rung7 +me +climbs well$", shown, re.MULTILINE)
    assert re.search(r"moved +rung7 \(off curriculum\) +me +surgery$", shown, re.MULTILINE)
    assert call("run", "--subject", "123456", cwd=lab.path).code == 0


def test_an_animal_that_was_lost_is_not_begun_anew_but_restored(lab: TaskRepositoryForTests) -> None:
    state = lab.subjects / "123456" / "trainer_state.json"
    kept = state.read_text(encoding="utf-8")
    for ruin in (state.unlink, lambda: state.write_text("{oops", encoding="utf-8")):
        ruin()
        shown = call("animals", "show", "123456", cwd=lab.path)
        assert shown.code == 3
        (restore,) = re.findall(r"`aind-launch (animals move .*?)`", shown.err)
        enrolled = call("curricula", "enroll", "123456", "-c", "Ladder", cwd=lab.path)
        assert (enrolled.code, restore in enrolled.err) == (3, True)

        assert call(*shlex.split(restore), cwd=lab.path).code == 0
        assert state.read_text(encoding="utf-8") == kept
        (animal,) = json.loads(call("animals", "list", "--json", cwd=lab.path).out)
        assert (animal["stage"], animal["metrics"]) == ("rung3", {"climbed": 1})


def test_a_library_that_is_not_connected_is_not_begun_anew(lab: TaskRepositoryForTests) -> None:
    lab.subjects.parents[1].rename(lab.root / "unplugged")
    doctor = call("doctor", cwd=lab.path).out
    assert re.search(r"warning +library: .*library does not exist yet; .* connect its drive", doctor)
    run = call("run", "--subject", "123456", cwd=lab.path)
    assert (run.code, "does not exist; if it did, connect its drive" in run.err) == (3, True)
    enrolled = call("curricula", "enroll", "123456", "-c", "Ladder", cwd=lab.path)
    assert enrolled.code == 3
    assert re.search(r"was at rung2 of Ladder in session 123456_\S+, but the library .* does not know it", enrolled.err)
    assert not lab.subjects.exists()


def test_a_session_is_brought_back_from_its_folder(lab: TaskRepositoryForTests) -> None:
    newest = json.loads(call("sessions", "show", "--json", cwd=lab.path).out)
    again = ("sessions", "import", newest["folder"])
    refused = call(*again, cwd=lab.path)
    assert refused.code == 2
    assert "The journal has session" in refused.err
    lab.journal.unlink()
    assert newest["session"] in call(*again, cwd=lab.path).out
    assert len(json.loads(call("sessions", "list", "--json", cwd=lab.path).out)) == 1
