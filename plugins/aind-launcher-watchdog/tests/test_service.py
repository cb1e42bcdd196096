"""Manifests in the hands of the real aind-watchdog-service: what arrives, and what is asked of the transfer service."""

from pathlib import Path

import pytest
from aind_data_schema.core.acquisition import Acquisition
from conftest import NAME, Make, files

from aind_launcher import CurriculumSuggestion, SessionContext
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.transfer_double import TransferDouble


@pytest.mark.integration
def test_a_session_arrives_whole_with_metadata_that_tells_its_metrics_and_curriculum(
    session: SessionContext,
    suggestion: CurriculumSuggestion,
    plugin: Watchdog,
    service: RealService,
    transfers: TransferDouble,
    flag: Path,
    archive: Path,
    destination: Path,
) -> None:
    service.start()
    DataSchema(DataSchemaSettings(create=True)).post_session(session, suggestion)
    session = session.model_copy(update={"handed_off": True})
    sent = files(session.folder)
    times = {path: path.stat().st_mtime_ns for path in session.folder.rglob("*")}

    kept = plugin.transfer_session(session)
    service.finish_a_job()

    assert files(destination) == {f"{NAME}/{name}": content for name, content in sent.items()}
    assert {path: path.stat().st_mtime_ns for path in session.folder.rglob("*")} == times
    assert (kept["state"], kept["destination"]) == ("placed", (destination / NAME).as_posix())
    name = f"manifest_{session.name}.yml"
    assert ([path.name for path in flag.iterdir()], [path.name for path in archive.iterdir()]) == ([], [name])

    [request] = transfers.requests
    [job] = request["upload_jobs"]
    at = (destination / NAME).as_posix()
    assert [modality["abbreviation"] for modality in job["modalities"]] == ["behavior", "behavior-videos"]
    settings = job["tasks"]["modality_transformation_settings"]
    assert settings["behavior"]["job_settings"] == {"input_source": f"{at}/behavior"}
    assert settings["behavior-videos"]["job_settings"] == {"input_source": f"{at}/behavior-videos"}
    assert job["tasks"]["gather_preliminary_metadata"]["job_settings"] == {"metadata_dir": at}
    assert (job["project_name"], job["subject_id"]) == ("Behavior Platform", "123456")
    assert job["acq_datetime"] == "2025-03-14T09:26:53Z"

    arrived = (destination / NAME / "acquisition.json").read_text(encoding="utf-8")
    model = Acquisition.model_validate_json(arrived)
    [epoch], [stream] = model.stimulus_epochs, model.data_streams
    assert epoch.performance_metrics.output_parameters.model_dump() == suggestion.metrics
    assert (epoch.curriculum_status, epoch.training_protocol_name) == ("stage_a", "TemplateCurriculum")
    curriculum = stream.code[-1]
    assert (curriculum.url, curriculum.version) == ("https://example.org/curricula.git", "1.3.2")
    assert (curriculum.commit_hash, curriculum.language_version) == (suggestion.provenance.commit, "0.0.42")  # type: ignore[union-attr]

    assert plugin.transfer_session(session)["state"] == "archived"
    assert files(flag) == {}


def test_what_was_handed_over_while_the_service_was_down_is_taken_when_it_starts(
    session: SessionContext,
    plugin: Watchdog,
    service: RealService,
    transfers: TransferDouble,
    archive: Path,
    destination: Path,
) -> None:
    plugin.transfer_session(session)

    service.start()
    service.finish_a_job()

    assert files(destination / NAME) == files(session.folder)
    assert len(transfers.requests) == len(files(archive)) == 1


def test_a_job_that_failed_leaves_its_manifest_waiting_and_a_resume_adds_none(
    session: SessionContext, plugin: Watchdog, service: RealService, transfers: TransferDouble, flag: Path
) -> None:
    transfers.answer_with = 500
    plugin.transfer_session(session)
    service.start()
    service.finish_a_job()

    again = plugin.transfer_session(session)

    assert again["state"] == "waiting"
    assert list(files(flag)) == [f"manifest_{session.name}.yml"]


def test_further_data_tasks_and_a_copy_without_upload_reach_the_service(
    session: SessionContext, make: Make, service: RealService, transfers: TransferDouble, tmp_path: Path
) -> None:
    probes = tmp_path / "ephys" / session.name
    (probes / "probe A").mkdir(parents=True)
    (probes / "probe A" / "continuous.dat").write_bytes(b"\0" * 1000)
    (session.folder / "fiber").mkdir()
    (session.folder / "fiber" / "green.csv").write_bytes(b"1,2\n")
    extra = {"ecephys": [str(tmp_path / "ephys" / "{session}")], "fib": ["fiber"]}
    tasks = {
        "modality_transformation_settings": {"ecephys": {"job_settings": {"input_source": "{destination}/raw"}}},
        "register_data_asset": {"skip_task": True},
    }

    kept = Watchdog(make(extra_modalities=extra, tasks=tasks, platform="behavior")).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert kept["left_out"] == []
    assert isinstance(kept["destination"], str)
    at = Path(kept["destination"])
    assert at.name == NAME
    assert files(at / "ecephys") == {"probe A/continuous.dat": b"\0" * 1000}
    assert files(at / "fib") == {"green.csv": b"1,2\n"}
    [job] = transfers.requests[0]["upload_jobs"]
    assert job["tasks"]["register_data_asset"]["skip_task"] is True
    settings = job["tasks"]["modality_transformation_settings"]
    assert settings["ecephys"]["job_settings"] == {"input_source": f"{at.as_posix()}/raw"}
    assert settings["behavior"]["job_settings"] == {"input_source": f"{at.as_posix()}/behavior"}


def test_without_an_endpoint_the_data_is_only_copied(
    session: SessionContext, make: Make, service: RealService, transfers: TransferDouble, destination: Path
) -> None:
    Watchdog(make(transfer_endpoint="")).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert files(destination / NAME) == files(session.folder)
    assert transfers.requests == []


def test_the_source_is_deleted_only_where_that_was_set(
    session: SessionContext, make: Make, service: RealService, destination: Path
) -> None:
    sent = files(session.folder)

    Watchdog(make(delete_source=True)).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert files(destination / NAME) == sent
    assert list(files(session.folder)) == ["instrument.json"]
