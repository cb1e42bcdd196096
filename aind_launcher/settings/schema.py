"""The JSON Schema of the settings, with which editors complete and check a `pyproject.toml`."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from aind_launcher.settings.layers import LauncherSettings

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The JSON Schema of ``[tool.aind-launcher]`` with the sections of `sections`, keys as in a file."""
    schema = LauncherSettings.model_json_schema()
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name, model in sections.items():
        section = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        definitions |= {f"{name}.{key}": value for key, value in section.pop("$defs", {}).items()}
        properties[name] = section
    schema["properties"]["plugin"] = {
        "type": "object",
        "description": "Settings of each plugin, by its name.",
        "properties": properties,
        "additionalProperties": False,
    }
    # Its default is a folder of the machine that prints the schema.
    schema["properties"]["state-directory"].pop("default", None)
    return {
        "$schema": DRAFT,
        **schema,
        "title": "aind-launcher",
        **({"$defs": {**schema.get("$defs", {}), **definitions}} if definitions else {}),
    }
