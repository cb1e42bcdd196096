"""One manifest per session, whatever interrupts the hand-over, and what it says."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Make, files

from aind_launcher import LauncherError, SessionContext, TransientError, sync_folder, write_whole
from aind_launcher_watchdog.plugin import Watchdog


def manifest_in(flag: Path) -> dict[str, Any]:
    [path] = flag.iterdir()
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_the_manifest_tells_subject_time_project_and_schedule(session: SessionContext, make: Make, flag: Path) -> None:
    Watchdog(make(schedule_time="20:30", email="a.person@example.org", checksum="file_size")).transfer_session(session)

    written = manifest_in(flag)
    assert (written["subject_id"], written["acquisition_datetime"]) == ("123456", "2025-03-14T09:26:53Z")
    assert (written["project_name"], written["schedule_time"]) == ("Behavior Platform", "20:30:00")
    assert written["upload_notification_email"] == "a.person@example.org"
    assert written["delete_modalities_source_after_success"] is False
    assert written["checksum_mode_override"] == "file_size"
    assert written["extra_identifying_info"] == {"session_name": session.name, "hand_off": 0}
    assert written["schemas"] == [(session.folder / "instrument.json").as_posix()]


def test_nothing_but_the_manifest_is_left_anywhere_near(session: SessionContext, plugin: Watchdog, flag: Path) -> None:
    before = files(session.folder)

    plugin.transfer_session(session)

    assert list(files(flag.parent)) == [f"manifest/manifest_{session.name}.yml"]
    assert files(session.folder) == before


def test_a_second_call_recognises_the_waiting_manifest(session: SessionContext, plugin: Watchdog, flag: Path) -> None:
    plugin.transfer_session(session)
    [path] = flag.iterdir()
    inode = path.stat().st_ino

    again = plugin.transfer_session(session)

    assert again == {"manifest": str(path), "state": "waiting"}
    assert path.stat().st_ino == inode


def test_a_manifest_that_went_where_nobody_looks_is_known_as_taken(
    session: SessionContext, make: Make, flag: Path
) -> None:
    plugin = Watchdog(make(archive_directory=None))
    plugin.transfer_session(session)
    next(flag.iterdir()).unlink()

    assert plugin.transfer_session(session)["state"] == "taken"
    assert files(flag) == {}


@pytest.mark.parametrize("taken_meanwhile", [False, True])
@pytest.mark.parametrize("stopped_at", range(6))
def test_an_interruption_anywhere_leads_to_one_manifest_all_the_same(
    session: SessionContext,
    plugin: Watchdog,
    flag: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_at: int,
    taken_meanwhile: bool,
) -> None:
    steps = iter(range(6))

    def stopping(function: Callable[..., None]) -> Callable[..., None]:
        def stopped(*arguments: Any) -> None:
            if next(steps) == stopped_at:
                raise KeyboardInterrupt
            function(*arguments)
            if next(steps) == stopped_at:
                raise KeyboardInterrupt

        return stopped

    with monkeypatch.context() as patched:
        patched.setattr("aind_launcher_watchdog.handover.write_whole", stopping(write_whole))
        patched.setattr("aind_launcher_watchdog.handover.sync_folder", stopping(sync_folder))
        with pytest.raises(KeyboardInterrupt):
            plugin.transfer_session(session)
    taken = 0
    if taken_meanwhile:
        for path in flag.iterdir():
            path.unlink()
            taken += 1

    plugin.transfer_session(session)

    assert taken + len(list(flag.iterdir())) == 1


def test_a_new_hand_off_is_a_new_manifest_in_the_place_of_one_that_still_waits(
    session: SessionContext, plugin: Watchdog, flag: Path
) -> None:
    plugin.transfer_session(session)

    kept = plugin.transfer_session(session.model_copy(update={"hand_off": 1}))

    assert kept["state"] == "placed"
    assert list(files(flag)) == [f"manifest_{session.name}_again1.yml"]
    assert manifest_in(flag)["extra_identifying_info"]["hand_off"] == 1


def test_an_empty_modality_folder_is_named_and_the_rest_goes(
    session: SessionContext, make: Make, flag: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probes = tmp_path / "ephys"
    for folder in (session.folder / "fib" / "nothing in here", session.folder / "notes", probes):
        folder.mkdir(parents=True)

    kept = Watchdog(make(extra_modalities={"ecephys": [str(probes)]})).transfer_session(session)

    assert (kept["modalities"], kept["empty"]) == (["behavior", "behavior-videos"], ["fib", str(probes)])
    assert kept["left_out"] == ["notes"]
    assert list(manifest_in(flag)["modalities"]) == ["behavior", "behavior-videos"]
    assert f"The modality folder {session.folder / 'fib'} is empty" in caplog.text
    assert f"{session.folder / 'notes'} stays on this rig" in caplog.text


def test_a_session_without_any_data_is_not_handed_off(session: SessionContext, plugin: Watchdog, flag: Path) -> None:
    empty = session.model_copy(update={"folder": session.folder.with_name("empty")})
    (empty.folder / "behavior").mkdir(parents=True)

    with pytest.raises(LauncherError, match=r"holds no data of any modality \(behavior is empty\)"):
        plugin.transfer_session(empty)

    assert files(flag) == {}


def test_a_folder_that_is_gone_is_named(session: SessionContext, plugin: Watchdog) -> None:
    with pytest.raises(LauncherError, match="is gone"):
        plugin.transfer_session(session.model_copy(update={"folder": session.folder / "gone"}))


def test_further_data_that_is_not_there_yet_holds_the_manifest_back(
    session: SessionContext, make: Make, flag: Path
) -> None:
    plugin = Watchdog(make(extra_modalities={"fib": ["fiber"]}))

    with pytest.raises(LauncherError, match="extra data of fib, does not exist"):
        plugin.transfer_session(session)

    assert files(flag) == {}


def test_modalities_are_found_in_any_case(session: SessionContext, plugin: Watchdog) -> None:
    (session.folder / "behavior").rename(session.folder / "Behavior")

    assert plugin.transfer_session(session)["modalities"] == ["behavior", "behavior-videos"]


def test_a_share_that_cannot_be_reached_is_worth_a_second_try(
    session: SessionContext, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_bytes(b"")

    with pytest.raises(TransientError, match="cannot be handed to the watchdog service"):
        Watchdog(make(flag_directory=tmp_path / "a file" / "manifest")).transfer_session(session)


def test_another_volume_is_named_as_such(session: SessionContext, make: Make, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != tmp_path.stat().st_dev
        plugin = Watchdog(make(flag_directory=elsewhere, outbox_directory=tmp_path / "outbox"))

        [before] = [check for check in plugin.pre_session(session) if check.name == "watchdog flag directory"]
        with pytest.raises(LauncherError, match="is on another volume than the outbox"):
            plugin.transfer_session(session)

    assert before.outcome == "failed"
    assert "is on another volume than the outbox" in before.message
    assert before.hint


def test_what_was_corrected_after_a_hand_off_that_failed_is_used_by_the_next(
    session: SessionContext, make: Make, flag: Path, tmp_path: Path
) -> None:
    another_volume = pytest.raises(LauncherError, match="is on another volume")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere, another_volume:
        Watchdog(make(outbox_directory=elsewhere)).transfer_session(session)
    with pytest.raises(TransientError):
        Watchdog(make(flag_directory=tmp_path / "wrong")).transfer_session(session)

    kept = Watchdog(make()).transfer_session(session)

    assert kept["state"] == "placed"
    assert list(files(flag)) == [f"manifest_{session.name}.yml"]


def test_a_manifest_that_arrived_though_the_share_said_no_is_not_placed_again(
    session: SessionContext, make: Make, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Watchdog(make(archive_directory=None))
    replace = Path.replace

    def answer_lost(path: Path, target: Path) -> None:
        replace(path, target)
        if target.parent == flag:
            raise OSError(5, "Input/output error", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", answer_lost)
        with pytest.raises(TransientError):
            plugin.transfer_session(session)
    next(flag.iterdir()).unlink()

    assert plugin.transfer_session(session)["state"] == "taken"
