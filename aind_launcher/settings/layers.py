"""Settings, from five layers, weak to strong, and where each value came from.

Defaults; ``[tool.aind-launcher]`` of the task repository; the rig's own ``aind-launcher.toml``;
``AIND_LAUNCHER_…`` in the environment; the command line.
"""

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError, field_validator

from aind_launcher.errors import SettingsError, UsageError
from aind_launcher.model.names import checked_name
from aind_launcher.settings.environment import (
    PREFIX,
    as_json_hint,
    from_environment,
    nearest,
    refuse_unknown_variables,
    variable,
)
from aind_launcher.system.rig import machine_directory

RIG_FILE = "aind-launcher.toml"

Model = TypeVar("Model", bound=BaseModel)


class LauncherSettings(BaseModel):
    """The launcher's own settings; each plugin has a section of its own under ``plugin``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str | None = Field(None, description="Name of the experiment; part of a session's record.")
    data_directory: Path | None = Field(
        None, description="Where sessions are written. The rig file's data_directory, where it has one, must agree."
    )
    rig: Path | None = Field(None, description="The rig file (JSON) that describes this rig.")
    plugins: dict[str, str] = Field({}, description="Plugins of this repository's own tree: name = 'module:object'.")
    disable: list[str] = Field([], description="Plugins that are not to be loaded.")
    required_steps: list[str] = Field(
        [], description="Plugins whose failed steps hold back the hand-off to the transfer service."
    )
    retry_pauses: list[NonNegativeFloat] = Field(
        [2.0, 10.0], description="Seconds to wait before each further try of a step that failed for the moment."
    )
    step_timeout: PositiveFloat = Field(
        30.0, description="Minutes after which a plugin's step has failed and the session goes on without it."
    )
    state_directory: Path = Field(
        default_factory=lambda: machine_directory("state", sys.platform, os.environ),
        description="Where this machine keeps the journal, the lock and the live logs.",
    )
    plugin: dict[str, dict[str, Any]] = Field({}, description="Settings of each plugin, by its name.")

    @field_validator("experiment")
    @classmethod
    def _names_a_folder(cls, value: str | None) -> str | None:
        try:
            return None if value is None else checked_name("experiment", value)
        except UsageError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class Layer:
    """The settings of one source, as written there.

    :param base: what relative paths in this layer are relative to.
    """

    origin: str
    values: Mapping[str, Any]
    base: Path


@dataclass(frozen=True)
class Resolved(Generic[Model]):
    """Validated settings and the origin of each value that is not a default, by its dotted key."""

    settings: Model
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SettingsLayers:
    """The layers of one task repository on this machine; the environment is read when it is asked for."""

    repository: Path
    own: Layer
    rig: Layer
    command_line: Layer

    def launcher(self) -> Resolved[LauncherSettings]:
        """The launcher's own settings; plugin sections stay as written.

        :raises SettingsError: a key is unknown or a value has the wrong type; names its origin.
        """
        refuse_unknown_variables(os.environ, LauncherSettings)
        return self._resolve(LauncherSettings, ())

    def plugin(self, name: str, model: type[Model]) -> Resolved[Model]:
        """The settings of one plugin, validated by its own model.

        :raises SettingsError: as for `launcher`.
        """
        return self._resolve(model, ("plugin", name))

    def sections(self) -> dict[str, str]:
        """The origin of each plugin section in a file: what must be installed."""
        layers = (self.own, self.rig, self.command_line)
        return {name: layer.origin for layer in layers for name in _section(layer, ("plugin",))}

    def _resolve(self, model: type[Model], section: tuple[str, ...]) -> Resolved[Model]:
        merged: dict[str, Any] = {}
        origins: dict[str, str] = {}

        def lay(layer: Layer) -> None:
            values = _by_field(model, _section(layer, section), section, layer.origin)
            _merge(merged, values, origins, layer.origin)

        lay(self.own)
        lay(self.rig)
        variables: dict[str, str] = {}
        _merge(merged, from_environment(model, section), variables, "environment")
        origins |= {key: variable(section, key) for key in variables}
        lay(self.command_line)
        try:
            settings = model.model_validate(merged)
        except ValidationError as error:
            raise _wrong_value(error, model, section, origins) from None
        return Resolved(settings.model_copy(update=self._absolute(settings, origins)), origins)

    def _absolute(self, settings: BaseModel, origins: Mapping[str, str]) -> dict[str, Path]:
        """The paths in `settings`, each from where its layer has its base; defaults and variables: the repository."""
        bases = {layer.origin: layer.base for layer in (self.own, self.rig, self.command_line)}
        return {
            name: bases.get(origins.get(hyphenated(name), ""), self.repository) / value
            for name in type(settings).model_fields
            if isinstance(value := getattr(settings, name), Path)
        }


def load_layers(repository: Path, overrides: Mapping[str, Any] | None = None) -> SettingsLayers:
    """Read the settings files that apply to `repository`.

    :param overrides: from the command line; nested by section, keys as in a file.
    :raises SettingsError: a file is not valid TOML.
    """
    rig_file = machine_directory("config", sys.platform, os.environ) / RIG_FILE
    rig = _read_toml(rig_file) if rig_file.is_file() else {}
    if "aind-launcher" in rig or "aind-launcher" in rig.get("tool", {}):
        raise SettingsError(
            f"{rig_file} has a section named aind-launcher.",
            "Its settings stand at the top of the file, without [tool.aind-launcher]; those of a plugin below "
            "[plugin.NAME].",
        )
    return SettingsLayers(
        repository,
        own=Layer("pyproject.toml", _tool_table(repository / "pyproject.toml") or {}, repository),
        rig=Layer(str(rig_file), rig, rig_file.parent),
        command_line=Layer("command line", overrides or {}, Path.cwd()),
    )


def find_repository(start: Path) -> Path:
    """The task repository that `start` lies in: the nearest folder whose pyproject.toml is the launcher's.

    :raises UsageError: there is none; says whether a pyproject.toml without the section was found.
    """
    without_section = None
    for folder in (start, *start.parents):
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file():
            if _tool_table(pyproject) is not None:
                return folder
            without_section = without_section or pyproject
    if without_section:
        raise UsageError(
            f"{without_section} has no [tool.aind-launcher] section.",
            "Add one, even an empty one, to make this a task repository.",
        )
    raise UsageError(
        f"There is no pyproject.toml in {start} or above it.",
        "Change to a task repository, or make one to try with `aind-launch demo DIR`.",
    )


def hyphenated(name: str) -> str:
    """A field's name as it is written in a file."""
    return name.replace("_", "-")


def parsed_override(text: str) -> dict[str, Any]:
    """``plugin.acquisition.timeout=5`` as nested settings; the value is TOML, or else plain text.

    :raises UsageError: there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"--set {text!r} is not a key and its value.", "Write it as KEY=VALUE, as in plugin.acquisition.timeout=60."
        )
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def merged_overrides(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several overrides as one; the last wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        _merge(merged, part, {}, "command line")
    return merged


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.", "Correct the file.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None


def _tool_table(pyproject: Path) -> dict[str, Any] | None:
    table = _read_toml(pyproject).get("tool", {}).get("aind-launcher") if pyproject.is_file() else None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(
            f"tool.aind-launcher in {pyproject} is not a table.", "Write its settings below [tool.aind-launcher]."
        )
    return table


def _section(layer: Layer, path: tuple[str, ...]) -> Mapping[str, Any]:
    values: Any = layer.values
    for part in path:
        values = values.get(part, {})
        if not isinstance(values, Mapping):
            raise SettingsError(f"Setting '{'.'.join(path)}' {_there(layer.origin)} is not a table of settings.")
    return dict(values)


def _by_field(
    model: type[BaseModel], values: Mapping[str, Any], section: tuple[str, ...], origin: str
) -> dict[str, Any]:
    """`values` with the names of `model`'s fields as keys, at every level that is a model."""
    names = {spelling: name for name in model.model_fields for spelling in (name, hyphenated(name))}
    result = {}
    for key, value in values.items():
        if key not in names:
            dotted = ".".join((*section, key))
            raise SettingsError(
                f"Unknown setting '{dotted}' {_there(origin)}.",
                nearest(key, {hyphenated(name) for name in model.model_fields}) or "See `aind-launch config show`.",
            )
        field = model.model_fields[names[key]]
        result[names[key]] = _nested_by_field(field.annotation, value, (*section, key), origin)
    return result


def _nested_by_field(annotation: Any, value: Any, section: tuple[str, ...], origin: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    origin_type = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _by_field(annotation, value, section, origin)
    if origin_type in (dict, Mapping):
        inner = get_args(annotation)[1]
        return {key: _nested_by_field(inner, item, (*section, key), origin) for key, item in value.items()}
    if origin_type in (Union, UnionType, Annotated):
        for choice in get_args(annotation):
            if any(issubclass(part, BaseModel) for part in _types_in(choice)):
                return _nested_by_field(choice, value, section, origin)
    return dict(value)


def _types_in(annotation: Any) -> Iterator[type]:
    if get_origin(annotation) is None:
        if isinstance(annotation, type):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _types_in(argument)


def _merge(
    into: dict[str, Any], values: Mapping[str, Any], origins: dict[str, str], origin: str, path: str = ""
) -> None:
    """Lay `values` over `into`: tables are merged, all else is replaced."""
    for key, value in values.items():
        dotted = f"{path}{hyphenated(key)}"
        if isinstance(value, Mapping) and value:
            target = into.get(key)
            into[key] = dict(target) if isinstance(target, Mapping) else {}
            _merge(into[key], value, origins, origin, f"{dotted}.")
        else:
            into[key] = value
            origins[dotted] = origin


def _wrong_value(
    error: ValidationError, model: type[BaseModel], section: tuple[str, ...], origins: Mapping[str, str]
) -> SettingsError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = [hyphenated(part) if isinstance(part, str) else str(part) for part in first["loc"]]
    dotted = ".".join((*section, *path))
    origin = next((origins[".".join(path[:n])] for n in range(len(path), 0, -1) if ".".join(path[:n]) in origins), None)
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "missing":
        table = ".".join(("tool", "aind-launcher", *section))
        return SettingsError(
            f"Setting '{dotted}' is missing.",
            f"Add it to [{table}] in pyproject.toml, or set {variable(section, path[0])}.",
        )
    field = model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    where = f" {_there(origin)}" if origin else ""
    hint = f"{path[0]}: {field.description}" if field and field.description else None
    if (
        field
        and origin
        and origin.startswith(PREFIX)
        and len(path) == 1
        and first["type"] in ("list_type", "dict_type")
    ):
        hint = as_json_hint(origin, field.annotation)
    return SettingsError(f"Setting '{dotted}'{where} is wrong: {message}.", hint)


def _there(origin: str) -> str:
    return "on the command line" if origin == "command line" else f"in {origin}"
