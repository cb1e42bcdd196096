"""Environments of curricula for tests: built by the real uv from real git repositories."""

import subprocess
import sys
from pathlib import Path

from aind_launcher.curriculum.build import executable
from aind_launcher.curriculum.environments import Environment, ensure_environment
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.sources import Source, find_sources
from aind_launcher.curriculum.specification import EnvironmentSpec, specify

OWN_PYTHON = "{}.{}".format(*sys.version_info[:2])
OWN_MODULE = "my_curricula/__init__.py"

# A build backend inside its own source tree: needs no network, tells the test that it was called, and waits for it.
BACKEND = """\
import os, pathlib, socket, subprocess, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    if port := os.environ.get("TEST_BACKEND_PORT"):
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            assert connection.recv(1) == b"x"
    described = subprocess.run(["git", "describe", "--tags"], capture_output=True, text=True).stdout.strip()
    version = described.removeprefix("v") or "0"
    info = f"my_curricula-{version}.dist-info"
    files = {
        "my_curricula.py": f"def main(): print({version!r})",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: my-curricula\\nVersion: {version}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\ncurriculum = my_curricula:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = f"my_curricula-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
BACKEND_FILES = {
    "backend.py": BACKEND,
    "pyproject.toml": '[project]\nname = "my-curricula"\ndynamic = ["version"]\n'
    '[project.scripts]\ncurriculum = "my_curricula:main"\n'
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
}


def the_source(task: Path, member: str | None = None) -> Source:
    (source,) = find_sources(task, {"member": Path(member)} if member else {})
    return source


def the_spec(
    task: Path, cache: Path, member: str | None = None, extras: tuple[str, ...] = (), python: str | None = None
) -> EnvironmentSpec:
    source = the_source(task, member)
    return specify(source, pin(source), cache, extras, python)


def built(task: Path, cache: Path, member: str | None = None, extras: tuple[str, ...] = ()) -> Environment:
    return ensure_environment(the_spec(task, cache, member, extras))


def output(environment: Environment, *arguments: str) -> str:
    """What a program of the environment prints, run from its private clone."""
    program, *rest = arguments or ("curriculum", "version")
    command = [str(environment.scripts / executable(program, sys.platform)), *rest]
    ended = subprocess.run(command, cwd=environment.source_folder, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def files_of(environment: Environment, module: str) -> Path:
    return Path(output(environment, "python", "-I", "-c", f"import {module}; print({module}.__file__)"))
