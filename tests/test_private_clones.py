"""What is built is what the pin names, object by object, and nothing beside it."""

import zlib
from pathlib import Path

import pytest
from environments import built, files_of, output, the_spec
from repositories import (
    commit,
    curriculum_files,
    inside,
    make_nested_task,
    make_task_repository,
    make_task_with_submodule,
    make_workspace,
    run_git,
    the_source,
    write,
)

from aind_launcher.curriculum.environments import ensure_environment
from aind_launcher.curriculum.pins import pin
from aind_launcher.errors import EnvironmentBuildError

# A build backend that packs a file from beside the project, as hatch does with `force-include`.
PACKS_FROM_BESIDE = """\
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    table = open(TABLE, encoding="utf-8").read()
    info = "my_curricula-1.dist-info"
    files = {
        "my_curricula.py": f"def main(): print({table!r})",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: my-curricula\\nVersion: 1\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\ncurriculum = my_curricula:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = "my_curricula-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
BY_ITS_WHOLE_PATH = 'pathlib.Path(__file__).parent.parent / "shared tables" / "limits.txt"'


def packing_task(folder: Path, table: str, declared: str = "") -> Path:
    """A task repository whose directory ``member`` packs ``shared tables/limits.txt``, which it calls `table`."""
    pyproject = (
        '[project]\nname = "my-curricula"\nversion = "1"\n[project.scripts]\ncurriculum = "my_curricula:main"\n'
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n{declared}'
    )
    member = {"pyproject.toml": pyproject, "backend.py": PACKS_FROM_BESIDE.replace("TABLE", table)}
    return make_task_repository(folder, {**inside("member", member), "shared tables/limits.txt": "low"})


def forge(repository: Path, named: str, old: bytes, new: bytes) -> None:
    """Rewrite the loose object that is `named` so that git reads `new` where it has `old`, of the same length."""
    name = run_git("rev-parse", named, cwd=repository)
    objects = Path(run_git("rev-parse", "--path-format=absolute", "--git-path", "objects", cwd=repository))
    loose = objects / name[:2] / name[2:]
    content = zlib.decompress(loose.read_bytes())
    assert old in content
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(content.replace(old, new)))


@pytest.fixture
def nested_task(tmp_path: Path) -> Path:
    return make_nested_task(tmp_path)


class TestForgedObjects:
    @pytest.mark.parametrize(
        ("named", "old", "new"),
        [
            ("HEAD:src/my_curricula/__init__.py", b">= 3", b">= 1"),
            ("HEAD:src/my_curricula", b"__init__.py", b"__main__.py"),
        ],
        ids=["file", "folder"],
    )
    def test_one_that_the_commit_does_not_name_is_not_built(
        self, tmp_path: Path, cache: Path, named: str, old: bytes, new: bytes
    ) -> None:
        task = make_task_with_submodule(tmp_path)
        spec = the_spec(task, cache)
        forge(task / "curricula", named, old, new)

        with pytest.raises(EnvironmentBuildError, match=r"not what was committed.*fsck"):
            ensure_environment(spec)

    def test_one_that_pins_another_commit_pins_none(self, tmp_path: Path) -> None:
        task = make_task_with_submodule(tmp_path, path="code/curricula")
        source = the_source(task)
        reviewed = run_git("rev-parse", "HEAD", cwd=source.checkout)
        moved = commit(source.checkout, {"new.txt": ""})
        forge(task, "HEAD:code", bytes.fromhex(reviewed), bytes.fromhex(moved))

        assert "not what was committed" in str(pin(source).problem)

    def test_one_in_a_submodule_of_the_submodule_is_not_built_either(self, nested_task: Path, cache: Path) -> None:
        spec = the_spec(nested_task, cache)
        forge(nested_task / "curricula" / "vendor" / "lib", "HEAD:src/lib/__init__.py", b"42", b"43")

        with pytest.raises(EnvironmentBuildError, match="not what was committed"):
            ensure_environment(spec)

    def test_one_in_a_dependency_of_a_directory_is_not_built_either(self, tmp_path: Path, cache: Path) -> None:
        task = make_workspace(tmp_path)
        spec = the_spec(task, cache, "packages/curriculum")
        forge(task, "HEAD:packages/lib/src/lib/__init__.py", b"42", b"43")

        with pytest.raises(EnvironmentBuildError, match="not what was committed"):
            ensure_environment(spec)


@pytest.mark.posix_only("only administrators of Windows make links")
@pytest.mark.parametrize("inner", ["curricula", "curricula/vendor/lib"])
@pytest.mark.parametrize("name", ["a file", "a folder"])
def test_a_link_that_leads_out_of_a_submodule_is_not_built(
    nested_task: Path, cache: Path, tmp_path: Path, inner: str, name: str
) -> None:
    outside = write(tmp_path / "outside", {"a file": "", "a folder/rules.py": ""})
    linking = nested_task / inner
    (linking / "rules").symlink_to(outside / name)
    commit(linking)
    commit(nested_task / "curricula")
    commit(nested_task)
    shown = "vendor/lib/rules" if "vendor" in inner else "rules"

    with pytest.raises(EnvironmentBuildError, match=f"follows the link {shown} to .*, which is not part of its pin"):
        ensure_environment(the_spec(nested_task, cache))


@pytest.mark.posix_only("only administrators of Windows make links")
@pytest.mark.parametrize("target", ["../shared tables/limits.txt", "{root}/shared tables/limits.txt"])
def test_a_link_that_leads_beside_a_directory_is_not_built(tmp_path: Path, cache: Path, target: str) -> None:
    task = packing_task(tmp_path / "task", '"limits.txt"')
    (task / "member" / "limits.txt").symlink_to(target.format(root=task))
    commit(task)

    with pytest.raises(EnvironmentBuildError, match="follows the link member/limits.txt to .*shared tables/limits.txt"):
        ensure_environment(the_spec(task, cache, "member"))


@pytest.mark.integration
@pytest.mark.posix_only("only administrators of Windows make links")
def test_a_link_within_the_clone_is_built(tmp_path: Path, cache: Path) -> None:
    declared = '[tool.uv]\ncache-keys = [{ file = "../shared tables/*.txt" }]\n'
    task = packing_task(tmp_path / "task", '"limits.txt"', declared)
    (task / "member" / "limits.txt").symlink_to("../shared tables/limits.txt")
    commit(task)

    assert output(built(task, cache, "member"), "curriculum") == "low"


@pytest.mark.integration
class TestWhatLiesBeside:
    @pytest.mark.parametrize(
        "table", ['"../shared tables/limits.txt"', BY_ITS_WHOLE_PATH], ids=["relative path", "absolute path"]
    )
    def test_a_build_that_reads_it_is_told_to_declare_it(self, tmp_path: Path, cache: Path, table: str) -> None:
        task = packing_task(tmp_path / "task", table)

        with pytest.raises(EnvironmentBuildError, match="No such file or directory: ") as caught:
            built(task, cache, "member")
        hint = "Of what lies beside member, the build sees only what `cache-keys` in [tool.uv] of its pyproject.toml"
        assert str(caught.value.hint).startswith(hint)

    def test_what_is_declared_is_built_and_is_built_anew_when_it_changed(self, tmp_path: Path, cache: Path) -> None:
        declared = '[tool.uv]\ncache-keys = [{ file = "../shared tables/*.txt" }]\n'
        task = packing_task(tmp_path / "task", BY_ITS_WHOLE_PATH, declared)
        assert output(built(task, cache, "member"), "curriculum") == "low"

        commit(task, {"shared tables/limits.txt": "high"})

        assert output(built(task, cache, "member"), "curriculum") == "high"

    def test_the_clone_holds_nothing_else_and_is_clean(self, tmp_path: Path, cache: Path) -> None:
        environment = built(make_workspace(tmp_path / "my [work]space"), cache, "packages/curriculum")

        clone = environment.folder / "source"
        files = {path.relative_to(clone).as_posix() for path in clone.rglob("*") if path.is_file()}
        assert {path for path in files if not path.startswith((".git/", "packages/curriculum", "packages/lib"))} == {
            "pyproject.toml",
            "uv.lock",
            "packages/other/pyproject.toml",
        }
        assert run_git("status", "--porcelain", cwd=clone) == ""


@pytest.mark.integration
def test_filters_and_line_ends_of_the_account_have_no_part_in_what_is_built(tmp_path: Path, cache: Path) -> None:
    task = make_task_with_submodule(tmp_path, {**curriculum_files(), ".gitattributes": "*.dat filter=lfs\n* text\n"})
    write(task / "curricula", {"src/my_curricula/large.dat": "a\nb\n"})
    commit(task / "curricula")
    commit(task)
    spec = the_spec(task, cache)
    settings = {"filter.lfs.process": "no-such-program", "filter.lfs.required": "true", "core.autocrlf": "true"}
    for key, value in settings.items():
        run_git("config", "--global", key, value, cwd=tmp_path)
    try:
        environment = ensure_environment(spec)
    finally:
        run_git("config", "--global", "--remove-section", "filter.lfs", cwd=tmp_path)
        run_git("config", "--global", "core.autocrlf", "false", cwd=tmp_path)

    assert (files_of(environment, "my_curricula").parent / "large.dat").read_bytes() == b"a\nb\n"
