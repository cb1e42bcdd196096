"""The main job on real input: a task repository that pins the published curricula of the VR foraging task."""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, done, launch
from repositories import add_submodule, commit, make_repository

from aind_launcher.system.inherited import curriculum_environment

pytestmark = pytest.mark.integration

CURRICULA = {
    "depletion",
    "depletion_stops_offset",
    "depletion_stops_rate",
    "deterministic_reversals",
    "deterministic_reversals_reward_capped",
    "learning_sets",
    "replenishment_depletion_offset",
    "single_site",
    "template",
}

PIN = Path(__file__).parent / "data" / "vr-foraging-pin" / "pyproject.toml"

# A task that does what it is told and leaves a file of data.
FORAGE = """\
import json
import pathlib
import sys

session, trainer_state, task, folder = map(pathlib.Path, sys.argv[1:])
subject = json.loads(session.read_text(encoding="utf-8"))["subject"]
stage = json.loads(trainer_state.read_text(encoding="utf-8"))["stage"]["name"]
assert json.loads(task.read_text(encoding="utf-8"))["name"] == "AindVrForaging"
licks = folder / "behavior" / "licks.csv"
licks.parent.mkdir(parents=True, exist_ok=True)
licks.write_text(f"seconds,subject,stage\\n0.5,{subject},{stage}\\n", encoding="utf-8")
print(f"{subject} foraged in {stage}")

# What the curriculum of one animal reads, as the workflow writes it: it went far, and chose often.
if subject == "567890":
    events = {
        "SoftwareEvents/ActiveSite": [{"label": "RewardSite", "length": 60.0}] * 201,
        "SoftwareEvents/ChoiceFeedback": [None] * 151,
        "SoftwareEvents/ActivePatch": [{"state_index": 0}] * 2,
        "UpdaterEvents/UpdaterStopDurationOffset": [0.1],
    }
    for name, each in events.items():
        lines = [json.dumps({"name": name, "timestamp": n, "data": data}) for n, data in enumerate(each)]
        file = folder / "behavior" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\\n".join(lines) + "\\n", encoding="utf-8")
"""

# The transfer service, as far as a session is concerned: takes the folder as it is.
COURIER = """\
import shutil
from aind_launcher import hookimpl

class Courier:
    @hookimpl
    def transfer_session(self, session):
        target = session.repository.path.parent / "transferred" / session.name
        shutil.copytree(session.folder, target, dirs_exist_ok=True)
        return str(target)
"""


@dataclass(frozen=True)
class Rig:
    """A rig with its task repository.

    :param unbuilt: what ``curricula list`` said before the environment was built.
    :param built: how ``curricula sync`` went.
    """

    root: Path
    unbuilt: str
    built: Ended

    @property
    def task(self) -> Path:
        return self.root / "my task"

    def subject(self, subject: str) -> Path:
        return self.root / "library" / "foraging" / "Subjects" / subject

    def done(self, *arguments: str) -> str:
        return done(*arguments, cwd=self.task)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.done(*arguments, "--json"))

    @property
    def environment(self) -> Path:
        """The folder of the one environment."""
        (listed,) = self.json("env", "list")
        return Path(listed["folder"])

    def own_answer(self, session: Path) -> bytes:
        """What the curriculum's own command prints for a session's folder, without the line's end."""
        scripts = self.environment / "venv" / ("Scripts" if os.name == "nt" else "bin")
        state = session / "behavior" / "trainer_state.json"
        inputs = ["--data-directory", str(session), "--input-trainer-state", str(state)]
        command = [str(scripts / "curriculum"), "run", *inputs]
        environment = curriculum_environment(os.environ, sys.platform)
        ended = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, check=True)
        return ended.stdout.rstrip(b"\r\n")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    root = tmp_path_factory.mktemp("a rig")
    origin = make_repository(root / "origin", {"pyproject.toml": PIN.read_text(encoding="utf-8")})
    command = [sys.executable, "forage.py", "{session}", "{trainer_state}", "{task}", "{session_directory}"]
    settings = [
        "[tool.aind-launcher]",
        'experiment = "foraging"',
        *(f"{name}-directory = {json.dumps(str(root / name))}" for name in ("data", "state")),
        'plugins = { courier = "courier:Courier" }',
        "[tool.aind-launcher.plugin.acquisition]",
        f"command = {json.dumps(command)}",
        'requires-data = ["behavior/licks.csv"]',
        "[tool.aind-launcher.plugin.local-store]",
        f"library = {json.dumps(str(root / 'library'))}",
        "[tool.aind-launcher.plugin.isolated-curriculum]",
        f"cache-directory = {json.dumps(str(root / 'cache'))}",
        "[tool.aind-launcher.plugin.checks]",
        'minimum-free-space = "1 MB"',
    ]
    files = {
        "pyproject.toml": "\n".join(settings) + "\n",
        "forage.py": FORAGE,
        "courier.py": COURIER,
        ".gitignore": "__pycache__/\n",
    }
    task = make_repository(root / "my task", files)
    add_submodule(task, origin, "curricula")
    unbuilt = done("curricula", "list", cwd=task)
    return Rig(root, unbuilt, launch("curricula", "sync", cwd=task))


def test_the_list_says_how_to_build_and_then_names_the_nine_curricula(rig: Rig) -> None:
    assert "Not built yet: curricula. `aind-launch curricula sync` builds what is pinned" in rig.unbuilt
    assert rig.built.code == 0, rig.built.err
    # The package's hundred dependencies are for the log.
    assert not re.search(r"^\s*\+ ", rig.built.err, re.MULTILINE)
    assert "Installed" in rig.built.err
    assert "+ aind-behavior-vr-foraging-curricula==1.3.2" in rig.environment.with_suffix(".log").read_text("utf-8")
    (source,) = rig.json("curricula", "list")
    assert set(source["curricula"]) == CURRICULA
    assert (source["kind"], source["clean"], source["built"]) == ("submodule", True, True)
    table = rig.done("curricula", "list")
    assert all(re.search(rf"\b{name}\b", table) for name in CURRICULA)
    assert f"package 1.3.2, DSL {'0.0.'}" in rig.done("curricula", "check")


def test_the_rig_is_in_order_and_shows_its_settings(rig: Rig) -> None:
    checks = {check["name"]: check for check in rig.json("doctor")}
    assert {check["outcome"] for check in checks.values()} <= {"passed", "warning"}
    assert checks["curriculum curricula"]["message"].endswith("built")
    settings = {row["key"]: row for row in rig.json("config", "show")}
    assert settings["plugin.acquisition.requires-data"]["value"] == ["behavior/licks.csv"]
    assert settings["experiment"] == {"key": "experiment", "value": "foraging", "source": "pyproject.toml"}


def test_what_is_pinned_here_is_not_pruned(rig: Rig) -> None:
    (environment,) = rig.json("env", "list")
    assert (environment["source"], environment["pinned"]) == ("curricula", True)
    assert rig.done("env", "prune", "--older-than", "0") == "Nothing to remove.\n"
    assert rig.environment.is_dir()


def test_a_curriculum_or_stage_that_the_package_lacks_is_refused_with_what_it_has(rig: Rig) -> None:
    unknown = launch("curricula", "enroll", "900", "--curriculum", "depletions", cwd=rig.task)
    assert unknown.code == 2
    assert all(re.search(rf"\b{name}\b", unknown.err) for name in CURRICULA)
    no_stage = launch("curricula", "enroll", "900", "--curriculum", "template", "--stage", "stage_z", cwd=rig.task)
    assert no_stage.code == 2
    assert "stage_a" in no_stage.err and "stage_b" in no_stage.err
    assert not rig.subject("900").exists()


def test_two_sessions_are_decided_byte_for_byte_as_the_packages_own_command_decides(rig: Rig) -> None:
    assert "stage stage_a of TemplateCurriculum 1.3.2" in rig.done(
        "curricula", "enroll", "123456", "--curriculum", "template"
    )
    for number in (1, 2):
        told = rig.json("run", "--subject", "123456", "--experimenter", "me")
        assert (told["state"], told["exit_code"]) == ("completed", 0)
        session = Path(told["folder"])
        own = rig.own_answer(session)
        assert (session / "behavior" / "Logs" / "suggestion.json").read_bytes() == own
        answer = json.loads(own)
        assert told["metrics"] == answer["metrics"] == {"metric1": 1.0, "metric2_history": [1.0, 2.0, 3.0]}
        assert told["provenance"]["package_version"] == answer["version"] == "1.3.2"
        assert rig.done("curricula", "run", str(session)).encode() == own + b"\n"
        assert [*Path(tempfile.gettempdir()).glob("aind-launch*")] == []
        # The trainer state is the animal's next one, as the curriculum wrote it.
        state = (rig.subject("123456") / "trainer_state.json").read_bytes()
        assert state in own and json.loads(state) == answer["trainer_state"]
        assert (session / "behavior" / "previous_metrics.json").exists() == (number == 2)
        licks = (session / "behavior" / "licks.csv").read_text(encoding="utf-8")
        assert licks.endswith("0.5,123456,stage_a\n")
        transferred = rig.root / "transferred" / session.name
        assert {path.relative_to(transferred) for path in transferred.rglob("*")} == {
            path.relative_to(session) for path in session.rglob("*")
        }
    story = rig.done("sessions", "show", session.name)
    assert re.search(r"decision +stays at stage_a$", story, re.M)
    assert re.search(r"decided by +curricula 1\.3\.2 at [0-9a-f]{10}$", story, re.M)
    shown = rig.json("sessions", "show", session.name)
    assert [step["state"] for step in shown["steps"] if step["hook"] == "transfer_session"] == ["done"]
    history = rig.json("animals", "show", "123456")["history"]
    assert [entry["kind"] for entry in history] == ["enrolled", "suggestion", "suggestion"]


def test_an_animal_is_moved_to_a_stage_of_its_curriculum_and_goes_on_from_there(rig: Rig) -> None:
    rig.done("curricula", "enroll", "234567", "--curriculum", "template")
    moved = rig.done("animals", "move", "234567", "--stage", "stage_b", "--reason", "knows it already", "--by", "me")
    assert moved == "Animal 234567: stage_a -> stage stage_b of TemplateCurriculum.\n"
    told = rig.json("run", "--subject", "234567", "--experimenter", "me")
    assert told["exit_code"] == 0
    licks = Path(told["folder"]) / "behavior" / "licks.csv"
    assert licks.read_text(encoding="utf-8").endswith("0.5,234567,stage_b\n")
    assert (licks.parent / "Logs" / "suggestion.json").read_bytes() == rig.own_answer(Path(told["folder"]))


def test_a_session_without_the_data_that_its_curriculum_reads_is_safe_and_the_animal_stays(rig: Rig) -> None:
    rig.done("curricula", "enroll", "345678", "--curriculum", "depletion")
    before = (rig.subject("345678") / "trainer_state.json").read_bytes()
    ended = launch("run", "--subject", "345678", "--experimenter", "me", cwd=rig.task)
    assert ended.code == 1
    assert "Traceback" not in ended.out + ended.err

    (folder,) = re.findall(r"folder +(.+)", ended.out)
    session = Path(folder)
    missing = session / "behavior" / "UpdaterEvents" / "UpdaterStopDurationOffset.json"
    assert str(missing) in ended.out and str(missing) in ended.err
    assert f"The data is safe. Finish with `aind-launch resume {session.name}`" in ended.out
    kept = session / "behavior" / "Logs" / "launcher" / "curriculum.stderr.txt"
    assert str(kept.parent) in ended.out
    assert "Traceback (most recent call last)" in kept.read_text(encoding="utf-8")

    assert (rig.subject("345678") / "trainer_state.json").read_bytes() == before
    assert (session / "behavior" / "licks.csv").is_file()
    transferred = rig.root / "transferred" / session.name / "behavior"
    assert (transferred / "licks.csv").read_bytes() == (session / "behavior" / "licks.csv").read_bytes()
    assert (transferred / "Logs" / "launcher" / "curriculum.stderr.txt").read_bytes() == kept.read_bytes()
    assert (transferred / "Logs" / "launcher" / "log.jsonl").is_file()

    shown = rig.json("sessions", "show", session.name)
    assert (shown["state"], shown["exit_code"]) == ("incomplete", 1)
    steps = {step["hook"]: step for step in shown["steps"]}
    assert steps["curriculum_suggest"]["state"] == "failed"
    assert str(missing) in steps["curriculum_suggest"]["error"]
    assert (steps["run_session"]["state"], steps["transfer_session"]["state"]) == ("done", "done")
    listed = launch("curricula", "run", str(session), cwd=rig.task)
    assert (listed.code, listed.out) == (1, "")
    assert str(missing) in listed.err


def test_the_summary_and_the_next_card_name_the_rule_that_moved_an_animal(rig: Rig) -> None:
    rule = "st_s_stage_one_odor_no_depletion_s_stage_one_odor_w_depletion_day_0"
    package = "aind_behavior_vr_foraging_curricula.depletion.curriculum"
    before, after = "one_odor_no_depletion", "one_odor_w_depletion_day_0"
    run = ("run", "--subject", "567890", "--experimenter", "me")
    rig.done("curricula", "enroll", "567890", "--curriculum", "depletion", "--by", "ana")
    first = launch(*run, cwd=rig.task)
    assert first.code == 0, first.err
    assert re.search(rf"^  last decision +today \d\d:\d\d: enrolled at {before} by ana$", first.err, re.M)
    assert re.search(rf"^  decision +{before} -> {after}$", first.out, re.M)
    assert re.search(rf"^  rule +{rule}$", first.out, re.M)
    second = launch(*run, "-v", cwd=rig.task)
    assert re.search(rf"^  stage +{after}, since today \d\d:\d\d, no session there$", second.err, re.M)
    assert re.search(rf"^  last decision +{before} -> {after}$", second.err, re.M)
    assert re.search(rf"^  rule +{re.escape(package)}\.{rule}$", second.err, re.M)
    card = rig.json("run", "--subject", "567890")["card"]
    assert (card["stage"], card["last_decision"]["rule"]) == (after, [])
    entry = json.loads((rig.subject("567890") / "sessions" / "000002.json").read_bytes())
    assert entry["decision"]["rule"] == [f"{package}.{rule}"]


def test_a_pin_that_was_moved_and_not_committed_decides_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.done("curricula", "enroll", "456789", "--curriculum", "template")
    clone = tmp_path / "another checkout"
    subprocess.run(["git", "clone", "--quiet", "--recurse-submodules", rig.task, clone], check=True)
    commit(clone / "curricula", {"README.md": "Not reviewed.\n"})
    refused = launch("run", "--subject", "456789", cwd=clone)
    assert refused.code == 3
    assert "Run `git submodule update curricula`" in refused.err
    assert rig.environment.is_dir()
