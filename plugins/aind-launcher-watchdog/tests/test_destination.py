"""Where the data arrives: the folder bears the session's name, and the path what the settings say of the session."""

import re
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ASSET, NAME, Make, files

from aind_launcher import LauncherError, SessionContext
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.transfer_double import TransferDouble


def by(session: SessionContext, *people: str) -> SessionContext:
    return session.model_copy(update={"session": session.session.model_copy(update={"experimenter": [*people]})})


def test_the_folder_at_the_destination_bears_the_session_s_own_name(
    session: SessionContext, make: Make, service: RealService, transfers: TransferDouble, destination: Path
) -> None:
    kept = Watchdog(make()).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert files(destination / session.name) == files(session.folder)
    assert [path.name for path in destination.iterdir()] == [session.name] == [NAME]
    assert kept["destination"] == (destination / NAME).as_posix()
    [job] = transfers.requests[0]["upload_jobs"]
    at = (destination / NAME).as_posix()
    assert job["tasks"]["gather_preliminary_metadata"]["job_settings"] == {"metadata_dir": at}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("{asset}", ASSET),
        ("{experimenter}-{session}", f"a.person-{NAME}"),
    ],
)
def test_the_folder_has_another_form_where_that_is_set(
    session: SessionContext, make: Make, service: RealService, destination: Path, form: str, name: str
) -> None:
    Watchdog(make(folder_name=form)).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert files(destination / name) == files(session.folder)


def test_the_destination_tells_subject_session_and_experimenter(
    session: SessionContext, make: Make, service: RealService, destination: Path
) -> None:
    place = f"{destination}/{{experimenter}}/{{subject}}"

    kept = Watchdog(make(destination=place)).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert kept["destination"] == (destination / "a.person" / "123456" / NAME).as_posix()
    assert files(destination / "a.person" / "123456" / NAME) == files(session.folder)


@pytest.mark.parametrize("person", ["../elsewhere", "a/person", r"a\person", "..", "", "con", "a person\n"])
def test_a_name_of_a_person_that_cannot_be_a_folder_refuses_the_session_and_moves_nothing(
    session: SessionContext, make: Make, flag: Path, person: str
) -> None:
    plugin = Watchdog(make(destination="/staging/{experimenter}"))

    [check] = [check for check in plugin.pre_session(by(session, person)) if check.name == "watchdog manifest"]
    with pytest.raises(LauncherError, match="experimenter") as raised:
        plugin.transfer_session(by(session, person))

    assert check.outcome == "failed"
    assert check.message == raised.value.message
    assert raised.value.hint
    assert files(flag) == {}


def test_a_session_without_experimenter_has_no_place_at_a_destination_that_names_one(
    session: SessionContext, make: Make
) -> None:
    plugin = Watchdog(make(destination="/staging/{experimenter}"))

    with pytest.raises(LauncherError, match="no experimenter") as raised:
        plugin.transfer_session(by(session))

    assert "--experimenter" in str(raised.value.hint)
    assert [check.outcome for check in plugin.check_rig()] == ["passed", "passed"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"destination": "/staging/{mouse}"}, r"\{mouse\}.*\{subject\}"),
        ({"folder_name": "{subject}"}, r"folder-name.*\{session\}"),
        ({"folder_name": "{subject}/{session}"}, "folder-name"),
        ({"folder_name": "{session}_{mouse}"}, r"\{mouse\}"),
    ],
)
def test_a_form_that_could_not_be_filled_or_would_be_the_same_for_all_is_a_wrong_setting(
    make: Make, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        make(**changes)


def test_extra_data_may_lie_in_a_folder_of_its_experimenter(
    session: SessionContext, make: Make, flag: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.person").mkdir()
    (tmp_path / "a.person" / "green.csv").write_bytes(b"1")

    kept = Watchdog(make(extra_modalities={"fib": [f"{tmp_path}/{{experimenter}}"]})).transfer_session(session)

    assert kept["modalities"] == ["behavior", "behavior-videos", "fib"]


def test_the_experimenter_is_told_of_a_failed_upload_where_the_address_is_made_of_the_name(
    session: SessionContext, make: Make, service: RealService, transfers: TransferDouble
) -> None:
    Watchdog(make(email="{experimenter}@example.org")).transfer_session(session)
    service.start()
    service.finish_a_job()

    assert transfers.requests[0]["user_email"] == "a.person@example.org"


def test_the_job_s_time_has_its_zone(
    session: SessionContext, make: Make, service: RealService, transfers: TransferDouble, flag: Path
) -> None:
    there = session.session.date.astimezone(timezone(timedelta(hours=-7)))
    elsewhere = session.model_copy(update={"session": session.session.model_copy(update={"date": there})})

    Watchdog(make()).transfer_session(elsewhere)
    service.start()
    service.finish_a_job()

    [job] = transfers.requests[0]["upload_jobs"]
    assert job["acq_datetime"] == "2025-03-14T02:26:53-07:00"


def test_a_hand_off_of_an_older_launcher_is_recognised_and_another_corrects_it_in_its_place(
    session: SessionContext, make: Make, service: RealService, archive: Path, flag: Path, destination: Path
) -> None:
    # What a launcher left that did not know the setting.
    Watchdog(make(folder_name="{asset}")).transfer_session(session)
    service.start()
    service.finish_a_job()
    service.stop()
    plugin = Watchdog(make())

    assert plugin.transfer_session(session)["state"] == "archived"
    assert files(flag) == {}

    (session.folder / "behavior" / "late.json").write_bytes(b"{}")
    kept = plugin.transfer_session(session.model_copy(update={"hand_off": 1}))
    again = RealService(flag, archive)
    again.start()
    again.finish_a_job()
    again.stop()

    assert kept["destination"] == (destination / ASSET).as_posix()
    assert [path.name for path in destination.iterdir()] == [ASSET]
    assert files(destination / ASSET) == files(session.folder)


def test_an_older_manifest_that_still_waits_is_withdrawn_by_another_hand_off_and_its_folder_kept(
    session: SessionContext, make: Make, flag: Path
) -> None:
    Watchdog(make(folder_name="{asset}")).transfer_session(session)

    assert Watchdog(make()).transfer_session(session)["state"] == "waiting"
    Watchdog(make()).transfer_session(session.model_copy(update={"hand_off": 1}))

    [path] = flag.iterdir()
    assert path.name == f"manifest_{session.name}_again1.yml"
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == ASSET


def test_what_stands_in_braces_is_in_the_manual() -> None:
    page = Path(__file__).parents[3] / "docs" / "plugins" / "watchdog.md"
    told = set(re.findall(r"\{\w+\}", page.read_text(encoding="utf-8")))

    assert {"{session}", "{subject}", "{experimenter}", "{asset}"} <= told
