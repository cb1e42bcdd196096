"""The values of environment variables, as pydantic-settings reads them; imported only where there are some."""

from collections.abc import Mapping
from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict


class NotJson(Exception):
    """The variable of a list or a table is not JSON."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class _View(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", arbitrary_types_allowed=True)


class _Source(EnvSettingsSource):
    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError:
            # The library's own error would name the field in its sentence alone.
            raise NotJson(field_name) from None


def read_variables(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The values of those of `fields` that the environment sets.

    :param fields: the type of each by its name.
    :raises NotJson: names the field.
    """
    # Without the aliases and validators of a model: the names of variables follow from the fields alone.
    types = {name: (annotation, None) for name, annotation in fields.items()}
    view: type[BaseSettings] = create_model("View", __base__=_View, **types)  # type: ignore[call-overload]
    source = _Source(view, env_prefix=prefix, env_nested_delimiter="__", env_ignore_empty=True)
    return {name: value for name, value in source().items() if value is not None}
