"""Files that are nested deeper than any program writes them are refused in one sentence."""

import json
from pathlib import Path

import pytest
from command_line import call
from refusals import REFUSED, USAGE, refuse
from task_repositories import laboratory

from aind_launcher.curriculum.contract import read_suggestion
from aind_launcher.curriculum.project import read_project
from aind_launcher.errors import NoAnswer, SourceError
from aind_launcher.testing import TaskRepositoryForTests

RUN = ("run", "--subject", "123456")
# The second is more than pydantic takes, the last more than Python does.
DEPTHS = (120, 600, 10_000)


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path)


def lists(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("deep", [*(f"deep = {lists(depth)}" for depth in DEPTHS), f"deep{'.a' * 2000} = 1"])
def test_settings_and_projects(lab: TaskRepositoryForTests, deep: str) -> None:
    file = lab.path / "pyproject.toml"
    file.write_text(f"{file.read_text(encoding='utf-8')}\n[tool.other]\n{deep}\n", encoding="utf-8")
    for command in (("animals", "list"), ("config", "show")):
        refuse(USAGE, r"pyproject\.toml is nested too deeply", *command, cwd=lab.path)
    with pytest.raises(SourceError, match=r"pyproject\.toml is nested too deeply"):
        read_project(lab.path)


@pytest.mark.parametrize("depth", DEPTHS)
def test_trainer_state_rig_and_task(lab: TaskRepositoryForTests, depth: int) -> None:
    deep = f'{{"curriculum": {{"name": "C"}}, "stage": {{"name": "s", "task": {{"deep": {lists(depth)}}}}}}}'
    lab.write("deep.json", deep)
    lab.commit()
    for option in ("--rig", "--task"):
        refuse(USAGE, r"deep\.json is nested too deeply", *RUN, option, "deep.json", cwd=lab.path)
    (lab.subjects / "123456" / "trainer_state.json").write_text(deep, encoding="utf-8")
    for command in (("animals", "show", "123456"), RUN):
        refuse(REFUSED, "trainer_state.json is nested too deeply", *command, cwd=lab.path)


def test_answer_of_a_curriculum(tmp_path: Path) -> None:
    stdout = tmp_path / "stdout.txt"

    def answer(depth: int) -> None:
        state = f'{{"curriculum": null, "stage": null, "more": {lists(depth)}}}'
        stdout.write_text(f'{{"trainer_state": {state}, "metrics": null}}', encoding="utf-8")

    answer(90)
    assert read_suggestion(stdout).trainer_state.curriculum is None
    answer(300)
    with pytest.raises(NoAnswer, match="is nested too deeply"):
        read_suggestion(stdout)


@pytest.mark.parametrize("state", ["{oops", f'{{"curriculum": null, "stage": null, "more": {lists(600)}}}'])
def test_decision_of_a_history(lab: TaskRepositoryForTests, state: str) -> None:
    lab.run()
    (file,) = (lab.subjects / "123456" / "history").glob("*_suggestion_*.json")
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"trainer_state": state}), encoding="utf-8")
    for arguments in (("animals", "show", "123456"), ("animals", "list"), ("today",)):
        ended = call(*arguments, cwd=lab.path)
        assert ended.code == 0, ended.err
        assert "rung2" in ended.out
