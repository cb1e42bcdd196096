"""Files that are written whole, and the reader, the scanner and the folder in their way."""

import threading
from pathlib import Path

import pytest

from aind_launcher.system.files import persistently, read_whole, write_problem, write_whole


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
