"""What pydantic finds wrong is said in the words of this program, with the key as it is written and its value."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from command_line import call
from pydantic import ByteSize, Field, PlainSerializer, SecretStr, ValidationError
from task_repositories import laboratory

from aind_launcher.errors import SettingsError
from aind_launcher.model.validation import first_wrong, said
from aind_launcher.settings.layers import Layer, SettingsLayers
from aind_launcher.settings.model import SettingsModel

# What pydantic says, and nobody at a rig should have to read.
FOREIGN = re.compile(r"Input should|Value error|not permitted|validation error|pydantic|<class|unable to parse|\[key\]")


class Inner(SettingsModel):
    full_width: float


class Settings(SettingsModel):
    some_text: str = ""
    some_texts: list[str] = Field([], min_length=1)
    where: Path | None = None
    pause: float = Field(1, gt=0, le=10)
    count: int = Field(1, ge=1)
    is_on: bool = False
    room: ByteSize | None = None
    mode: Literal["fail", "warn"] = "fail"
    codes: dict[int, str] = Field({})
    screen: Inner | None = None
    password: SecretStr | None = None
    variables: Annotated[dict[str, str], PlainSerializer(lambda values: dict.fromkeys(values, "***"))] = Field({})


def refused(value: dict[str, Any]) -> str:
    layers = [Layer(name, {}, Path()) for name in ("the rig's file", "command line")]
    own = Layer("pyproject.toml", {"plugin": {"camera": value}}, Path())
    with pytest.raises(SettingsError) as error:
        SettingsLayers(Path(), own, *layers).plugin("camera", Settings)
    return error.value.message


@pytest.mark.parametrize(
    ("value", "key", "what"),
    [
        ({"some-text": 3}, "some-text", "it must be a text, not 3"),
        ({"some-text": {"a": 3}}, "some-text", "it must be a text"),
        ({"some-texts": "one"}, "some-texts", 'it must be a list, not "one"'),
        ({"some-texts": [3]}, "some-texts.0", "it must be a text, not 3"),
        ({"some-texts": []}, "some-texts", "it must not be empty"),
        ({"where": 3}, "where", "it must be a path, not 3"),
        ({"pause": "soon"}, "pause", 'it must be a number, not "soon"'),
        ({"pause": -1}, "pause", "it must be more than 0, not -1"),
        ({"pause": 11}, "pause", "it must be at most 10, not 11"),
        ({"count": 1.5}, "count", "it must be a whole number, not 1.5"),
        ({"count": 0}, "count", "it must be at least 1, not 0"),
        ({"is-on": "maybe"}, "is-on", 'it must be true or false, not "maybe"'),
        ({"room": "much"}, "room", 'it must be a size, such as 20 GB, not "much"'),
        ({"mode": "off"}, "mode", "it must be 'fail' or 'warn', not \"off\""),
        ({"codes": {"a": "x"}}, "codes.a", 'it must be a whole number, not "a"'),
        ({"screen": {"full-width": "wide"}}, "screen.full-width", 'it must be a number, not "wide"'),
        ({"screen": 3}, "screen", "it must be a table, not 3"),
        # A secret is not said.
        ({"password": 12345}, "password", "it must be a text"),
        ({"variables": {"TOKEN": 12345}}, "variables.TOKEN", "it must be a text"),
    ],
    ids=str,
)
def test_a_setting_of_a_plugin_is_refused_in_plain_words(value: dict[str, Any], key: str, what: str) -> None:
    message = refused(value)
    assert message == f"Setting 'plugin.camera.{key}' in pyproject.toml is wrong: {what}."


def test_a_setting_in_a_table_that_is_unknown_or_missing_is_named() -> None:
    assert refused({"screen": {"width": 3}}).startswith("Setting 'plugin.camera.screen.full-width' is missing")
    unknown = refused({"screen": {"full-width": 3, "heigth": 3}})
    assert unknown == "Unknown setting 'plugin.camera.screen.heigth' in pyproject.toml."


def test_what_a_model_refuses_elsewhere_is_said_in_one_line() -> None:
    with pytest.raises(ValidationError) as error:
        Settings.model_validate({"pause": "soon", "count": 0})
    assert first_wrong(error.value) == 'pause: it must be a number, not "soon" (1 more)'
    assert said(error.value) == 'Settings is not valid: pause: it must be a number, not "soon" (1 more)'


def test_a_step_whose_plugin_meets_pydantic_fails_in_plain_words(tmp_path: Path) -> None:
    plugin = """
        from pydantic import BaseModel
        from aind_launcher import hookimpl

        class Reply(BaseModel):
            count: int

        class Asks:
            @hookimpl
            def post_session(self):
                Reply.model_validate({"count": "none"})
    """
    lab = laboratory(tmp_path, plugin, names={"asks": "Asks"})
    ended = call("run", "--subject", "123456", cwd=lab.path)
    assert 'Reply is not valid: count: it must be a whole number, not "none"' in ended.err
    history = lab.subjects / "123456" / "history"
    (history / "2026-01-01T000000.000000Z_moved_000000000000_00000000.json").write_text('{"kind": 3}', encoding="utf-8")
    shown = call("animals", "show", "123456", cwd=lab.path)
    for text in (ended.err, ended.out, shown.err, shown.out):
        assert not FOREIGN.search(text), text
