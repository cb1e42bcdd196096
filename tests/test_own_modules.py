"""A repository's own plugin is found from its root, and nothing else there takes the place of another module."""

from pathlib import Path
from textwrap import dedent

import pytest
from command_line import AS_MODULE, call, done, launch
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

WATER = """
    from aind_launcher import hookimpl

    class Water:
        @hookimpl
        def post_session(self, session):
            return {amount}
"""
TRACE = "import pathlib\npathlib.Path(__file__).with_suffix('.imported').touch()\n"
# Of the standard library, of the launcher's dependencies, and one that some look for and nobody needs.
NAMES = ("queue", "mmap", "filelock", "packaging", "concurrent", "tomli", "pwd", "winreg", "sqlite3", "rich", "cgi")


@pytest.fixture
def repository(tmp_path: Path) -> TaskRepositoryForTests:
    """Its root has modules that git is told to overlook, named like those of others."""
    made = laboratory(tmp_path, WATER.format(amount=3), names={"water": "Water"})
    for name in NAMES:
        made.write(f"{name}.py", TRACE)
    exclude = made.path / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("".join(f"{name}.py\n" for name in NAMES) + "*.imported\n", encoding="utf-8")
    return made


def imported(repository: TaskRepositoryForTests) -> list[str]:
    return sorted(path.stem for path in repository.path.glob("*.imported"))


class TestAModuleOfTheRoot:
    def test_takes_no_others_place_in_a_session(self, repository: TaskRepositoryForTests) -> None:
        done("run", "--subject", "123456", "--experimenter", "me", cwd=repository.path)
        assert imported(repository) == []
        assert repository.stage() == "rung2"

    def test_takes_no_others_place_where_the_launcher_is_called_as_a_module(
        self, repository: TaskRepositoryForTests
    ) -> None:
        ended = launch("run", "--subject", "123456", "--experimenter", "me", cwd=repository.path, program=AS_MODULE)
        assert (ended.code, imported(repository)) == (0, []), ended.err

    def test_registers_no_plugin_where_the_launcher_is_called_as_a_module(
        self, repository: TaskRepositoryForTests
    ) -> None:
        repository.write("stray.dist-info/METADATA", "Metadata-Version: 2.1\nName: stray\nVersion: 1.0\n")
        repository.write("stray.dist-info/entry_points.txt", "[aind_launcher]\nstray = more:Water\n")
        ended = launch("plugins", "list", cwd=repository.path, program=AS_MODULE)
        assert ended.code == 0, ended.err
        assert "stray" not in ended.out

    def test_is_not_found_by_a_plugin_that_tries_an_optional_dependency(
        self, repository: TaskRepositoryForTests
    ) -> None:
        attempt = "try:\n    import cgitb2, queue\nexcept ImportError:\n    pass\n"
        repository.write("cgitb2.py", TRACE)
        more = repository.path / "more.py"
        more.write_text(attempt + more.read_text(encoding="utf-8"), encoding="utf-8")
        done("plugins", "check", cwd=repository.path)
        assert imported(repository) == []


class TestARepositorysOwnPlugin:
    def test_is_a_package_whose_modules_import_each_other(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path)
        made.write("my_task/amounts.py", "small = 4\n")
        made.write("my_task/launcher.py", "from my_task.amounts import small\n")
        with (made.path / "my_task" / "launcher.py").open("a", encoding="utf-8") as file:
            file.write(WATER.format(amount="small").replace("\n    ", "\n"))
        made.configure(plugins={"water": "my_task.launcher:Water"})
        name = made.run().session.name
        assert made.steps(name)["post_session", "water"].result == 4

    def test_that_needs_a_file_beside_it_is_told_to_become_a_package(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path, "import amounts", names={"water": "Water"})
        made.write("amounts.py", "small = 4\n")
        ended = launch("plugins", "check", cwd=made.path)
        assert ended.code == 2
        assert "No module named 'amounts'" in ended.out
        assert "Put it and the plugin into one folder" in " ".join(ended.out.split())

    @pytest.mark.parametrize("name", ["queue", "pluggy"])
    def test_is_refused_where_another_module_has_its_name(self, tmp_path: Path, name: str) -> None:
        made = laboratory(tmp_path)
        made.write(f"{name}.py", WATER.format(amount=3))
        made.configure(plugins={"water": f"{name}:Water"})
        ended = call("plugins", "check", cwd=made.path)
        assert ended.code == 2
        assert f"another module is named {name} too" in ended.out
        assert f"Rename {made.path / name}.py" in ended.out

    # The environment of the launcher may itself lie in the repository.
    @pytest.mark.parametrize("place", ["elsewhere", "task repository/.venv/site-packages"])
    def test_is_refused_where_an_installed_folder_has_its_name(self, tmp_path: Path, place: str) -> None:
        made = laboratory(tmp_path)
        made.write("rig_plugins/water.py", WATER.format(amount=3))
        made.configure(plugins={"water": "rig_plugins.water:Water"})
        elsewhere = tmp_path / place
        (elsewhere / "rig_plugins").mkdir(parents=True)
        ended = launch("plugins", "check", cwd=made.path, environment={"PYTHONPATH": str(elsewhere)})
        assert ended.code == 2
        assert str(elsewhere / "rig_plugins") in ended.out

    def test_may_be_installed_where_the_root_has_a_folder_of_its_name(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path)
        made.write("my_task/workflow.bonsai", "")
        made.configure(plugins={"water": "my_task.launcher:Water"})
        elsewhere = TaskRepositoryForTests(tmp_path / "elsewhere")
        elsewhere.write("my_task/launcher.py", WATER.format(amount=3))
        done("plugins", "check", cwd=made.path, environment={"PYTHONPATH": str(elsewhere.path)})

    def test_is_found_from_a_folder_inside_the_repository(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path, WATER.format(amount=3), names={"water": "Water"})
        inside = made.path / "docs"
        inside.mkdir()
        assert "water" in done("plugins", "list", cwd=inside)

    def test_reads_the_files_beside_it_also_in_a_folder_without_init(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path)
        amount = "int(importlib.resources.files('my_task').joinpath('amount.txt').read_text('utf-8'))"
        made.write("my_task/launcher.py", "import importlib.resources\n" + dedent(WATER.format(amount=amount)))
        made.write("my_task/amount.txt", "5")
        made.configure(plugins={"water": "my_task.launcher:Water"})
        name = made.run().session.name
        assert made.steps(name)["post_session", "water"].result == 5

    def test_that_is_named_wrongly_is_not_told_to_move(self, tmp_path: Path) -> None:
        made = laboratory(tmp_path)
        made.write("my_task/launcher.py", WATER.format(amount=3))
        made.configure(plugins={"water": "my_task.launchr:Water"})
        ended = call("plugins", "check", cwd=made.path)
        assert "No module named 'my_task.launchr'" in ended.out
        assert "Put it and the plugin into one folder" not in " ".join(ended.out.split())
        assert "Did you mean 'my_task.launcher'?" in " ".join(ended.out.split())
