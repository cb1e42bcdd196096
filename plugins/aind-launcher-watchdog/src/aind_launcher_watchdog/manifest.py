"""The manifest of a session, made of the service's own models. Imports them, which takes half a second."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from aind_data_transfer_service.models.core import Platform, SubmitJobRequestV2
from aind_watchdog_service.models.manifest_config import (
    IngestedManifest,
    ManifestConfig,
    make_standard_transfer_args,
)
from pydantic import ValidationError

from aind_launcher import LauncherError, SessionContext, checked_name
from aind_launcher_watchdog.contents import Contents
from aind_launcher_watchdog.naming import ASSET, filled
from aind_launcher_watchdog.settings import WatchdogSettings


def manifest(
    session: SessionContext, settings: WatchdogSettings, contents: Contents, folder: str | None = None
) -> ManifestConfig:
    """The manifest; its `name` is the data's folder at the destination.

    :param folder: that folder, where the session already has one there; else as the settings name it.
    :raises LauncherError: the service's models refuse it, or a name of the session cannot be a part of a path.
    """
    if settings.platform and Platform.from_abbreviation(settings.platform) is None:
        # The service itself would go on without one.
        raise LauncherError(
            f"The watchdog service knows no platform {settings.platform!r}.",
            f"Set plugin.watchdog.platform to one of {', '.join(sorted(Platform.abbreviation_map))}, or leave it out.",
        )
    try:
        made = ManifestConfig(
            subject_id=session.subject,
            acquisition_datetime=session.session.date,
            schedule_time=settings.schedule_time,
            transfer_endpoint=settings.transfer_endpoint or None,
            platform=settings.platform,
            project_name=settings.project_name,
            upload_notification_email=filled(settings.email, session) if settings.email else None,
            destination=filled(settings.destination, session),
            modalities={modality: [str(path) for path in paths] for modality, paths in contents.modalities.items()},
            schemas=[str(path) for path in contents.schemas],
            transfer_service_job_type=settings.job_type,
            delete_modalities_source_after_success=settings.delete_source,
            # The service repeats this in each line of its log.
            extra_identifying_info={"session_name": session.name, "hand_off": session.hand_off},
            checksum_mode_override=settings.checksum,
        )
        # The name that it made itself is that of the data asset.
        name = folder or filled(settings.folder_name, session, **{ASSET: made.name})
        made = made.model_copy(update={"name": checked_name("folder name", name)})
        request = _plain(make_standard_transfer_args(made))
        for job in request["upload_jobs"]:
            # The service itself leaves the zone out.
            job["acq_datetime"] = session.session.date.isoformat()
            job["tasks"] = _with_tasks(job["tasks"], settings.tasks, f"{made.destination}/{made.name}")
        return made.model_copy(update={"transfer_service_args": SubmitJobRequestV2(**request)})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LauncherError(
            f"The watchdog service would refuse the manifest of {session.name} "
            f"({place}: {first['msg'].removeprefix('Value error, ').rstrip('.')}).",
            "Correct the settings of plugin.watchdog.",
        ) from None


def text(made: ManifestConfig) -> str:
    """The manifest as the service reads it, checked by its own reader."""
    written: str = yaml.safe_dump(_plain(made), sort_keys=False, allow_unicode=True, width=float("inf"))
    IngestedManifest(**yaml.safe_load(written), checksum_mode="crc32")
    return written


def name_at_destination(made: ManifestConfig) -> str:
    """The folder that the service will make."""
    return f"{made.destination}/{made.name}"


def _plain(model: Any) -> dict[str, Any]:
    # Nothing that is None is left out: the service would put its default there.
    plain: dict[str, Any] = json.loads(model.model_dump_json(round_trip=True))
    return plain


def _with_tasks(default: Mapping[str, Any], more: Mapping[str, Any], destination: str) -> dict[str, Any]:
    """The default tasks, with those of the settings added; tasks by modality are added one by one."""
    tasks = dict(default)
    for name, task in _with_destination(more, destination).items():
        by_modality = isinstance(task, dict) and name == "modality_transformation_settings" and "skip_task" not in task
        tasks[name] = {**tasks[name], **task} if by_modality else task
    return tasks


def _with_destination(value: Any, destination: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_destination(item, destination) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_destination(item, destination) for item in value]
    return value.replace("{destination}", destination) if isinstance(value, str) else value
