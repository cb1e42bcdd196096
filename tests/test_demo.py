"""The demo: what it builds, what it leaves alone, and that it shows what it promises."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uv
from command_line import launch
from hypothesis import given
from hypothesis import strategies as st
from package_index import serving

from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import find_sources, quoted
from aind_launcher.demo import build as demo_build
from aind_launcher.demo.build import build_demo
from aind_launcher.errors import Refused, UsageError
from aind_launcher.model.session import Session
from aind_launcher.settings.layers import RIG_FILE
from aind_launcher.system.files import write_whole
from aind_launcher.system.git import FROM_A_PATH, changes, commit_of, describe_repository, git
from aind_launcher.system.rig import machine_directory, rig_lock

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

TASK = {
    "stage_name": "detection",
    "task_parameters": {"trials": 50, "tones": 1, "octaves_apart": 2.0, "response_window": 2.0, "free_water": 0.0},
}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return build_demo(tmp_path / "a demo")


def test_the_demo_is_a_clean_task_repository_with_a_curriculum_as_a_real_submodule(demo: Path) -> None:
    assert describe_repository(demo).clean
    (source,) = find_sources(demo)
    pinned = pin(source)
    assert (source.kind, source.relative, pinned.problem) == ("submodule", "curriculum", None)
    assert pinned.commit == git("rev-parse", "HEAD:curriculum", cwd=demo).strip()


def test_the_task_runs_with_the_python_of_the_launcher(demo: Path) -> None:
    settings = tomllib.loads((demo / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["aind-launcher"]
    assert settings["plugin"]["acquisition"]["command"][0] == sys.executable


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_python_of_any_name_is_written_as_it_is(name: str) -> None:
    from aind_launcher.demo.build import _toml_string

    assert tomllib.loads(f"python = {_toml_string(name)}")["python"] == name


def test_the_curriculum_is_one_commit_whatever_the_user_configured(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    write_whole(hooks / "pre-commit", "#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    write_whole(tmp_path / "ignored", "*.md\n")
    configuration = tmp_path / "gitconfig"
    lines = ("core.autocrlf true", "commit.gpgSign true", "init.defaultBranch trunk", "init.defaultObjectFormat sha256")
    for line in (*lines, f"core.hooksPath {hooks}", f"core.excludesFile {tmp_path / 'ignored'}"):
        git("config", "--file", str(configuration), *line.split(" ", 1), cwd=tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    other = build_demo(tmp_path / "another")
    assert commit_of(other / "curriculum") == commit_of(demo / "curriculum")


def test_the_shipped_lock_names_no_index_of_a_machine() -> None:
    lock = Path(demo_build.__file__).parent / "templates" / "curriculum" / "uv.lock"
    hosts = set(re.findall(r"https?://([^/\"]+)", lock.read_text(encoding="utf-8")))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_the_curriculum_is_locked_to_the_index_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        index.upload("0.0.38", None, "aind_behavior_curriculum")
        made = build_demo(tmp_path / "a demo") / "curriculum"
        checked = subprocess.run([uv.find_uv_bin(), "lock", "--check"], cwd=made, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "pypi.org" not in (made / "uv.lock").read_text(encoding="utf-8")


def test_a_clone_of_the_demo_finds_its_curriculum(demo: Path, tmp_path: Path) -> None:
    clone = tmp_path / "somewhere" / "else"
    git("clone", "--quiet", "--recurse-submodules", str(demo), str(clone), cwd=tmp_path, environment=FROM_A_PATH)
    assert commit_of(clone / "curriculum") == commit_of(demo / "curriculum")


def test_a_folder_that_is_not_the_demos_is_left_alone_whatever_is_asked(tmp_path: Path) -> None:
    write_whole(tmp_path / "thesis.txt", "years of work")
    with pytest.raises(UsageError, match="not empty and was not made by the demo"):
        build_demo(tmp_path, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is a file"):
        build_demo(tmp_path / "thesis.txt", fresh=True)


def test_a_previous_demo_is_removed_only_on_demand(demo: Path) -> None:
    write_whole(demo / "data" / "session" / "trials.jsonl", "{}")
    with pytest.raises(UsageError, match="--fresh"):
        build_demo(demo)
    assert (demo / "data").is_dir()
    build_demo(demo, fresh=True)
    assert not list((demo / "data").iterdir())
    assert not changes(demo)


@pytest.mark.not_in_wine("Wine 8 makes no symbolic links")
def test_what_a_link_in_the_demo_points_to_is_not_removed(demo: Path, tmp_path: Path) -> None:
    write_whole(tmp_path / "elsewhere" / "thesis.txt", "years of work")
    (demo / "library").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    build_demo(demo, fresh=True)
    assert (tmp_path / "elsewhere" / "thesis.txt").exists()


def test_a_demo_in_which_a_session_runs_is_not_removed(demo: Path) -> None:
    (demo / "state").mkdir()
    with rig_lock(demo / "state"), pytest.raises(Refused, match="busy"):
        build_demo(demo, fresh=True)
    assert (demo / "pyproject.toml").exists()


def simulate(demo: Path, folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Run the simulated task as the acquisition does; the outcomes of its trials."""
    subject, _, date = folder.name.partition("_")
    session = Session.model_validate({"subject": subject, "date": date, "session_name": folder.name})
    inputs = folder.parent.parent / "inputs"
    write_whole(inputs / "session.json", session.model_dump_json())
    write_whole(inputs / "task.json", json.dumps(TASK))
    command = [sys.executable, "simulated_task.py", "--session", str(inputs / "session.json"), "--rig", "rig.json"]
    command += ["--task", str(inputs / "task.json"), "--folder", str(folder)]
    subprocess.run(command, cwd=demo, env={**os.environ, **(environment or {})}, check=True, capture_output=True)
    lines = (folder / "behavior" / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["outcome"] for line in lines]


def test_the_simulated_animal_learns_and_repeats_itself(demo: Path, tmp_path: Path) -> None:
    days = [f"mouse_2025-01-{day:02}T100000Z" for day in range(1, 7)]
    first = [simulate(demo, tmp_path / "once" / "data" / day) for day in days]
    second = [simulate(demo, tmp_path / "twice" / "data" / day) for day in days]
    assert first == second
    assert first[-1].count("hit") > first[0].count("hit")


def test_the_task_can_be_told_to_lose_the_licks_and_keeps_the_trials(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "mouse_2025-01-01T100000Z"
    assert simulate(demo, folder, {"SIMULATED_TASK_LOSES_LICKS": "yes"})
    assert not (folder / "behavior" / "licks.csv").exists()


@pytest.mark.integration
def test_the_demo_shows_what_it_promises_apart_from_the_rig_and_offline_the_second_time(tmp_path: Path) -> None:
    elsewhere = tmp_path / "the rig's own"
    rig_file = machine_directory("config", sys.platform, os.environ) / RIG_FILE
    curricula = "plugin.isolated-curriculum = { cache-directory = 'its cache', source = 'real' }"
    write_whole(rig_file, f"data-directory = {json.dumps(str(elsewhere))}\nexperiment = 'real'\n{curricula}\n")

    foreign = tmp_path / "installed"
    write_whole(foreign / "foreign.py", "raise RuntimeError('a plugin of another package was imported')\n")
    write_whole(foreign / "foreign-1.0.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    write_whole(foreign / "foreign-1.0.dist-info" / "entry_points.txt", "[aind_launcher]\nforeign = foreign\n")
    installed = {"PYTHONPATH": str(foreign)}

    first = launch("demo", "a demo", "--json", cwd=tmp_path, environment=installed)
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert told["stages"] == ["habituation", "detection", "discrimination", "expert"]
    sessions = told["sessions"]
    assert [session["exit_code"] for session in sessions] == [0, 0, 0, 1, 0, 0, 0]
    (failed,) = [step for step in sessions[3]["steps"] if step["state"] == "failed"]
    assert failed["hook"] == "curriculum_suggest"
    assert "licks.csv" in failed["error"] and "licks.csv" in first.err
    assert sessions[3]["stage_before"] == sessions[4]["stage_before"] == "discrimination"
    assert sessions[4]["metrics"]["sessions_at_stage"] == 1
    assert sessions[0]["provenance"]["dsl_version"] == "0.0.38"
    assert sessions[0]["provenance"]["locked"] is True
    assert all(Path(place).exists() for place in told["places"].values())
    assert not elsewhere.exists()
    assert Path(told["places"]["curriculum's environment"]).is_relative_to(rig_file.parent / "its cache")
    assert not (machine_directory("state", sys.platform, os.environ) / "journal.sqlite").exists()

    again = launch("demo", "a demo", cwd=tmp_path)
    assert again.code == 2
    assert "--fresh" in again.err

    rig_file.write_text(f"{curricula}\n", encoding="utf-8")
    offline = installed | {"UV_OFFLINE": "1"}
    second = launch("demo", "a demo", "--fresh", "--sessions", "2", cwd=tmp_path, environment=offline)
    assert second.code == 0, second.err
    assert "Cloning curriculum" in first.err
    assert "Cloning curriculum" not in second.err
    assert "did not show all that it promises" not in second.err
    assert "habituation -> detection" in second.out
    assert "left out the plugins foreign" in second.out


@pytest.mark.parametrize(
    ("codes", "missed"),
    [
        ([0], []),
        ([0, 0], []),
        ([1], ["no session was to fail, and these did: 1"]),
        ([0, 0, 0, 0], ["the animal stood at 0 stages, not at three", "session 4 alone was to fail"]),
    ],
    ids=["one", "two", "one that failed", "enough for all"],
)
def test_few_sessions_are_not_blamed_for_what_comes_later(codes: list[int], missed: list[str]) -> None:
    from aind_launcher.cli.demo_sessions import Shown, _missing

    def outcome(code: int) -> Any:
        return SimpleNamespace(exit_code=code, suggestion=None, session=SimpleNamespace(animal_state=None))

    missing = _missing([Shown(outcome(code), 1.0) for code in codes])
    assert all(found.startswith(told) for found, told in zip(missing, missed, strict=True))


def test_the_demos_curriculum_is_shown_by_the_name_that_enrols_an_animal_on_it() -> None:
    from aind_launcher.cli.demo_sessions import CURRICULUM

    templates = files("aind_launcher") / "demo" / "templates" / "curriculum" / "demo_curriculum"
    module = (templates / CURRICULUM / "curriculum.py").read_text(encoding="utf-8")
    assert f'create_curriculum("{CURRICULUM}"' in module


def test_what_to_go_on_with_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from aind_launcher.cli.demo_sessions import _program

    scripts = sysconfig.get_path("scripts")
    monkeypatch.delenv("NOX_CURRENT_SESSION", raising=False)
    monkeypatch.setenv("PATH", scripts)
    assert _program() == "aind-launch"
    for name, value in (("NOX_CURRENT_SESSION", "demo"), ("PATH", str(tmp_path))):
        monkeypatch.setenv(name, value)
        assert _program() == f"{quoted(sys.executable)} -m aind_launcher"
