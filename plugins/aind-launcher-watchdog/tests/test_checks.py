"""What is known before the animal is on the rig, and how the launcher meets the plugin."""

import os
import re
import socket
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from conftest import Make, files

from aind_launcher import Check, LauncherError, SessionContext
from aind_launcher.testing import plugins_of
from aind_launcher_watchdog.checks import is_service, require_absolute
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.transfer_double import TransferDouble


@pytest.fixture
def ahead(session: SessionContext) -> SessionContext:
    """The session before its acquisition."""
    return session.model_copy(update={"acquisition": None, "folder": session.folder.with_name("not yet")})


def outcomes(plugin: Watchdog, session: SessionContext) -> dict[str, Check]:
    return {check.name: check for check in plugin.pre_session(session)}


def test_all_is_well_where_all_is_set_and_reachable(
    ahead: SessionContext, make: Make, transfers: TransferDouble, flag: Path
) -> None:
    checks = outcomes(Watchdog(make(project_names_url=transfers.project_names)), ahead)

    assert [check.name for check in checks.values() if check.outcome == "passed"] == [
        "watchdog destination",
        "watchdog flag directory",
        "watchdog project",
        "watchdog manifest",
    ]
    assert len(checks) == 4
    assert list(Watchdog(make(project_names_url=transfers.project_names)).check_rig()) == [*checks.values()][:3]
    assert files(flag.parent) == {}


@pytest.mark.parametrize(
    ("changes", "name", "sentence"),
    [
        ({"destination": "staging/data"}, "destination", "'staging/data' is not an absolute path"),
        ({"flag_directory": "manifest"}, "flag directory", "is not an absolute path"),
        ({"flag_directory": "/nowhere/manifest"}, "flag directory", "cannot be reached"),
        ({"platform": "skateboard"}, "manifest", "knows no platform 'skateboard'"),
        ({"email": "nobody"}, "manifest", "would refuse the manifest .*email"),
        ({"tasks": {"x": 5}}, "manifest", "would refuse the manifest .*tasks"),
        ({"extra_modalities": {"behaviour": ["x"]}}, "manifest", "names 'behaviour', which is no modality"),
    ],
)
def test_what_is_set_wrong_is_said_in_one_sentence_with_its_mend(
    ahead: SessionContext, make: Make, changes: dict[str, Any], name: str, sentence: str
) -> None:
    checks = outcomes(Watchdog(make(**changes)), ahead)

    failed = [check for check in checks.values() if check.outcome == "failed"]
    assert [check.name for check in failed] == [f"watchdog {name}"]
    assert re.search(sentence, failed[0].message)
    assert failed[0].hint


@pytest.mark.parametrize("there_already", [False, True])
def test_extra_data_that_would_be_lost_refuses_the_session(
    ahead: SessionContext, make: Make, tmp_path: Path, there_already: bool
) -> None:
    runs = [tmp_path / "run1" / "data", tmp_path / "run2" / "data"]
    named = runs if there_already else [run / "rec.dat" for run in runs]
    for run in runs if there_already else ():
        run.mkdir(parents=True)
        (run / "rec.dat").write_bytes(b"")

    check = outcomes(Watchdog(make(extra_modalities={"ecephys": [str(path) for path in named]})), ahead)[
        "watchdog manifest"
    ]

    assert check.outcome == "failed"
    assert f"{runs[0] / 'rec.dat'} and {runs[1] / 'rec.dat'} would both arrive" in check.message
    assert "plugin.watchdog.extra-modalities" in str(check.hint)


def test_folders_of_one_name_that_are_not_there_yet_may_hold_different_files(
    ahead: SessionContext, make: Make, tmp_path: Path
) -> None:
    ahead = ahead.model_copy(update={"session": ahead.session.model_copy(update={"subject": "mouse.1"})})
    extra = {"behavior-videos": [str(tmp_path / "cam1" / "{subject}"), str(tmp_path / "cam2" / "{subject}")]}

    assert outcomes(Watchdog(make(extra_modalities=extra)), ahead)["watchdog manifest"].outcome == "passed"


def test_manifests_are_not_written_where_the_service_would_see_them_half_done(
    ahead: SessionContext, make: Make, flag: Path
) -> None:
    check = outcomes(Watchdog(make(outbox_directory=flag)), ahead)["watchdog flag directory"]

    assert check.outcome == "failed"


def test_an_unknown_project_refuses_and_names_the_nearest(
    ahead: SessionContext, make: Make, transfers: TransferDouble
) -> None:
    plugin = Watchdog(make(project_names_url=transfers.project_names, project_name="Behaviour Platform"))

    check = outcomes(plugin, ahead)["watchdog project"]

    assert check.outcome == "failed"
    assert check.hint and "'Behavior Platform'" in check.hint


@pytest.mark.parametrize("path", ["/missing", "/strange"])
def test_a_metadata_service_that_does_not_help_warns_only(
    ahead: SessionContext, make: Make, transfers: TransferDouble, path: str
) -> None:
    check = outcomes(Watchdog(make(project_names_url=transfers.url + path)), ahead)["watchdog project"]

    assert check.outcome == "warning"
    assert path in check.message


def test_a_metadata_service_that_hangs_is_waited_for_no_longer_than_set(ahead: SessionContext, make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/projects"

        check = outcomes(Watchdog(make(project_names_url=url, timeout=0.2)), ahead)["watchdog project"]

    assert check.outcome == "warning"
    assert "timed out" in check.message


def test_the_service_is_found_among_the_processes(ahead: SessionContext, make: Make, tmp_path: Path) -> None:
    script = tmp_path / "aind_watchdog_service_of_a_test.py"
    script.write_text("import sys; print('up', flush=True); sys.stdin.read()\n", encoding="utf-8")
    plugin = Watchdog(make(service_process=script.stem))

    absent = outcomes(plugin, ahead)["watchdog service"]
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        present = outcomes(plugin, ahead)["watchdog service"]
        process.communicate(b"")

    assert absent.outcome == "warning"
    assert (present.outcome, present.message) == ("passed", f"{script.stem} runs as process {process.pid}")


@pytest.mark.parametrize(
    ("name", "arguments", "found"),
    [
        ("aind_watchdog_service.exe", [r"C:\Program Files\AIBS_MPE\aind_watchdog_service.exe", "-c", "x"], True),
        ("AIND_WATCHDOG_SERVICE", [], True),
        ("python.exe", ["python.exe", "-m", "aind_watchdog_service.main"], True),
        ("python3.11", ["python3.11", "/opt/aind_watchdog_service/main.py"], True),
        ("python3.11", ["python3.11", "main.py"], False),
        ("code", ["code", "aind_watchdog_service"], False),
        (None, [], False),
    ],
)
def test_the_service_is_an_executable_or_a_module_of_python(
    name: str | None, arguments: list[str], found: bool
) -> None:
    assert is_service(name, arguments, "aind_watchdog_service.exe") is found


@pytest.mark.parametrize(
    ("destination", "system", "absolute"),
    [
        (r"\\server\share\staging", "win32", True),
        ("//server/share/staging", "win32", True),
        (r"D:\staging", "win32", True),
        (r"D:staging", "win32", False),
        ("/staging", "win32", False),
        ("/staging", "linux", True),
        (r"\\server\share", "linux", False),
        ("", "linux", False),
    ],
)
def test_a_destination_is_absolute_as_the_platform_sees_it(destination: str, system: str, absolute: bool) -> None:
    if absolute:
        require_absolute(destination, system)
    else:
        with pytest.raises(LauncherError, match="is not an absolute path"):
            require_absolute(destination, system)


def test_manifests_that_wait_for_more_than_a_day_are_shown(ahead: SessionContext, plugin: Watchdog, flag: Path) -> None:
    (flag / "manifest_new.yml").write_bytes(b"")
    (flag / "manifest_old.yml").write_bytes(b"")
    os.utime(flag / "manifest_old.yml", (1_000_000_000, 1_000_000_000))

    check = outcomes(plugin, ahead)["watchdog manifests"]

    assert check.outcome == "warning"
    assert "1 session waits" in check.message and check.message.endswith("for more than a day: old.")


def test_the_launcher_finds_the_plugin_and_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.aind-launcher.plugin.watchdog]
        flag-directory = "/srv/manifest"
        project-name = "Behavior Platform"
        schedule-time = 20:30:00
        extra-modalities = { behavior-videos = ["D:/videos/{session}"] }
        """,
        encoding="utf-8",
    )
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__WATCHDOG__DESTINATION", "/srv/staging")

    plugins = plugins_of(tmp_path)

    [plugin] = [plugin for plugin in plugins.all if plugin.name == "watchdog"]
    assert plugin.error is None
    assert plugin.hooks == ("pre_session", "transfer_session", "check_rig")
    assert plugin.settings
    set_as = plugin.settings.settings.model_dump(mode="json", exclude_defaults=True)
    assert set_as == {
        "flag_directory": "/srv/manifest",
        "destination": "/srv/staging",
        "project_name": "Behavior Platform",
        "schedule_time": "20:30:00",
        "extra_modalities": {"behavior-videos": ["D:/videos/{session}"]},
    }


def test_without_a_destination_no_session_starts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.aind-launcher.plugin.watchdog]\nflag-directory = '/srv/manifest'\nproject-name = 'P'\n", encoding="utf-8"
    )

    plugins = plugins_of(tmp_path)

    [plugin] = [plugin for plugin in plugins.all if plugin.name == "watchdog"]
    assert "Setting 'plugin.watchdog.destination' is missing." in str(plugin.error)


def test_loading_the_plugin_imports_nothing_of_the_service() -> None:
    [point] = entry_points(group="aind_launcher", name="watchdog")
    program = (
        f"import sys, {point.module}; heavy = ('aind_watchdog', 'aind_data', 'yaml', 'requests'); "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
