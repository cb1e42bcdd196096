"""What is decided for rigs on Windows, shown on every system."""

from pathlib import PureWindowsPath

import pytest

from aind_launcher.builtin.acquisition import starts_elsewhere
from aind_launcher.cli.demo_sessions import typed
from aind_launcher.lifecycle.windows import Windows, checks

PYTHON = PureWindowsPath(r"C:\Program Files\Python311\python.exe")
ALIAS = PureWindowsPath(r"C:\Users\me\AppData\Local\Microsoft\WindowsApps\python.exe")


def test_a_rig_with_long_paths_a_known_code_page_and_a_python_has_nothing_to_correct() -> None:
    assert [check.outcome for check in checks(Windows(True, 65001, PYTHON))] == ["passed"]
    assert [check.outcome for check in checks(Windows(True, 0, None))] == ["passed"]


def test_the_doctor_names_what_windows_would_refuse_or_open_the_store_for() -> None:
    long_paths, code_page, python = checks(Windows(False, 1252, ALIAS))
    assert (long_paths.outcome, python.outcome) == ("warning", "warning")
    assert "LongPathsEnabled" in (long_paths.hint or "")
    assert (code_page.outcome, code_page.message[:5]) == ("passed", "1252;")
    assert "execution aliases" in (python.hint or "")


@pytest.mark.parametrize(
    ("program", "folder", "platform", "elsewhere"),
    [
        ("run.cmd", r"\\server\task", "win32", True),
        ("run.BAT", "//server/task", "win32", True),
        ("run.cmd", r"D:\task", "win32", False),
        ("Bonsai.exe", r"\\server\task", "win32", False),
        ("run.cmd", "//server/task", "linux", False),
    ],
)
def test_a_batch_file_cannot_start_in_a_folder_on_a_share(
    program: str, folder: str, platform: str, elsewhere: bool
) -> None:
    assert starts_elsewhere(PureWindowsPath(program), PureWindowsPath(folder), platform) is elsewhere


@pytest.mark.parametrize(
    ("shells", "command"),
    [
        (["python.exe", "powershell.exe", "explorer.exe"], '& "C:\\my python.exe"'),
        (["pwsh.exe", "cmd.exe"], '& "C:\\my python.exe"'),
        (["cmd.exe", "powershell.exe"], '"C:\\my python.exe"'),
        ([], '"C:\\my python.exe"'),
    ],
)
def test_a_program_is_printed_as_its_shell_wants_it_typed(shells: list[str], command: str) -> None:
    assert typed("C:\\my python.exe", shells) == command
    assert typed("python", shells) == "python"
