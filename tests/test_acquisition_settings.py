"""The settings of the built-in acquisition are judged when they are read, before any session."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from aind_launcher.builtin.acquisition import PLACEHOLDERS, AcquisitionProgram


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (
            ["bonsai", "--to={session_directory"],
            r"'\{session_directory' in .* lacks a brace; write \{session_directory\}",
        ),
        (["bonsai", "{session_directory/{rig}"], r"lacks a brace; write \{session_directory\}"),
        (["bonsai", "{sesion}"], r"unknown placeholder \{sesion\}.*known are session, rig"),
        (["bonsai", "x{trainer-state}"], r"known are session, .*trainer_state"),
        (["bonsai", "{Q}"], "known are session, rig"),
        ([], "at least 1"),
    ],
)
def test_a_command_that_cannot_work_is_refused_when_settings_are_read(command: list[str], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        AcquisitionProgram.Settings(command=command)


@pytest.mark.parametrize("pattern", ["", "/etc/*", "C:/data/*", "..\\x", "behavior/../../x"])
def test_data_is_required_only_within_the_sessions_folder(pattern: str) -> None:
    with pytest.raises(ValidationError, match="not a pattern within"):
        AcquisitionProgram.Settings(requires_data=[pattern])


@pytest.mark.parametrize("pattern", ["behavior/**.csv", "x**/a"])
def test_a_pattern_that_means_no_files_is_refused_when_settings_are_read(pattern: str) -> None:
    with pytest.raises(ValidationError, match="beside other letters"):
        AcquisitionProgram.Settings(requires_data=[pattern])


@pytest.mark.parametrize("argument", ['{"session": 1}', "{session}{rig}", "{ session", "{sessions"])
def test_braces_of_another_meaning_are_left_alone(argument: str) -> None:
    assert AcquisitionProgram.Settings(command=["x", argument]).command == ["x", argument]


@pytest.mark.parametrize("pattern", ["behavior/**/*.csv", "**", "[!a]b/[]]", "a[[]b", "*.harp"])
def test_a_pattern_that_means_files_is_taken(pattern: str) -> None:
    assert AcquisitionProgram.Settings(requires_data=[pattern]).requires_data == [pattern]


def test_the_examples_in_the_documentation_are_valid_settings() -> None:
    page = (Path(__file__).parents[1] / "docs" / "acquisition.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        section = tomllib.loads(example)["tool"]["aind-launcher"]["plugin"]["acquisition"]
        named = {key.replace("-", "_"): value for key, value in section.items()}
        assert AcquisitionProgram.Settings.model_validate(named).requires_data
    assert all(f"`{{{name}}}`" in page for name in PLACEHOLDERS)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in AcquisitionProgram.Settings.model_fields.values())
