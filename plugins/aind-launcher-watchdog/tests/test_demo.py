"""The watchdog service of the demo: the real one, in a process of its own."""

import sys
from pathlib import Path

import pytest
from conftest import NAME, files

from aind_launcher import Refused, SessionContext
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings
from aind_launcher_watchdog.demo import require_installed, service
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.settings import WatchdogSettings


def settings_of(told: object) -> WatchdogSettings:
    assert isinstance(told, dict)
    return WatchdogSettings.model_validate({name.replace("-", "_"): value for name, value in told.items()})


def test_what_is_handed_over_arrives_and_is_told(session: SessionContext, tmp_path: Path) -> None:
    DataSchema(DataSchemaSettings(create=True)).post_session(session, None)
    sent = files(session.folder)
    place = tmp_path / "services" / "watchdog"

    with service(place, [session.subject]) as running:
        plugin = Watchdog(settings_of(running.settings))
        assert [check.outcome for check in plugin.check_rig()] == ["passed"] * 4
        plugin.transfer_session(session)
        told = list(running.arrived())

    destination = place / "destination"
    assert files(destination / NAME) == sent
    assert told[:2] == [
        f"1 session arrived in {destination}",
        "1 upload of behavior, behavior-videos asked of the transfer service",
    ]
    assert "  stage stage_a of TemplateCurriculum" in told
    assert plugin.transfer_session(session)["state"] == "archived"


def test_what_could_not_be_carried_out_is_told(tmp_path: Path) -> None:
    with service(tmp_path, []) as running:
        (tmp_path / "manifest" / "manifest_x.yml").write_text("name: x", encoding="utf-8")
        told = list(running.arrived())

    assert told[0].startswith("0 sessions arrived")
    assert f"1 manifest could not be carried out; see {tmp_path / 'service.log'}" in told


@pytest.mark.parametrize(("system", "program"), [("linux", "rsync"), ("win32", "robocopy")])
def test_a_missing_program_is_one_sentence(
    system: str, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Refused) as raised:
        require_installed(system)

    assert program in raised.value.message
    assert raised.value.hint


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where a package is not installed.
    monkeypatch.setitem(sys.modules, "crc32c", None)

    with pytest.raises(Refused, match=r"needs crc32c. pip install .*\[demo\]"):
        require_installed("linux")
