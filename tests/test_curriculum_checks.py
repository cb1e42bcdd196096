"""`curricula check`, `sync` and `enroll`: what is said to be ready can decide, and what is not taken is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from pinned_curricula import Pinned, made_in, pinned
from refusals import REFUSED, USAGE, contents
from repositories import (
    CURRICULUM_CODE,
    add_submodule,
    curriculum_files,
    library_files,
    make_repository,
)

pytestmark = pytest.mark.integration

# A curriculum whose command line answers everything, while its states name a module that is not there.
LAZY = curriculum_files(code=CURRICULUM_CODE.replace("MODULE", "gone.counting"))
# A package without the command; its module decides all the same.
PLAIN = library_files("my-curricula", CURRICULUM_CODE.replace("MODULE", "my_curricula").replace("MARK", "1.0.0")) | {
    "src/my_curricula/__main__.py": "from my_curricula import main\nmain()\n"
}
OWN = """
isolated-curriculum.sources.curricula.contract = [
    "python", "-m", "my_curricula", "run", "--data-directory={data_directory}", "--input-trainer-state={trainer_state}"
]
"""


def state(package: str = "my_curricula", stage: str | None = "first", **more: Any) -> dict[str, Any]:
    return {
        "stage": stage and {"name": stage, "task": {"name": "counting", "stage_name": stage}},
        "curriculum": {"name": "counting", "version": "1.0.0", "pkg_location": package},
        "is_on_curriculum": True,
        "active_policies": [],
        **more,
    }


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def subjects(made: Pinned) -> list[str]:
    return [animal["subject"] for animal in json.loads(call("animals", "list", "--json", cwd=made.task).out)]


def test_settings_refine_a_submodule_that_provides_no_command(tmp_path: Path) -> None:
    made = made_in(tmp_path, PLAIN, 'isolated-curriculum.sources.curricula.module = "my_curricula"')
    checked = call("curricula", "check", cwd=made.task)
    assert checked.code == 0, checked.err
    assert "package 1.0.0, DSL 0.0.0, imports counting" in checked.out


def test_settings_for_a_source_that_is_not_there_are_refused(tmp_path: Path) -> None:
    made = made_in(tmp_path, more='isolated-curriculum.sources.curricla.python = "3.11"')
    for command in ("list", "sync", "check"):
        made.refuse(
            "no curriculum source 'curricla', for which there are settings. Did you mean 'curricula'",
            *("curricula", command),
            code=USAGE,
        )
    assert "Did you mean 'curricula'?" in call("doctor", cwd=made.task).out


def test_a_submodule_that_is_no_source_is_named_with_the_reason(tmp_path: Path) -> None:
    made = made_in(tmp_path)
    add_submodule(made.task, make_repository(tmp_path / "workflows", {"a.bonsai": ""}), "src/workflows")
    add_submodule(made.task, make_repository(tmp_path / "library", library_files("library")), "library")

    sentence = "library provides no command 'curriculum'; src/workflows has no pyproject.toml"
    for command in ("list", "sync", "check"):
        ended = call("curricula", command, cwd=made.task)
        assert (ended.code, ended.out.count(f"No curriculum source: {sentence}.\n")) == (0, 1), ended
    doctor = call("doctor", cwd=made.task).out
    assert f"passed  submodules without a curriculum: {sentence}\n" in doctor
    for command, ready in (("sync", None), ("check", True)):
        found = json.loads(call("curricula", command, "--json", cwd=made.task).out)
        assert [(row["name"], row["ready"]) for row in found["sources"]] == [("curricula", ready)]
        assert [row["name"] for row in found["passed_over"]] == ["library", "src/workflows"]


def test_a_submodule_that_is_not_checked_out_beside_a_curriculum_fails_nothing(tmp_path: Path) -> None:
    made = made_in(tmp_path)
    other = add_submodule(made.task, make_repository(tmp_path / "docs", {"a.md": ""}), "docs")
    shutil.rmtree(other)
    other.mkdir()
    synced = call("curricula", "sync", cwd=made.task)
    assert (synced.code, synced.err.count("Error")) == (0, 0)
    assert "No curriculum source: docs is not checked out." in synced.out
    assert "failed  curriculum" not in call("doctor", cwd=made.task).out
    made.refuse("submodule docs is not initialised", "curricula", "sync", "docs")


def test_an_animal_that_every_session_would_refuse_is_not_enrolled(tmp_path: Path) -> None:
    made = made_in(tmp_path, LAZY)
    sentence = "curricula cannot import the animal's curriculum gone.counting: .*No module named 'gone'"
    made.refuse(sentence, "curricula", "enroll", "123456", "--curriculum", "counting")
    file = written(tmp_path / "state.json", state("gone.counting"))
    made.refuse(sentence, "curricula", "enroll", "123456", "--trainer-state", str(file))
    assert subjects(made) == []
    written(tmp_path / "library" / "pinned" / "Subjects" / "7" / "trainer_state.json", state())
    made.refuse(sentence, "animals", "move", "7", "-c", "counting", "--stage", "second", "--reason", "a try")


def test_an_environment_that_can_decide_nothing_is_not_ready(tmp_path: Path) -> None:
    made = made_in(tmp_path, LAZY)
    ended = call("curricula", "check", cwd=made.task)
    assert ended.code == REFUSED
    assert "cannot import the animal's curriculum gone.counting" in ended.err
    assert "ready" not in ended.out
    (row,) = json.loads(call("curricula", "check", "--json", cwd=made.task).out)["sources"]
    assert (row["ready"], "gone.counting" in row["problem"]) == (False, True)


SEVERAL = (
    CURRICULUM_CODE.replace('" - counting"', '"good\\nretired\\nbroken"')
    .replace("        print(json.dumps(trainer_state(a", "        print_first(arguments.curriculum, trainer_state(a")
    .replace("arguments.stage)))", "arguments.stage))")
    + """

def print_first(name, state):
    if name == "retired":
        raise SystemExit(2)
    if name == "broken":
        state["curriculum"]["pkg_location"] = "gone.counting"
    print(json.dumps(state))
"""
)


def test_a_curriculum_without_init_hides_no_broken_one(tmp_path: Path) -> None:
    made = made_in(tmp_path, curriculum_files(code=SEVERAL))
    ended = call("curricula", "check", cwd=made.task)
    assert ended.code == REFUSED, ended
    assert "cannot import the animal's curriculum gone.counting" in ended.err

    sound = made_in(tmp_path / "sound", curriculum_files(code=SEVERAL.replace("gone.counting", "MODULE")))
    checked = call("curricula", "check", cwd=sound.task)
    assert (checked.code, "imports good, broken" in checked.out) == (0, True)
    assert "Not all of it was imported. 'curriculum init --curriculum retired' ended with exit code 2" in checked.out


def test_a_check_finds_the_animals_whose_sessions_would_be_refused(tmp_path: Path) -> None:
    made = pinned(tmp_path, package="their_curricula.depletion")
    written(tmp_path / "library" / "pinned" / "Subjects" / "7" / "trainer_state.json", state())
    ended = call("curricula", "check", cwd=made.task)
    assert ended.code == REFUSED
    assert "curricula: ready at " in ended.out
    assert "No session of 123456 would start. curricula cannot import " in ended.err
    assert "No session of 7 " not in ended.err
    animals = json.loads(call("curricula", "check", "--json", cwd=made.task).out)["animals"]
    assert {row["package"]: (row["subjects"], row["ready"]) for row in animals} == {
        "their_curricula.depletion": (["123456"], False),
        "my_curricula": (["7"], True),
    }


def test_a_curriculum_without_init_is_enrolled_by_a_file(tmp_path: Path) -> None:
    made = made_in(tmp_path, PLAIN, OWN)
    checked = call("curricula", "check", cwd=made.task)
    assert (checked.code, "No curriculum of it was imported. " in checked.out) == (0, True)
    assert checked.out.startswith("curricula: built at ")
    assert "curricula has no 'list' command." in checked.out
    made.refuse(
        "has no 'init' command. Enrol with `aind-launch curricula enroll SUBJECT --trainer-state FILE`",
        *("curricula", "enroll", "7", "--curriculum", "counting"),
        code=USAGE,
    )
    first = written(tmp_path / "first.json", state(stage="second"))
    enrolled = call("curricula", "enroll", "7", "--trainer-state", str(first), "--by", "me", cwd=made.task)
    assert (enrolled.code, enrolled.out) == (0, "Animal 7 is enrolled: stage second of counting 1.0.0.\n")
    for odd, sentence in (
        (state(stage=None), "names no stage"),
        (state(curriculum=None), "names no curriculum"),
        (state(is_on_curriculum=False), "is that of an animal off its curriculum"),
    ):
        made.refuse(sentence, "curricula", "enroll", "8", "--trainer-state", str(written(tmp_path / "odd.json", odd)))
    made.refuse("Nothing says where the animal starts", "curricula", "enroll", "8", code=USAGE)
    both = ("--trainer-state", str(first), "--curriculum", "counting")
    made.refuse("contradict each other", "curricula", "enroll", "8", *both, code=USAGE)
    made.refuse("Leave out --stage", "curricula", "enroll", "8", *both[:2], "--stage", "second", code=USAGE)
    assert subjects(made) == ["7"]


def test_what_a_contract_lacks_is_given_in_the_settings(tmp_path: Path) -> None:
    python = '["python", "-m", "my_curricula", '
    given = [
        f'isolated-curriculum.sources.curricula.commands.list = {python}"list"]',
        f'isolated-curriculum.sources.curricula.commands.version = {python}"version"]',
        "isolated-curriculum.sources.curricula.commands.init = "
        f'{python}"init", "--curriculum", "{{curriculum}}", "--stage={{stage}}"]',
    ]
    made = made_in(tmp_path, PLAIN, "\n".join([OWN, *given]))
    checked = call("curricula", "check", cwd=made.task)
    assert "package 1.0.0, DSL unknown, imports counting" in checked.out
    enrolled = call("curricula", "enroll", "7", "--curriculum", "counting", "--stage", "second", cwd=made.task)
    assert enrolled.out == "Animal 7 is enrolled: stage second of counting 1.0.0.\n"


WRITES = CURRICULUM_CODE.replace(
    "    previous = session /",
    '    (state_file.parent / "mine.csv").write_text("1")\n'
    '    (state_file.parent / "trials.csv").write_text("2")\n'
    "    previous = session /",
)


def test_a_past_session_is_decided_once_more_and_nothing_changes(tmp_path: Path) -> None:
    made = made_in(tmp_path, curriculum_files(code=WRITES))
    session = tmp_path / "123456_2026-01-31T170000Z"
    behavior = session / "Behavior"
    written(behavior / "trainer_state.json", state())
    (behavior / "trials.csv").write_text("1", encoding="utf-8")
    before = contents(session)
    check = ("curricula", "check", "--on", str(session))
    ended = call(*check, cwd=made.task)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[1:] == [
        "  decision  stays at first",
        "  rule      none",
        "  policies  none",
        "  metrics   sessions 1",
        "  recorded  nothing",
    ]
    assert contents(session) == before

    recorded: dict[str, Any] = {
        "trainer_state": state(),
        "metrics": {"sessions": 1},
        "version": "0.9.0",
        "dsl_version": "0",
    }
    recorded["trainer_state"]["curriculum"]["version"] = "0.9.0"
    written(behavior / "Logs" / "suggestion.json", recorded)
    same = call(*check, cwd=made.task)
    assert (same.code, "  recorded  the same\n" in same.out) == (0, True)
    recorded["metrics"] = {"sessions": 2}
    written(behavior / "Logs" / "suggestion.json", recorded)
    other = call(*check, "--json", cwd=made.task)
    (row,) = json.loads(other.out)["sessions"]
    assert (other.code, row["ready"], row["differences"], row["metrics"]) == (3, False, ["metrics"], {"sessions": 1})

    shutil.rmtree(behavior)
    made.refuse("no trainer state", *check, code=USAGE)
    assert subjects(made) == []


def test_pruned_environments_are_listed_as_json(tmp_path: Path) -> None:
    made = made_in(tmp_path)
    call("curricula", "sync", cwd=made.task)
    (built,) = json.loads(call("env", "list", "--json", cwd=made.task).out)
    shutil.rmtree(made.submodule)
    pruned = call("env", "prune", "--older-than", "0", "--json", cwd=made.task)
    assert [environment["key"] for environment in json.loads(pruned.out)] == [built["key"]]
