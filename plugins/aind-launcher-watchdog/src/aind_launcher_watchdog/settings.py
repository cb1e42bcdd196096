"""The settings of the `watchdog` plugin."""

from datetime import time
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from aind_launcher import SettingsModel
from aind_launcher_watchdog.naming import ASSET, require_known

# Where rigs name the service's own configuration.
CONFIG_VARIABLE: Final = "WATCHDOG_CONFIG"


class WatchdogSettings(SettingsModel):
    """What ``[tool.aind-launcher.plugin.watchdog]`` may say."""

    flag_directory: Path | None = Field(
        None,
        description="The directory that the service watches for manifests. Default: flag_dir of its configuration.",
    )
    destination: str = Field(
        description="Where the service copies the data to: an absolute path or a network share; "
        "{subject}, {session} and {experimenter} stand for their names."
    )
    folder_name: str = Field(
        "{session}",
        description="The folder that the service makes there for a session, of the same words and of {asset}, "
        "the name that the service itself would give it.",
    )
    project_name: str = Field(description="The project that the data belongs to, as the metadata service knows it.")
    archive_directory: Path | None = Field(
        None,
        description="Where the service keeps manifests that it has carried out. "
        "Default: manifest_complete of its configuration.",
    )
    service_config: Path | None = Field(
        None, description=f"The service's own configuration, a YAML file. Default: the variable {CONFIG_VARIABLE}."
    )
    service_log: Path | None = Field(
        None,
        description="The service's log in JSON lines, which says why a job failed. "
        "Default: structured_log_file of its configuration.",
    )
    outbox_directory: Path | None = Field(
        None,
        description="Where manifests are written before they are moved to the service; on the flag directory's volume. "
        "Default: a folder beside the flag directory.",
    )
    schedule_time: time | None = Field(
        None, description="The time of day at which the service starts to copy. Default: at once."
    )
    extra_modalities: dict[str, list[str]] = Field(
        {},
        description="Further data by modality: paths, absolute or inside the session's folder; "
        "{session}, {subject} and {experimenter} stand for their names.",
    )
    schemas: list[str] = Field(
        ["*.json"],
        description="Metadata that goes along: names or patterns of files, relative to the session's folder.",
    )
    platform: str | None = Field(
        None,
        description="The platform's abbreviation, for metadata of aind-data-schema 1; begins {asset}.",
    )
    transfer_endpoint: str = Field(
        "http://aind-data-transfer-service/api/v2/submit_jobs",
        description="Where the service asks for the upload. Empty: the data is only copied.",
    )
    job_type: str = Field("default", description="The transfer service's job type.")
    tasks: dict[str, Any] = Field(
        {},
        description="Tasks of the upload job beside the default ones, or in their place; "
        "{destination} stands for the session's folder at the destination.",
    )
    email: str | None = Field(
        None, description="Who is told when the upload fails; {experimenter} stands for the experimenter's name."
    )
    checksum: Literal["no_check", "file_size", "crc32"] | None = Field(
        None, description="How the service compares what it copied. Default: as the service is set."
    )
    delete_source: bool = Field(
        False, description="Let the service delete the data of all modalities here once the upload was asked for."
    )
    project_names_url: str | None = Field(
        None, description="Where the valid project names can be asked for, as a JSON list. Default: not asked."
    )
    timeout: float = Field(5.0, gt=0, description="Seconds to wait for the answer about project names.")
    service_process: str = Field(
        "aind_watchdog_service",
        description="The service's process on this machine. Empty: it runs elsewhere and is not looked for.",
    )

    @field_validator("destination", "email")
    @classmethod
    def _of_known_words(cls, text: str | None) -> str | None:
        require_known(text or "")
        return text

    @field_validator("folder_name")
    @classmethod
    def _one_folder_for_each_session(cls, name: str) -> str:
        require_known(name, ASSET)
        if "{session}" not in name and f"{{{ASSET}}}" not in name:
            raise ValueError(f"folder-name must hold {{session}} or {{{ASSET}}}, or all sessions would be one folder")
        if any(separator in name for separator in "/\\"):
            raise ValueError("folder-name must be one folder; what is above it belongs into the destination")
        return name

    @field_validator("schemas")
    @classmethod
    def _inside_the_folder(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            path = PureWindowsPath(pattern)
            if not path.parts or path.anchor or PurePosixPath(pattern).is_absolute() or ".." in path.parts:
                raise ValueError(f"'{pattern}' must name files inside the session's folder, as in '*.json'")
        return patterns
