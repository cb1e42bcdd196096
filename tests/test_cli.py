"""The commands as an operator meets them: their lists, their JSON, and what they leave out."""

import io
import json
import os
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from command_line import call, closed_pipe, launch
from command_tree import COMMANDS
from task_repositories import laboratory

from aind_launcher import __version__
from aind_launcher.cli.streams import told_of_its_reader
from aind_launcher.testing import TaskRepositoryForTests

ESCAPE = "\x1b"
SECRETIVE = """
    from pydantic import BaseModel, SecretStr
    from aind_launcher import Check, hookimpl

    class Push:
        class Settings(BaseModel):
            url: str = "https://nowhere.example"
            password: SecretStr = SecretStr("")

        def __init__(self, settings):
            self.settings = settings

        @hookimpl
        def post_session(self, session):
            return "pushed"

        @hookimpl
        def check_rig(self, repository):
            word = self.settings.password.get_secret_value()
            message = f"https://me:{word}@host is slow."
            return Check(name="push", outcome="warning", message=message, hint=f"Ask {word}.")
"""


LISTS = (
    ("sessions", "list"),
    ("sessions", "show"),
    ("animals", "list"),
    ("animals", "show", "123456"),
    ("plugins", "list"),
    ("plugins", "check"),
    ("config", "show"),
    ("doctor",),
    ("resume", "--all", "--dry-run"),
    ("resume", "--all"),
)
OF_CURRICULA = (("curricula", "list"), ("env", "list"))


def made_in(root: Path) -> TaskRepositoryForTests:
    """A task repository after two sessions."""
    made = laboratory(root, SECRETIVE, names={"push": "Push"})
    for session in range(2):
        assert call("run", "--subject", "123456", "--experimenter", f"me {session}", cwd=made.path).code == 0
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> TaskRepositoryForTests:
    """For tests that only look."""
    return made_in(tmp_path_factory.mktemp("laboratory"))


@pytest.fixture
def own_lab(tmp_path: Path) -> TaskRepositoryForTests:
    """For a test that changes something."""
    return made_in(tmp_path)


# -- lists ----------------------------------------------------------------------------------------------------------


def test_every_command_that_lists_can_print_json() -> None:
    listing = {path for path in COMMANDS if path[-1:] in {("list",), ("show",), ("check",)}} - {("curricula", "check")}
    assert listing <= {command[:2] for command in (*LISTS, *OF_CURRICULA)}
    assert [path for path in listing if "as_json" not in {parameter.name for parameter in COMMANDS[path].params}] == []


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_what_a_command_lists_is_valid_json(lab: TaskRepositoryForTests, command: tuple[str, ...]) -> None:
    ended = call(*command, "--json", cwd=lab.path)
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert isinstance(json.loads(ended.out), list | dict)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_what_a_command_prints_into_a_pipe_has_no_colours_and_is_not_cut(
    lab: TaskRepositoryForTests, command: tuple[str, ...]
) -> None:
    narrow = call(*command, cwd=lab.path, environment={"COLUMNS": "40", "TERM": "xterm-256color"})
    wide = call(*command, cwd=lab.path, environment={"COLUMNS": "400"})
    assert narrow.code == 0
    assert ESCAPE not in narrow.out + narrow.err
    # Others use the disk, too.
    assert re.sub(r"[\d.]+GB free", "", narrow.out) == re.sub(r"[\d.]+GB free", "", wide.out)
    assert narrow.out.strip()
    assert "…" not in narrow.out


def test_a_session_and_an_animal_are_listed_with_what_an_operator_looks_for(lab: TaskRepositoryForTests) -> None:
    listed = json.loads(call("sessions", "list", "--subject", "123456", "--json", cwd=lab.path).out)
    assert [(each["subject"], each["state"], each["exit_code"]) for each in listed] == [("123456", "completed", 0)] * 2
    assert call("sessions", "list", "--state", "failed", cwd=lab.path).out == "No session matches.\n"
    cut = call("sessions", "list", "--last", "1", "--json", cwd=lab.path)
    assert json.loads(cut.out) == listed[-1:]
    assert cut.err == "Only the newest 1 are listed; --last 10 lists more.\n"
    newest = json.loads(call("sessions", "show", "--json", cwd=lab.path).out)
    assert newest["session"] == listed[-1]["session"]
    assert newest["context"]["session"]["experimenter"] == ["me 1"]
    (animal,) = json.loads(call("animals", "list", "--json", cwd=lab.path).out)
    assert (animal["subject"], animal["stage"], animal["session"]) == ("123456", "rung3", listed[-1]["session"])


def test_the_story_of_a_session_says_what_was_decided_and_what_each_step_returned(
    lab: TaskRepositoryForTests,
) -> None:
    story = call("sessions", "show", cwd=lab.path).out
    steps = {line.split()[0]: line for line in story.splitlines() if re.search(r"  (done|skipped|failed)  ", line)}
    for fact in ("ran with +stage rung2 of Ladder 1.0.0", "decision +rung2 -> rung3", "decided by +Ladder 1.0.0"):
        assert re.search(f"^  {fact}$", story, re.M)
    assert re.search(r"session_name 123456_\S+, date ", steps["load_animal_state"])
    assert steps["run_session"].endswith("exit_code 0")
    assert steps["keep_suggestion"].endswith("suggestion behavior/Logs/suggestion.json, metrics behavior/metrics.json")
    assert max(len(line) for line in story.splitlines()) < 400


def test_the_summary_of_a_run_says_what_was_decided_and_where_everything_lies(own_lab: TaskRepositoryForTests) -> None:
    ended = call("run", "--subject", "123456", "--set", 'plugin.push.password="hush"', cwd=own_lab.path)
    assert re.search(r"decision\s+rung3 -> rung4", ended.out)
    (folder,) = re.findall(r"folder\s+(.+)", ended.out)
    (log,) = re.findall(r"log\s+(.+)", ended.out)
    assert Path(folder).is_dir() and Path(log).is_file()
    told = json.loads(call("run", "--subject", "123456", "--json", cwd=own_lab.path).out)
    assert (told["state"], told["exit_code"], told["stage"]) == ("completed", 0, "rung5")


# -- where its output goes ------------------------------------------------------------------------------------------


def test_whoever_reads_no_further_is_not_told_off(lab: TaskRepositoryForTests) -> None:
    with closed_pipe() as reader:
        ended = launch("config", "show", cwd=lab.path, stdout=reader)
    assert (ended.code, ended.err) == (0, "")


def test_a_terminal_that_was_closed_ends_no_session(own_lab: TaskRepositoryForTests) -> None:
    with closed_pipe() as terminal:
        ended = launch("run", "--subject", "123456", cwd=own_lab.path, stderr=terminal)
    assert ended.code == 0
    assert "rung3 -> rung4" in ended.out
    newest = json.loads(call("sessions", "show", "--json", cwd=own_lab.path).out)
    assert newest["state"] == "completed"


@pytest.mark.posix_only("Windows has no device that is always full")
def test_a_log_whose_disk_is_full_ends_no_session(own_lab: TaskRepositoryForTests) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = launch("run", "--subject", "123456", cwd=own_lab.path, stderr=full.fileno())
    assert ended.code == 0
    assert json.loads(call("sessions", "show", "--json", cwd=own_lab.path).out)["state"] == "completed"


@pytest.mark.posix_only("Windows has no counter of events, which says EINVAL as its pipes do")
def test_a_pipe_without_a_reader_is_one_though_windows_calls_it_an_invalid_argument() -> None:
    # Linux says EINVAL of less than eight bytes to a counter of events.
    counter = os.eventfd(0)
    with os.fdopen(counter, "wb", buffering=0) as raw, pytest.raises(OSError, match="Invalid argument"):
        raw.write(b"few")
    counter = os.eventfd(0)
    with io.TextIOWrapper(os.fdopen(counter, "wb")) as stream:
        told = told_of_its_reader(stream)
        told.write("few")
        with pytest.raises(BrokenPipeError):
            told.flush()


def test_what_the_terminals_code_page_lacks_is_escaped(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    ended = launch("run", "--subject", "Mäuschen", cwd=lab.path, environment={"PYTHONIOENCODING": "ascii"})
    assert ended.code == 2
    assert r"M\xe4uschen" in ended.err
    assert "Traceback" not in ended.err


def test_what_a_plugin_prints_is_not_part_of_the_json(tmp_path: Path) -> None:
    prints = """
        from aind_launcher import hookimpl

        class Prints:
            @hookimpl
            def post_session(self):
                print("hello from a plugin")
    """
    lab = laboratory(tmp_path, prints, names={"prints": "Prints"})
    ended = call("run", "--subject", "123456", "--json", cwd=lab.path)
    assert json.loads(ended.out)["state"] == "completed"
    assert "hello from a plugin" in ended.err


# -- settings and plugins -------------------------------------------------------------------------------------------


def test_settings_are_shown_with_their_sources_and_without_secrets(lab: TaskRepositoryForTests) -> None:
    environment = {"AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD": "correct-horse", "AIND_LAUNCHER_EXPERIMENT": "climbing"}
    command = ("config", "show", "--set", "plugin.checks.clean-repository=warn")
    shown = call(*command, "--json", cwd=lab.path, environment=environment).out
    settings = {row["key"]: (row["value"], row["source"]) for row in json.loads(shown)}
    assert settings["plugin.push.password"] == ("**********", "AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD")
    assert settings["experiment"] == ("climbing", "AIND_LAUNCHER_EXPERIMENT")
    assert settings["plugin.checks.clean-repository"] == ("warn", "command line")
    assert settings["data-directory"] == (str(lab.data), "pyproject.toml")
    assert settings["plugin.push.url"] == ("https://nowhere.example", "default")
    assert settings["disable"] == (["isolated-curriculum", "acquisition"], "pyproject.toml")
    table = call(*command, cwd=lab.path, environment=environment).out
    assert "correct-horse" not in shown + table
    assert re.search(r'^disable +\["isolated-curriculum", "acquisition"\] +pyproject\.toml$', table, re.MULTILINE)


def test_what_the_doctor_prints_has_no_secret_and_goes_to_stdout(lab: TaskRepositoryForTests) -> None:
    environment = {"AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD": "correct-horse"}
    for options in ((), ("--json",)):
        ended = call("doctor", *options, cwd=lab.path, environment=environment)
        assert (ended.code, ended.err) == (0, "")
        assert "correct-horse" not in ended.out
        assert "https://me:**********@host is slow." in ended.out


def test_the_doctor_refuses_a_rig_on_which_a_session_would_be_refused(lab: TaskRepositoryForTests) -> None:
    where = lab.path / "more.py" / "data"
    ended = call("doctor", "--set", f"data-directory={json.dumps(str(where))}", "--json", cwd=lab.path)
    assert ended.code == 3
    checks = {check["name"]: check for check in json.loads(ended.out)}
    assert checks["data directory"]["outcome"] == "failed"
    assert checks["data directory"]["hint"]
    assert checks["git"]["outcome"] == "passed"


def test_the_doctor_refuses_uncommitted_changes_as_a_session_would(own_lab: TaskRepositoryForTests) -> None:
    own_lab.write("notes.txt", "a try")
    checks = [c for c in json.loads(call("doctor", "--json", cwd=own_lab.path).out) if c["outcome"] == "failed"]
    assert [check["name"] for check in checks] == ["task repository"]
    assert "(notes.txt)" in checks[0]["message"]
    assert call("doctor", cwd=own_lab.path).code == 3
    assert call("doctor", "--set", "plugin.checks.clean-repository=warn", cwd=own_lab.path).code == 0


@pytest.mark.parametrize("nested", [False, True], ids=["the section", "the whole pyproject.toml"])
def test_the_schema_accepts_the_task_repository_and_refuses_a_misspelt_key(
    lab: TaskRepositoryForTests, nested: bool
) -> None:
    printed = call("config", "schema", *(["--pyproject"] if nested else []), cwd=lab.path).out
    schema = json.loads(printed)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads((lab.path / "pyproject.toml").read_text(encoding="utf-8"))
    section = document["tool"]["aind-launcher"]
    jsonschema.validate(document if nested else section, schema)
    section["plugin"]["checks"]["minimum-free-spice"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minimum-free-spice"):
        jsonschema.validate(document if nested else section, schema)


def test_plugins_are_listed_with_what_provides_them_and_their_hooks(lab: TaskRepositoryForTests) -> None:
    listed = {row["name"]: row for row in json.loads(call("plugins", "list", "--json", cwd=lab.path).out)}
    assert listed["checks"]["distribution"] == "aind-launcher"
    assert listed["checks"]["version"] == __version__
    assert listed["push"]["hooks"] == ["post_session", "check_rig"]
    assert listed["push"]["distribution"] is None
    assert listed["acquisition"]["state"] == "left out"


def test_sound_plugins_pass_and_a_broken_one_is_shown_with_its_error(own_lab: TaskRepositoryForTests) -> None:
    sound = call("plugins", "check", cwd=own_lab.path).out
    assert re.fullmatch(r"All plugins are sound: [\w, -]+, local-store, push\.\n", sound)
    own_lab.write("more.py", "import nothing_of_this_name")
    broken = call("plugins", "check", cwd=own_lab.path)
    assert broken.code == 2
    assert re.search(r"^push +failed +this repository +.*No module named 'nothing_of_this_name'", broken.out, re.M)
    (problem,) = json.loads(call("plugins", "check", "--json", cwd=own_lab.path).out)
    assert problem["name"] == "push" and "nothing_of_this_name" in problem["error"]
    # What another plugin has to do with it may still be looked at.
    assert call("animals", "list", cwd=own_lab.path).code == 0
    assert call("plugins", "check", "-p", "no:push", cwd=own_lab.path).code == 0
