"""The settings of the `watchdog` plugin."""

from datetime import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aind_launcher import SettingsModel

# Of aind-data-schema, as far as a rig writes them; of version 1 too, for the service carries what there is.
SCHEMAS = [
    "acquisition.json",
    "data_description.json",
    "instrument.json",
    "procedures.json",
    "processing.json",
    "quality_control.json",
    "rig.json",
    "session.json",
    "subject.json",
]


class WatchdogSettings(SettingsModel):
    """What ``[tool.aind-launcher.plugin.watchdog]`` may say."""

    flag_directory: Path = Field(description="The directory that the service watches for manifests (its flag_dir).")
    destination: str = Field(description="Where the service copies the data to: an absolute path or a network share.")
    project_name: str = Field(description="The project that the data belongs to, as the metadata service knows it.")
    archive_directory: Path | None = Field(
        None, description="Where the service keeps manifests that it has carried out (its manifest_complete)."
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
        "{session} and {subject} stand for their names.",
    )
    schemas: list[str] = Field(
        SCHEMAS, description="Metadata files of the session's folder that go along where they exist."
    )
    platform: str | None = Field(
        None,
        description="The platform's abbreviation, for metadata of aind-data-schema 1; begins the data's name.",
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
    email: str | None = Field(None, description="Who is told when the upload fails.")
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

    @property
    def outbox(self) -> Path:
        flag = self.flag_directory
        return self.outbox_directory or flag.with_name(f"{flag.name}-outbox")
