"""Settings in the environment: what each variable is called, and what it says."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from aind_launcher.errors import SettingsError, nearest
from aind_launcher.settings.model import fields_by_key

PREFIX = "AIND_LAUNCHER_"
_PLUGINS = f"{PREFIX}PLUGIN__"
# Set by the launcher itself for the processes that it starts; not settings.
_OWN_VARIABLES = frozenset({"AIND_LAUNCHER_CHILD"})


def variable(section: tuple[str, ...], key: str) -> str:
    """The variable that sets `key` of the launcher itself, or of the plugin that `section` belongs to."""
    return PREFIX + "__".join((*section, key)).replace("-", "_").upper()


def from_environment(model: type[BaseModel], section: tuple[str, ...]) -> dict[str, Any]:
    """What the environment says of `model`, by keys as in a file; lists and tables are JSON there."""
    prefix = variable(section, "")
    if not any(name.upper().startswith(prefix) for name in os.environ):
        return {}
    # Slow to import, and seldom needed.
    from aind_launcher.settings.variables import read_variables

    return read_variables(model, prefix)


def as_json_hint(name: str, *, plain_list: bool) -> str:
    """How the list or table in the variable `name` is to be written.

    :param plain_list: it is a list that may be shown.
    """
    written = os.environ.get(name, "")
    if plain_list and not written.lstrip().startswith(("[", "{")):
        items = [item for item in re.split(r"[,\s]+", written) if item]
        return f"Lists are written as JSON there: {json.dumps(items, ensure_ascii=False)}."
    return 'Lists and tables are written as JSON there, as in ["one", "two"] or {"name": "value"}.'


def refuse_unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> None:
    """Refuse environment variables that are neither settings of the launcher, those of `model`, nor a plugin's.

    :raises SettingsError: names the variable and the nearest known one.
    """
    known = {variable((), key) for key in fields_by_key(model)}
    for given in sorted(environ):
        name = given.upper()
        if not name.startswith(PREFIX) or name.startswith(_PLUGINS) or name in known | _OWN_VARIABLES:
            continue
        hint = nearest(name, known) or "Unset it."
        if name.startswith(f"{PREFIX}PLUGIN_"):
            hint = f"Write two underscores before and after the plugin's name: {_PLUGINS}NAME__SETTING."
        raise SettingsError(f"The environment variable {given} is not a setting.", hint)


def refuse_unknown_sections(environ: Mapping[str, str], sections: Mapping[str, type[BaseModel] | None]) -> None:
    """Refuse environment variables of plugins that do not exist, and of settings that they do not have.

    :param sections: the settings of each plugin; None where it cannot say which it has.
    :raises SettingsError: names the variable and the nearest known one.
    """
    known = {
        variable(("plugin", name), key) for name, model in sections.items() for key in fields_by_key(model or BaseModel)
    }
    unasked = tuple(variable(("plugin", name), "") for name, model in sections.items() if model is None)
    for given in sorted(environ):
        name = given.upper()
        if name.startswith(_PLUGINS) and not name.startswith(unasked) and name not in known:
            raise SettingsError(
                f"The environment variable {given} is not a setting of an installed plugin.",
                nearest(name, known) or "Unset it.",
            )
