"""Curriculum sources are found in real git repositories, and one is chosen for an animal."""

from pathlib import Path

import pytest
from repositories import (
    add_submodule,
    commit,
    curriculum_files,
    inside,
    library_files,
    make_repository,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    the_source,
    write,
)

from aind_launcher.curriculum.choosing import choose_source, provides
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import Source, find_sources, passed_over
from aind_launcher.errors import Refused, SettingsError, SourceError


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task_with_submodule(tmp_path / "my rig", path="code/the curricula")


class TestFinding:
    def test_a_submodule_with_the_command_is_a_source_named_by_its_folder(self, task: Path) -> None:
        source = the_source(task)

        assert (source.name, source.kind, source.relative) == ("the curricula", "submodule", "code/the curricula")
        assert source.path == (task / "code" / "the curricula").resolve()
        assert source.repository == task.resolve()

    def test_a_submodule_without_the_command_is_none(self, task: Path, tmp_path: Path) -> None:
        add_submodule(task, make_repository(tmp_path / "workflows", {"a.bonsai": ""}), "workflows")
        add_submodule(task, make_repository(tmp_path / "library", library_files("library")), "library")

        assert [source.name for source in find_sources(task)] == ["the curricula"]

    def test_an_uninitialised_submodule_stays_a_source_until_it_can_be_judged(self, task: Path, tmp_path: Path) -> None:
        run_git("clone", "--quiet", str(task), "fresh", cwd=tmp_path)

        assert not the_source(tmp_path / "fresh").is_present

    def test_settings_give_a_folder_or_a_submodule_a_name_of_its_own(self, task: Path) -> None:
        commit(task, inside("own", curriculum_files()))

        found = find_sources(task, {"mine": Path("own"), "theirs": Path("code/the curricula")})

        assert [(source.name, source.kind) for source in found] == [("mine", "directory"), ("theirs", "submodule")]

    def test_a_named_folder_inside_a_submodule_is_pinned_with_the_submodule(self, tmp_path: Path) -> None:
        task = make_task_with_submodule(tmp_path, {"README.md": "", **inside("python", curriculum_files())})

        (source,) = find_sources(task, {"deep": Path("curricula/python")})

        assert (source.kind, source.inside) == ("submodule", "python")
        assert pin(source).commit == run_git("rev-parse", "HEAD", cwd=task / "curricula")
        assert pin(source).problem is None

    def test_two_submodules_of_one_name_are_told_apart_by_their_paths(self, task: Path, tmp_path: Path) -> None:
        add_submodule(task, tmp_path / "my rig" / "origin", "other/the curricula")

        assert [source.name for source in find_sources(task)] == ["code/the curricula", "other/the curricula"]

    def test_a_name_that_settings_gave_away_names_no_submodule(self, task: Path) -> None:
        commit(task, inside("own", curriculum_files()))

        names = [source.name for source in find_sources(task, {"the curricula": Path("own")})]

        assert names == ["code/the curricula", "the curricula"]

    @pytest.mark.parametrize("outside", [Path(".."), Path("code/../../elsewhere")])
    def test_a_named_folder_outside_the_repository_is_refused(self, task: Path, outside: Path) -> None:
        with pytest.raises(SettingsError, match="'mine' lies outside the task repository"):
            find_sources(task, {"mine": outside})

    def test_a_repository_without_submodules_has_no_source(self, tmp_path: Path) -> None:
        assert find_sources(make_task_repository(tmp_path)) == ()

    def test_members_of_the_workspace_with_the_command_are_sources_named_by_their_folders(self, tmp_path: Path) -> None:
        workspace = make_workspace(tmp_path)

        source = the_source(workspace)

        assert (source.name, source.kind, source.relative) == ("curriculum", "directory", "packages/curriculum")
        assert pin(source).problem is None

    def test_a_member_that_is_a_submodule_is_found_once(self, task: Path) -> None:
        members = '[tool.aind-launcher]\n[tool.uv.workspace]\nmembers = ["code/*"]\n'
        commit(task, {"pyproject.toml": members})

        assert (the_source(task).name, the_source(task).kind) == ("the curricula", "submodule")

    def test_a_workspace_whose_root_provides_the_command_is_named_by_its_distribution(self, tmp_path: Path) -> None:
        files = curriculum_files("one-for-all", more="[tool.aind-launcher]\n[tool.uv.workspace]\nmembers = []\n")

        source = the_source(make_repository(tmp_path / "any clone", files))

        assert (source.name, source.relative) == ("one-for-all", ".")

    def test_settings_refine_a_source_that_is_found(self, task: Path, tmp_path: Path) -> None:
        add_submodule(task, make_repository(tmp_path / "library", library_files("library")), "libs/library")
        add_submodule(task, make_repository(tmp_path / "plain", {"decide.py": ""}), "plain")

        named = {"the curricula": None, "library": None, "plain": None}
        found = {source.name: source for source in find_sources(task, named, {"library"})}

        assert found.keys() == named.keys()
        assert (found["library"].relative, pin(found["library"]).problem) == ("libs/library", None)
        assert "has no pyproject.toml" in str(pin(found["plain"]).problem)

    def test_a_member_without_the_command_is_one_where_settings_say_how_it_is_run(self, tmp_path: Path) -> None:
        found = find_sources(make_workspace(tmp_path), {"other": None}, {"other"})

        assert [(source.name, pin(source).problem) for source in found] == [("curriculum", None), ("other", None)]

    def test_settings_for_a_source_that_is_not_there_name_the_nearest(self, task: Path) -> None:
        with pytest.raises(SettingsError, match=r"no curriculum source 'curricula'.* 'the curricula'\?"):
            find_sources(task, {"curricula": None})
        with pytest.raises(SettingsError, match=r"no curriculum source 'zzz'.* There are: the curricula\. .*'path'"):
            find_sources(task, {"zzz": None})

    def test_a_submodule_that_is_none_is_named_with_the_reason(self, task: Path, tmp_path: Path) -> None:
        add_submodule(task, make_repository(tmp_path / "workflows", {"a.bonsai": ""}), "workflows")
        add_submodule(task, make_repository(tmp_path / "library", library_files("library")), "library")
        add_submodule(task, make_repository(tmp_path / "odd", {"pyproject.toml": "["}), "odd")
        add_submodule(task, make_repository(tmp_path / "docs", {"a.md": ""}), "docs")
        run_git("submodule", "--quiet", "deinit", "docs", cwd=task)

        present = [source for source in find_sources(task) if source.is_present]
        reasons = passed_over(task, present)

        assert [*reasons] == ["docs", "library", "odd", "workflows"]
        assert reasons["docs"] == "is not checked out"
        assert reasons["library"] == "provides no command 'curriculum'"
        assert "is not valid TOML" in reasons["odd"]
        assert reasons["workflows"] == "has no pyproject.toml"

    def test_a_folder_that_is_no_repository_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="is not in a git repository"):
            find_sources(tmp_path)

    def test_an_escaping_path_in_gitmodules_is_ignored(self, tmp_path: Path) -> None:
        task = make_task_repository(tmp_path / "task")
        write(tmp_path / "elsewhere", curriculum_files())
        write(task, {".gitmodules": '[submodule "x"]\n\tpath = ../elsewhere\n\turl = ../elsewhere\n'})

        assert find_sources(task) == ()


class TestChoosing:
    @pytest.fixture
    def two(self, tmp_path: Path) -> tuple[Source, ...]:
        files = {
            **inside("foraging", curriculum_files("foraging-curricula")),
            **inside("licking", curriculum_files("x")),
        }
        task = make_task_repository(tmp_path, files)
        return find_sources(task, {"foraging": Path("foraging"), "licking": Path("licking")})

    def test_the_settings_choice_comes_first(self, two: tuple[Source, ...]) -> None:
        assert choose_source(two, "licking", "foraging_curricula").name == "licking"

    def test_a_choice_that_is_not_there_lists_those_that_are(self, two: tuple[Source, ...]) -> None:
        with pytest.raises(SourceError, match=r"'lick'\. There are: foraging, licking\."):
            choose_source(two, "lick")

    def test_the_only_one_serves_everything(self, two: tuple[Source, ...]) -> None:
        assert choose_source(two[:1], None, "anything.at.all").name == "foraging"

    def test_of_several_the_one_with_the_package_serves(self, two: tuple[Source, ...]) -> None:
        assert choose_source(two, None, "foraging_curricula.template").name == "foraging"

    def test_where_none_has_the_package_all_are_listed(self, two: tuple[Source, ...]) -> None:
        with pytest.raises(
            SourceError, match=r"No curriculum source provides other\.cli; there are: foraging, licking"
        ):
            choose_source(two, None, "other.cli")

    def test_where_nothing_tells_them_apart_all_are_listed(self, two: tuple[Source, ...]) -> None:
        with pytest.raises(SourceError, match=r"trainer state names; there are: foraging, licking\. Choose one"):
            choose_source(two)

    def test_where_there_is_none_the_mend_is_a_submodule(self) -> None:
        with pytest.raises(SourceError, match="git submodule add"):
            choose_source([])

    def test_an_uninitialised_submodule_may_be_the_one_that_is_missing(self, task: Path, tmp_path: Path) -> None:
        add_submodule(task, make_repository(tmp_path / "workflows", {"a.bonsai": ""}), "workflows")
        run_git("submodule", "--quiet", "deinit", "workflows", cwd=task)
        sources = find_sources(task)

        assert choose_source(sources, None, "my_curricula").name == "the curricula"
        with pytest.raises(SourceError, match="git submodule update --init --recursive workflows"):
            choose_source(sources, None, "other")

    @pytest.mark.parametrize(
        ("files", "package"),
        [
            ({"pyproject.toml": '[project.scripts]\ncurriculum = "vr.foraging.cli:main"'}, "vr.other"),
            ({"pyproject.toml": '[project]\nname = "VR.Foraging"'}, "vr_foraging.template"),
            ({"pyproject.toml": "", "src/foraging/__init__.py": ""}, "foraging"),
            ({"pyproject.toml": "", "foraging/__init__.py": ""}, "foraging.a"),
            ({"pyproject.toml": "", "foraging.py": ""}, "foraging"),
        ],
        ids=["script", "name", "src folder", "flat folder", "single module"],
    )
    def test_a_package_is_known_by_command_name_or_folder(
        self, tmp_path: Path, files: dict[str, str], package: str
    ) -> None:
        source = Source("x", write(tmp_path, files), tmp_path, tmp_path)

        assert provides(source, package)
        assert not provides(source, "something_else")
