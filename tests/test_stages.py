"""An animal can be put at any stage of its curriculum."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from contexts import trainer_state

from aind_launcher.errors import AnimalError
from aind_launcher.model.animal import TrainerStateText, at_stage

REAL = sorted((Path(__file__).parent / "data" / "suggestions").glob("*.json"))


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.stem)
@pytest.mark.parametrize("name", ["stage_a", "stage_b"])
def test_a_real_animal_at_another_stage_is_a_trainer_state_for_the_dsl(file: Path, name: str) -> None:
    document = json.loads(file.read_text("utf-8"))["trainer_state"]
    moved = at_stage(TrainerStateText(text=json.dumps(document)), name)
    typed = moved.typed()
    assert typed.stage is not None
    assert typed.stage.name == name
    assert typed.is_on_curriculum
    assert list(typed.active_policies or []) == list(typed.stage.start_policies)
    assert moved.document["curriculum"] == document["curriculum"]
    if name == "stage_b":
        # The recorded animal was moved there by its curriculum itself.
        assert moved.document == document


def test_a_stage_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(AnimalError, match=r"no stage 'fourth'.*first, second, third"):
        at_stage(trainer_state("first"), "fourth")


@pytest.mark.parametrize("curriculum", ["null", "{}", '"text"', '{"graph": {"nodes": [1]}}', '{"graph": null}'])
def test_a_trainer_state_without_stages_has_no_such_stage(curriculum: str) -> None:
    with pytest.raises(AnimalError, match="no stage"):
        at_stage(TrainerStateText(text=f'{{"curriculum": {curriculum}, "stage": null}}'), "first")


@pytest.mark.integration
def test_published_curricula_take_an_animal_at_any_of_their_stages(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    tool = uv.find_uv_bin()
    subprocess.run([tool, "venv", "--python", sys.executable, environment], check=True)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    package = "aind-behavior-vr-foraging-curricula==1.3.2"
    subprocess.run([tool, "pip", "install", "--python", scripts / "python", package], check=True)
    for name in ("depletion", "learning_sets", "single_site"):
        begun = TrainerStateText.read(told(scripts, "init", "--curriculum", name), name)
        stages = [node["name"] for node in begun.document["curriculum"]["graph"]["nodes"].values()]
        for each in stages:
            typed = at_stage(begun, each).typed()
            assert typed.stage is not None
            assert typed.stage.name == each
        own = TrainerStateText.read(told(scripts, "init", "--curriculum", name, "--stage", stages[-1]), name)
        moved = at_stage(begun, stages[-1])
        assert own.stage == moved.stage
        assert (own.document["active_policies"] or []) == moved.document["active_policies"]


def told(scripts: Path, *arguments: str) -> str:
    command = [str(scripts / "curriculum"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
