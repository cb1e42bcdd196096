"""The `data-schema` plugin: the hooks, and the settings behind them."""

import json
import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

import aind_launcher
from aind_launcher import Check, CurriculumSuggestion, HandedOff, LauncherError, SessionContext, StepSkipped
from aind_launcher.files import write_whole

logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """What ``[tool.aind-launcher.plugin.data-schema]`` may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        Path("acquisition.json"), description="Where the acquisition's metadata lies, relative to the session's folder."
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
    def _inside_the_folder(cls, path: Path) -> Path:
        if path.is_absolute() or path.drive or ".." in path.parts or path == Path():
            raise ValueError(f"'{path}' must be a file inside the session's folder, as in 'acquisition.json'")
        return path


class DataSchema:
    """Completes `acquisition.json` after the suggestion and before any hand-off."""

    Settings = Settings

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @aind_launcher.hookimpl
    def pre_session(self, session: SessionContext) -> Check:
        """Whether aind-data-schema works here and, where a file may have to be made, that it will be valid."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            installed = version("aind-data-schema")
            if installed.partition(".")[0] != "2":
                return _failed(f"aind-data-schema {installed} is installed; this plugin writes schema version 2.")
            # Loads the real models, in the same process that needs them after the session.
            from aind_launcher_data_schema import document, minimal

            if self._settings.create:
                document.validated(_text(minimal.acquisition(session, self._settings)), "A minimal acquisition.json")
        except LauncherError as error:
            return Check(name="data-schema", outcome="failed", message=error.message, mend=error.mend)
        except (ImportError, PackageNotFoundError) as error:
            return _failed(f"aind-data-schema cannot be imported: {error}.")
        return Check(name="data-schema", outcome="passed", message=f"aind-data-schema {installed}")

    @aind_launcher.hookimpl(tryfirst=True)
    def post_session(self, session: SessionContext, suggestion: CurriculumSuggestion | None) -> dict[str, JsonValue]:
        """Write metrics, stage and curriculum into the file. Running it again changes nothing.

        :raises HandedOff: the file would change, but the folder was handed off.
        :raises StepSkipped: there is no file, or nothing to add to it.
        :raises LauncherError: the file or what would become of it is not valid; the file stays as it was.
        """
        path = session.folder / self._settings.path
        if not session.folder.is_dir():
            raise LauncherError(f"The session's folder {session.folder} is gone.", "Bring it back and resume.")
        if not path.is_file() and not self._settings.create:
            raise StepSkipped(
                f"There is no {self._settings.path} in {session.folder}; a minimal one is made where "
                "plugin.data-schema.create is on."
            )
        from aind_launcher_data_schema import document, minimal
        from aind_launcher_data_schema.facts import Facts

        created = not path.is_file()
        before = (
            document.parsed(_text(minimal.acquisition(session, self._settings)), "The minimal acquisition.json")
            if created
            else document.read(path)
        )
        facts = Facts.of(session, suggestion, self._settings.training_protocol_name)
        if not created and facts.nothing:
            raise StepSkipped(f"No curriculum decided over {session.name}, so {path.name} has nothing to gain.")
        after, additions = document.enriched(before, facts, self._settings.stimulus_names, str(path))
        if created or after != before.data:
            text = _text(after)
            document.validated(text, f"{path} with the metrics and the curriculum added")
            if session.handed_off:
                raise HandedOff(f"{path} has yet to get the metrics and the curriculum of {session.name}.", session.name)
            write_whole(path, text)
        return {
            "path": str(path),
            "written": created or after != before.data,
            "created": created,
            "epochs": list(additions.epochs),
            "curriculum": additions.curriculum,
        }


def _failed(message: str) -> Check:
    return Check(
        name="data-schema",
        outcome="failed",
        message=message,
        mend="Install aind-launcher-data-schema again, with what it needs.",
    )


def _text(data: dict[str, Any]) -> str:
    # Three spaces, as aind-data-schema itself writes it: a diff then shows only what was added.
    return json.dumps(data, indent=3, ensure_ascii=False) + "\n"
