"""The service's own configuration says where it looks for manifests, where the rig has one."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from aind_watchdog_service.models.watch_config import WatchConfig
from conftest import Make, files

from aind_launcher import Check, LauncherError, SessionContext
from aind_launcher.testing import plugins_of
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService


@pytest.fixture
def configuration(flag: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's configuration, named as rigs name it."""
    config = WatchConfig(
        flag_dir=str(flag), manifest_complete=str(archive), structured_log_file=tmp_path / "service.log.jsonl"
    )
    path = tmp_path / "watchdog service" / "config.yml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    monkeypatch.setenv("WATCHDOG_CONFIG", str(path))
    return path


def checks(plugin: Watchdog) -> dict[str, Check]:
    return {check.name: check for check in plugin.check_rig()}


def test_manifests_go_where_the_service_s_configuration_says(
    session: SessionContext, make: Make, configuration: Path, flag: Path, service: RealService
) -> None:
    plugin = Watchdog(make(flag_directory=None, archive_directory=None))

    looked = checks(plugin)
    plugin.transfer_session(session)
    waiting = plugin.transfer_session(session)["state"]
    service.start()
    service.finish_a_job()

    assert looked["watchdog flag directory"].message == f"{flag} (of {configuration})"
    assert (waiting, plugin.transfer_session(session)["state"]) == ("waiting", "archived")
    assert files(flag) == {}


def test_the_setting_names_another_configuration_than_the_variable(
    make: Make, configuration: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yml"
    (tmp_path / "elsewhere").mkdir()
    other.write_text(
        yaml.safe_dump({"flag_dir": str(tmp_path / "elsewhere"), "manifest_complete": "/x"}), encoding="utf-8"
    )

    plugin = Watchdog(make(flag_directory=None, service_config=other))

    assert str(tmp_path / "elsewhere") in checks(plugin)["watchdog flag directory"].message


def test_a_flag_directory_where_the_service_does_not_look_is_a_warning(
    make: Make, configuration: Path, tmp_path: Path, flag: Path
) -> None:
    (tmp_path / "mine").mkdir()

    told = checks(Watchdog(make(flag_directory=tmp_path / "mine")))["watchdog configuration"]

    assert told.outcome == "warning"
    assert f"{tmp_path / 'mine'}" in told.message and f"{flag}" in told.message and str(configuration) in told.message
    assert told.hint


def test_the_same_directory_in_both_is_no_matter(make: Make, configuration: Path, flag: Path) -> None:
    assert {check.outcome for check in checks(Watchdog(make(flag_directory=flag / "."))).values()} == {"passed"}


@pytest.mark.parametrize(
    "content", [None, "flag_dir: [", "- a", "flag_dir: /x", "flag_dir: 5\nmanifest_complete: /x", "\0"]
)
def test_a_configuration_that_cannot_be_read_is_named_before_the_session(
    session: SessionContext, make: Make, configuration: Path, content: Any
) -> None:
    configuration.unlink() if content is None else configuration.write_text(content, encoding="utf-8")
    plugin = Watchdog(make(flag_directory=None))

    told = checks(plugin)["watchdog configuration"]
    with pytest.raises(LauncherError):
        plugin.transfer_session(session)

    assert told.outcome == "failed"
    assert str(configuration) in told.message
    assert "WATCHDOG_CONFIG" in str(told.hint)
    assert "\n" not in told.message


def test_a_configuration_that_cannot_be_read_stops_no_rig_whose_settings_say_all(
    session: SessionContext, make: Make, configuration: Path
) -> None:
    configuration.unlink()
    plugin = Watchdog(make())

    told = checks(plugin)["watchdog configuration"]

    assert (told.outcome, plugin.transfer_session(session)["state"]) == ("warning", "placed")
    assert str(configuration) in told.message


def test_where_neither_says_it_the_session_is_refused_and_the_repository_can_be_looked_at(
    session: SessionContext, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_CONFIG", raising=False)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.aind-launcher.plugin.watchdog]\ndestination = '/srv/staging'\nproject-name = 'P'\n", encoding="utf-8"
    )

    [loaded] = [plugin for plugin in plugins_of(tmp_path).all if plugin.name == "watchdog"]
    failed = [check for check in Watchdog(make(flag_directory=None)).pre_session(session) if check.outcome == "failed"]

    assert loaded.error is None
    assert [check.name for check in failed] == ["watchdog configuration"]
    assert "flag-directory" in str(failed[0].hint) and "WATCHDOG_CONFIG" in str(failed[0].hint)
