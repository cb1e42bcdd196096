"""What the settings of the launcher and of all plugins have in common."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from aind_launcher.errors import UsageError
from aind_launcher.model.names import checked_name


class SettingsModel(BaseModel):
    """The base of a plugin's ``Settings``, and of a table within them.

    The field ``time_out`` is written ``time-out`` in a file, a key that no field has is an error, and the values cannot
    be changed.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Reviewed:
    """Marks a field, as in ``Annotated[str, Reviewed]``, that is taken from no layer but the task repository's.

    It decides which code runs, and the repository's ``pyproject.toml`` is reviewed and has a commit.
    """


def fields_by_key(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The fields of `model`, each by its key in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def has_nul(value: Any) -> bool:
    """Whether a text somewhere in `value` has the character that ends every path, argument and variable."""
    if isinstance(value, Mapping):
        return any(map(has_nul, (*value, *value.values())))
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\0" in value


def _name_of(kind: str) -> AfterValidator:
    def checked(value: str) -> str:
        try:
            return checked_name(kind, value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(checked)


# They name a folder and a file of the library.
ExperimentName = Annotated[str, _name_of("experiment")]
RigName = Annotated[str, _name_of("rig-name")]
