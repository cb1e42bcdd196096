"""The values of environment variables, as pydantic-settings reads them; imported only where there are some."""

import json
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from aind_launcher.settings.model import fields_by_key


class _View(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", arbitrary_types_allowed=True)


class _Source(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A list or a table from its JSON. Other text stays as it is, for the model to refuse."""
        try:
            return json.loads(value)
        except ValueError:
            return value


def read_variables(model: type[BaseModel], prefix: str) -> dict[str, Any]:
    """The values of those fields of `model` that the environment sets, by their keys in a file."""
    keys = {key.replace("-", "_"): key for key in fields_by_key(model)}
    # Without the aliases and validators of `model`: what a variable is called follows from the key alone.
    types = {name: (fields_by_key(model)[key].annotation, None) for name, key in keys.items()}
    view: type[BaseSettings] = create_model("View", __base__=_View, **types)  # type: ignore[call-overload]
    found = _Source(view, env_prefix=prefix, env_ignore_empty=True)()
    return {keys[name]: value for name, value in found.items() if value is not None}
