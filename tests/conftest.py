"""The world in which every test runs: a home, a machine and a git identity of its own, nothing of the user's."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import uv
from command_line import hearing_signals_as_before
from repositories import curriculum_files, lock, make_task_with_submodule, write

from aind_launcher.own_modules import places_of
from aind_launcher.system import interrupts

# The same examples in every run, so that a red build is red again on the next machine; and no deadline, since
# how long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")

_FOREIGN = ("AIND_LAUNCHER_", "GIT_", "SLIMS_", "XDG_", "NOX_")
_FOREIGN_NAMES = {
    "VIRTUAL_ENV",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "PYTHONPATH",
    "PYTHONHOME",
    "FORCE_COLOR",
    "COLUMNS",
}
# Or every program that a test starts compiles all that it imports, or leaves it elsewhere.
_FOREIGN_NAMES |= {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}

# Repositories of a test need no hooks, no care for later and no protection from a power cut: that is half their time.
_GIT_CONFIGURATION = """\
[init]
    defaultBranch = main
    templateDir =
[core]
    autocrlf = false
    fsync = none
[maintenance]
    auto = false
[protocol "file"]
    allow = always
"""


def in_wine() -> bool:
    """Whether this Windows is Wine, which lacks some of it."""
    return sys.platform == "win32" and hasattr(ctypes.windll.ntdll, "wine_get_version")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; pytest shows each reason."""
    here = {"posix_only": sys.platform == "win32", "not_in_wine": in_wine()}
    for item in items:
        for marker in [marker for marker in item.iter_markers() if here.get(marker.name)]:
            (reason,) = marker.args
            item.add_marker(pytest.mark.skip(reason=f"{marker.name}: {reason}"))


@pytest.fixture(scope="session", autouse=True)
def _apart_from_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For fixtures of a wider scope than one test, and for what all tests may share: uv's cache."""
    folder = tmp_path_factory.mktemp("world")
    git_configuration = folder / "gitconfig"
    git_configuration.write_text(_GIT_CONFIGURATION, encoding="utf-8")
    shared = {
        "UV_CACHE_DIR": _answer_of_uv("cache", "dir"),
        "UV_PYTHON_INSTALL_DIR": _answer_of_uv("python", "dir"),
        "GIT_CONFIG_GLOBAL": str(git_configuration),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }
    with pytest.MonkeyPatch.context() as environment:
        _configuration_of_indexes(folder / "user")
        for name in [name for name in os.environ if name.startswith(_FOREIGN) or name in _FOREIGN_NAMES]:
            environment.delenv(name)
        for name, value in (shared | _places(folder)).items():
            environment.setenv(name, value)
        environment.setattr(tempfile, "tempdir", os.environ["TMPDIR"])
        yield


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(
    _apart_from_the_user: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No journal, settings or state that another test left."""
    folder = tmp_path_factory.mktemp("machine")
    _configuration_of_indexes(folder / "user")
    for name, value in _places(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", os.environ["TMPDIR"])


@pytest.fixture(autouse=True)
def _no_plugins_of_another_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Plugins of a repository's own tree are imported by name, and every test has another repository."""
    yield
    base = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if any(place.startswith(base) for place in places_of(module)):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(base)]


def _places(folder: Path) -> dict[str, str]:
    """The variables that say where a user's, a machine's and temporary files lie, on any platform."""
    for part in ("user", "machine", "temporary"):
        (folder / part).mkdir(exist_ok=True)
    user, machine, temporary = (str(folder / part) for part in ("user", "machine", "temporary"))
    # The real machine's folder stays behind it: pip and uv may be told there where the package index is.
    return {
        "HOME": user,
        "USERPROFILE": user,
        "LOCALAPPDATA": user,
        "PROGRAMDATA": machine,
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary),
        "XDG_CONFIG_DIRS": f"{machine}{os.pathsep}/etc/xdg",
    }


def _configuration_of_indexes(home: Path) -> None:
    """Where the package index is remains the user's to say."""
    for tool in ("uv", "pip"):
        configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", tool)
        if configuration.is_dir():
            shutil.copytree(configuration, home / ".config" / tool, dirs_exist_ok=True)


def _answer_of_uv(*arguments: str) -> str:
    return subprocess.run([uv.find_uv_bin(), *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def interrupts_held() -> Iterator[None]:
    """Ctrl-C is held as in the program, and heard only where the launcher waits."""
    with hearing_signals_as_before():
        interrupts.hold_from_now_on()
        yield


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where environments of curricula are built."""
    return tmp_path / "my cache"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task repository with one curriculum."""
    return make_task_with_submodule(tmp_path / "my rig", path="the curricula")


@pytest.fixture
def locked_task(tmp_path: Path) -> Path:
    """The same, and the curriculum has a lock file."""
    origin = write(tmp_path / "my rig" / "origin", curriculum_files())
    lock(origin)
    files = {"uv.lock": (origin / "uv.lock").read_text(encoding="utf-8"), **curriculum_files()}
    return make_task_with_submodule(tmp_path / "my rig", files, path="the curricula")
