"""Settings in the environment: what each variable is called, and what it says."""

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from aind_launcher.errors import SettingsError

PREFIX = "AIND_LAUNCHER_"
# Set by the launcher itself for the processes that it starts; not settings.
_OWN_VARIABLES = frozenset({"AIND_LAUNCHER_CHILD"})
# The launcher's own setting whose sections belong to plugins.
_SECTIONS = "plugin"


def variable_prefix(section: tuple[str, ...]) -> str:
    """What the variables of `section` begin with."""
    return PREFIX + "".join(f"{part.replace('-', '_').upper()}__" for part in section)


def variable(section: tuple[str, ...], key: str) -> str:
    """The variable that sets `key`, up to the tables that it may write as JSON."""
    return variable_prefix(section) + key.partition(".")[0].replace("-", "_").upper()


def from_environment(model: type[BaseModel], section: tuple[str, ...]) -> dict[str, Any]:
    """What the environment says of `model`; lists and tables are JSON there.

    :raises SettingsError: a list or a table is written in another way.
    """
    prefix = variable_prefix(section)
    if not any(name.upper().startswith(prefix) for name in os.environ):
        return {}
    # Slow to import, and seldom needed.
    from aind_launcher.settings.variables import NotJson, read_variables

    try:
        return read_variables({name: field.annotation for name, field in _fields(model, section).items()}, prefix)
    except NotJson as error:
        which = variable(section, error.field)
        raise SettingsError(
            f"The environment variable {which} cannot be read.",
            as_json_hint(which, model.model_fields[error.field].annotation),
        ) from None


def as_json_hint(name: str, annotation: Any) -> str:
    """How the list or table in the variable `name` is to be written: with its value, unless it may be secret."""
    written = os.environ.get(name, "")
    if _is_plain_list(annotation) and not written.lstrip().startswith(("[", "{")):
        items = [item for item in re.split(r"[,\s]+", written) if item]
        return f"Lists are written as JSON there: {json.dumps([_read(item) for item in items], ensure_ascii=False)}."
    return 'Lists and tables are written as JSON there, as in ["one", "two"] or {"name": "value"}.'


def refuse_unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> None:
    """Refuse environment variables that are neither the launcher's own settings, those of `model`, nor a plugin's.

    :raises SettingsError: names the variable and the nearest known one.
    """
    known = {PREFIX + name.upper() for name in _fields(model, ())}
    for given in sorted(environ):
        name = given.upper()
        nested = any(name.startswith(f"{key}__") for key in (f"{PREFIX}PLUGIN", f"{PREFIX}PLUGINS"))
        if not name.startswith(PREFIX) or name in known | _OWN_VARIABLES or nested:
            continue
        hint = nearest(name, known) or "Unset it."
        if name.startswith(f"{PREFIX}PLUGIN_"):
            hint = f"Write two underscores before and after the plugin's name: {PREFIX}PLUGIN__NAME__SETTING."
        raise SettingsError(f"The environment variable {given} is not a setting.", hint)


def refuse_unknown_sections(environ: Mapping[str, str], sections: Mapping[str, type[BaseModel] | None]) -> None:
    """Refuse environment variables of plugins that do not exist, and of settings that they do not have.

    :raises SettingsError: names the variable and the nearest known one.
    """
    known = {
        variable_prefix((_SECTIONS, name)) + key.upper()
        for name, model in sections.items()
        for key in (model.model_fields if model else ())
    }
    for given in sorted(environ):
        name = given.upper()
        if name.startswith(f"{PREFIX}PLUGIN__") and not any(
            name == key or name.startswith(f"{key}__") for key in known
        ):
            raise SettingsError(
                f"The environment variable {given} is not a setting of an installed plugin.",
                nearest(name, known) or "Unset it.",
            )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The question whether one of `known` was meant; None where none is like `name`."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else None


def _fields(model: type[BaseModel], section: tuple[str, ...]) -> dict[str, Any]:
    return {name: field for name, field in model.model_fields.items() if section or name != _SECTIONS}


def _is_plain_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return any(map(_is_plain_list, get_args(annotation)))
    return get_origin(annotation) is list and not {SecretStr, SecretBytes} & {*get_args(annotation)}


def _read(item: str) -> Any:
    try:
        return json.loads(item)
    except ValueError:
        return item
