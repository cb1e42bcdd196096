"""Texts of curricula, tasks, plugins and folders neither steer the terminal that shows them nor widen its tables."""

import io
import json
import re
from pathlib import Path

import pytest
from command_line import call
from rich.live import Live
from rich.panel import Panel
from rich.text import Text
from task_repositories import laboratory

from aind_launcher.cli.console import Screen
from aind_launcher.cli.now import Now
from aind_launcher.testing import SUBJECT, TaskRepositoryForTests, ladder_state

# A title, a carriage return, text that runs backwards, and a sequence that begins with one character.
STEERS = "\x1b]0;mine\x07\r\u202egnp\x9b2J\u2066"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Neither a name nor a version of anybody.
LONG = 500 * "x"
PLUGINS = f"""
    from aind_launcher import Check, CurriculumSuggestion, hookimpl
    from aind_launcher.errors import LauncherError
    from aind_launcher.testing import ladder_state
    import json

    STEERS = {STEERS!r}

    class Looks:
        @hookimpl
        def pre_session(self):
            return Check.warning("camera" + STEERS, "dark" + STEERS, "Light it." + STEERS)

        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            state = ladder_state("up" + STEERS)
            answer = {{"trainer_state": json.loads(state.text), "metrics": {{"m" + STEERS: 1}}}}
            return CurriculumSuggestion(text=json.dumps(answer), trainer_state=state)

        @hookimpl
        def post_session(self):
            raise LauncherError("no answer" + STEERS, "Wait." + STEERS)

        @hookimpl
        def check_rig(self):
            raise RuntimeError(STEERS)

    class Store:
        place = "the store" + STEERS

        def __getattr__(self, name):
            raise LauncherError("the store is gone" + STEERS, "Wait." + STEERS)

        @hookimpl(tryfirst=True)
        def animal_store(self):
            return self
"""


def named(lab: TaskRepositoryForTests, subject: str, name: str) -> None:
    """Put an animal into the library whose curriculum and stage have a name of somebody's choice."""
    state = json.loads(ladder_state("rung1").text)
    state["curriculum"] |= {"name": f"C{name}", "version": f"1{name}"}
    state["stage"]["name"] = f"s{name}"
    folder = lab.subjects / subject
    folder.mkdir(exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


LISTS = (("animals", "list"), ("animals", "show", SUBJECT), ("today",), ("sessions", "list"), ("sessions", "show"))


def test_no_text_of_others_steers_a_terminal(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"looks": "Looks"})
    named(lab, SUBJECT, STEERS)
    move = ("animals", "move", SUBJECT, "--off-curriculum", "--reason", STEERS, "--by", STEERS)
    calls = (
        ("run", "--subject", SUBJECT, "-e", STEERS),
        *LISTS,
        ("doctor",),
        ("resume",),
        move,
        *LISTS,
        ("run", STEERS),
    )
    for arguments in calls:
        ended = call(*arguments, cwd=lab.path)
        assert STEERING.findall(ended.out + ended.err) == [], arguments
        assert ended.out + ended.err
    for arguments in (*LISTS, ("run", "--subject", SUBJECT), ("doctor",), ("resume",)):
        ended = call(*arguments, "--json", cwd=lab.path)
        assert STEERING.findall(ended.out + ended.err) == [], arguments
        assert STEERS[:-1] in str(json.loads(ended.out)) or "mine" in repr(json.loads(ended.out)), arguments


def test_no_error_of_a_store_steers_a_terminal(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, PLUGINS, names={"store": "Store"})
    for arguments in (("animals", "list"), ("today",), ("animals", "show", SUBJECT)):
        ended = call(*arguments, "-p", "no:local-store", cwd=lab.path)
        assert STEERING.findall(ended.out + ended.err) == [], arguments
        assert "the store is gone" in ended.err


@pytest.mark.posix_only("Windows has no such names of folders")
def test_no_name_of_a_folder_steers_a_terminal(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    named(lab, f"1{STEERS}", "")
    for arguments in (("animals", "list"), ("today",), ("run", "--subject", "99"), ("animals", "show", f"1{STEERS}")):
        ended = call(*arguments, cwd=lab.path)
        assert STEERING.findall(ended.out + ended.err) == [], arguments
        assert "mine" in ended.out + ended.err or "99" in ended.err


def test_what_a_terminal_draws_is_not_steered_by_what_stands_in_it() -> None:
    now = Now("animal" + STEERS)
    now.add("line" + STEERS)
    for drawn in (Text(STEERS), Panel(Text(STEERS), title=Text(STEERS)), now):
        file = io.StringIO()
        screen = Screen(file=file, force_terminal=True, width=40)
        with Live(drawn, console=screen) as live:
            live.refresh()
            screen.print(drawn)
        shown = file.getvalue()
        assert "mine" in shown
        assert [sequence for sequence in ("\x1b]0", "\x07", "\u202e", "\x9b", "\u2066") if sequence in shown] == []


def test_a_name_of_any_length_widens_no_table_and_stands_whole_in_json(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    named(lab, SUBJECT, LONG)
    for arguments in LISTS[:3]:
        shown = call(*arguments, cwd=lab.path).out
        assert f"s{LONG[:20]}" in shown, arguments
        # Folders are not cut.
        lines = [line for line in shown.splitlines() if str(lab.root) not in line]
        assert max(map(len, lines)) < 250, arguments
        assert f"s{LONG}" in call(*arguments, "--json", cwd=lab.path).out
    card, *_ = call("run", "--subject", SUBJECT, "-p", "no:ladder", cwd=lab.path).err.partition("done")
    assert f"s{LONG[:20]}" in card
    assert LONG not in card
