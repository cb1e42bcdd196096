"""Files that are written whole, and the reader, the scanner and the folder in their way."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from task_repositories import laboratory

from aind_launcher.system.files import (
    copy_whole,
    create_whole,
    kept_folder,
    kept_text,
    persistently,
    read_whole,
    write_problem,
    write_whole,
)


def test_a_reader_beside_a_writer_finds_a_whole_file(tmp_path: Path) -> None:
    # Windows refuses the reader for the moment in which the file is replaced.
    path, done = tmp_path / "trainer_state.json", threading.Event()
    write_whole(path, "x" * 20_000)

    def write() -> None:
        for letter in "abcdefghijklmnopqrstuvwxyz" * 4:
            write_whole(path, letter * 20_000)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        content = read_whole(path)
        assert (len(content), len(set(content))) == (20_000, 1)
    writer.join()


@pytest.mark.parametrize(("platform", "answers"), [("win32", True), ("linux", False)])
def test_what_windows_refuses_for_a_moment_is_tried_again(platform: str, answers: bool) -> None:
    refusals = iter([PermissionError("a virus scanner reads it")] * 3)

    def operation() -> str:
        for refusal in refusals:
            raise refusal
        return "done"

    if answers:
        assert persistently(operation, platform) == "done"
    else:
        with pytest.raises(PermissionError, match="virus scanner"):
            persistently(operation, platform)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    assert write_problem(tmp_path / "data") == f"{tmp_path / 'data'} is not a folder."
    assert write_problem(tmp_path / "data" / "mice") == f"{tmp_path / 'data'} is not a folder."


def copy_large(target: Path, content: str) -> None:
    copy_whole(Path(os.__file__), target)


if sys.platform != "win32":
    import resource

    @pytest.mark.parametrize("write", [write_whole, create_whole, copy_large])
    def test_a_disk_that_takes_no_more_is_named_by_the_file(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
        path, (soft, hard) = tmp_path / "session_input.json", resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python ignores the signal that comes with it; what is left is an error like that of a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(OSError) as refused:
                write(path, "x" * 30_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert refused.value.filename == str(path)


HOUR = 3600


def left(folder: Path, name: str, age: float) -> Path:
    """What a launcher left that was killed so many seconds ago."""
    path = folder / name
    path.write_text("{ half", encoding="utf-8")
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


@pytest.mark.parametrize("name", [".000003.json.x1y2_3z4.part", f".aind-launch-{'0f' * 16}.part"])
def test_what_was_left_half_written_goes_with_the_next_write_into_its_folder(tmp_path: Path, name: str) -> None:
    dead = left(tmp_path, name, 2 * HOUR)
    write_whole(tmp_path / "000004.json", "{}")
    assert not dead.exists()
    dead = left(tmp_path, name, 2 * HOUR)
    assert write_problem(tmp_path) is None
    assert not dead.exists()


def test_what_another_may_still_write_and_what_is_not_the_launchers_stays(tmp_path: Path) -> None:
    stays = [
        left(tmp_path, ".000003.json.x1y2_3z4.part", HOUR / 2),
        left(tmp_path, ".film.mkv.part", 9 * HOUR),
        left(tmp_path, "film.x1y2_3z4.part", 9 * HOUR),
    ]
    write_whole(tmp_path / "000004.json", "{}")
    assert all(path.exists() for path in stays)


def aged(path: Path, age: float) -> Path:
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_runs_left_among_temporary_files_goes_with_a_session_after_a_week(tmp_path: Path) -> None:
    old, new = 8 * 24 * HOUR, 6 * 24 * HOUR
    gone = [aged(kept_text("what went wrong"), old), kept_folder()]
    aged(left(gone[1], "stdout.txt", old).parent, old)
    stays = [aged(kept_text("what went wrong"), new), kept_folder()]
    # A replay may go on for longer than a week.
    aged(left(stays[1], "stdout.txt", new).parent, old)
    laboratory(tmp_path).run()
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stays)


def test_what_a_person_keeps_among_temporary_files_stays(tmp_path: Path) -> None:
    temporary = Path(tempfile.gettempdir())
    stays = [
        temporary / name for name in ("aind-launcher-analysis", "aind-launch-notebook", "aind-launch-demo-training")
    ]
    for folder in stays:
        folder.mkdir()
        aged(left(folder, "results.csv", 80 * 24 * HOUR).parent, 80 * 24 * HOUR)
    stays.append(left(temporary, "aind-launch-protocol.txt", 80 * 24 * HOUR))
    laboratory(tmp_path).run()
    assert all(path.exists() for path in stays)


def test_tests_leave_nothing_among_the_temporary_files_of_the_machine(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"], capture_output=True)
    assert Path(os.fsdecode(told.stdout).strip()) == Path(tempfile.gettempdir())
    assert tmp_path.parents[1] in Path(tempfile.gettempdir()).parents
