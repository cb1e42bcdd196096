"""The settings of the `data-schema` plugin."""

from pathlib import PurePath

from pydantic import Field, field_validator

from aind_launcher import SettingsModel


class DataSchemaSettings(SettingsModel):
    """What ``[tool.aind-launcher.plugin.data-schema]`` may say."""

    path: PurePath = Field(
        PurePath("acquisition.json"),
        description="Where the acquisition's metadata lies, relative to the session's folder.",
    )
    create: bool = Field(
        False, description="Make a minimal acquisition.json where the task wrote none, instead of skipping the step."
    )
    stimulus_names: list[str] = Field(
        [],
        description="The stimulus_name of the epochs that belong to the task. "
        "Default: the task's own name, or the only epoch there is.",
    )
    training_protocol_name: str | None = Field(
        None, description="The training protocol's name in the animal's procedures. Default: the curriculum's name."
    )
    instrument_id: str | None = Field(
        None, description="The instrument's identifier in a file that is made. Default: rig_name of the rig file."
    )
    acquisition_type: str | None = Field(
        None, description="The type of acquisition in a file that is made. Default: the task's name."
    )
    stimulus_modalities: list[str] = Field(
        [], description="What the task presents, in a file that is made: 'Visual', 'Virtual reality', 'Auditory', …"
    )

    @field_validator("path")
    @classmethod
    def _inside_the_folder(cls, path: PurePath) -> PurePath:
        if path.is_absolute() or path.drive or ".." in path.parts or path == PurePath():
            raise ValueError(f"'{path}' must be a file inside the session's folder, as in 'acquisition.json'")
        return path
