"""What a command imports: `--help` click alone, and a command that only reads nothing that it can do without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call
from repositories import make_repository
from task_repositories import laboratory

# Asked of one process: what is imported for one command stays for all.
HELP = """
import sys, click
from aind_launcher.cli import launch

def call_all(command, path=()):
    launch.main([*path, "--help"], standalone_mode=False)
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                call_all(command.get_command(context, name), (*path, name))

call_all(launch)
"""
READ = "import sys; from aind_launcher.cli import launch; launch.main(sys.argv[1:], standalone_mode=False)"
LIST = "\nprint(*sorted(sys.modules), file=sys.stderr)"

# What `--help` may take of the package: values and names of the standard library alone.
LIGHT = {"cli", "errors", "journal.records", "model.clock", "model.names", "system.interrupts"}
# Each costs a reading command some 20 to 500 ms.
NEVER = {"aind_behavior_curriculum", "asyncio", "pydantic_settings", "rich", "uv"}
# For calling a curriculum.
PROGRAMS = {"concurrent", "psutil"}
FOR_PLUGINS = PROGRAMS | {"filelock", "pluggy"}


def imported(program: str, *arguments: str, cwd: Path, **variables: str) -> set[str]:
    """The modules that Python has when the program has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", program + LIST, *arguments],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return set(ended.stderr.splitlines()[-1].split())


def libraries(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = laboratory(tmp_path_factory.mktemp("read"), "from aind_launcher import hookimpl", names={})
    assert call("run", "--subject", "123456", cwd=lab.path).code == 0
    return lab.path


def test_help_imports_click_alone(tmp_path: Path) -> None:
    modules = imported(HELP, cwd=tmp_path)
    assert "click" in modules
    assert libraries(modules) & {*NEVER, *FOR_PLUGINS, "pydantic", "sqlite3"} == set()
    own = {name.removeprefix("aind_launcher.") for name in modules if name.startswith("aind_launcher.")}
    folders = {light.partition(".")[0] for light in LIGHT}
    assert {name for name in own if not name.startswith("cli.")} <= LIGHT | folders


@pytest.mark.parametrize("command", ["sessions list", "sessions show"])
def test_what_reads_the_journal_imports_no_plugin(repository: Path, command: str) -> None:
    assert libraries(imported(READ, *command.split(), cwd=repository)) & (NEVER | FOR_PLUGINS) == set()


@pytest.mark.parametrize("command", ["today", "animals list", "animals show 123456", "plugins list", "config show"])
def test_what_reads_through_plugins_imports_only_what_they_are_made_of(repository: Path, command: str) -> None:
    assert libraries(imported(READ, *command.split(), cwd=repository)) & NEVER == set()


@pytest.mark.parametrize("command", ["env list", "curricula list"])
def test_what_lists_for_curricula_imports_no_curriculum(tmp_path: Path, command: str) -> None:
    task = make_repository(tmp_path / "task", {"pyproject.toml": "[tool.aind-launcher]"})
    assert libraries(imported(READ, *command.split(), cwd=task)) & NEVER == set()


@pytest.mark.parametrize("command", ["animals list", "plugins list", "config show"])
def test_what_asks_no_curriculum_imports_nothing_that_starts_programs(tmp_path: Path, command: str) -> None:
    task = make_repository(tmp_path / "task", {"pyproject.toml": "[tool.aind-launcher]"})
    assert libraries(imported(READ, *command.split(), cwd=task)) & (NEVER | PROGRAMS) == set()


def test_variables_are_read_with_their_library_only_where_one_is_set(repository: Path) -> None:
    modules = imported(READ, "sessions", "list", cwd=repository, AIND_LAUNCHER_EXPERIMENT="climbing")
    assert "pydantic_settings" in modules
