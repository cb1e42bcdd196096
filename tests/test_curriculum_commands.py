"""Commands on curricula: what they list and build, and what they refuse with one clear sentence."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from command_line import call
from pinned_curricula import Pinned, made_in, pinned
from repositories import commit, curriculum_files, library_files, lock, make_repository, run_git

LIST = ("curricula", "list")


def not_initialised(made: Pinned) -> None:
    run_git("submodule", "--quiet", "deinit", "--force", "curricula", cwd=made.task)


def moved(made: Pinned) -> None:
    commit(made.submodule, {"NEWS.md": "A change that nobody reviewed.\n"})


def modified(made: Pinned) -> None:
    (made.submodule / "src" / "my_curricula" / "__init__.py").write_text("def main(): ...\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            not_initialised,
            "curricula is not initialised. Run `git submodule update --init --recursive curricula`",
        ),
        (moved, "submodule curricula is at .*, but the task repository pins .* Run `git submodule update curricula`"),
        (
            modified,
            r"curricula has uncommitted changes: src/my_curricula/__init__\.py\..* See `git -C .*curricula status`",
        ),
    ],
)
def test_a_curriculum_that_is_not_as_pinned_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, change: Callable[[Pinned], None], sentence: str
) -> None:
    made = pinned(tmp_path)
    change(made)
    made.refuse(sentence)
    made.refuse(sentence, "curricula", "sync")
    made.refuse(sentence, "curricula", "enroll", "456", "--curriculum", "counting")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("", "task repository has no curriculum source. Add one with `git submodule add URL`"),
        ('isolated-curriculum.sources.mine = { path = "curricula" }', "'mine' does not provide the command `curricul"),
        ('isolated-curriculum.sources.mine = { path = "nowhere" }', "'mine' has no folder nowhere. Correct its path"),
        ('isolated-curriculum.source = "theirs"', "There is no curriculum source 'theirs'. Add one"),
    ],
)
def test_a_source_without_the_command_is_refused(tmp_path: Path, more: str, sentence: str) -> None:
    pinned(tmp_path, library_files("my-curricula"), more=more).refuse(sentence)


def test_a_source_outside_of_the_task_repository_is_refused(tmp_path: Path) -> None:
    made = pinned(tmp_path, more='isolated-curriculum.sources.mine = { path = "../origin" }')
    made.refuse(
        "source 'mine' lies outside the task repository, in .* add it as a submodule", "curricula", "list", code=2
    )


@pytest.mark.parametrize(
    "setting", ['path="x"', 'contract=["x"]', 'module="x"', 'commands.list=["x"]', "options.x=1", 'extras=["x"]']
)
def test_how_a_curriculum_is_called_is_not_chosen_on_a_rig(tmp_path: Path, setting: str) -> None:
    made = made_in(tmp_path)
    key = setting.partition("=")[0].replace(".", r"\.")
    chosen = ("--set", f"plugin.isolated-curriculum.sources.curricula.{setting}")
    made.refuse(rf"curricula\.{key}' on the command line is taken only from the task", *LIST, *chosen, code=2)


def test_a_curriculum_is_given_no_longer_than_its_step(tmp_path: Path) -> None:
    made = made_in(tmp_path, more="isolated-curriculum.timeout = 1801")
    made.refuse("timeout' in pyproject.toml is wrong: 1801 seconds are more than a step gets, which", *LIST, code=2)
    made.refuse("ends after 30 minutes. Raise step-timeout", *LIST, "--set", "step-timeout=30.0", code=2)
    assert call(*LIST, "--set", "step-timeout=31", cwd=made.task).code == 0


@pytest.mark.parametrize(
    ("files", "more", "sentence"),
    [
        (
            {".python-version": "3.99\n"},
            "",
            "needs Python 3.99, which is not on this machine .*Run `uv python install",
        ),
        ({}, 'isolated-curriculum.sources.curricula = { python = "3.98" }', "needs Python 3.98, which is not"),
    ],
)
def test_a_python_that_is_not_there_is_refused(tmp_path: Path, files: dict[str, str], more: str, sentence: str) -> None:
    pinned(tmp_path, curriculum_files() | files, more=more).refuse(sentence)


def test_a_curriculum_whose_code_is_not_in_the_pinned_source_is_refused(tmp_path: Path) -> None:
    made = pinned(tmp_path, package="their_curricula.depletion")
    made.refuse("cannot import the animal's curriculum their_curricula.depletion: .*No module named .*has: counting")


def test_two_sources_of_which_neither_is_the_animals_are_refused(tmp_path: Path) -> None:
    made = pinned(tmp_path, package="their_curricula.depletion")
    other = make_repository(tmp_path / "other", curriculum_files("other-curricula"))
    run_git("submodule", "--quiet", "add", "--", other.as_posix(), "others", cwd=made.task)
    commit(made.task)
    made.refuse("No curriculum source provides their_curricula.depletion; there are: curricula, others. Choose one")


@pytest.mark.integration
def test_an_unlocked_source_is_refused_where_a_lock_is_required(tmp_path: Path) -> None:
    made = pinned(tmp_path, more="isolated-curriculum.require-lock = true")
    sentence = (
        "source 'curricula' has no uv.lock in git, which the setting 'require-lock' asks for. "
        "Run `uv lock` in curricula and commit uv.lock."
    )
    made.refuse(sentence)
    made.refuse(sentence, "curricula", "sync")
    assert sentence in " ".join(call("doctor", cwd=made.task).out.split())
    assert "refused" in call("curricula", "list", cwd=made.task).out

    commit(made.submodule, {".gitignore": "uv.lock\n"})
    lock(made.submodule)
    commit(made.task)
    made.refuse(sentence, "curricula", "sync")
    commit(made.submodule, {".gitignore": ""})
    commit(made.task)
    (source,) = json.loads(call("curricula", "list", "--json", cwd=made.task).out)
    assert (source["problem"], source["locked"]) == (None, True)


@pytest.mark.integration
def test_a_curriculum_that_cannot_be_installed_is_refused(tmp_path: Path) -> None:
    made = pinned(tmp_path, curriculum_files(dependencies=["aind-launcher-of-nobody==99.1"]))
    made.refuse(r"environment of curricula cannot be built: .*aind-launcher-of-nobody.* The whole output is in .*\.log")


@pytest.mark.integration
def test_a_source_is_listed_built_used_and_its_environment_pruned_when_the_pin_has_moved(tmp_path: Path) -> None:
    task = made_in(tmp_path).task
    assert call("env", "list", cwd=task).out.startswith("No environment is built yet; `aind-launch curricula sync`")
    unbuilt = call("curricula", "list", cwd=task).out
    assert re.search(
        r"^curricula +curricula +[0-9a-f]{10} +clean, unlocked +no +known once it is built$", unbuilt, re.MULTILINE
    )
    assert "Unlocked: curricula. Rigs may install different packages for one commit; run `uv lock`" in unbuilt
    assert "Not built yet: curricula. `aind-launch curricula sync` builds what is pinned" in unbuilt

    built = call("curricula", "sync", cwd=task)
    assert built.code == 0
    assert built.out.endswith(", unlocked)\n")
    assert built.err.splitlines()[0].startswith("Cloning curricula at ")
    assert not re.search(r"^\s*(\+ |Python 3)", built.err, re.MULTILINE)
    (source,) = json.loads(call("curricula", "list", "--json", cwd=task).out)
    known = [source[name] for name in ("built", "curricula", "unasked", "locked")]
    assert known == [True, ["counting"], None, False]
    enrolled = call("curricula", "enroll", "123456", "--curriculum", "counting", "--by", "me", cwd=task)
    assert enrolled.out == "Animal 123456 is enrolled: stage first of counting 1.0.0.\n"
    moved = call("animals", "move", "123456", "-c", "counting", "--stage", "second", "--reason", "a try", cwd=task)
    assert moved.out == "Animal 123456: first -> stage second of counting.\n"
    (animal,) = json.loads(call("animals", "list", "--json", cwd=task).out)
    assert animal["stage"] == "second"

    unlocked = call("doctor", cwd=task).out
    assert re.search(
        r"unlocked: it has no uv\.lock.*Run `uv lock` in curricula and commit uv\.lock", unlocked, re.DOTALL
    )

    (environment,) = json.loads(call("env", "list", "--json", cwd=task).out)
    assert (environment["pinned"], environment["locked"]) == (True, False)
    assert environment["packages"] == ["my-curricula==1.0.0"]
    assert datetime.fromisoformat(environment["used"]) >= datetime.fromisoformat(environment["built"])
    assert call("env", "prune", "--older-than", "0", cwd=task).out == "Nothing to remove.\n"

    shutil.rmtree(Path(environment["folder"]) / "venv")
    (source,) = json.loads(call("curricula", "list", "--json", cwd=task).out)
    assert source["built"] is False
    unwell = call("doctor", cwd=task).out
    assert "its environment will be built again. Its Python, " in unwell
    unknown = call("doctor", "--set", "plugin.isolated-curriculum.source=nope", cwd=task)
    assert unknown.code == 3
    assert "There is no curriculum source 'nope'." in unknown.out

    commit(task / "curricula", {"NEWS.md": "A new version.\n"})
    refused = call("curricula", "list", cwd=task).out
    assert re.search(r"^curricula +curricula +[0-9a-f]{10} +refused +no", refused, re.MULTILINE)
    assert "curricula: The submodule curricula is at " in refused
    assert "Run `git submodule update curricula`" in refused
    commit(task)
    assert re.search(r"^Removed [0-9a-f]{16} \(curricula at", call("env", "prune", "--older-than", "0", cwd=task).out)
    assert not Path(environment["folder"]).exists()
    assert json.loads(call("env", "list", "--json", cwd=task).out) == []
