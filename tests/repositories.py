"""Real git repositories for tests: task repositories, curriculum sources, submodules, uv workspaces.

Everything is made in a folder that the test gives and needs no network: the curricula have no dependencies and are
built by uv's own build backend. Who commits, and what git allows, conftest.py says.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from aind_launcher.curriculum.sources import Source, find_sources

# A curriculum without dependencies that speaks the default command line. Its one decision is to count sessions.
CURRICULUM_CODE = '''\
"""A curriculum for tests: counts sessions, and graduates after three."""
import argparse
import json
import pathlib

STAGES = ("first", "second")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--data-directory", type=pathlib.Path, required=True)
    run.add_argument("--input-trainer-state", type=pathlib.Path, required=True)
    run.add_argument("--curriculum")
    init = commands.add_parser("init")
    init.add_argument("--curriculum", required=True)
    init.add_argument("--stage", default=STAGES[0])
    for name in ("list", "version", "dsl-version"):
        commands.add_parser(name)
    arguments = parser.parse_args()
    if arguments.command == "run":
        decide(arguments.data_directory, arguments.input_trainer_state)
    elif arguments.command == "init":
        print(json.dumps(trainer_state(arguments.stage)))
    else:
        print({"list": " - counting", "version": "MARK", "dsl-version": "0.0.0"}[arguments.command])


def decide(session, state_file):
    json.loads(state_file.read_text(encoding="utf-8"))
    previous = session / "behavior" / "previous_metrics.json"
    seen = json.loads(previous.read_text(encoding="utf-8"))["sessions"] if previous.exists() else 0
    state = trainer_state(STAGES[seen + 1 >= 3])
    answer = {"trainer_state": state, "metrics": {"sessions": seen + 1}, "version": "MARK", "dsl_version": "0.0.0"}
    print(json.dumps(answer))


def trainer_state(stage):
    return {
        "stage": {"name": stage, "task": {"name": "counting", "stage_name": stage}},
        "curriculum": {"name": "counting", "version": "1.0.0", "pkg_location": "MODULE"},
        "is_on_curriculum": True,
        "active_policies": [],
    }
'''


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write `files`, by their paths relative to `folder`, and return the folder."""
    for relative, text in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return folder


def run_git(*arguments: str, cwd: Path) -> str:
    """What git prints; the test fails where git does."""
    ended = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, f"git {' '.join(arguments)}: {ended.stderr}"
    return ended.stdout.strip()


def commit(repository: Path, files: Mapping[str, str] | None = None, tag: str | None = None) -> str:
    """Write `files`, commit all that changed, and return the commit."""
    write(repository, files or {})
    run_git("add", "--all", cwd=repository)
    run_git("commit", "--quiet", "--allow-empty", "--message", "A change", cwd=repository)
    if tag:
        run_git("tag", tag, cwd=repository)
    return run_git("rev-parse", "HEAD", cwd=repository)


def make_repository(folder: Path, files: Mapping[str, str], tag: str | None = None) -> Path:
    """A git repository with one commit of `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    run_git("init", "--quiet", cwd=folder)
    commit(folder, files, tag)
    return folder


def curriculum_files(
    name: str = "my-curricula",
    *,
    mark: str = "1.0.0",
    code: str | None = None,
    dependencies: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str = ">=3.11",
    more: str = "",
) -> dict[str, str]:
    """The files of a curriculum package named `name`.

    :param mark: what its ``version`` command prints: tells which state of the source was built.
    :param code: its module, in place of `CURRICULUM_CODE`; needs a ``main``.
    :param more: further text of its ``pyproject.toml``.
    """
    module = name.replace("-", "_")
    optional = [f"{extra} = {list(listed)!r}" for extra, listed in (extras or {}).items()]
    pyproject = [
        "[project]",
        f'name = "{name}"',
        'version = "1.0.0"',
        f'requires-python = "{requires_python}"',
        f"dependencies = {list(dependencies)!r}",
        *(["[project.optional-dependencies]", *optional] if optional else []),
        "[project.scripts]",
        f'curriculum = "{module}:main"',
        "[build-system]",
        'requires = ["uv_build"]',
        'build-backend = "uv_build"',
        more,
    ]
    text = CURRICULUM_CODE if code is None else code
    return {
        "pyproject.toml": "\n".join(pyproject) + "\n",
        f"src/{module}/__init__.py": text.replace("MARK", mark).replace("MODULE", module),
        ".gitignore": "__pycache__/\n.venv/\n",
    }


def library_files(name: str, code: str = "") -> dict[str, str]:
    """The files of a package without a ``curriculum`` command, for others to depend on."""
    pyproject = (
        f'[project]\nname = "{name}"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n'
        '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    )
    return {"pyproject.toml": pyproject, f"src/{name.replace('-', '_')}/__init__.py": code}


def inside(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    """`files` moved into `folder`."""
    return {f"{folder}/{path}": text for path, text in files.items()}


def make_task_repository(folder: Path, files: Mapping[str, str] | None = None, settings: str = "") -> Path:
    """A task repository without curriculum sources.

    :param settings: further text of ``[tool.aind-launcher]`` in its ``pyproject.toml``.
    """
    pyproject = f'[project]\nname = "my-task"\nversion = "0.1.0"\n[tool.aind-launcher]\n{settings}\n'
    return make_repository(folder, {"pyproject.toml": pyproject, **(files or {})})


def add_submodule(repository: Path, origin: Path, path: str) -> Path:
    """Add the repository at `origin` as a submodule, commit it, and return its working tree."""
    run_git("submodule", "--quiet", "add", "--", origin.as_posix(), path, cwd=repository)
    commit(repository)
    return repository / path


def make_task_with_submodule(
    folder: Path, files: Mapping[str, str] | None = None, path: str = "curricula", settings: str = ""
) -> Path:
    """A task repository ``task`` in `folder`, whose submodule is a clone of the repository ``origin`` beside it.

    :param files: of the curriculum; `curriculum_files()` by default.
    """
    origin = make_repository(folder / "origin", curriculum_files() if files is None else files)
    task = make_task_repository(folder / "task", settings=settings)
    add_submodule(task, origin, path)
    return task


def make_nested_task(folder: Path) -> Path:
    """A task repository whose curriculum depends on a library in a submodule of its submodule ``curricula``."""
    more = '[tool.uv.sources]\nlib = { path = "vendor/lib" }\n'
    origin = make_repository(folder / "origin", curriculum_files(dependencies=["lib"], more=more))
    add_submodule(origin, make_repository(folder / "lib", library_files("lib", "answer = 42\n")), "vendor/lib")
    task = make_task_repository(folder / "task")
    add_submodule(task, origin, "curricula")
    run_git("submodule", "--quiet", "update", "--init", "--recursive", cwd=task)
    return task


def make_workspace(folder: Path) -> Path:
    """A task repository that is a uv workspace: ``curriculum`` depends on ``lib``; the lock is at the root."""
    workspace = (
        '[project]\nname = "my-task"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n[tool.aind-launcher]\n'
        '[tool.uv.workspace]\nmembers = ["packages/*"]\n[tool.uv.sources]\nlib = { workspace = true }\n'
    )
    files = {
        "pyproject.toml": workspace,
        "README.md": "A task.\n",
        **inside("packages/curriculum", curriculum_files(dependencies=["lib"])),
        **inside("packages/lib", library_files("lib", "answer = 42\n")),
        **inside("packages/other", library_files("other")),
    }
    make_repository(folder, files)
    lock(folder)
    commit(folder)
    return folder


def lock(project: Path) -> None:
    """Write ``uv.lock``, without the network."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = [os.fspath(uv.find_uv_bin()), "lock", "--quiet", "--offline"]
    locked = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert locked.returncode == 0, locked.stderr


def the_source(repository: Path) -> Source:
    """The only curriculum source of a task repository."""
    (source,) = find_sources(repository)
    return source
