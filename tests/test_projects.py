"""What a pyproject.toml says of a project and of its neighbours in a workspace."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import (
    curriculum_files,
    inside,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    the_source,
    write,
)

from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.project import built_from, normalised, read_project
from aind_launcher.curriculum.sources import find_sources
from aind_launcher.errors import SourceError


class TestProjects:
    @pytest.mark.integration
    @given(st.dictionaries(st.sampled_from(["name", "scripts", "dependencies", "requires-python"]), st.integers()))
    def test_a_table_of_the_wrong_type_counts_as_missing(self, project: dict[str, int]) -> None:
        from aind_launcher.curriculum.project import Project

        read = Project(Path.cwd(), {"project": project, "tool": {"uv": {"sources": 1, "workspace": {"members": [1]}}}})

        assert (read.name, read.command, read.requires_python) == (None, None, None)
        assert built_from(read, Path.cwd())

    def test_an_empty_folder_has_no_project(self, tmp_path: Path) -> None:
        assert read_project(tmp_path) is None

    @pytest.mark.parametrize("pattern", ["", "/absolute/*", "../*", "nothing/*"])
    def test_a_strange_member_pattern_finds_nothing(self, tmp_path: Path, pattern: str) -> None:
        write(tmp_path / "root", {"pyproject.toml": f'[tool.uv.workspace]\nmembers = ["{pattern}"]'})
        project = read_project(tmp_path / "root")

        assert project is not None
        assert project.members == (project,)

    def test_an_excluded_member_is_none(self, tmp_path: Path) -> None:
        members = '[tool.uv.workspace]\nmembers = ["*"]\nexclude = ["b"]'
        write(tmp_path, {"pyproject.toml": members, "a/pyproject.toml": "", "b/pyproject.toml": "", "c/x": ""})
        project = read_project(tmp_path)

        assert project is not None
        assert [member.folder.name for member in project.members[1:]] == ["a"]

    def test_names_compare_as_indexes_compare_them(self) -> None:
        assert normalised("My._Package-Name") == "my-package-name"


class TestBuiltFrom:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """A workspace of four members; `one` depends on `two`, and `three` on a folder that is no member."""

        def project(name: str, more: str = "") -> str:
            return f'[project]\nname = "{name}"\nversion = "1"\n{more}'

        return make_repository(
            tmp_path,
            {
                "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
                "packages/one/pyproject.toml": project(
                    "one", 'dependencies = ["two"]\n[tool.uv.sources]\ntwo = { workspace = true }\n'
                ),
                "packages/two/pyproject.toml": project("two", '[tool.uv]\ncache-keys = [{ file = "../../data/**" }]\n'),
                "packages/three/pyproject.toml": project(
                    "three", 'dependencies = ["lib"]\n[tool.uv.sources]\nlib = { path = "../../lib" }\n'
                ),
                "packages/four/pyproject.toml": project("four", 'dynamic = ["dependencies", "version"]\n'),
                "lib/pyproject.toml": project("lib", 'dynamic = ["version"]\n'),
            },
        )

    def test_a_member_is_built_from_what_it_depends_on_and_from_what_uv_compares_with_the_lock(
        self, root: Path
    ) -> None:
        project = read_project(root / "packages" / "one")
        assert project is not None

        assert {path.relative_to(root).as_posix() for path in built_from(project, root)} == {
            "packages/one",
            "packages/two",
            "data",
            "uv.lock",
            "uv.toml",
            ".python-version",
            "packages/uv.toml",
            "pyproject.toml",
            "packages/one/pyproject.toml",
            "packages/two/pyproject.toml",
            "packages/three/pyproject.toml",
            "lib/pyproject.toml",
            # Only its build backend knows its dependencies.
            "packages/four",
            "packages/four/pyproject.toml",
        }

    @pytest.mark.parametrize(("settings", "counts"), [("[tool.uv]\nlink-mode = 'copy'", True), ("", False)])
    def test_a_folder_is_built_from_the_settings_that_uv_finds_above_it(
        self, tmp_path: Path, settings: str, counts: bool
    ) -> None:
        write(tmp_path, {"pyproject.toml": settings, "own/pyproject.toml": '[project]\nname = "own"\n'})
        project = read_project(tmp_path / "own")
        assert project is not None

        assert (tmp_path / "pyproject.toml" in built_from(project, tmp_path)) is counts
        assert tmp_path / "uv.toml" in built_from(project, tmp_path)


class TestWhatIsOnThisMachineAlone:
    @pytest.mark.parametrize(
        ("more", "address"),
        [
            ('dependencies = ["lib @ file:///outside/lib"]', "file:///outside/lib"),
            ("dependencies = [\"lib[x]@/outside/lib; python_version > '3'\"]", "/outside/lib"),
            ("dependencies = ['lib @ C:\\lib']", "C:\\lib"),
            ('dependencies = ["lib @ ${HOME}/lib"]', "${HOME}/lib"),
            ('optional-dependencies.more = ["lib @ file:///outside/lib.whl"]', "file:///outside/lib.whl"),
            ('[build-system]\nrequires = ["lib @ File:///outside/lib"]', "File:///outside/lib"),
            ('[tool.uv]\noverride-dependencies = ["lib @ file:///outside/lib"]', "file:///outside/lib"),
            ('[tool.uv]\nextra-build-dependencies.x = ["lib @ file:///outside/lib"]', "file:///outside/lib"),
            ('[tool.uv.sources]\nlib = { url = "file:///outside/lib.zip" }', "file:///outside/lib.zip"),
            ('[tool.uv.sources]\nlib = [{ path = "HERE/lib", marker = "os_name > \'\'" }]', "HERE/lib"),
            ("[tool.uv.sources]\nlib = { path = 'C:\\lib' }", "C:\\lib"),
            ('[tool.uv.sources]\nlib = { path = "${PROJECT_ROOT}/../lib" }', "${PROJECT_ROOT}/../lib"),
        ],
    )
    def test_is_pinned_by_nothing_and_refused(self, tmp_path: Path, more: str, address: str) -> None:
        more, address = (text.replace("HERE", tmp_path.as_posix()) for text in (more, address))
        write(
            tmp_path, {"pyproject.toml": f'[project]\nname = "one"\nversion = "1"\n{more}\n', "lib/pyproject.toml": ""}
        )
        project = read_project(tmp_path)
        assert project is not None

        with pytest.raises(SourceError) as caught:
            built_from(project, tmp_path)

        assert caught.value.message == f"{tmp_path / 'pyproject.toml'} depends on {address}, which nothing pins."
        assert "path relative to this file in [tool.uv.sources]" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        "more",
        [
            'dependencies = ["lib @ https://example.org/lib.whl", "a @ git+file:///lib", "b; os_name == \'@/\'"]',
            '[dependency-groups]\ndev = ["lib @ file:///outside/lib"]',
            '[tool.uv.sources]\nlib = { url = "https://example.org/lib.whl" }\na = { path = "./lib" }',
        ],
    )
    def test_is_not_confused_with_what_is_elsewhere_or_not_installed(self, tmp_path: Path, more: str) -> None:
        write(tmp_path, {"pyproject.toml": f'[project]\nname = "one"\nversion = "1"\n{more}\n'})
        project = read_project(tmp_path)

        assert project is not None and built_from(project, tmp_path)

    def test_is_refused_in_a_submodule_and_in_a_directory_whatever_is_allowed(self, tmp_path: Path) -> None:
        files = curriculum_files(dependencies=["lib @ file:///outside/lib"])
        directory = make_task_repository(tmp_path / "directory", inside("mine", files))
        sources = find_sources(directory, {"mine": Path("mine")})
        for source in (*sources, the_source(make_task_with_submodule(tmp_path, files))):
            with pytest.raises(SourceError, match="depends on file:///outside/lib, which nothing pins"):
                pin(source).require(allow_dirty=True)
