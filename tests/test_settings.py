"""Settings come from five layers; each value knows its source, and what is unknown is refused."""

import json
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from aind_launcher.builtin.acquisition import AcquisitionProgram
from aind_launcher.errors import SettingsError, UsageError
from aind_launcher.settings import variables
from aind_launcher.settings.environment import refuse_unknown_sections
from aind_launcher.settings.layers import (
    find_repository,
    load_layers,
    merged_overrides,
    parsed_override,
)
from aind_launcher.settings.model import Reviewed, SettingsModel
from aind_launcher.settings.schema import json_schema


class Place(SettingsModel):
    the_path: str


class Section(SettingsModel):
    time_out: float = 3
    password: SecretStr | None = None
    places: dict[str, Place] = Field({})
    names: list[str] = Field([])


@pytest.fixture
def repository(tmp_path):
    def write(text: str):
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def rig_file(tmp_path, monkeypatch):
    # Its libraries are imported as they are here before this machine is taken for another.
    assert callable(variables.read_variables)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path / "ProgramData"))
    path = tmp_path / "ProgramData" / "aind-launcher" / "aind-launcher.toml"
    path.parent.mkdir(parents=True)
    return path


def test_each_layer_overrides_the_weaker_ones(repository, rig_file, monkeypatch):
    root = repository(
        '[tool.aind-launcher]\nexperiment = "a"\ndata-directory = "data"\nrig = "rig.json"\ndisable = ["x"]'
    )
    rig_file.write_text('experiment = "b"\ndata-directory = "rig-data"\nrig = "own.json"')
    monkeypatch.setenv("AIND_LAUNCHER_EXPERIMENT", "c")
    monkeypatch.setenv("AIND_LAUNCHER_DATA_DIRECTORY", "env-data")
    resolved = load_layers(root, {"experiment": "d"}).launcher()
    assert resolved.settings.experiment == "d"
    assert resolved.settings.data_directory == root / "env-data"
    assert resolved.settings.rig == rig_file.parent / "own.json"
    assert resolved.settings.disable == ["x"]
    assert resolved.origins == {
        "experiment": "command line",
        "data-directory": "AIND_LAUNCHER_DATA_DIRECTORY",
        "rig": str(rig_file),
        "disable": "pyproject.toml",
    }


def test_a_plugin_section_is_merged_key_by_key(repository, rig_file, monkeypatch):
    root = repository(
        '[tool.aind-launcher.plugin.my-store]\ntime-out = 1\nnames = ["a"]\nplaces.one-two = {the-path = "x"}'
    )
    rig_file.write_text('[plugin.my-store]\ntime-out = 2\nplaces.three = {the-path = "y"}')
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__MY_STORE__NAMES", '["b", "c"]')
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__MY_STORE__PASSWORD", "hidden")
    resolved = load_layers(root, {"plugin": {"my-store": {"time-out": 5}}}).plugin("my-store", Section)
    assert resolved.settings == Section(
        time_out=5,
        names=["b", "c"],
        password=SecretStr("hidden"),
        places={"one-two": Place(the_path="x"), "three": Place(the_path="y")},
    )
    assert resolved.origins["time-out"] == "command line"
    assert resolved.origins["places.one-two.the-path"] == "pyproject.toml"
    assert resolved.origins["places.three.the-path"] == str(rig_file)


class Source(SettingsModel):
    command: Annotated[list[str], Reviewed] = Field([])
    python: str | None = None


class Sources(SettingsModel):
    sources: dict[str, Source] = Field({})
    only: str | None = None


OF_THE_REPOSITORY = '[tool.aind-launcher.plugin.my-store]\nonly = "a"\nsources.mine.command = ["decide"]'
IS_REVIEWED = (
    r"^Setting 'plugin\.my-store\.sources\.(mine|other)\.command' {there} is taken only from the task repository's "
    r"pyproject\.toml, which is reviewed\. Remove it there"
)


@pytest.mark.parametrize(
    "value", ['{"mine": {"command": ["other"]}}', '{"other": {"command": []}}', '{"mine": {}}', "{}", '"nothing"']
)
def test_what_has_to_be_reviewed_is_taken_from_the_repository_alone(repository, rig_file, monkeypatch, value):
    layers = load_layers(repository(OF_THE_REPOSITORY), {"plugin": {"my-store": {"sources": json.loads(value)}}})
    with pytest.raises(SettingsError, match=IS_REVIEWED.format(there="on the command line")):
        layers.plugin("my-store", Sources)

    rig_file.write_text(f"plugin.my-store.sources = {value.replace(':', '=')}")
    with pytest.raises(SettingsError, match=IS_REVIEWED.format(there=r"in .*aind-launcher\.toml")):
        load_layers(repository(OF_THE_REPOSITORY)).plugin("my-store", Sources)

    rig_file.unlink()
    variable = "AIND_LAUNCHER_PLUGIN__MY_STORE__SOURCES"
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=IS_REVIEWED.format(there=f"in {variable}")):
        load_layers(repository(OF_THE_REPOSITORY)).plugin("my-store", Sources)


def test_what_stands_beside_it_may_be_set_for_a_rig(repository, rig_file):
    rig_file.write_text('plugin.my-store = { only = "b", sources.mine.python = "3.12" }')
    settings = load_layers(repository(OF_THE_REPOSITORY)).plugin("my-store", Sources).settings
    assert settings == Sources(only="b", sources={"mine": Source(command=["decide"], python="3.12")})


def test_a_path_of_a_plugin_starts_where_the_launchers_own_do(repository, rig_file, monkeypatch):
    class Places(SettingsModel):
        by_default: Path = Path("a")
        of_repository: Path
        of_rig: Path
        of_variable: Path
        of_call: Path
        nothing: Path | None = None

    root = repository('[tool.aind-launcher.plugin.my-store]\nof-repository = "b"\nof-rig = "b"')
    rig_file.write_text('plugin.my-store.of-rig = "c"')
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__MY_STORE__OF_VARIABLE", "d")
    monkeypatch.chdir(rig_file.parent)
    resolved = load_layers(root, {"plugin": {"my-store": {"of-call": "e"}}}).plugin("my-store", Places)
    rig = rig_file.parent
    expected = {"by_default": root / "a", "of_repository": root / "b", "of_rig": rig / "c", "of_variable": root / "d"}
    assert resolved.settings.model_dump() == expected | {"of_call": rig / "e", "nothing": None}


def test_a_misspelt_key_is_refused_with_the_nearest(repository):
    root = repository('[tool.aind-launcher]\ndata-directry = "x"')
    with pytest.raises(
        SettingsError, match=r"Unknown setting 'data-directry' in pyproject.toml\. Did you mean 'data-directory'"
    ):
        load_layers(root).launcher()


def test_a_misspelt_key_of_a_plugin_is_refused_with_the_nearest(repository):
    root = repository("[tool.aind-launcher.plugin.my-store]\ntimeout = 4")
    with pytest.raises(SettingsError, match=r"'plugin\.my-store\.timeout' in pyproject.toml\. Did you mean 'time-out'"):
        load_layers(root).plugin("my-store", Section)


def test_a_misspelt_key_within_a_table_is_refused_with_the_nearest(repository):
    root = repository('[tool.aind-launcher.plugin.my-store]\nplaces.a = {the-path = "x", the-pth = "y"}')
    with pytest.raises(SettingsError, match=r"'plugin\.my-store\.places\.a\.the-pth' in pyproject.*mean 'the-path'"):
        load_layers(root).plugin("my-store", Section)


def test_settings_on_another_base_have_the_keys_of_their_fields_and_refuse_unknown_ones(repository, monkeypatch):
    class Plain(BaseModel):
        time_out: float
        a_file: Path = Path("x")

    root = repository("[tool.aind-launcher.plugin.my-store]\ntime_out = 1")
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__MY_STORE__A_FILE", "y")
    resolved = load_layers(root).plugin("my-store", Plain)
    assert resolved.settings == Plain(time_out=1, a_file=root / "y")
    assert resolved.origins["a_file"] == "AIND_LAUNCHER_PLUGIN__MY_STORE__A_FILE"
    repository("[tool.aind-launcher.plugin.my-store]\ntime-out = 1")
    with pytest.raises(SettingsError, match=r"'plugin\.my-store\.time-out' .* Did you mean 'time_out'"):
        load_layers(root).plugin("my-store", Plain)


def test_a_misspelt_variable_is_refused_with_the_nearest(repository, monkeypatch):
    monkeypatch.setenv("AIND_LAUNCHER_DATA_DIRECTRY", "x")
    with pytest.raises(
        SettingsError, match="AIND_LAUNCHER_DATA_DIRECTRY is not a setting. Did you mean 'AIND_LAUNCHER_DATA_DIR"
    ):
        load_layers(repository("[tool.aind-launcher]")).launcher()


def test_a_misspelt_variable_of_a_plugin_is_refused_with_the_nearest():
    with pytest.raises(SettingsError, match="Did you mean 'AIND_LAUNCHER_PLUGIN__MY_STORE__PASSWORD'"):
        refuse_unknown_sections({"AIND_LAUNCHER_PLUGIN__MY_STORE__PASWORD": "x"}, {"my-store": Section})


def test_a_wrong_type_names_key_and_source_and_never_the_value_of_a_variable(repository, monkeypatch):
    root = repository('[tool.aind-launcher]\ndisable = "slims"')
    with pytest.raises(SettingsError, match=r"Setting 'disable' in pyproject.toml is wrong: it must be a list"):
        load_layers(root).launcher()
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__MY_STORE__PLACES", '{"a": "secret-value"}')
    with pytest.raises(SettingsError) as caught:
        load_layers(root).plugin("my-store", Section)
    assert "secret-value" not in str(caught.value)
    assert "plugin.my-store.places.a" in str(caught.value)


def test_a_list_in_the_environment_that_is_not_json_is_refused(repository, monkeypatch):
    monkeypatch.setenv("AIND_LAUNCHER_DISABLE", "slims")
    root = repository("[tool.aind-launcher]")
    with pytest.raises(SettingsError, match=r'AIND_LAUNCHER_DISABLE .* written as JSON there: \["slims"\]\.'):
        load_layers(root).launcher()
    monkeypatch.setenv("AIND_LAUNCHER_DISABLE", "slims, watchdog")
    with pytest.raises(SettingsError, match=r'\["slims", "watchdog"\]'):
        load_layers(root).launcher()
    monkeypatch.setenv("AIND_LAUNCHER_DISABLE", '["slims"')
    with pytest.raises(SettingsError, match=r'as in \["one", "two"\]'):
        load_layers(root).launcher()


def test_a_list_that_may_be_left_out_is_json_in_the_environment_too(repository, monkeypatch):
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__ACQUISITION__COMMAND", "python -m my_task")
    with pytest.raises(SettingsError, match=r'written as JSON there: \["python", "-m", "my_task"\]'):
        load_layers(repository("[tool.aind-launcher]")).plugin("acquisition", AcquisitionProgram.Settings)


def test_a_variable_of_a_plugin_with_single_underscores_is_refused_with_the_double_ones(repository, monkeypatch):
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN_CHECKS_CLEAN_REPOSITORY", "off")
    with pytest.raises(SettingsError, match="two underscores .*: AIND_LAUNCHER_PLUGIN__NAME__SETTING"):
        load_layers(repository("[tool.aind-launcher]")).launcher()


def test_the_rigs_own_file_has_its_settings_at_the_top(repository, rig_file):
    root = repository("[tool.aind-launcher]")
    for section in ("tool.aind-launcher", "aind-launcher"):
        rig_file.write_text(f'[{section}]\nexperiment = "a"')
        with pytest.raises(SettingsError, match=r"aind-launcher\.toml has a section .* stand at the top of the file"):
            load_layers(root)


def test_a_pyproject_that_is_not_toml_is_refused(repository):
    with pytest.raises(SettingsError, match="is not valid TOML"):
        find_repository(repository("[tool"))


def test_a_folder_without_pyproject_is_refused(tmp_path):
    with pytest.raises(UsageError, match="There is no pyproject.toml"):
        find_repository(tmp_path)


def test_a_pyproject_without_the_section_is_refused(repository):
    with pytest.raises(UsageError, match=r"has no \[tool.aind-launcher\] section"):
        find_repository(repository("[project]\nname = 'x'"))


def test_the_repository_is_found_from_a_folder_below(repository):
    root = repository("[tool.aind-launcher]")
    below = root / "a" / "b"
    below.mkdir(parents=True)
    assert find_repository(below) == root


def test_overrides_are_toml_or_text():
    parts = [parsed_override(text) for text in ("plugin.a.n=5", "plugin.a.s=hello", "experiment='x'", "disable=['a']")]
    assert merged_overrides(parts) == {"plugin": {"a": {"n": 5, "s": "hello"}}, "experiment": "x", "disable": ["a"]}
    assert parsed_override('plugin.a.file=D:\\a "b"') == {"plugin": {"a": {"file": 'D:\\a "b"'}}}
    for text in ("nothing", "=3"):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            parsed_override(text)


def test_the_schema_accepts_what_the_launcher_accepts_and_refuses_the_rest():
    schema = json_schema({"my-store": Section})
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {"data-directory": "x", "plugin": {"my-store": {"time-out": 2, "places": {"a": {"the-path": "x"}}}}}
    jsonschema.validate(good, schema)
    refused: tuple[dict[str, Any], ...] = (
        {"data_dir": 1},
        {"plugin": {"other": {}}},
        {"plugin": {"my-store": {"time-out": "soon"}}},
        {"plugin": {"my-store": {"places": {"a": {"path": "x"}}}}},
    )
    for bad in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
    assert json.dumps(schema)


class Guarded(SettingsModel):
    password: SecretStr

    @field_validator("password")
    @classmethod
    def _long_enough(cls, password: SecretStr) -> SecretStr:
        raise ValueError(f"{password.get_secret_value()} is too easy")


def test_a_validator_that_quotes_a_secret_does_not_show_it(repository):
    layers = load_layers(repository("[tool.aind-launcher.plugin.vault]\npassword = 'correct-horse'"))
    with pytest.raises(SettingsError, match="is too easy") as caught:
        layers.plugin("vault", Guarded)
    assert "correct-horse" not in str(caught.value)
