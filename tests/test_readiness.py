"""What `curricula check` says of sources and animals: *ready* is what was tried, and nothing is passed over."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from refusals import refuse
from task_repositories import laboratory

from aind_launcher.errors import AnimalError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.testing import TaskRepositoryForTests, ladder_state

PLUGINS = '''
    from aind_launcher import BuiltSource, SourceStatus, hookimpl

    class Sources:
        def __init__(self, **built):
            self.built = BuiltSource(commit="0123456789abcdef", environment="none", python_version="3", **built)

        def names(self):
            return ["steps"]

        def passed_over(self):
            return [SourceStatus(name="docs", kind="submodule", path="docs", passed_over="has no pyproject.toml")]

        def status(self):
            return [SourceStatus(name="steps", kind="built in", path=".", built=True, curricula=("Ladder",))]

        def build(self, name, *, check, allow_dirty, progress):
            return self.built if check else self.built.model_copy(update={"imported": (), "untried": None})

        def verify(self, trainer_state, *, allow_dirty, progress):
            """Every animal climbs here."""

    class Untried:
        @hookimpl
        def curriculum_sources(self, repository):
            return Sources(untried="steps has no 'list' command.")

    class Half:
        @hookimpl
        def curriculum_sources(self, repository):
            return Sources(imported=("Ladder",), untried="'init --curriculum Stairs' ended with exit code 2.")
'''
BUILT = "steps: {} at 0123456789 in none"


def lab_of(tmp_path: Path, plugin: str = "Half") -> TaskRepositoryForTests:
    return laboratory(tmp_path, PLUGINS, 'disable = ["acquisition", "isolated-curriculum"]', {"steps": plugin})


def checked(lab: TaskRepositoryForTests, code: int) -> tuple[str, str, dict[str, Any]]:
    """What `curricula check` prints on both streams, and as JSON."""
    ended, as_json = call("curricula", "check", cwd=lab.path), call("curricula", "check", "--json", cwd=lab.path)
    assert (ended.code, as_json.code) == (code, code), (ended, as_json)
    return ended.out, ended.err, json.loads(as_json.out)


def test_an_animal_that_cannot_be_read_is_not_ready(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    (lab.subjects / "7").mkdir()
    (lab.subjects / "7" / "trainer_state.json").write_text("{", encoding="utf-8")
    _, err, found = checked(lab, 3)
    assert "No session of 7 would start. The trainer state in " in err
    assert [(row["subjects"], row["ready"]) for row in found["animals"]] == [(["7"], False), (["123456"], True)]
    assert "is not JSON" in found["animals"][0]["problem"]


def test_animals_that_cannot_be_asked_for_are_said_and_fail(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.subjects.rename(lab.subjects.with_name("elsewhere"))
    lab.subjects.touch()
    _, err, found = checked(lab, 3)
    assert "The animals' curricula were not tried. " in err
    (row,) = found["animals"]
    assert (row["subjects"], row["ready"], str(lab.subjects) in row["problem"]) == ([], False, True)


def test_a_library_that_had_animals_and_has_none_fails(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.run()
    lab.subjects.rename(lab.subjects.with_name("elsewhere"))
    _, err, found = checked(lab, 3)
    assert "The animals' curricula were not tried. " in err
    assert [row["ready"] for row in found["animals"]] == [False]


@pytest.mark.parametrize(
    ("plugin", "word", "ready", "sentence"),
    [
        ("Untried", "built", None, "  No curriculum of it was imported. steps has no 'list' command.\n"),
        ("Half", "ready", True, "  Not all of it was imported. 'init --curriculum Stairs' ended with exit code 2.\n"),
    ],
)
def test_a_source_is_ready_where_a_curriculum_of_it_was_imported(
    tmp_path: Path, plugin: str, word: str, ready: bool | None, sentence: str
) -> None:
    lab = lab_of(tmp_path, plugin)
    out, _, found = checked(lab, 0)
    assert out.startswith(BUILT.format(word))
    assert sentence in out
    assert [row["ready"] for row in found["sources"]] == [ready]
    synced = call("curricula", "sync", cwd=lab.path)
    assert synced.out.startswith(BUILT.format("built"))
    assert json.loads(call("curricula", "sync", "--json", cwd=lab.path).out)["sources"][0]["ready"] is None


def test_the_list_of_sources_as_json_has_nothing_else_in_it(tmp_path: Path) -> None:
    listed = call("curricula", "list", "--json", cwd=lab_of(tmp_path).path)
    assert [source["name"] for source in json.loads(listed.out)] == ["steps"]
    assert listed.err == "No curriculum source: docs has no pyproject.toml.\n"


@pytest.mark.parametrize("as_decision", [False, True])
def test_a_state_with_half_a_character_is_refused_in_a_sentence(tmp_path: Path, as_decision: bool) -> None:
    lab = lab_of(tmp_path)
    text = ladder_state("rung1").text.replace("rung1", "\\ud800", 1)
    decision = {"kind": "moved", "date": "2026-01-31T17:00:00Z", "trainer_state": text}
    file = tmp_path / "state.json"
    file.write_text(json.dumps(decision) if as_decision else text, encoding="utf-8")
    for command in (
        ("curricula", "enroll", "7", "--trainer-state", str(file)),
        ("animals", "move", "123456", "--to", str(file), "--reason", "a try"),
    ):
        refuse(3, "state.json has text that no file can hold: surrogates not allowed", *command, cwd=lab.path)


def test_a_stored_state_with_half_a_character_is_refused_before_the_session() -> None:
    text = '{"curriculum": {"name": "A"}, "stage": {"name": "a", "note": "\\ud800"}}'
    with pytest.raises(AnimalError, match="in the library has text that no file can hold"):
        TrainerStateText.read(text, "the library")
