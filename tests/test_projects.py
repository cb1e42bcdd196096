"""What a pyproject.toml says of a project and of its neighbours in a workspace."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import (
    write,
)

from aind_launcher.curriculum.project import normalised, read_project


class TestProjects:
    @given(st.dictionaries(st.sampled_from(["name", "scripts", "dependencies", "requires-python"]), st.integers()))
    def test_a_table_of_the_wrong_type_counts_as_missing(self, project: dict[str, int]) -> None:
        from aind_launcher.curriculum.project import Project, built_from

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
