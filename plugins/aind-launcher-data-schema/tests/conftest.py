"""What the tests share: a session that was run, and the acquisition.json that its task wrote."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.components.configs import DetectorConfig, TriggerType
from aind_data_schema.components.identifiers import Code
from aind_data_schema.core.acquisition import (
    Acquisition,
    AcquisitionSubjectDetails,
    DataStream,
    PerformanceMetrics,
    StimulusEpoch,
)
from aind_data_schema_models.modalities import Modality
from aind_data_schema_models.units import TimeUnit

from aind_launcher import (
    Acquisition as Ended,
)
from aind_launcher import (
    AnimalState,
    CurriculumSuggestion,
    Provenance,
    Repository,
    Session,
    SessionContext,
    TrainerStateText,
)

ANSWER = (Path(__file__).parent / "data" / "suggestion.json").read_text(encoding="utf-8")
PACKAGE = "aind_behavior_vr_foraging_curricula.template"
COMMIT = "5f0c1b2a9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a"
BEGAN = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)


def pytest_configure(config: pytest.Config) -> None:
    """aind-data-schema 2.9 deprecates a field that its own validators read."""
    config.addinivalue_line("filterwarnings", "ignore:Deprecated. use global_coordinate_system:DeprecationWarning")


@pytest.fixture
def suggestion() -> CurriculumSuggestion:
    """What the VR-foraging curriculum really answered, from the session's stage_a to stage_b."""
    return suggested(ANSWER)


def suggested(text: str, **changes: Any) -> CurriculumSuggestion:
    provenance = Provenance(
        source="curricula",
        url="https://example.org/curricula.git",
        commit=COMMIT,
        environment="0123456789ab",
        python="3.11.7",
        launcher_version="0.1.0",
        duration=6.2,
    )
    state = json.dumps(json.loads(text)["trainer_state"])
    return CurriculumSuggestion(
        text=text, trainer_state=TrainerStateText(text=state), provenance=provenance.model_copy(update=changes)
    )


@pytest.fixture
def session(tmp_path: Path) -> SessionContext:
    """A session of subject 123456 that was run at stage_a of the VR-foraging template."""
    state = json.loads(ANSWER)["trainer_state"]
    state["stage"]["name"] = "stage_a"
    record = Session(subject="123456", date=BEGAN, experiment="VrForaging", experimenter=["a.person"], notes="calm")
    folder = tmp_path / "data of rig 4" / record.session_name
    (folder / "behavior").mkdir(parents=True)
    (folder / "behavior-videos").mkdir()
    return SessionContext(
        session=record,
        folder=folder,
        staging=tmp_path / "state",
        repository=Repository(path=tmp_path, url="https://example.org/vr-foraging.git", commit="a" * 40),
        rig={"rig_name": "4A", "computer_name": "W10DT", "data_directory": str(tmp_path)},
        task=state["stage"]["task"],
        task_source="trainer state",
        animal_state=AnimalState(trainer_state=TrainerStateText(text=json.dumps(state)), date=BEGAN),
        acquisition=Ended(outcome="completed", start=BEGAN + timedelta(seconds=20), end=BEGAN + timedelta(hours=1)),
    )


def written_by_the_task(session: SessionContext, *epochs: StimulusEpoch) -> Path:
    """An acquisition.json as a task's own mapper writes it, with much that the plugin must leave alone."""
    assert session.acquisition
    start, end = session.acquisition.start, session.acquisition.end
    bonsai = Code(url="https://example.org/vr-foraging.git", name="bonsai", version="0.6.1", language="Bonsai")
    stream = DataStream(
        stream_start_time=start,
        stream_end_time=end,
        modalities=[Modality.BEHAVIOR, Modality.BEHAVIOR_VIDEOS],
        code=[bonsai],
        active_devices=["FaceCamera"],
        configurations=[
            DetectorConfig(
                device_name="FaceCamera",
                exposure_time=4.1,
                exposure_time_unit=TimeUnit.MS,
                trigger_type=TriggerType.EXTERNAL,
            )
        ],
    )
    model = Acquisition(
        subject_id=session.subject,
        acquisition_start_time=session.session.date,
        acquisition_end_time=end,
        experimenters=["Ångström"],
        instrument_id="4A",
        acquisition_type="AindVrForaging",
        data_streams=[stream],
        stimulus_epochs=list(epochs) or [epoch(session, str((session.task or {})["name"]))],
        subject_details=AcquisitionSubjectDetails(mouse_platform_name="wheel", animal_weight_prior=25.3),
    )
    path = session.folder / "acquisition.json"
    path.write_text(model.model_dump_json(indent=3), encoding="utf-8")
    return path


def epoch(session: SessionContext, name: str) -> StimulusEpoch:
    assert session.acquisition
    return StimulusEpoch(
        stimulus_start_time=session.acquisition.start,
        stimulus_end_time=session.acquisition.end,
        stimulus_name=name,
        stimulus_modalities=["Virtual reality"],
        performance_metrics=PerformanceMetrics(trials_total=312, output_parameters={"licks": 4021}),
    )
