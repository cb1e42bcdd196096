"""The JSON Schema of the settings, with which editors complete and check a `pyproject.toml`."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from aind_launcher.settings.layers import LauncherSettings, hyphenated

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The JSON Schema of ``[tool.aind-launcher]`` with the sections of `sections`, keys as in a file."""
    schema = _hyphenated_schema(LauncherSettings.model_json_schema())
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name, model in sections.items():
        section = _hyphenated_schema(model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}"))
        definitions |= {f"{name}.{key}": value for key, value in section.pop("$defs", {}).items()}
        properties[name] = section
    schema["properties"]["plugin"] = {
        "type": "object",
        "description": LauncherSettings.model_fields["plugin"].description,
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


def _hyphenated_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_hyphenated_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _hyphenated_schema(value) for key, value in schema.items() if key != "properties"}
    if isinstance(properties := schema.get("properties"), dict):
        result["properties"] = {hyphenated(key): _hyphenated_schema(value) for key, value in properties.items()}
    if isinstance(required := schema.get("required"), list):
        result["required"] = [hyphenated(key) for key in required]
    return result
