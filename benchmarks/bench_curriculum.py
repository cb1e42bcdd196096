"""The real VR-foraging curriculum: building, checking and asking its environment, against uv and the bare command."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import uv
from timing import command, compare

from aind_launcher.curriculum.environments import ensure_environment, find_environment, health_check
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.plugin import IsolatedCurriculum
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Repository, Session, SessionContext
from aind_launcher.system.inherited import curriculum_environment

PIN = Path(__file__).parents[1] / "tests" / "data" / "vr-foraging-pin" / "pyproject.toml"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    """A task repository with the curriculum as a submodule, locked as real ones are."""
    origin, task = folder / "origin", folder / "task"
    for path in (origin, task):
        path.mkdir()
        git(path, "init", "--quiet")
    shutil.copy(PIN, origin)
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet"], cwd=origin, check=True)
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "-m", "pin")
    git(task, "submodule", "--quiet", "add", str(origin), "curriculum")
    git(task, "commit", "--quiet", "-m", "task")
    return task


# Where uv would work on the environment that this runs in.
for misleading in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
    os.environ.pop(misleading, None)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    task = repository(folder)
    caches = iter(range(1000))

    def plugin(cache: Path) -> IsolatedCurriculum:
        return IsolatedCurriculum(IsolatedCurriculum.Settings(cache_directory=cache))

    def build() -> None:
        """All of it: clone, environment, packages."""
        curricula = plugin(folder / f"cache{next(caches)}")
        curricula.install(curricula.choose(task), progress=lambda line: None)

    def uv_sync(mode: str) -> None:
        target = folder / f"uv{next(caches)}"
        shutil.copytree(task / "curriculum", target, ignore=shutil.ignore_patterns(".git"))
        sync = [uv.find_uv_bin(), "sync", "--locked", "--no-default-groups", "--no-editable", "--quiet"]
        subprocess.run(sync, cwd=target, env={**os.environ, "UV_LINK_MODE": mode}, check=True)

    def cold(function: Callable[[], None]) -> Callable[[], None]:
        """With nothing in uv's cache, as on a new rig: every package is downloaded."""

        def call() -> None:
            os.environ["UV_CACHE_DIR"] = str(folder / f"uv-cache{next(caches)}")
            try:
                function()
            finally:
                shutil.rmtree(os.environ.pop("UV_CACHE_DIR"))

        return call

    # Where the disk cannot clone, copying 7,400 files takes longer than all else that uv does with a warm cache.
    calls: list[tuple[str, Callable[[], None]]] = [
        ("curricula sync", build),
        ("uv sync, which links files", lambda: uv_sync("hardlink")),
        ("uv sync, which copies them", lambda: uv_sync("copy")),
    ]
    compare("a cold build", [(name, cold(function)) for name, function in calls], runs=3, aim="1.2 times")
    compare("a build with uv's cache warm", calls, runs=5, aim="1.5 times")

    curricula = plugin(folder / "cache")
    source = curricula.choose(task)
    installed = curricula.install(source, progress=lambda line: None)
    specified = curricula.specify(source, pin(source))

    def check() -> None:
        found = find_environment(specified.folder)
        assert found is not None
        assert health_check(found, compared=False) is None

    compare("a check of a built environment", [("find and health check", check)], runs=200, aim="under 20 ms")
    compare(
        "before a session: the same, its pin verified by git and its code compared",
        [("pin, key, find, check, compare", lambda: ensure_environment(curricula.specify(source, pin(source))))],
        runs=20,
        aim="none; git is asked six times, and 7,400 files",
    )

    session = SessionContext(
        session=Session(subject="1"),
        folder=folder / "1_a",
        staging=folder / "staging",
        repository=Repository(path=task),
    )
    state = installed.enrolled("template")
    session.paths.behavior.mkdir(parents=True)
    session.paths.trainer_state.write_text(state.text, encoding="utf-8")
    session = session.model_copy(update={"animal_state": AnimalState(trainer_state=state, date=datetime.now(UTC))})
    argv = installed.commands.run(session.folder, session.paths.trainer_state, "")
    environ = curriculum_environment(os.environ, sys.platform)
    uv_run = [uv.find_uv_bin(), "run", "--quiet", "--frozen", "--no-default-groups", "curriculum", *argv[1:]]
    compare(
        "curriculum_suggest",
        [
            ("curriculum_suggest", lambda: curricula.curriculum_suggest(session)),
            ("the bare command", command(*argv, env=environ, cwd=folder)),
            ("uv run", command(*uv_run, cwd=task / "curriculum")),
        ],
        runs=10,
        aim="1.05 times the bare command",
    )
