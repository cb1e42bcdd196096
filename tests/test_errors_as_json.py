"""A program that asks for JSON gets JSON also where it is refused; people read the sentence on stderr all the same."""

import json
from pathlib import Path

import pytest
from command_line import call
from command_tree import COMMANDS
from task_repositories import laboratory

PLUGINS = """
    from aind_launcher import Check, hookimpl

    class Loud:
        def __init__(self):
            print("made")

        @hookimpl
        def post_session(self, session):
            print(session)

    class Breaks:
        @hookimpl
        def pre_session(self):
            print("noise")
            return Check.failed("camera", "It is dark.", "Light it.")
"""
RUN = ("run", "--subject", "123456")


@pytest.mark.parametrize(
    ("arguments", "code", "error", "hint"),
    [
        ((*RUN, "--json"), 3, "camera: It is dark.", "Light it."),
        (("animals", "show", "99", "--json"), 3, "Animal 99 is not in the library", "See `aind-launch animals list`"),
        (("sessions", "show", "--json"), 2, "The journal has no session yet", "Start one"),
        (("today", "--stage", "none", "--json"), 2, "No animal's curriculum has a stage none.", "There are: rung1"),
        (("animals", "list", "--set", "disable=3", "--json"), 2, "Setting 'disable' on the command line", ""),
        (("animals", "list", "-C", "..", "--json"), 2, "There is no pyproject.toml in", "Change to a task repository"),
        (("animals", "list", "--sbject", "--json"), 2, "No such option '--sbject'", None),
        (("rnu", "--json"), 2, "There is no command 'rnu'", None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_refusal_is_an_object_with_error_hint_and_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, error: str, hint: str | None
) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"breaks": "Breaks"})
    ended = call(*arguments, cwd=lab.path)
    assert ended.code == code
    told = json.loads(ended.out)
    assert set(told) == {"error", "hint", "exit_code"}
    assert error in told["error"], told
    assert told["hint"] is None if hint is None else (hint in (told["hint"] or "")), told
    assert told["exit_code"] == code
    assert told["error"].splitlines()[0] in ended.err
    assert "exit_code" not in call(*(given for given in arguments if given != "--json"), cwd=lab.path).out


GIVEN = {
    "run": ("--subject", "123456"),
    "animals show": ("123456",),
    "sessions show": ("no-session",),
    "curricula check": ("--allow-dirty",),
}


# The demo has a task repository of its own.
WITH_JSON = [
    " ".join(path)
    for path, command in COMMANDS.items()
    if path != ("demo",) and any("--json" in option.opts for option in command.params)
]


@pytest.mark.parametrize("command", WITH_JSON)
def test_what_a_plugin_prints_does_not_stand_in_the_json(tmp_path: Path, command: str) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"loud": "Loud"})
    ended = call(*command.split(), *GIVEN.get(command, ()), "--json", cwd=lab.path)
    assert isinstance(json.loads(ended.out), dict | list)
