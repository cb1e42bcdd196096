"""Sources without a lock file: what is installed on another day, and who says so."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uv
from environments import built, the_spec
from package_index import Index, needy_files, put_wheel, serving
from repositories import commit, make_repository, make_task_repository, make_task_with_submodule, run_git, write

from aind_launcher.curriculum.environments import Environment
from aind_launcher.errors import EnvironmentBuildError

pytestmark = pytest.mark.integration

PINNED = datetime(2025, 3, 1, tzinfo=UTC)
BEFORE, AFTER = PINNED - timedelta(days=30), PINNED + timedelta(days=30)

Build = Callable[[Path], Environment]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The only package index of this machine; all commits are of one day."""
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, PINNED.isoformat())
    with serving() as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield index


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the only source as a rig does that never built anything."""
    rigs = iter(range(9))

    def on_a_new_rig(task: Path) -> Environment:
        rig = tmp_path / f"rig {next(rigs)}"
        monkeypatch.setenv("UV_CACHE_DIR", str(rig / "uv"))
        return built(task, rig / "cache")

    return on_a_new_rig


def tones(environment: Environment) -> list[str]:
    """Which versions of the package are there, as its own files say."""
    found = (environment.folder / "venv").rglob("tones-*.dist-info")
    return [path.name.removesuffix(".dist-info").removeprefix("tones-") for path in found]


def lock_of(folder: Path) -> str:
    """What uv locks for the curriculum."""
    project = write(folder / "locked", needy_files())
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=project, env=dict(os.environ), check=True)
    return (project / "uv.lock").read_text(encoding="utf-8")


def test_a_source_without_a_lock_gets_what_there_was_when_it_was_committed(
    index: Index, build: Build, tmp_path: Path
) -> None:
    task = make_task_with_submodule(tmp_path, needy_files())
    index.upload("1.0", BEFORE)
    first = build(task)
    index.upload("2.0", AFTER)
    second = build(task)

    assert first.key == second.key
    assert tones(first) == tones(second) == ["1.0"]
    assert (second.locked, second.packages_digest) == (False, first.packages_digest)


def test_a_directory_is_dated_by_the_last_commit_that_changed_it(
    index: Index, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"mine/{path}": text for path, text in needy_files().items()}
    task = make_task_repository(tmp_path / "task", files)
    index.upload("1.0", BEFORE)
    index.upload("2.0", AFTER)
    before = the_spec(task, tmp_path, "mine")
    monkeypatch.setenv("GIT_COMMITTER_DATE", (AFTER + timedelta(days=1)).isoformat())
    commit(task, {"NEWS.md": "Of another part.\n"})
    after = the_spec(task, tmp_path, "mine")

    assert (after.as_of, after.key) == (before.as_of, before.key) == (PINNED, after.key)
    commit(task, {"mine/NEWS.md": "Of this part.\n"})
    assert the_spec(task, tmp_path, "mine").as_of == AFTER + timedelta(days=1)


def test_a_lock_holds_on_every_rig(index: Index, build: Build, tmp_path: Path) -> None:
    index.upload("1.0", BEFORE)
    lock = lock_of(tmp_path)
    task = make_task_with_submodule(tmp_path, {**needy_files(), "uv.lock": lock})
    first = build(task)
    index.upload("2.0", AFTER)
    second = build(task)

    assert tones(first) == tones(second) == ["1.0"]
    assert first.locked and second.locked
    assert first.packages_digest == second.packages_digest


def test_a_lock_of_another_index_is_named(index: Index, build: Build, tmp_path: Path) -> None:
    index.upload("1.0", BEFORE)
    lock = lock_of(tmp_path).replace(index.url, "http://127.0.0.1:9/simple")

    with pytest.raises(EnvironmentBuildError, match="does not fit its pyproject.toml, or this machine's package index"):
        build(make_task_with_submodule(tmp_path, {**needy_files(), "uv.lock": lock}))


def test_an_index_that_dates_nothing_makes_a_difference_that_shows(
    index: Index, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, flat = make_task_with_submodule(tmp_path, needy_files()), tmp_path / "flat"
    monkeypatch.setenv("UV_FIND_LINKS", str(flat))
    put_wheel(flat, "1.0")
    first = build(task)
    put_wheel(flat, "2.0")
    second = build(task)

    assert first.key == second.key
    assert (tones(first), tones(second)) == (["1.0"], ["2.0"])
    assert first.packages_digest != second.packages_digest


@pytest.mark.parametrize("when", [AFTER, None], ids=["newer than the commit", "without a date"])
def test_where_nothing_is_left_to_install_the_lock_is_named(
    index: Index, build: Build, tmp_path: Path, when: datetime | None
) -> None:
    index.upload("1.0", when)

    with pytest.raises(EnvironmentBuildError, match="no versions of tones") as caught:
        build(make_task_with_submodule(tmp_path, needy_files()))

    assert "has no uv.lock, so nothing newer than its commit of 2025-03-01 is installed. Run `uv lock`" in str(
        caught.value.hint
    )


def test_a_changed_source_is_resolved_as_its_commit_is(index: Index, build: Build, tmp_path: Path) -> None:
    task = make_task_with_submodule(tmp_path, needy_files())
    index.upload("1.0", BEFORE)
    index.upload("2.0", AFTER)
    write(task / "curricula", {"NEWS.md": "Not committed yet.\n"})

    environment = build(task)

    assert environment.dirty
    assert tones(environment) == ["1.0"]


def test_what_comes_from_a_repository_is_listed_with_its_commit_and_no_path_of_the_rig(
    index: Index, build: Build, tmp_path: Path
) -> None:
    origin = make_repository(tmp_path / "lib", needy_files(None, "tones"))
    files = needy_files(f"tones @ git+{origin.as_uri()}")
    task = make_task_with_submodule(tmp_path, files)

    first, second = build(task), build(task)

    assert first.packages == ("my-curricula==0", f"tones==0 @ git@{run_git('rev-parse', 'HEAD', cwd=origin)}")
    assert first.packages_digest == second.packages_digest
    commit(origin, {"NEWS.md": "Newer.\n"})
    assert build(task).packages_digest != first.packages_digest


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("UV_OVERRIDE", "tones==1.0"),
        ("UV_CONSTRAINT", "tones<2"),
        ("UV_CONFIG_FILE", 'resolution = "lowest"'),
        ("XDG_CONFIG_HOME", 'resolution = "lowest"\nprerelease = "allow"'),
        ("XDG_CONFIG_HOME", '[pip]\nresolution = "lowest"\nprerelease = "allow"'),
    ],
)
def test_settings_of_an_account_do_not_choose_the_versions(
    index: Index, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    task = make_task_with_submodule(tmp_path, needy_files("tones>=1"))
    for version in ("1.0", "2.0", "3.0rc1"):
        index.upload(version, BEFORE)
    write(tmp_path, {"config/uv/uv.toml": written, "mine.txt": written})
    monkeypatch.setenv(variable, str(tmp_path / ("config" if variable == "XDG_CONFIG_HOME" else "mine.txt")))

    assert tones(build(task)) == ["2.0"]
