"""What the pages for plugin authors tell to write and to type works as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from distributions import install

from aind_launcher.testing import TaskRepositoryForTests

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

DOCS = Path(__file__).resolve().parent.parent / "docs"


def page(name: str) -> str:
    """A page without what is made from the code."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.sub(r"<!-- reference: .*?<!-- end of reference -->", "", text, flags=re.S)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def module(name: str, code: str) -> ModuleType:
    made = sys.modules[name] = ModuleType(name)
    exec(compile(code, name, "exec"), vars(made))  # noqa: S102 - our own pages
    return made


EXAMPLES = "\n\n".join(blocks(page("testing.md"), "python"))
# pytest runs them as tests of this file.
globals().update({name: it for name, it in vars(module("examples", EXAMPLES)).items() if name.startswith("test_")})


def test_the_examples_use_all_of_the_fixture() -> None:
    of_fixture = {name for name in vars(TaskRepositoryForTests) if name[0] != "_"}
    assert {"run", "configure"} <= of_fixture
    assert {name for name in of_fixture if not re.search(rf"\.{name}\b", EXAMPLES)} == set()


def section(name: str, title: str) -> str:
    return page(name).partition(f"\n## {title}\n")[2].partition("\n## ")[0]


(PROJECT,) = blocks(section("plugin-authors.md", "The code"), "toml")
(DIARY,) = blocks(section("plugin-authors.md", "The code"), "python")
(SETTINGS,) = blocks(section("plugin-authors.md", "Trying it"), "toml")
(TESTS_OF_DIARY,) = blocks(section("plugin-authors.md", "Testing it"), "python")
SCALES, TESTS_OF_SCALES = blocks(section("plugin-authors.md", "Asking the person at the rig"), "python")


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", TESTS_OF_DIARY, re.M))
def test_the_tests_of_the_tutorial_pass(
    name: str, task_repository: TaskRepositoryForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads(PROJECT)["project"]
    install(tmp_path / "site", project["name"], project["entry-points"]["aind_launcher"], {"session_diary": DIARY})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    getattr(module("tests_of_the_diary", TESTS_OF_DIARY), name)(task_repository, tmp_path)


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", TESTS_OF_SCALES, re.M))
def test_the_plugin_that_asks_works_as_it_is_shown(name: str, task_repository: TaskRepositoryForTests) -> None:
    module("scales", SCALES)
    getattr(module("tests_of_the_scales", TESTS_OF_SCALES), name)(task_repository)


PAGES = [DOCS.parent / "README.md", *DOCS.rglob("*.md"), *(DOCS.parent / "plugins").glob("*/README.md")]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.relative_to(DOCS.parent).as_posix())
def test_no_page_installs_from_an_index_what_is_on_none(file: Path) -> None:
    installs = re.findall(r"pip install (.+)", file.read_text(encoding="utf-8"))
    wanted = {word.strip("`\"'") for line in installs for word in line.split()}
    assert {word for word in wanted if word.startswith("aind-launcher")} == set()


def commands(text: str, first: str, last: str) -> list[str]:
    """The lines to type in a part of a page, without their comments."""
    part = text[text.index(first) : text.index(last)]
    lines = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", part, flags=re.S | re.M), re.M)
    return [re.sub(r"\s+# .*", "", line) for line in lines]


class Terminal:
    """A shell in which a newcomer types lines."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        home.mkdir()
        self.environment = os.environ | {"HOME": str(home)}

    def type(self, *lines: str, within: Path | None = None) -> str:
        """Type `lines` one after the other; each must end well, or else is said with what it printed."""
        script = "\n".join(f"{line} || {{ echo 'LINE FAILED:' {shlex.quote(line)}; exit 1; }}" for line in lines)
        before = f". {shlex.quote(str(self.folder / '.venv/bin/activate'))}\n" if within else ""
        ended = subprocess.run(
            ["bash", "-c", before + script],
            cwd=within or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.mark.integration
@pytest.mark.posix_only("the lines are typed in bash")
def test_a_newcomer_types_what_the_pages_say(tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns(".git", ".nox", ".venv", ".*_cache", "__pycache__", "_build", "dist", "tests")
    checkout = Path(shutil.copytree(DOCS.parent, tmp_path / "checkout", ignore=left_out))
    shell = Terminal(checkout, tmp_path / "home")

    # The first minute. One session of the demo lacks a file for good.
    readme = commands((DOCS.parent / "README.md").read_text(encoding="utf-8"), "## At a rig", "Before a session starts")
    resume = next(line for line in readme if line.startswith("aind-launch resume"))
    said = shell.type(*[f"! {line}" if line == resume else line for line in readme])
    assert "Session demo-mouse" in said and "Animal 123456 is enrolled" in said
    repository = checkout / "aind-launcher-demo"

    # Getting started: the same beginning, then another animal.
    begun = commands(page("getting-started.md"), "## See it work", "## Your first session")
    assert begun == readme[: len(begun)]
    state = json.loads((repository / "library/demo/Subjects/123456/trainer_state.json").read_text(encoding="utf-8"))
    written(checkout, "task.json", json.dumps(state["stage"]["task"]))
    lines = commands(page("getting-started.md"), "## Your first session", "## Completion")
    assert len(lines) == 8
    lines.remove("aind-launch resume")
    shell.type(
        *(line.replace("NAME", "lick_training").replace("123456", "654321") for line in lines),
        within=repository,
    )

    # The tutorial.
    tutorial = written(tmp_path / "session-diary", "pyproject.toml", PROJECT)
    written(tutorial, "session_diary.py", DIARY)
    written(tutorial, "test_session_diary.py", TESTS_OF_DIARY)
    install_it, *in_repository, install_pytest, run_pytest = commands(
        page("plugin-authors.md"), "## Trying it", "## Asking"
    )
    shell.type(install_it, within=tutorial)
    with (repository / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{SETTINGS}")
    said = shell.type(*in_repository, within=repository)
    assert "session-diary 1.0" in said and "All plugins are sound: " in said
    assert re.fullmatch(r"demo-mouse_\S+ -> expert\n", (checkout / "diary.txt").read_text(encoding="utf-8"))
    assert "2 passed" in shell.type(install_pytest, run_pytest, within=tutorial)
