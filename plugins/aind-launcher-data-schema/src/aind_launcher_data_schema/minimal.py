"""A minimal acquisition, from session, rig and times. Imports aind-data-schema, which takes over a second."""

import warnings
from datetime import datetime
from typing import Any

from aind_data_schema.components.identifiers import Code
from aind_data_schema.core.acquisition import Acquisition, DataStream, StimulusEpoch
from aind_data_schema_models.modalities import Modality
from pydantic import ValidationError

from aind_launcher import LauncherError, SessionContext, now
from aind_launcher_data_schema.document import BEHAVIOR, details, invalid
from aind_launcher_data_schema.facts import task_name
from aind_launcher_data_schema.settings import DataSchemaSettings


def acquisition(session: SessionContext, settings: DataSchemaSettings) -> dict[str, Any]:
    """The acquisition of this session as JSON data: one data stream, and one epoch of its task.

    Before the acquisition the times are those of the moment; so it can be tried whether it will be valid.

    :raises LauncherError: the instrument is unknown, or the models refuse it.
    """
    instrument = settings.instrument_id or (session.rig or {}).get("rig_name")
    if not isinstance(instrument, str) or not instrument:
        raise LauncherError(
            "acquisition.json cannot be made, since the rig file gives no rig_name.",
            "Set plugin.data-schema.instrument-id.",
        )
    start, end = _times(session)
    task = task_name(session)
    title = task or session.session.experiment or BEHAVIOR
    try:
        with warnings.catch_warnings():
            # Of versions that the task's repository does not have.
            warnings.simplefilter("ignore")
            code = _task_code(session, title)
            model = Acquisition(
                subject_id=session.subject,
                acquisition_start_time=session.session.date,
                acquisition_end_time=end,
                experimenters=session.session.experimenter,
                instrument_id=instrument,
                acquisition_type=settings.acquisition_type or title,
                notes=session.session.notes,
                data_streams=[
                    DataStream(
                        stream_start_time=start,
                        stream_end_time=end,
                        modalities=[Modality.from_abbreviation(name) for name in _modalities(session)],
                        code=[code],
                        active_devices=[],
                        configurations=[],
                    )
                ],
                stimulus_epochs=[
                    StimulusEpoch(
                        stimulus_start_time=start,
                        stimulus_end_time=end,
                        stimulus_name=title,
                        code=code,
                        stimulus_modalities=settings.stimulus_modalities,
                    )
                ],
            )
            plain: dict[str, Any] = model.model_dump(mode="json")
    except ValidationError as error:
        problem = invalid("A minimal acquisition.json", details(error))
        raise LauncherError(
            problem.message, "Let the task write acquisition.json, or correct the settings of plugin.data-schema."
        ) from None
    return plain


def _times(session: SessionContext) -> tuple[datetime, datetime]:
    if session.acquisition:
        return session.acquisition.start, session.acquisition.end
    moment = now()
    return moment, moment


def _modalities(session: SessionContext) -> list[str]:
    """What was recorded, by the names of the folders."""
    names = {name.casefold(): name for name in Modality.abbreviation_map}
    folders = sorted(path.name for path in session.folder.iterdir() if path.is_dir()) if session.folder.is_dir() else []
    return list(dict.fromkeys(names[name.casefold()] for name in folders if name.casefold() in names)) or [BEHAVIOR]


def _task_code(session: SessionContext, title: str) -> Code:
    """The task repository, as the code that ran."""
    repository = session.repository
    return Code(
        url=repository.url or repository.path.as_uri(),
        name=title,
        commit_hash=repository.commit,
        parameters=None if repository.clean else {"uncommitted_changes": True},
    )
