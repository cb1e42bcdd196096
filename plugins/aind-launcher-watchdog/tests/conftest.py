"""What the tests share: a finished session, the real watchdog service, and a double of the transfer service."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aind_launcher import (
    Acquisition,
    AnimalState,
    CurriculumSuggestion,
    Provenance,
    Repository,
    Session,
    SessionContext,
    TrainerStateText,
)
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.settings import WatchdogSettings
from aind_launcher_watchdog.transfer_double import TransferDouble

ANSWER = (Path(__file__).parent / "data" / "suggestion.json").read_text(encoding="utf-8")
BEGAN = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)
# As the service itself would name the data of this session at the destination.
ASSET = "123456_2025-03-14_09-26-53"
# As it is named by default.
NAME = "123456_2025-03-14T092653Z"


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doubles are on this machine, whatever proxy it has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def transfers() -> Iterator[TransferDouble]:
    with TransferDouble() as double:
        yield double


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    folder = tmp_path / "watchdog service" / "manifest"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def archive(flag: Path) -> Path:
    folder = flag.with_name("manifest_complete")
    folder.mkdir()
    return folder


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "server" / "staging"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def service(flag: Path, archive: Path) -> Iterator[RealService]:
    """The real service, not started yet."""
    real = RealService(flag, archive)
    yield real
    real.stop()


Make = Callable[..., WatchdogSettings]


@pytest.fixture
def make(flag: Path, archive: Path, destination: Path, transfers: TransferDouble) -> Make:
    """Settings for the service and the doubles of this test, with changes."""

    def settings(**changes: Any) -> WatchdogSettings:
        return WatchdogSettings.model_validate(
            {
                "flag_directory": flag,
                "archive_directory": archive,
                "destination": str(destination),
                "project_name": "Behavior Platform",
                "transfer_endpoint": transfers.endpoint,
                "service_process": "",
                **changes,
            }
        )

    return settings


@pytest.fixture
def plugin(make: Make) -> Watchdog:
    return Watchdog(make())


@pytest.fixture
def session(tmp_path: Path) -> SessionContext:
    """A finished session of subject 123456, with behaviour and videos, as the launcher hands it over."""
    state = json.loads(ANSWER)["trainer_state"]
    state["stage"]["name"] = "stage_a"
    record = Session(subject="123456", date=BEGAN, experiment="VrForaging", experimenter=["a.person"])
    folder = tmp_path / "data of rig 4" / record.session_name
    for name, content in {
        "behavior/Logs/session_input.json": record.model_dump_json().encode(),
        "behavior/SoftwareEvents/Licks.json": b'{"t": 1}\n{"t": 2}\n',
        "behavior/trainer_state.json": ANSWER.encode(),
        "behavior-videos/FaceCamera/video 1.mp4": bytes(range(256)) * 4096,
        "behavior-videos/FaceCamera/metadata.csv": "früh;spät\n".encode(),
        "instrument.json": b'{"instrument_id": "4A"}',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return SessionContext(
        session=record,
        folder=folder,
        staging=tmp_path / "state" / "sessions" / record.session_name,
        repository=Repository(path=tmp_path, url="https://example.org/vr-foraging.git", commit="a" * 40),
        rig={"rig_name": "4A", "computer_name": "W10DT", "data_directory": str(tmp_path)},
        task=state["stage"]["task"],
        task_source="trainer state",
        animal_state=AnimalState(trainer_state=TrainerStateText(text=json.dumps(state)), date=BEGAN),
        acquisition=Acquisition(
            outcome="completed", start=BEGAN + timedelta(seconds=20), end=BEGAN + timedelta(hours=1)
        ),
    )


@pytest.fixture
def suggestion() -> CurriculumSuggestion:
    """What the VR-foraging curriculum really answered."""
    return CurriculumSuggestion(
        text=ANSWER,
        trainer_state=TrainerStateText(text=json.dumps(json.loads(ANSWER)["trainer_state"])),
        provenance=Provenance(
            source="curricula",
            url="https://example.org/curricula.git",
            commit="5f0c1b2a9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a",
            environment="0123456789ab",
            python="3.11.7",
            launcher_version="0.1.0",
            duration=6.2,
        ),
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
