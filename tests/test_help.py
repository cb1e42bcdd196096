"""Every command explains itself, and what needs no session starts quickly."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import call, done
from command_tree import COMMANDS

from aind_launcher import __version__
from aind_launcher.cli import launch as root


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_gives_an_example(path: tuple[str, ...], tmp_path: Path) -> None:
    for option in ("--help", "-h"):
        ended = call(*path, option, cwd=tmp_path)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"Usage: {' '.join(('aind-launch', *path))}")
        assert re.search(rf"Examples?:\s+(\w+=\S+ )?aind-launch {' '.join(path)}", ended.out)


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if isinstance(command, click.Group)])
def test_a_group_shows_a_whole_sentence_for_each_of_its_commands(path: tuple[str, ...], tmp_path: Path) -> None:
    shown = call(*path, "--help", cwd=tmp_path).out
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    options = [parameter for parameter in COMMANDS[path].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_two_parameters_of_a_command_share_a_name(path: tuple[str, ...]) -> None:
    names = [parameter.name for parameter in COMMANDS[path].params]
    assert sorted(names) == sorted(set(names))


def test_the_line_of_each_command_in_the_overview_is_what_the_command_says_of_itself() -> None:
    with click.Context(root) as context:
        for name in root.list_commands(context):
            command = root.get_command(context, name)
            assert command
            assert command.get_short_help_str(limit=500) == root.one_line(context, name)


HEAVY = ("pydantic", "pydantic_settings", "pluggy", "rich", "uv", "aind_behavior_curriculum", "psutil")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["rnu"], []], ids=str)
def test_what_needs_no_session_imports_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["aind-launch", *{arguments}]
from aind_launcher.cli import main
try:
    main()
except SystemExit:
    print("imported:", *sorted({{name.partition(".")[0] for name in sys.modules}} & {set(HEAVY)}))
    print("files:", *sorted(name for name in sys.modules if name.startswith("aind_launcher.")))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    *_, imported, files = ended.stdout.splitlines()
    assert imported == "imported:"
    shows_an_error = [] if arguments[:1] in (["--help"], ["--version"]) else ["cli.plain", "cli.printing"]
    needed = ["cli", "cli.groups", *shows_an_error, "cli.streams", "errors", "system", "system.interrupts"]
    assert files.split()[1:] == [f"aind_launcher.{name}" for name in needed]


def test_the_version_is_the_packages_own(tmp_path: Path) -> None:
    assert done("--version", cwd=tmp_path).split()[-1] == __version__


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("rnu", "run"),
        ("sesions", "sessions"),
        ("animals lst", "list"),
        ("curricula enrol", "enroll"),
        ("env purne", "prune"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_nearest(typed: str, meant: str, tmp_path: Path) -> None:
    ended = call(*typed.split(), cwd=tmp_path)
    assert ended.code == 2
    assert f"There is no command '{typed.split()[-1]}'. Did you mean '{meant}'?" in ended.err


@pytest.mark.parametrize(
    ("words", "offered"),
    [("aind-launch se", "sessions"), ("aind-launch animals mo", "move"), ("aind-launch run --sub", "--subject")],
)
def test_the_shell_completes_commands_and_options(words: str, offered: str, tmp_path: Path) -> None:
    environment = {
        "_AIND_LAUNCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    assert f"plain,{offered}" in done(cwd=tmp_path, environment=environment).splitlines()
