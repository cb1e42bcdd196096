"""The commands as an operator meets them: their help, their lists, their JSON, and what they leave out."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import jsonschema
import pytest
from command_line import call, done
from repositories import commit, make_task_with_submodule
from task_repositories import laboratory

from aind_launcher import __version__
from aind_launcher.cli import launch as root
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


def commands(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and subcommand, with what is typed to reach it."""
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found
                yield from commands(found, (*path, name))


ALL = dict(commands())


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    made = laboratory(tmp_path, SECRETIVE, names={"push": "Push"})
    for session in range(2):
        assert call("run", "--subject", "123456", "--experimenter", f"me {session}", cwd=made.path).returncode == 0
    return made


# -- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_and_gives_an_example(path: tuple[str, ...], tmp_path: Path) -> None:
    for option in ("--help", "-h"):
        ended = call(*path, option, cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith(f"Usage: {' '.join(('aind-launch', *path))}")
        assert re.search(rf"Examples?:\s+(\w+=\S+ )?aind-launch {' '.join(path)}", ended.stdout)


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if isinstance(command, click.Group)])
def test_a_group_shows_a_whole_sentence_for_each_of_its_commands(path: tuple[str, ...], tmp_path: Path) -> None:
    shown = call(*path, "--help", cwd=tmp_path).stdout
    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    options = [parameter for parameter in ALL[path].params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_no_two_parameters_of_a_command_share_a_name(path: tuple[str, ...]) -> None:
    names = [parameter.name for parameter in ALL[path].params]
    assert sorted(names) == sorted(set(names))


def test_the_line_of_each_command_in_the_overview_is_what_the_command_says_of_itself() -> None:
    with click.Context(root) as context:
        for name in root.list_commands(context):
            command = root.get_command(context, name)
            assert command
            assert command.get_short_help_str(limit=500) == root.one_line(context, name)


HEAVY = ("pydantic", "pydantic_settings", "pluggy", "rich", "uv", "virtualenv", "aind_behavior_curriculum", "psutil")


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
    assert files.split()[1:] == [
        f"aind_launcher.{name}" for name in ("cli", "cli.groups", "errors", "system", "system.interrupts")
    ]


@pytest.mark.parametrize("name", [path[0] for path in ALL if len(path) == 1])
def test_a_command_imports_no_other_command(name: str) -> None:
    others = {f"aind_launcher.cli.{path[0]}" for path in ALL if len(path) == 1} - {f"aind_launcher.cli.{name}"}
    program = f"import sys, aind_launcher.cli.{name}; print(*sorted({others} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert ended.stdout.split() == []


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
    assert ended.returncode == 2
    assert f"There is no command '{typed.split()[-1]}'. Did you mean '{meant}'?" in ended.stderr


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


# -- lists ---------------------------------------------------------------------------------------------------------

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


def test_every_command_that_lists_can_print_json() -> None:
    listing = {path for path in ALL if path[-1:] in {("list",), ("show",), ("check",)}} - {("curricula", "check")}
    assert listing <= {command[:2] for command in (*LISTS, *OF_CURRICULA)}
    assert [path for path in listing if "as_json" not in {parameter.name for parameter in ALL[path].params}] == []


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_what_a_command_lists_is_valid_json(lab: TaskRepositoryForTests, command: tuple[str, ...]) -> None:
    ended = call(*command, "--json", cwd=lab.path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert isinstance(json.loads(ended.stdout), list | dict)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_what_a_command_prints_into_a_pipe_has_no_colours_and_is_not_cut(
    lab: TaskRepositoryForTests, command: tuple[str, ...]
) -> None:
    narrow = call(*command, cwd=lab.path, environment={"COLUMNS": "40", "TERM": "xterm-256color"})
    wide = call(*command, cwd=lab.path, environment={"COLUMNS": "400"})
    assert narrow.returncode == 0
    assert ESCAPE not in narrow.stdout + narrow.stderr
    # Others use the disk, too.
    assert re.sub(r"[\d.]+GB free", "", narrow.stdout) == re.sub(r"[\d.]+GB free", "", wide.stdout)
    assert narrow.stdout.strip()
    assert "…" not in narrow.stdout


def test_a_session_and_an_animal_are_listed_with_what_an_operator_looks_for(lab: TaskRepositoryForTests) -> None:
    listed = json.loads(call("sessions", "list", "--subject", "123456", "--json", cwd=lab.path).stdout)
    assert [(each["subject"], each["state"], each["exit_code"]) for each in listed] == [("123456", "completed", 0)] * 2
    assert call("sessions", "list", "--state", "failed", cwd=lab.path).stdout == "No session matches.\n"
    cut = call("sessions", "list", "--last", "1", "--json", cwd=lab.path)
    assert json.loads(cut.stdout) == listed[-1:]
    assert cut.stderr == "Only the newest 1 are listed; --last 10 lists more.\n"
    newest = json.loads(call("sessions", "show", "--json", cwd=lab.path).stdout)
    assert newest["session"] == listed[-1]["session"]
    assert newest["context"]["session"]["experimenter"] == ["me 1"]
    (animal,) = json.loads(call("animals", "list", "--json", cwd=lab.path).stdout)
    assert (animal["subject"], animal["stage"], animal["session"]) == ("123456", "rung3", listed[-1]["session"])


def test_the_story_of_a_session_says_in_few_words_what_each_step_returned(lab: TaskRepositoryForTests) -> None:
    story = call("sessions", "show", cwd=lab.path).stdout
    steps = {line.split()[0]: line for line in story.splitlines() if re.search(r"  (done|skipped|failed)  ", line)}
    assert re.search(r"stage rung2 of Ladder, since 123456_\S+$", steps["load_animal_state"])
    assert steps["run_session"].endswith("completed, exit code 0")
    assert steps["curriculum_suggest"].endswith("stage rung3, by Ladder 1.0.0")
    assert steps["keep_suggestion"].endswith("behavior/Logs/suggestion.json, behavior/metrics.json")
    assert max(len(line) for line in story.splitlines()) < 400


def test_the_summary_of_a_run_says_what_was_decided_and_where_everything_lies(lab: TaskRepositoryForTests) -> None:
    ended = call("run", "--subject", "123456", "--set", 'plugin.push.password="hush"', cwd=lab.path)
    assert re.search(r"decision\s+rung3 -> rung4", ended.stdout)
    (folder,) = re.findall(r"folder\s+(.+)", ended.stdout)
    (log,) = re.findall(r"log\s+(.+)", ended.stdout)
    assert Path(folder).is_dir() and Path(log).is_file()
    told = json.loads(call("run", "--subject", "123456", "--json", cwd=lab.path).stdout)
    assert (told["state"], told["exit_code"], told["stage"]) == ("completed", 0, "rung5")


def test_whoever_reads_no_further_is_not_told_off(lab: TaskRepositoryForTests) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-c", "from aind_launcher.cli import main; main()", "config", "show"]
    try:
        ended = subprocess.run(program, cwd=lab.path, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_terminal_that_was_closed_ends_no_session(lab: TaskRepositoryForTests) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-c", "from aind_launcher.cli import main; main()", "run", "--subject", "123456"]
    try:
        ended = subprocess.run(program, cwd=lab.path, stdout=subprocess.PIPE, stderr=writer, check=False)
    finally:
        os.close(writer)
    assert ended.returncode == 0
    assert b"rung3 -> rung4" in ended.stdout
    newest = json.loads(call("sessions", "show", "--json", cwd=lab.path).stdout)
    assert newest["state"] == "completed"


# -- settings and plugins ------------------------------------------------------------------------------------------


def test_settings_are_shown_with_their_sources_and_without_secrets(lab: TaskRepositoryForTests) -> None:
    environment = {"AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD": "correct-horse", "AIND_LAUNCHER_EXPERIMENT": "climbing"}
    command = ("config", "show", "--set", "plugin.checks.clean-repository=warn")
    shown = call(*command, "--json", cwd=lab.path, environment=environment).stdout
    settings = {row["key"]: (row["value"], row["source"]) for row in json.loads(shown)}
    assert settings["plugin.push.password"] == ("**********", "AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD")
    assert settings["experiment"] == ("climbing", "AIND_LAUNCHER_EXPERIMENT")
    assert settings["plugin.checks.clean-repository"] == ("warn", "command line")
    assert settings["data-directory"] == (str(lab.data), "pyproject.toml")
    assert settings["plugin.push.url"] == ("https://nowhere.example", "default")
    assert settings["disable"] == (["isolated-curriculum", "acquisition"], "pyproject.toml")
    table = call(*command, cwd=lab.path, environment=environment).stdout
    assert "correct-horse" not in shown + table
    assert re.search(r'^disable +\["isolated-curriculum", "acquisition"\] +pyproject\.toml$', table, re.MULTILINE)


def test_what_the_doctor_prints_has_no_secret_and_goes_to_stdout(lab: TaskRepositoryForTests) -> None:
    environment = {"AIND_LAUNCHER_PLUGIN__PUSH__PASSWORD": "correct-horse"}
    for options in ((), ("--json",)):
        ended = call("doctor", *options, cwd=lab.path, environment=environment)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "correct-horse" not in ended.stdout
        assert "https://me:**********@host is slow." in ended.stdout


def test_the_doctor_refuses_a_rig_on_which_a_session_would_be_refused(lab: TaskRepositoryForTests) -> None:
    where = lab.path / "more.py" / "data"
    ended = call("doctor", "--set", f"data-directory={json.dumps(str(where))}", "--json", cwd=lab.path)
    assert ended.returncode == 3
    checks = {check["name"]: check for check in json.loads(ended.stdout)}
    assert checks["data directory"]["outcome"] == "failed"
    assert checks["data directory"]["hint"]
    assert checks["git"]["outcome"] == "passed"


def test_the_doctor_refuses_uncommitted_changes_as_a_session_would(lab: TaskRepositoryForTests) -> None:
    lab.write("notes.txt", "a try")
    checks = [c for c in json.loads(call("doctor", "--json", cwd=lab.path).stdout) if c["outcome"] == "failed"]
    assert [check["name"] for check in checks] == ["task repository"]
    assert "(notes.txt)" in checks[0]["message"]
    assert call("doctor", cwd=lab.path).returncode == 3
    assert call("doctor", "--set", "plugin.checks.clean-repository=warn", cwd=lab.path).returncode == 0


@pytest.mark.parametrize("nested", [False, True], ids=["the section", "the whole pyproject.toml"])
def test_the_schema_accepts_the_task_repository_and_refuses_a_misspelt_key(
    lab: TaskRepositoryForTests, nested: bool
) -> None:
    printed = call("config", "schema", *(["--pyproject"] if nested else []), cwd=lab.path).stdout
    schema = json.loads(printed)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads((lab.path / "pyproject.toml").read_text(encoding="utf-8"))
    section = document["tool"]["aind-launcher"]
    jsonschema.validate(document if nested else section, schema)
    section["plugin"]["checks"]["minimum-free-spice"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minimum-free-spice"):
        jsonschema.validate(document if nested else section, schema)


def test_plugins_are_listed_with_what_provides_them_and_their_hooks(lab: TaskRepositoryForTests) -> None:
    listed = {row["name"]: row for row in json.loads(call("plugins", "list", "--json", cwd=lab.path).stdout)}
    assert listed["checks"]["distribution"] == "aind-launcher"
    assert listed["checks"]["version"] == __version__
    assert listed["push"]["hooks"] == ["post_session", "check_rig"]
    assert listed["push"]["distribution"] is None
    assert listed["acquisition"]["state"] == "left out"


def test_sound_plugins_pass_and_a_broken_one_is_shown_with_its_error(lab: TaskRepositoryForTests) -> None:
    assert call("plugins", "check", cwd=lab.path).stdout == "All plugins are sound.\n"
    lab.write("more.py", "import nothing_of_this_name")
    broken = call("plugins", "check", cwd=lab.path)
    assert broken.returncode == 2
    assert re.search(r"^push +failed +this repository +.*No module named 'nothing_of_this_name'", broken.stdout, re.M)
    (problem,) = json.loads(call("plugins", "check", "--json", cwd=lab.path).stdout)
    assert problem["name"] == "push" and "nothing_of_this_name" in problem["error"]
    # What another plugin has to do with it may still be looked at.
    assert call("animals", "list", cwd=lab.path).returncode == 0
    assert call("plugins", "check", "-p", "no:push", cwd=lab.path).returncode == 0


# -- curricula and their environments ------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task repository whose submodule has a curriculum without dependencies."""
    settings = [
        'disable = ["acquisition"]',
        *(f"{name}-directory = {json.dumps(str(tmp_path / name))}" for name in ("data", "state")),
        "[tool.aind-launcher.plugin]",
        f"local-store.library = {json.dumps(str(tmp_path / 'library'))}",
        f"isolated-curriculum.cache-directory = {json.dumps(str(tmp_path / 'cache'))}",
    ]
    return make_task_with_submodule(tmp_path, settings="\n".join(settings))


def test_a_source_is_listed_built_used_and_its_environment_pruned_when_the_pin_has_moved(task: Path) -> None:
    assert call("env", "list", cwd=task).stdout.startswith("No environment is built yet; `aind-launch curricula sync`")
    unbuilt = call("curricula", "list", cwd=task).stdout
    assert re.search(r"^curricula +curricula +[0-9a-f]{10} +clean +no +known once it is built$", unbuilt, re.MULTILINE)
    assert "Not built yet: curricula. `aind-launch curricula sync` builds what is pinned" in unbuilt

    built = call("curricula", "sync", cwd=task)
    assert built.returncode == 0
    assert built.stderr.splitlines()[0].startswith("Cloning curricula at ")
    assert not re.search(r"^\s*(\+ |Python 3)", built.stderr, re.MULTILINE)
    (source,) = json.loads(call("curricula", "list", "--json", cwd=task).stdout)
    assert (source["built"], source["curricula"], source["unasked"]) == (True, ["counting"], None)
    enrolled = call("curricula", "enroll", "123456", "--curriculum", "counting", "--by", "me", cwd=task)
    assert enrolled.stdout == "Animal 123456 is enrolled: stage first of counting 1.0.0.\n"
    moved = call("animals", "move", "123456", "-c", "counting", "--stage", "second", "--reason", "a try", cwd=task)
    assert moved.stdout == "Animal 123456: first -> stage second of counting.\n"
    (animal,) = json.loads(call("animals", "list", "--json", cwd=task).stdout)
    assert animal["stage"] == "second"

    (environment,) = json.loads(call("env", "list", "--json", cwd=task).stdout)
    assert environment["pinned"] is True
    assert datetime.fromisoformat(environment["used"]) >= datetime.fromisoformat(environment["built"])
    assert call("env", "prune", "--older-than", "0", cwd=task).stdout == "Nothing to remove.\n"

    shutil.rmtree(Path(environment["folder"]) / "venv")
    (source,) = json.loads(call("curricula", "list", "--json", cwd=task).stdout)
    assert source["built"] is False
    unwell = call("doctor", cwd=task).stdout
    assert "its environment will be built again. Its Python, " in unwell
    unknown = call("doctor", "--set", "plugin.isolated-curriculum.source=nope", cwd=task)
    assert unknown.returncode == 3
    assert "There is no curriculum source 'nope'." in unknown.stdout

    commit(task / "curricula", {"NEWS.md": "A new version.\n"})
    refused = call("curricula", "list", cwd=task).stdout
    assert re.search(r"^curricula +curricula +[0-9a-f]{10} +refused +no", refused, re.MULTILINE)
    assert "curricula: The submodule curricula is at " in refused
    assert "Run `git submodule update curricula`" in refused
    commit(task)
    assert re.search(
        r"^Removed [0-9a-f]{16} \(curricula at", call("env", "prune", "--older-than", "0", cwd=task).stdout
    )
    assert not Path(environment["folder"]).exists()
    assert json.loads(call("env", "list", "--json", cwd=task).stdout) == []


# -- animals -------------------------------------------------------------------------------------------------------


def test_an_animal_is_moved_by_hand_with_reason_and_name_kept(lab: TaskRepositoryForTests) -> None:
    state = json.loads((lab.subjects / "123456" / "trainer_state.json").read_text(encoding="utf-8"))
    state["stage"]["name"] = "rung7"
    file = lab.root / "state.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    move = ("animals", "move", "123456", "--to", str(file), "--reason", "climbs well", "--by", "me")
    assert call(*move, cwd=lab.path).stdout == "Animal 123456: rung3 -> stage rung7 of Ladder.\n"
    off = ("animals", "move", "123456", "--off-curriculum", "--reason", "surgery", "--by", "me")
    assert call(*off, cwd=lab.path).stdout == "Animal 123456: rung7 -> off curriculum.\n"
    shown = call("animals", "show", "123456", cwd=lab.path).stdout
    assert re.search(r"stage +rung7 \(off curriculum\)", shown)
    assert re.search(r"moved +rung7 +me +climbs well$", shown, re.MULTILINE)
    assert re.search(r"moved +rung7 \(off curriculum\) +me +surgery$", shown, re.MULTILINE)
    assert call("run", "--subject", "123456", cwd=lab.path).returncode == 0


def test_a_session_is_brought_back_from_its_folder(lab: TaskRepositoryForTests) -> None:
    newest = json.loads(call("sessions", "show", "--json", cwd=lab.path).stdout)
    again = ("sessions", "import", newest["folder"])
    refused = call(*again, cwd=lab.path)
    assert refused.returncode == 2
    assert "The journal has session" in refused.stderr
    lab.journal.unlink()
    assert newest["session"] in call(*again, cwd=lab.path).stdout
    assert len(json.loads(call("sessions", "list", "--json", cwd=lab.path).stdout)) == 1


def test_what_the_terminals_code_page_lacks_is_escaped(tmp_path: Path) -> None:
    lab = laboratory(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "aind_launcher", "run", "--subject", "Mäuschen"],
        cwd=lab.path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 2
    assert rb"M\xe4uschen" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_an_animal_that_was_lost_is_not_begun_anew_but_restored(lab: TaskRepositoryForTests) -> None:
    state = lab.subjects / "123456" / "trainer_state.json"
    kept = state.read_text(encoding="utf-8")
    for ruin in (state.unlink, lambda: state.write_text("{oops", encoding="utf-8")):
        ruin()
        shown = call("animals", "show", "123456", cwd=lab.path)
        assert shown.returncode == 3
        (restore,) = re.findall(r"`aind-launch (animals move .*?)`", shown.stderr)
        enrolled = call("curricula", "enroll", "123456", "-c", "Ladder", cwd=lab.path)
        assert (enrolled.returncode, restore in enrolled.stderr) == (3, True)

        assert call(*shlex.split(restore), cwd=lab.path).returncode == 0
        assert state.read_text(encoding="utf-8") == kept
        (animal,) = json.loads(call("animals", "list", "--json", cwd=lab.path).stdout)
        assert (animal["stage"], animal["metrics"]) == ("rung3", {"climbed": 1})


def test_a_library_that_is_not_connected_is_not_begun_anew(lab: TaskRepositoryForTests) -> None:
    lab.subjects.parents[1].rename(lab.root / "unplugged")
    doctor = call("doctor", cwd=lab.path).stdout
    assert re.search(r"warning +library: .*library does not exist yet; .* connect its drive", doctor)
    run = call("run", "--subject", "123456", cwd=lab.path)
    assert (run.returncode, "does not exist; if it did, connect its drive" in run.stderr) == (3, True)
    enrolled = call("curricula", "enroll", "123456", "-c", "Ladder", cwd=lab.path)
    assert enrolled.returncode == 3
    assert re.search(
        r"was at rung2 of Ladder in session 123456_\S+, but the library .* does not know it", enrolled.stderr
    )
    assert not lab.subjects.exists()


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
    assert json.loads(ended.stdout)["state"] == "completed"
    assert "hello from a plugin" in ended.stderr
