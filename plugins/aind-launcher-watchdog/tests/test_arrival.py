"""What would be lost on the way to the destination is refused: two files of one name, and links."""

import sys
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from conftest import NAME, Make, files

from aind_launcher import LauncherError, SessionContext
from aind_launcher_watchdog import manifest
from aind_launcher_watchdog.arrival import place, refuse_losses, sources
from aind_launcher_watchdog.contents import Contents
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService
from aind_launcher_watchdog.settings import WatchdogSettings


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two recordings of one session, each in a folder `data`."""
    folders = [tmp_path / "ephys" / run / "data" for run in ("run1", "run2")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "rec.dat").write_bytes(folder.parent.name.encode())
    return folders


Said = Callable[[WatchdogSettings], str]


@pytest.fixture
def said(session: SessionContext, service: RealService) -> Said:
    """Hand the session over to the real service, and return the error; empty where the service took it."""

    def hand_over(settings: WatchdogSettings) -> str:
        try:
            Watchdog(settings).transfer_session(session)
        except LauncherError as error:
            return f"{error.message} {error.hint}"
        service.start()
        service.finish_a_job()
        return ""

    return hand_over


def test_two_recordings_of_one_name_are_refused_and_neither_is_lost(
    said: Said, make: Make, runs: list[Path], tmp_path: Path, flag: Path
) -> None:
    error = said(make(extra_modalities={"ecephys": [str(run) for run in runs]}, delete_source=True))

    assert {path.read_bytes() for path in tmp_path.rglob("rec.dat")} == {b"run1", b"run2"}
    assert f"{runs[0] / 'rec.dat'} and {runs[1] / 'rec.dat'} would both arrive as ecephys/rec.dat" in error
    assert "plugin.watchdog.extra-modalities" in error
    assert files(flag) == {}


def test_two_folders_whose_names_differ_only_in_case_are_refused_where_their_files_would_meet(
    said: Said, make: Make, session: SessionContext, tmp_path: Path
) -> None:
    other = session.folder / "Behavior" / "trainer_state.json"
    other.parent.mkdir()
    other.write_bytes(b"the other")
    sent = set(files(session.folder).values())

    error = said(make(delete_source=True))

    assert sent <= set(files(tmp_path).values())
    assert f"{other} and {session.folder / 'behavior' / 'trainer_state.json'} would both arrive" in error
    assert "Rename one of them" in error
    assert "extra-modalities" not in error


def test_names_that_differ_only_in_case_are_one_name_at_the_destination(
    said: Said, make: Make, session: SessionContext
) -> None:
    (session.folder / "behavior" / "LOGS").mkdir()
    (session.folder / "behavior" / "LOGS" / "Session_Input.json").write_bytes(b"{}")

    assert "would both arrive as behavior/" in said(make())


def test_a_metadata_file_that_would_replace_another_is_refused(said: Said, make: Make, session: SessionContext) -> None:
    (session.folder / "notes").mkdir()
    (session.folder / "notes" / "instrument.json").write_bytes(b"{}")

    error = said(make(schemas=["instrument.json", "notes/instrument.json"]))

    assert "would both arrive as instrument.json" in error
    assert "plugin.watchdog.schemas" in error


def test_folders_of_one_name_are_merged_where_no_file_is_lost(
    said: Said, make: Make, runs: list[Path], destination: Path
) -> None:
    for run, name in zip(runs, ("a", "b"), strict=True):
        (run / "probe").mkdir()
        (run / "rec.dat").rename(run / "probe" / name)

    assert said(make(extra_modalities={"ecephys": [str(run) for run in runs]})) == ""

    assert files(destination / NAME / "ecephys") == {"probe/a": b"run1", "probe/b": b"run2"}


@pytest.mark.parametrize("name", ["behavior/licks.bin", "behavior/Logs/deep.bin", "pophys/only.bin", "rig.json", "fib"])
def test_a_link_that_leads_nowhere_is_named_before_the_hand_off(
    said: Said, make: Make, session: SessionContext, flag: Path, name: str
) -> None:
    link = session.folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("gone")

    error = said(make())

    assert f"{link} is a link that leads nowhere" in error
    assert "in its place" in error
    assert files(flag) == {}


@pytest.mark.parametrize("name", ["behavior/licks.bin", "behavior/Logs/deep.bin", "pophys/only.bin", "rig.json"])
@pytest.mark.parametrize("target", ["data.bin", "."])
def test_a_link_that_the_service_would_leave_out_is_named_before_the_hand_off(
    said: Said, make: Make, session: SessionContext, tmp_path: Path, flag: Path, name: str, target: str
) -> None:
    link, elsewhere = session.folder / name, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "data.bin").write_bytes(b"data")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere / target)

    error = said(make())

    assert f"{link} is a link, and the watchdog service would not copy it" in error
    assert files(flag) == {}


def test_a_link_in_the_place_of_a_modality_s_folder_is_followed(
    said: Said, make: Make, session: SessionContext, tmp_path: Path, destination: Path
) -> None:
    (tmp_path / "fast disk").mkdir()
    (tmp_path / "fast disk" / "green.csv").write_bytes(b"1,2")
    (session.folder / "fib").symlink_to(tmp_path / "fast disk")

    assert said(make()) == ""

    assert files(destination / NAME / "fib") == {"green.csv": b"1,2"}


def test_a_folder_s_files_arrive_directly_under_their_modality_on_every_platform(session: SessionContext) -> None:
    folder = session.folder / "behavior"

    # robocopy copies what is in a folder, rsync the folder itself.
    assert sources(folder, "win32") == (folder,)
    assert sources(folder, "linux") == (folder / "Logs", folder / "SoftwareEvents", folder / "trainer_state.json")
    assert sources(folder / "trainer_state.json", "linux") == (folder / "trainer_state.json",)


@pytest.mark.parametrize(
    ("path", "source", "system", "at"),
    [
        (PureWindowsPath(r"E:\run1\data\probe\rec.dat"), PureWindowsPath(r"E:\run1\data"), "win32", "probe/rec.dat"),
        (PureWindowsPath(r"E:\run1\rec.dat"), PureWindowsPath(r"E:\run1\rec.dat"), "win32", "rec.dat"),
        (PurePosixPath("/run1/data/probe/rec.dat"), PurePosixPath("/run1/data/probe"), "linux", "probe/rec.dat"),
        (PurePosixPath("/run1/data/probe"), PurePosixPath("/run1/data/probe"), "linux", "probe"),
        (PurePosixPath("/run1/data/rec.dat"), PurePosixPath("/run1/data/rec.dat"), "linux", "rec.dat"),
    ],
)
def test_the_place_of_a_file_is_known_on_every_platform(path: PurePath, source: PurePath, system: str, at: str) -> None:
    assert place(path, source, system).as_posix() == at


@pytest.mark.parametrize("system", ["win32", "linux"])
def test_files_of_one_name_are_refused_on_every_platform(runs: list[Path], system: str) -> None:
    named = [source for run in runs for source in sources(run, system)]

    with pytest.raises(LauncherError, match="would both arrive as ecephys/rec.dat"):
        refuse_losses({"ecephys": named}, [], {"ecephys"}, system)


def test_robocopy_copies_what_a_link_leads_to_unless_that_is_gone(runs: list[Path]) -> None:
    (runs[0] / "linked.dat").symlink_to(runs[1] / "rec.dat")
    refuse_losses({"ecephys": [runs[0]]}, [], (), "win32")

    (runs[1] / "rec.dat").unlink()
    with pytest.raises(LauncherError, match="linked.dat is a link that leads nowhere"):
        refuse_losses({"ecephys": [runs[0]]}, [], (), "win32")


def test_the_real_service_puts_files_where_they_are_expected_and_leaves_links_out_without_a_word(
    session: SessionContext, make: Make, service: RealService, runs: list[Path], flag: Path, destination: Path
) -> None:
    (runs[0] / "linked.dat").symlink_to(runs[1] / "rec.dat")
    alone = runs[1] / "rec.dat"
    alone = alone.rename(alone.with_name("other.dat"))
    # The folder and the file themselves, neither checked.
    made = manifest.manifest(session, make(), Contents(modalities={"ecephys": (runs[0], alone)}))
    (flag / "manifest.yml").write_text(manifest.text(made), encoding="utf-8")

    service.start()
    service.finish_a_job()

    expected = {place(runs[0] / "rec.dat", runs[0], sys.platform), place(alone, alone, sys.platform)}
    assert files(destination / NAME / "ecephys").keys() == {path.as_posix() for path in expected}
    assert files(flag) == {}
