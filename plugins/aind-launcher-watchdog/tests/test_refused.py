"""Sessions that the service could not carry out are named, with the reason, at the next look."""

import json
import logging
from pathlib import Path

import pytest
from conftest import ASSET, Make

from aind_launcher import Check, SessionContext
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.transfer_double import TransferDouble


@pytest.fixture
def log(service: RealService, caplog: pytest.LogCaptureFixture) -> Path:
    """The service's log, of all that it says on a rig."""
    caplog.set_level(logging.INFO)
    return service.log


@pytest.fixture
def watching(make: Make, log: Path) -> Watchdog:
    return Watchdog(make(service_log=log))


def failure_of(name: str) -> str:
    failure = {"Error": "Could not copy", "level": "ERROR", "event_type": "stage_failure"}
    return json.dumps({**failure, "msg": {"name": name}})


def told(plugin: Watchdog) -> Check | None:
    return next((check for check in plugin.check_rig() if check.name == "watchdog manifests"), None)


def test_a_job_that_the_transfer_service_refused_is_named_with_its_session_and_reason(
    session: SessionContext, watching: Watchdog, service: RealService, transfers: TransferDouble, flag: Path
) -> None:
    transfers.answer_with = 406
    watching.transfer_session(session)
    service.start()
    before = told(watching)
    service.finish_a_job()

    after = told(watching)

    assert before is None
    assert after and after.outcome == "warning"
    assert session.name in after.message
    assert "Could not trigger aind-data-transfer-service" in after.message
    assert "406" in after.message and "Submitted" in after.message
    assert str(flag) in after.message
    assert after.hint and "restart" in after.hint
    assert after in watching.pre_session(session)


def test_data_that_could_not_be_copied_is_told_with_what_the_copying_said(
    session: SessionContext, watching: Watchdog, service: RealService, destination: Path
) -> None:
    watching.transfer_session(session)
    destination.rmdir()
    destination.write_bytes(b"no folder")
    service.start()
    service.finish_a_job()

    check = told(watching)

    assert check and session.name in check.message
    assert "Job failed" in check.message and "Error" in check.message


def test_data_that_went_missing_is_told_with_its_path(
    session: SessionContext, watching: Watchdog, service: RealService
) -> None:
    watching.transfer_session(session)
    (session.folder / "instrument.json").unlink()
    service.start()
    service.finish_a_job()

    check = told(watching)

    assert check and (session.folder / "instrument.json").as_posix() in check.message


def test_a_session_that_went_well_at_the_next_start_of_the_service_is_not_told_any_more(
    session: SessionContext,
    watching: Watchdog,
    service: RealService,
    transfers: TransferDouble,
    flag: Path,
    archive: Path,
) -> None:
    transfers.answer_with = 500
    watching.transfer_session(session)
    service.start()
    service.finish_a_job()
    service.stop()
    transfers.answer_with = 200
    again = RealService(flag, archive, service.log)
    again.start()
    again.finish_a_job()
    again.stop()

    assert told(watching) is None


def test_a_hand_off_again_replaces_the_one_that_was_refused(
    session: SessionContext, watching: Watchdog, service: RealService, transfers: TransferDouble
) -> None:
    transfers.answer_with = 500
    watching.transfer_session(session)
    service.start()
    service.finish_a_job()

    watching.transfer_session(session.model_copy(update={"hand_off": 1}))

    assert told(watching) is None


def test_a_manifest_that_the_service_cannot_read_is_named(watching: Watchdog, service: RealService, flag: Path) -> None:
    (flag / "manifest_other.yml").write_text("name: x", encoding="utf-8")
    service.start()

    check = told(watching)

    assert check and "other (Error loading manifest, ValidationError" in check.message


def test_a_manifest_of_another_program_is_named_too(
    session: SessionContext, make: Make, watching: Watchdog, service: RealService, transfers: TransferDouble, flag: Path
) -> None:
    transfers.answer_with = 500
    Watchdog(make(folder_name="{asset}")).transfer_session(session)
    [ours] = flag.iterdir()
    text = ours.read_text(encoding="utf-8")
    ours.unlink()
    (flag / f"manifest_{ASSET}.yaml").write_text(text.replace("session_name:", "another:"), encoding="utf-8")
    service.start()
    service.finish_a_job()

    check = told(watching)

    assert check and ASSET in check.message and "500" in check.message


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{\n", b'[]\n5\n"manifest"\n'])
def test_a_log_that_tells_nothing_is_no_error(
    session: SessionContext, watching: Watchdog, log: Path, content: bytes
) -> None:
    watching.transfer_session(session)
    log.write_bytes(content + session.name.encode() + b"\n")

    assert told(watching) is None


def test_a_long_log_is_read_from_its_end(
    session: SessionContext, watching: Watchdog, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching.transfer_session(session)
    log.write_text(failure_of(session.name) + "\n" + "x" * 1000 + "\n", encoding="utf-8")

    monkeypatch.setattr("aind_launcher_watchdog.refused.TAIL", 500)
    assert told(watching) is None
    monkeypatch.setattr("aind_launcher_watchdog.refused.TAIL", 5000)
    check = told(watching)
    assert check and "Could not copy" in check.message


def test_of_many_sessions_the_first_are_named_and_the_rest_counted(
    session: SessionContext, watching: Watchdog, log: Path, flag: Path
) -> None:
    names = [f"{number}_2025-03-14T092653Z" for number in range(10, 16)]
    for name in names:
        (flag / f"manifest_{name}.yml").write_bytes(b"")
    log.write_text("\n".join(map(failure_of, names)), encoding="utf-8")

    check = told(watching)

    assert check and all(name in check.message for name in names[:3])
    assert names[3] not in check.message
    assert "6 sessions" in check.message and "3 more" in check.message
