"""Where a program is found, on Windows as elsewhere."""

import os
import sys
from pathlib import Path

import pytest

from aind_launcher.system.programs import find_program, spellings


def test_windows_starts_programs_by_their_extension_and_no_other_files() -> None:
    assert spellings("Bonsai", "win32") == ["Bonsai.com", "Bonsai.exe", "Bonsai.bat", "Bonsai.cmd"]
    assert spellings("tools/Bonsai.EXE", "win32") == ["tools/Bonsai.EXE"]
    # It hands neither to another program, as a double click does.
    assert "task.py" not in spellings("task.py", "win32")
    assert "data.csv" not in spellings("data.csv", "win32")
    assert spellings("task.py", "linux") == ["task.py"]


def program(path: Path) -> Path:
    """A file that can be started."""
    path = path.with_name(spellings(path.name, sys.platform)[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(0o755)
    return path


def test_the_search_path_comes_first_and_its_parts_in_their_order(tmp_path: Path) -> None:
    first, second, beside = (program(tmp_path / name / "tool") for name in ("first", "second", "beside"))
    search = os.pathsep.join([str(tmp_path / "nowhere"), str(first.parent), str(second.parent)])
    assert find_program("tool", search, [beside.parent]) == first
    assert find_program("tool", "", [beside.parent]) == beside
    assert find_program("tool", str(tmp_path / "nowhere")) is None


def test_a_name_with_a_folder_is_looked_for_in_the_folders_alone(tmp_path: Path) -> None:
    tool = program(tmp_path / "sub" / "tool")
    assert find_program("sub/tool", str(tmp_path), []) is None
    assert find_program("sub/tool", "", [tmp_path]) == tool
    assert find_program(str(tmp_path / "sub" / "tool"), "", [tmp_path / "elsewhere"]) == tool


@pytest.mark.parametrize("search", ["", ".", os.pathsep])
def test_the_current_folder_is_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str) -> None:
    program(tmp_path / "git")
    monkeypatch.chdir(tmp_path)
    assert find_program("git", search) is None


def test_neither_a_folder_nor_a_file_that_may_not_be_started_is_a_program(tmp_path: Path) -> None:
    for name in spellings("tool", sys.platform):
        (tmp_path / name).mkdir()
    (tmp_path / "data.csv").write_text("")
    assert find_program("tool", str(tmp_path)) is None
    assert find_program("data.csv", str(tmp_path)) is None
