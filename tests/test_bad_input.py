"""Bad input gets one clear sentence with its hint and exit code 2 or 3, and changes nothing."""

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from command_line import call, launch
from contexts import read_only
from refusals import REFUSED, USAGE, refuse
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests

# A plugin that is sound, and in no section yet.
LOOKS = """
    from aind_launcher import hookimpl

    class Looks:
        @hookimpl
        def pre_session(self):
            pass
"""
RUN = ("run", "--subject", "123456")


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, LOOKS)


def edit(lab: TaskRepositoryForTests, old: str, new: str) -> None:
    """Replace a part of the task repository's settings, and commit it."""
    text = (lab.path / "pyproject.toml").read_text(encoding="utf-8")
    assert old in text
    lab.write("pyproject.toml", text.replace(old, new, 1))
    lab.commit()


def refuse_in(
    lab: TaskRepositoryForTests, code: int, sentence: str, *arguments: str, **options: Mapping[str, str]
) -> None:
    keeps = (lab.path, lab.data, lab.root / "library")
    refuse(code, sentence, *arguments, cwd=lab.path, keeps=keeps, journal=lab.journal, **options)


@pytest.mark.parametrize("command", ["run --subject 999", "run --sbject 123456", "animals show 123456 --set nonsense"])
def test_a_process_of_its_own_says_the_same_and_ends_with_the_same_code(
    lab: TaskRepositoryForTests, command: str
) -> None:
    here, apart = (start(*command.split(), cwd=lab.path) for start in (call, launch))
    assert apart.code == here.code
    assert apart.out == here.out
    assert apart.err.splitlines()[-2:] == here.err.splitlines()[-2:]


# -- outside of a task repository ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [RUN, ("config", "show"), ("plugins", "check"), ("sessions", "list"), ("doctor",), ("curricula", "list")],
    ids=" ".join,
)
def test_a_folder_without_a_pyproject_is_no_task_repository(tmp_path: Path, command: tuple[str, ...]) -> None:
    refuse(USAGE, r"no pyproject\.toml in .* or above it\. .*aind-launch demo", *command, cwd=tmp_path)


def test_a_pyproject_without_the_launchers_section_is_no_task_repository(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'thesis'\n", encoding="utf-8")
    refuse(USAGE, r"has no \[tool\.aind-launcher\] section\. Add one", *RUN, cwd=tmp_path, keeps=(tmp_path,))


def test_a_task_repository_that_is_not_in_git_is_refused(lab: TaskRepositoryForTests, tmp_path: Path) -> None:
    copy = tmp_path / "copied without git"
    for name in ("pyproject.toml", "more.py"):
        copy.mkdir(exist_ok=True)
        (copy / name).write_bytes((lab.path / name).read_bytes())
    refuse(REFUSED, "is not in a git repository. .*git init", *RUN, cwd=copy, keeps=(copy, lab.root / "library"))


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("data-directory", "data-directry", "'data-directry' in pyproject.toml. Did you mean 'data-directory'"),
        ("minimum-free-space", "free-space", "'plugin.checks.free-space' in pyproject.toml. Did you mean 'minimum-f"),
        ('"climbing"', '"climbing"\nflavour = 1', "Unknown setting 'flavour' in pyproject.toml. See `aind-launch conf"),
        (
            "[0, 0]",
            '"soon"',
            "'retry-pauses' in pyproject.toml is wrong: it must be a list, .* retry-pauses: Seconds to wait",
        ),
        ("[0, 0]", "[-1]", "'retry-pauses.0' in pyproject.toml is wrong: it must be at least 0, not -1"),
        ('"1 MB"', '"much"', "'plugin.checks.minimum-free-space' in pyproject.toml is wrong"),
        ("[0, 0]", "[0, 0]\nplugin.checks = 3", "pyproject.toml is not valid TOML: .* Correct the file"),
        ("plugin.checks", "plugin.chekcs", "configures the plugin chekcs, which is not .* Did you mean 'checks"),
        ("[0, 0]", '[0, 0]\nrequired-steps = ["slims"]', "no plugin named slims, which required-steps asks for"),
        (
            '"climbing"',
            '"a/b"',
            "'experiment' in pyproject.toml is wrong: 'a/b' is not a valid experiment. Use letters",
        ),
        ("library =", 'experiment = "../.."\nlibrary =', "'plugin.local-store.experiment' .* not a valid experiment"),
    ],
)
def test_a_setting_that_is_unknown_or_of_the_wrong_type_is_refused(
    lab: TaskRepositoryForTests, old: str, new: str, sentence: str
) -> None:
    edit(lab, old, new)
    refuse_in(lab, USAGE, sentence, *RUN)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "nonsense"), "--set 'nonsense' is not a key and its value. Write it as KEY=VALUE"),
        (("--set", "=3"), "--set '=3' is not a key"),
        (("--set", "data-directry=x"), "Unknown setting 'data-directry' on the command line. Did you mean"),
        (("--set", "disable=3"), "'disable' on the command line is wrong"),
        (("--set", "plugin.slims.url=x"), "The command line configures the plugin slims, which is not installed"),
        (("-p", "nonsense"), "-p nonsense is not understood. Write -p no:NAME"),
        (("-p", "no:chekcs"), "no plugin named chekcs, which -p no:chekcs asks for. Did you mean 'checks'"),
        (("--sbject", "3"), "No such option '--sbject'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_option_that_says_nonsense_is_refused(
    lab: TaskRepositoryForTests, arguments: tuple[str, ...], sentence: str
) -> None:
    refuse_in(lab, USAGE, sentence, *RUN, *arguments)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("AIND_LAUNCHER_DATA_DIRECTRY", "x", "is not a setting. Did you mean 'AIND_LAUNCHER_DATA_DIRECTORY'"),
        ("AIND_LAUNCHER_DISABLE", "slims", "AIND_LAUNCHER_DISABLE cannot be read. Lists .* JSON there: ..slims"),
        ("AIND_LAUNCHER_PLUGIN__CHECKS__CLEAN_REPOSITORY", "maybe", "in AIND_LAUNCHER_PLUGIN__CHECKS__CLEAN_REPO"),
    ],
)
def test_a_variable_that_says_nonsense_is_refused(
    lab: TaskRepositoryForTests, variable: str, value: str, sentence: str
) -> None:
    refuse_in(lab, USAGE, sentence, *RUN, environment={variable: value})


def test_the_rigs_own_file_is_read_as_strictly(lab: TaskRepositoryForTests) -> None:
    # Where the machine's settings lie is a Unix user's to say by variables alone.
    places = (Path(os.environ["XDG_CONFIG_DIRS"].split(os.pathsep)[0]), Path(os.environ["PROGRAMDATA"]))
    file = places[os.name == "nt"] / "aind-launcher" / "aind-launcher.toml"
    file.parent.mkdir(parents=True)
    file.write_text("rigg = 'rig.json'\n", encoding="utf-8")
    refuse_in(lab, USAGE, r"Unknown setting 'rigg' in .*aind-launcher\.toml\. Did you mean 'rig'", *RUN)


# -- plugins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        ('checks = "more:Looks"', "two plugins named checks: .* of aind-launcher .* and more:Looks of this repository"),
        ('water = "my_task:Water"', "Plugin water .* cannot be imported .* No module named 'my_task'.* -p no:water"),
        ('water = "more:Water"', "Plugin water .* cannot be imported .* more has no Water"),
        ('water = "more"', "Plugin water .* implements no hook"),
    ],
)
def test_a_plugin_that_is_broken_or_doubled_is_refused(lab: TaskRepositoryForTests, added: str, sentence: str) -> None:
    edit(lab, "plugins = {", f"plugins = {{ {added},")
    refuse_in(lab, USAGE, sentence, *RUN)


# -- the animal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["../../x", "", "a/b", "a\\b", "con", ".", "a b"])
def test_a_subject_that_could_not_be_a_folder_is_refused(lab: TaskRepositoryForTests, subject: str) -> None:
    for command in (("run", "--subject", subject), ("curricula", "enroll", "--curriculum", "x", "--", subject)):
        refuse_in(lab, USAGE, "is not a valid subject(. Use letters|: Windows reserves)", *command)


@pytest.mark.parametrize("command", [("run", "--subject", "999"), ("animals", "show", "999")], ids=" ".join)
def test_an_unknown_animal_is_refused_with_how_to_enrol_it(
    lab: TaskRepositoryForTests, command: tuple[str, ...]
) -> None:
    refuse_in(lab, REFUSED, "Animal 999 .*aind-launch curricula enroll", *command)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("{oops", r"trainer_state\.json is not JSON"),
        ("[]", r"trainer_state\.json is not a trainer state: it needs the fields"),
        ("", r"trainer_state\.json is not JSON"),
    ],
)
def test_a_trainer_state_that_is_none_is_refused_and_left_alone(
    lab: TaskRepositoryForTests, state: str, sentence: str
) -> None:
    (lab.subjects / "123456" / "trainer_state.json").write_text(state, encoding="utf-8")
    for command in (RUN, ("animals", "show", "123456")):
        refuse_in(lab, REFUSED, f"{sentence}.* Enrol it again with", *command)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ((), USAGE, "Nothing says where the animal goes. Give one of --stage"),
        (("--stage", "rung2", "--off-curriculum"), USAGE, "The options contradict each other. Give one of --stage"),
        (("--stage", "rung2", "--to", "state.json"), USAGE, "The options contradict each other"),
        (("--to", "nothing.json"), USAGE, "nothing.json cannot be read: No such file or directory. Give the path"),
        (
            ("--to", "more.py"),
            REFUSED,
            "trainer state in more.py is not JSON: .* Give a file that a curriculum wrote",
        ),
        (
            ("--stage", "rung9"),
            REFUSED,
            "Curriculum Ladder 1.0.0 has no stage 'rung9'. Its state lists none; .* --curriculum",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_move_that_leads_nowhere_is_refused(
    lab: TaskRepositoryForTests, options: tuple[str, ...], code: int, sentence: str
) -> None:
    refuse_in(lab, code, sentence, "animals", "move", "123456", "--reason", "a try", *options)


def test_a_move_without_a_reason_is_refused(lab: TaskRepositoryForTests) -> None:
    refuse_in(lab, USAGE, "Missing option '--reason'", "animals", "move", "123456", "--stage", "rung2")


# -- rig and task --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--rig", "--task"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "nothing.json"),
        ("{oops", "is not JSON: .* Correct the file"),
        ("[1]", "is not a JSON object. Correct"),
        (r'{"name": "\ud800"}', "has text that no file can hold: surrogates not allowed. Correct"),
    ],
)
def test_a_rig_or_task_that_is_missing_or_no_json_is_refused(
    lab: TaskRepositoryForTests, option: str, text: str | None, sentence: str
) -> None:
    name = "nothing.json" if text is None else "input.json"
    if text is not None:
        lab.write(name, text)
        lab.commit()
    refuse_in(lab, USAGE, sentence, *RUN, option, name)


def test_a_rig_file_that_the_settings_name_and_nobody_wrote_is_refused(lab: TaskRepositoryForTests) -> None:
    edit(lab, "retry-pauses", 'rig = "rig.json"\nretry-pauses')
    refuse_in(lab, USAGE, r"The rig file .*rig\.json cannot be read: .* --rig FILE", *RUN)


@pytest.mark.parametrize(
    ("rig", "sentence"),
    [
        ({"data_directory": "elsewhere"}, "writes to .*elsewhere, but the setting data-directory is .* both the same"),
        ({"data_directory": 3}, "data_directory in the rig file .* is not a path. Correct"),
    ],
)
def test_a_rig_file_that_contradicts_the_data_directory_is_refused(
    lab: TaskRepositoryForTests, rig: dict[str, object], sentence: str
) -> None:
    edit(lab, "retry-pauses", 'rig = "rig.json"\nretry-pauses')
    lab.write("rig.json", json.dumps(rig))
    refuse_in(lab, USAGE, sentence, *RUN)


# -- the disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may write, also not an administrator."""
    if os.name == "nt":
        folder = tmp_path / "unwritable"
        folder.mkdir()
        with read_only(folder):
            yield folder
    else:
        yield Path("/System" if sys.platform == "darwin" else "/sys")


def put(key: str, value: Path | str) -> tuple[str, str]:
    return "--set", f"{key}={json.dumps(str(value))}"


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_a_data_directory_that_may_not_be_written_is_refused(lab: TaskRepositoryForTests, unwritable: Path) -> None:
    setting = put("data-directory", unwritable / "data")
    refuse_in(lab, REFUSED, "data directory: .* cannot be written: .* Connect the disk", *RUN, *setting)


def test_a_data_directory_in_a_file_is_refused(lab: TaskRepositoryForTests) -> None:
    setting = put("data-directory", lab.path / "more.py" / "data")
    refuse_in(lab, REFUSED, "data directory: .*more.py.* is not a folder. Connect the disk", *RUN, *setting)


def test_a_full_disk_is_refused(lab: TaskRepositoryForTests) -> None:
    setting = put("plugin.checks.minimum-free-space", "900 PB")
    refuse_in(lab, REFUSED, "disk space: Only .* free for .*; a session needs 900.0PB. Free the disk", *RUN, *setting)


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_a_state_directory_that_may_not_be_written_is_refused(lab: TaskRepositoryForTests, unwritable: Path) -> None:
    setting = put("state-directory", unwritable / "state")
    refuse_in(lab, REFUSED, "state directory .* cannot be made: .* Choose another", *RUN, *setting)


def test_a_library_that_is_not_connected_is_refused(lab: TaskRepositoryForTests, tmp_path: Path) -> None:
    setting = put("plugin.local-store.library", tmp_path / "no such drive" / "library")
    refuse_in(lab, REFUSED, "library of animals .* is not there. Connect its drive", *RUN, *setting)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data-directory=", "Setting 'data-directory' on the command line is empty. Give a path"),
        ("plugin.acquisition.working-directory=' '", "'plugin.acquisition.working-directory' .* is empty"),
        (r'data-directory="a\u0000b"', "Setting 'data-directory' on the command line has a NUL character. Remove it"),
        (r'plugin.acquisition.command=["python", "a\u0000"]', "'plugin.acquisition.command' .* has a NUL character"),
        (r'plugin.acquisition.environment={"A\u0000"="x"}', "'plugin.acquisition.environment' .* has a NUL character"),
        ('plugin.acquisition.environment={"A=B"="x"}', "'A=B' is not the name of a variable"),
        ('plugin.acquisition.environment={""="x"}', "'' is not the name of a variable"),
    ],
)
def test_what_no_file_or_program_can_be_called_is_found_before_any_session(
    lab: TaskRepositoryForTests, setting: str, sentence: str
) -> None:
    lab.configure('disable = ["isolated-curriculum"]')
    ended = call("doctor", "--set", setting, cwd=lab.path)
    assert ended.code in (USAGE, REFUSED)
    assert re.search(sentence, " ".join((ended.out + ended.err).split())), ended.out + ended.err


# -- git -----------------------------------------------------------------------------------------------------------


def test_without_git_nothing_starts(lab: TaskRepositoryForTests, tmp_path: Path) -> None:
    (tmp_path / "no programs").mkdir()
    without = {"PATH": str(tmp_path / "no programs")}
    refuse_in(lab, REFUSED, "git was not found .* Install git", *RUN, environment=without)


def test_uncommitted_changes_in_the_task_repository_are_refused(lab: TaskRepositoryForTests) -> None:
    lab.write("more.py", (lab.path / "more.py").read_text(encoding="utf-8") + "# a try\n")
    refuse_in(
        lab, REFUSED, "task repository: .* changes that are not committed \\(more.py\\).* See them with `git -C", *RUN
    )


# -- names that nothing has ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("rnu --subject 123456", "There is no command 'rnu'. Did you mean 'run'"),
        ("animals mvoe 123456", "There is no command 'mvoe'. Did you mean 'move'"),
        (
            "sessions show 123456_2026-01-31T170000Z",
            "The journal has no session 123456_.* See `aind-launch sessions list`",
        ),
        ("sessions show", "The journal has no session yet"),
        ("sessions show ''", "The session's name is empty"),
        ("resume ' '", "The session's name is empty"),
        ("sessions note '' text", "The session's name is empty"),
        ("sessions list --since 99999999999d", "--since 99999999999d is before all time"),
        ("run --subject 123456 -e ''", "--experimenter is empty"),
        ("run --subject 123456 --notes caf\udce9", r"'--notes': 'caf\\udce9' is not text\. Write it in UTF-8"),
        ("animals move 123456 --off-curriculum --reason ' '", "--reason is empty"),
        ("sessions list --since soon", "--since soon is neither a date nor an age. Write"),
        ("sessions list --state happy", "'happy' is not one of"),
        ("sessions import nowhere", "Directory .nowhere. does not exist"),
        (
            "resume 123456_2026-01-31T170000Z",
            "has no session 123456_.* `aind-launch sessions import FOLDER`",
        ),
        ("doctor -C nowhere", "Directory .nowhere. does not exist"),
        ("env prune --older-than -1", "-1 is not in the range"),
    ],
)
def test_what_is_not_there_is_refused(lab: TaskRepositoryForTests, command: str, sentence: str) -> None:
    refuse_in(lab, USAGE, sentence, *shlex.split(command))
