"""Settings, from five layers, weak to strong, and where each value came from.

Defaults; ``[tool.aind-launcher]`` of the task repository; the rig's own ``aind-launcher.toml``;
``AIND_LAUNCHER_…`` in the environment; the command line.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    SecretBytes,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo

from aind_launcher.errors import SettingsError, UsageError, nearest
from aind_launcher.model.validation import in_words, key_of
from aind_launcher.settings.environment import (
    PREFIX,
    as_json_hint,
    from_environment,
    refuse_unknown_variables,
    variable,
)
from aind_launcher.settings.model import ExperimentName, Reviewed, RigName, SettingsModel, fields_by_key, has_nul
from aind_launcher.system.redaction import Redactor
from aind_launcher.system.rig import machine_directory
from aind_launcher.system.toml import tables_in

RIG_FILE = "aind-launcher.toml"

Model = TypeVar("Model", bound=BaseModel)

# What pydantic calls it when a text stands where a list or a table should.
_NOT_JSON = {"list_type", "dict_type", "model_type"}


class LauncherSettings(SettingsModel):
    """The launcher's own settings; each plugin has a section of its own under ``plugin``."""

    experiment: ExperimentName | None = Field(None, description="Name of the experiment; part of a session's record.")
    data_directory: Path | None = Field(
        None, description="Where sessions are written. The rig file's data_directory, where it has one, must agree."
    )
    rig: Path | None = Field(None, description="The rig file (JSON) that describes this rig.")
    rig_name: RigName | None = Field(
        None,
        description="What this rig is called where its sessions are listed. Without it: the rig file's rig_name, or "
        "the machine's name.",
    )
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
        description="Where the journal and the live logs are kept; if it is set, the lock of the rig, too.",
    )


@dataclass(frozen=True)
class Layer:
    """The settings of one source, as written there.

    :param base: what relative paths in this layer are relative to.
    """

    origin: str
    values: Mapping[str, Any]
    base: Path

    def section(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        """The table at `path`; at the top without the plugins' sections.

        :raises SettingsError: it is not a table.
        """
        if not path:
            return {key: value for key, value in self.values.items() if key != "plugin"}
        table = self.values
        for part in path:
            table = table.get(part, {})
            if not isinstance(table, Mapping):
                raise SettingsError(f"Setting '{'.'.join(path)}' {_there(self.origin)} is not a table of settings.")
        return table


@dataclass(frozen=True)
class Resolved(Generic[Model]):
    """Validated settings and the origin of each value that is not a default, by its dotted key."""

    settings: Model
    origins: Mapping[str, str]


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
        return {name: layer.origin for layer in layers for name in layer.section(("plugin",))}

    def _resolve(self, model: type[Model], section: tuple[str, ...]) -> Resolved[Model]:
        environment = [
            Layer(variable(section, key), {key: value}, self.repository)
            for key, value in from_environment(model, section).items()
        ]
        in_files = [replace(layer, values=layer.section(section)) for layer in (self.own, self.rig, self.command_line)]
        layers = [*in_files[:2], *environment, in_files[2]]
        merged: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for layer in layers:
            for key in layer.values:
                if key not in fields_by_key(model):
                    raise _unknown((*section, key), layer.origin, model)
            if layer.origin != self.own.origin:
                _refuse_unreviewed(layer, model, section, origins)
            _merge(merged, layer.values, origins, layer.origin)
        try:
            # A validator of a plugin's setting may need the launcher's own: `info.context.launcher()`.
            settings = model.model_validate(merged, by_alias=True, by_name=False, context=self)
        except ValidationError as error:
            raise _wrong_value(error, model, section, origins) from None
        for name, field in model.model_fields.items():
            given = merged.get(field.alias or name)
            if isinstance(getattr(settings, name), Path) and isinstance(given, str) and not given.strip():
                raise _impossible((*section, field.alias or name), "is empty", "Give a path.", origins)
            if has_nul(given):
                raise _impossible((*section, field.alias or name), "has a NUL character", "Remove it.", origins)
        # Paths are relative to their layer; those that are defaults, to the repository.
        bases = {layer.origin: layer.base for layer in layers}
        paths = {
            name: bases.get(origins.get(field.alias or name, ""), self.repository) / value
            for name, field in model.model_fields.items()
            if isinstance(value := getattr(settings, name), Path)
        }
        return Resolved(settings.model_copy(update=paths), origins)


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


def parsed_override(text: str) -> dict[str, Any]:
    """``plugin.acquisition.timeout=5`` as nested settings; the value is TOML, or else plain text.

    :raises UsageError: there is no ``=``, or no key before it.
    """
    key, equals, value = text.partition("=")
    for written in (value, json.dumps(value, ensure_ascii=False)) if equals else ():
        with suppress(ValueError):
            return tables_in(f"{key} = {written}")
    raise UsageError(
        f"--set {text!r} is not a key and its value.", "Write it as KEY=VALUE, as in plugin.acquisition.timeout=60."
    )


def merged_overrides(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several overrides as one; the last wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        _merge(merged, part, {}, "command line")
    return merged


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tables_in(path.read_bytes())
    except ValueError as error:
        raise SettingsError(f"{path} {error}.", "Correct the file.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None


def _tool_table(pyproject: Path) -> dict[str, Any] | None:
    table = _read_toml(pyproject).get("tool", {}).get("aind-launcher") if pyproject.is_file() else None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(
            f"tool.aind-launcher in {pyproject} is not a table.", "Write its settings below [tool.aind-launcher]."
        )
    return table


def _merge(
    into: dict[str, Any], values: Mapping[str, Any], origins: dict[str, str], origin: str, path: str = ""
) -> None:
    """Lay `values` over `into`: tables are merged, all else is replaced."""
    for key, value in values.items():
        dotted = f"{path}{key}"
        if isinstance(value, Mapping) and value:
            target = into.get(key)
            into[key] = dict(target) if isinstance(target, Mapping) else {}
            _merge(into[key], value, origins, origin, f"{dotted}.")
        else:
            into[key] = value
            origins[dotted] = origin


def _refuse_unreviewed(
    layer: Layer, model: type[BaseModel], section: tuple[str, ...], origins: Mapping[str, str]
) -> None:
    """Refuse what `layer` sets, or takes away with an empty table, of the fields that are marked as `Reviewed`."""
    given: dict[str, str] = {}
    _merge({}, layer.values, given, layer.origin)
    for key in given:
        for dotted in (key, *(known for known in origins if known.startswith(f"{key}."))):
            if any(Reviewed in field.metadata for field in _fields_on_the_way(model, dotted.split("."))):
                raise SettingsError(
                    f"Setting '{'.'.join((*section, dotted))}' {_there(layer.origin)} is taken only from the task "
                    "repository's pyproject.toml, which is reviewed.",
                    "Remove it there, and commit it in pyproject.toml if it is meant.",
                )


def _wrong_value(
    error: ValidationError, model: type[BaseModel], section: tuple[str, ...], origins: Mapping[str, str]
) -> SettingsError:
    first = error.errors(include_url=False)[0]
    kind, key = first["type"], key_of(first)
    path = key.split(".") if key else []
    dotted = ".".join((*section, *path))
    # Where a table has it, or where parts of it stand in a table that is none.
    enclosing = [".".join(path[:length]) for length in range(len(path), 0, -1)]
    known = (*enclosing, *(part for part in origins if part.startswith(f"{key}.")))
    origin = next((origins[part] for part in known if part in origins), None)
    is_secret = _is_secret(model, path)
    if kind == "missing":
        table = ".".join(("tool", "aind-launcher", *section))
        return SettingsError(
            f"Setting '{dotted}' is missing.",
            f"Add it to [{table}] in pyproject.toml, or set {variable(section, path[0])}.",
        )
    if kind == "extra_forbidden" and origin:
        return _unknown((*section, *path), origin, _model_of_table(model, path[:-1]))
    field = fields_by_key(model).get(path[0]) if path else None
    if field and origin and origin.startswith(PREFIX) and len(path) == 1 and kind in _NOT_JSON:
        return SettingsError(
            f"The environment variable {origin} cannot be read.",
            as_json_hint(origin, plain_list=kind == "list_type" and not is_secret),
        )
    hint = f"{path[0]}: {field.description}" if field and field.description else None
    where = f" {_there(origin)}" if origin else ""
    # What stands in a variable may be a secret, also in the wrong one.
    is_shown = not is_secret and not (origin or "").startswith(PREFIX)
    why = in_words(first, with_value=is_shown)
    if not is_shown and isinstance(first["input"], str):
        # A validator may quote it.
        why = Redactor(frozenset({first["input"]}))(why)
    return SettingsError(f"Setting '{dotted}'{where} is wrong: {why}.", hint)


def _impossible(path: Sequence[str], what: str, hint: str, origins: Mapping[str, str]) -> SettingsError:
    key = path[-1]
    origin = next((origins[dotted] for dotted in origins if dotted.partition(".")[0] == key), "")
    return SettingsError(f"Setting '{'.'.join(path)}' {_there(origin)} {what}.", hint)


def _unknown(path: Sequence[str], origin: str, model: type[BaseModel]) -> SettingsError:
    return SettingsError(
        f"Unknown setting '{'.'.join(path)}' {_there(origin)}.",
        nearest(path[-1], fields_by_key(model)) or "See `aind-launch config show`.",
    )


def _model_of_table(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The model within `model` that the table at `path` is checked with."""
    for key in path:
        if field := fields_by_key(model).get(key):
            model = next((kind for kind in _types_in(field.annotation) if issubclass(kind, BaseModel)), model)
    return model


def _is_secret(model: type[BaseModel], path: Sequence[str]) -> bool:
    """Whether the value at `path`, or a table that it is in, is hidden where settings are shown."""
    # What has a serializer of its own may be shown as something else.
    return any(
        {SecretStr, SecretBytes} & {*_types_in(field.annotation)}
        or any(isinstance(mark, PlainSerializer) for mark in field.metadata)
        for field in _fields_on_the_way(model, path)
    )


def _fields_on_the_way(model: type[BaseModel], path: Sequence[str]) -> list[FieldInfo]:
    """The field that the value at `path` belongs to, and those of the tables that it is in."""
    tables = [fields_by_key(_model_of_table(model, path[:length])) for length in range(len(path))]
    return [table[key] for table, key in zip(tables, path, strict=True) if key in table]


def _types_in(annotation: Any) -> Iterator[type]:
    """The classes that `annotation` is made of."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _types_in(argument)


def _there(origin: str) -> str:
    return "on the command line" if origin == "command line" else f"in {origin}"
