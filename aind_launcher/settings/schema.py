"""The JSON Schema of the settings, with which editors complete and check a `pyproject.toml`."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from aind_launcher.settings.layers import LauncherSettings

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The JSON Schema of ``[tool.aind-launcher]`` with the sections of `sections`, keys as in a file."""
    # A plugin may have any name, a field may not.
    fields: dict[str, Any] = {
        f"section{number}": (model, Field(default_factory=dict, alias=name))
        for number, (name, model) in enumerate(sections.items())
    }
    plugins = create_model("Plugins", __config__=ConfigDict(extra="forbid"), **fields)
    plugin: Any = (plugins, Field(default_factory=dict, description="Settings of each plugin, by its name."))
    whole = create_model("aind-launcher", __base__=LauncherSettings, plugin=plugin)
    schema = {"$schema": DRAFT, **whole.model_json_schema()}
    # Its default is a folder of the machine that prints the schema.
    schema["properties"]["state-directory"].pop("default", None)
    return schema
