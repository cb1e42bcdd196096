"""The built-in acquisition runs a real program and judges by its exit code and its data."""

import json
import logging
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from contexts import MONDAY, a_session, trainer_state
from hypothesis import given
from hypothesis import strategies as st

from aind_launcher.builtin.acquisition import PLACEHOLDERS, AcquisitionProgram, substituted, with_variables
from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle.record import BEGUN
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Acquisition, Repository, SessionContext

STATE = AnimalState(trainer_state=trainer_state("first"), date=MONDAY)


def plugin(*command: str, **settings: Any) -> AcquisitionProgram:
    return AcquisitionProgram(AcquisitionProgram.Settings(command=list(command) or None, **settings))


def python(code: str, *arguments: str, **settings: Any) -> AcquisitionProgram:
    return plugin(sys.executable, "-c", textwrap.dedent(code), *arguments, **settings)


def prepared(tmp_path: Path, **context: Any) -> SessionContext:
    """As the launcher leaves it before the acquisition."""
    session = a_session(tmp_path, **context)
    session.staging.mkdir(parents=True)
    session.paths.behavior.mkdir(parents=True)
    session.paths.trainer_state.write_text("{}", encoding="utf-8")
    session.paths.previous_metrics.write_text("{}", encoding="utf-8")
    (session.paths.behavior / BEGUN).write_text("{}", encoding="utf-8")
    return session


def run(acquisition: AcquisitionProgram, session: SessionContext) -> Acquisition:
    result = acquisition.run_session(session, os.environ)
    assert result is not None
    assert result.start <= result.end
    return result


# The command


def test_without_a_command_another_plugin_runs_the_acquisition_and_the_operator_is_told(tmp_path: Path) -> None:
    session = a_session(tmp_path)
    assert plugin().run_session(session, os.environ) is None
    assert plugin().check_rig(tmp_path) is None
    (check,) = plugin().pre_session(session)
    assert check.outcome == "warning"
    assert "plugin.acquisition.command" in (check.hint or "")


def test_every_placeholder_is_filled_in_wherever_it_stands(tmp_path: Path) -> None:
    session = prepared(tmp_path)
    arguments = [f"-p:{name}={{{name}}}!" for name in PLACEHOLDERS]
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    run(python(code, *arguments, '{"a": {}}', "$HOME %PATH% `x` ; & |", ""), session)
    told = json.loads((session.staged_output / "acquisition.stdout.txt").read_text("utf-8"))
    assert told == [
        f"-p:session={session.staged_session}!",
        f"-p:rig={session.staged_rig}!",
        f"-p:task={session.staged_task}!",
        f"-p:trainer_state={session.paths.trainer_state}!",
        f"-p:data_directory={session.folder.parent}!",
        f"-p:session_directory={session.folder}!",
        f"-p:repository={tmp_path}!",
        '{"a": {}}',
        "$HOME %PATH% `x` ; & |",
        "",
    ]


@given(argument=st.text(alphabet=st.sampled_from("{}sesionrg_ "), max_size=40))
def test_what_is_filled_in_is_not_looked_at_again(argument: str) -> None:
    places = dict.fromkeys(PLACEHOLDERS, Path("{session}{rig}"))
    assert substituted(argument, dict.fromkeys(places, Path("x"))).replace("x", "{session}{rig}") == substituted(
        argument, places
    )


# The program


def executable(path: Path) -> Path:
    """A program that ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        path = path.with_suffix(".cmd")
        path.write_text("@exit /b 0\r\n", encoding="utf-8")
    else:
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    return path


@pytest.mark.parametrize("written", ["my tool", "sub/my tool", "{repository}/sub/my tool"])
def test_a_program_is_found_relative_to_its_folder_or_to_the_repository(tmp_path: Path, written: str) -> None:
    (tmp_path / "bonsai").mkdir()
    program = executable(tmp_path / ("sub" if "sub" in written else "bonsai") / "my tool")
    acquisition = plugin(written, working_directory=tmp_path / "bonsai")
    (check,) = acquisition.pre_session(a_session(tmp_path))
    assert (check.outcome, check.message.lower()) == ("passed", str(program).lower())
    assert run(acquisition, prepared(tmp_path)).outcome == "completed"


def test_a_program_is_found_on_the_path_that_the_settings_give_it(tmp_path: Path) -> None:
    program = executable(tmp_path / "elsewhere" / "my-tool")
    acquisition = plugin("my-tool", environment={"PATH": str(program.parent)})
    check = acquisition.check_rig(tmp_path)
    assert check is not None
    assert check.outcome == "passed"


def test_a_program_that_is_not_there_refuses_the_session_and_says_where_it_was_looked_for(tmp_path: Path) -> None:
    session = prepared(tmp_path)
    acquisition = plugin("no-such-tool", "{session}")
    (check,) = acquisition.pre_session(session)
    assert check.outcome == "failed"
    assert "no-such-tool is not on PATH" in check.message
    assert str(tmp_path) in check.message
    assert "plugin.acquisition.command" in (check.hint or "")
    assert acquisition.check_rig(tmp_path) == check
    with pytest.raises(LauncherError, match="no-such-tool.* was not found"):
        acquisition.run_session(session, os.environ)


def test_a_file_that_is_no_program_refuses_the_session(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("print(1)")
    (check,) = plugin("task.py").pre_session(a_session(tmp_path))
    assert check.outcome == "failed"
    assert 'command = ["python", "task.py"]' in (check.hint or "")


def test_a_working_directory_that_is_not_there_refuses_the_session(tmp_path: Path) -> None:
    (check,) = plugin(sys.executable, working_directory=tmp_path / "bonsai").pre_session(a_session(tmp_path))
    assert check.outcome == "failed"
    assert str(tmp_path / "bonsai") in check.message


def test_the_doctor_says_nothing_of_a_program_that_only_a_session_can_name(tmp_path: Path) -> None:
    assert plugin("{session_directory}/tool").check_rig(tmp_path) is None


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        ({"rig": {}, "task": {}, "animal_state": STATE}, set()),
        ({"task": {}, "animal_state": STATE}, {"rig"}),
        ({"rig": {}, "animal_state": STATE}, {"task"}),
        ({"rig": {}, "task": {}}, {"trainer state"}),
        ({"rig": {}, "task": {}, "animal_state": STATE, "task_source": "file"}, {"trainer state"}),
    ],
)
def test_an_input_that_the_command_names_and_nobody_gives_refuses_the_session(
    tmp_path: Path, context: dict[str, Any], refused: set[str]
) -> None:
    checks = plugin(sys.executable, "{rig}", "-t={task}", "{trainer_state}").pre_session(a_session(tmp_path, **context))
    failed = [check for check in checks if check.outcome == "failed"]
    assert {check.name for check in failed} == refused
    assert all(check.hint for check in failed)
    assert {c.outcome for c in plugin(sys.executable, "{session}").pre_session(a_session(tmp_path))} == {"passed"}


# The run


@pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
def test_the_programs_output_is_shown_as_it_comes_and_kept_with_the_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = prepared(tmp_path)
    result = run(python("import sys; print('licks: 3'); print('a warning', file=sys.stderr)"), session)
    assert (result.outcome, result.exit_code, result.message) == ("completed", 0, None)
    shown = [record.getMessage() for record in caplog.records if record.name == "aind_launcher.acquisition"]
    assert sorted(shown) == ["a warning", "licks: 3"]
    assert (session.staged_output / "acquisition.stdout.txt").read_text("utf-8").splitlines() == ["licks: 3"]
    assert (session.staged_output / "acquisition.stderr.txt").read_text("utf-8").splitlines() == ["a warning"]


def test_the_program_runs_in_its_folder_with_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_COLOUR", "red")
    (tmp_path / "bonsai").mkdir()
    session = prepared(tmp_path)
    code = "import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"
    run(python(code, working_directory=tmp_path / "bonsai", environment={"CAMERA": "west side", "TZ": "UTC"}), session)
    folder, variables = json.loads((session.staged_output / "acquisition.stdout.txt").read_text("utf-8"))
    assert Path(folder) == tmp_path / "bonsai"
    assert (variables["CAMERA"], variables["TZ"], variables["RIG_COLOUR"]) == ("west side", "UTC", "red")


def test_a_variable_replaces_its_twin_on_windows_and_stands_beside_it_elsewhere() -> None:
    assert with_variables({"Path": "a", "X": "b"}, {"PATH": "c"}, "win32") == {"X": "b", "PATH": "c"}
    assert with_variables({"Path": "a"}, {"PATH": "c"}, "linux") == {"Path": "a", "PATH": "c"}


@pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
def test_a_program_that_fails_says_so_in_one_sentence_with_its_last_words(tmp_path: Path) -> None:
    session = prepared(tmp_path)
    code = "import sys; print('first', file=sys.stderr); print('the valve is stuck\\n', file=sys.stderr); sys.exit(3)"
    result = run(python(code), session)
    assert (result.outcome, result.exit_code) == ("failed", 3)
    assert result.message == (
        f"{Path(sys.executable).name} ended with exit code 3 (the valve is stuck); see {session.staged_output}."
    )


@pytest.mark.parametrize(
    ("code", "meaning", "outcome"),
    [(0, {}, "completed"), (1, {}, "failed"), (7, {"7": "completed"}, "completed"), (0, {"0": "failed"}, "failed")],
)
def test_exit_codes_mean_what_the_settings_say(
    tmp_path: Path, code: int, meaning: dict[str, str], outcome: str
) -> None:
    acquisition = python(f"raise SystemExit({code})", exit_codes=meaning)
    assert run(acquisition, prepared(tmp_path)).outcome == outcome


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    result = run(python("import time; time.sleep(600)", timeout=0.5, close_grace=0), prepared(tmp_path))
    assert result.outcome == "failed"
    assert "did not end within 0.5 s" in (result.message or "")


# The data


def writes(session: SessionContext, *files: str, content: str = "x", **settings: Any) -> Acquisition:
    code = """
        import pathlib, sys
        for name in sys.argv[3:]:
            path = pathlib.Path(sys.argv[1], name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sys.argv[2])
    """
    return run(python(code, "{session_directory}", content, *files, **settings), session)


@pytest.mark.parametrize("pattern", ["behavior/trials.csv", "behavior/*.csv", "**/trials.*", "behavior"])
def test_a_session_with_its_data_is_completed(tmp_path: Path, pattern: str) -> None:
    result = writes(prepared(tmp_path), "behavior/trials.csv", requires_data=[pattern])
    assert (result.outcome, result.message) == ("completed", None)


@pytest.mark.parametrize("pattern", ["behavior/licks.csv", "behavior/*.csv", "**/*", "behavior", "behavior/*.json"])
def test_a_session_without_its_data_counts_as_failed_however_the_program_ended(tmp_path: Path, pattern: str) -> None:
    """The launcher's own files are no data, and neither are empty ones."""
    session = prepared(tmp_path)
    result = writes(session, "behavior/other.csv", content="", requires_data=[pattern])
    assert (result.outcome, result.exit_code) == ("failed", 0)
    assert pattern in (result.message or "")
    assert str(session.folder) in (result.message or "")


def test_each_pattern_needs_data_and_only_those_without_are_named(tmp_path: Path) -> None:
    patterns = ["behavior/*.csv", "video/*.avi"]
    result = writes(prepared(tmp_path), "behavior/a.csv", requires_data=patterns)
    assert result.outcome == "failed"
    assert "no data for video/*.avi;" in (result.message or "")


def test_a_folder_that_vanished_is_not_made_anew_and_the_output_is_kept_beside_it(tmp_path: Path) -> None:
    session = prepared(tmp_path)
    code = "import shutil, sys; print('gone'); shutil.rmtree(sys.argv[1])"
    result = run(python(code, "{session_directory}", requires_data=["behavior/*"]), session)
    assert result.outcome == "failed"
    assert not session.folder.exists()
    assert str(session.staging) in (result.message or "")
    assert "gone" in (session.staged_output / "acquisition.stdout.txt").read_text("utf-8")


def test_the_repository_may_lie_where_names_have_spaces(tmp_path: Path) -> None:
    repository = tmp_path / "my task"
    repository.mkdir()
    session = prepared(tmp_path, repository=Repository(path=repository))
    code = "import os, sys; sys.exit(os.getcwd() != sys.argv[1])"
    result = run(python(code, "{repository}", working_directory=repository), session)
    assert result.outcome == "completed"
