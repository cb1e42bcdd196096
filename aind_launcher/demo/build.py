"""Builds the demo: a task repository and, as its submodule, the repository of the curriculum that it pins."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aind_launcher.curriculum.build import refresh_lock, remove_tree
from aind_launcher.errors import Refused, UsageError
from aind_launcher.system.files import scratch_folder
from aind_launcher.system.git import FROM_A_PATH, git
from aind_launcher.system.rig import rig_lock

# What the curriculum was cloned from, and the proof that the whole folder is the demo's own.
_PRIVATE: Final = ".demo"
_MARKER: Final = "made-by-aind-launch-demo.txt"
_MARKED: Final = (
    "`aind-launch demo` made this folder and the one it lies in; `aind-launch demo --fresh` may remove them.\n"
)
_ORIGIN: Final = "curriculum.git"
SUBMODULE: Final = "curriculum"

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SUFFIX: Final = ".template"
_PYTHON: Final = "@PYTHON@"

# The same files give the same commit every day, and on every machine with the same package index, so that the
# environment that is named after it is built once; whatever this user configured in git (hooks, signatures, line ends)
# stays out of it.
_ALWAYS_THE_SAME: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GIT_AUTHOR_NAME": "aind-launcher demo",
        "GIT_AUTHOR_EMAIL": "demo@localhost",
        "GIT_AUTHOR_DATE": "2025-01-01T00:00:00Z",
        "GIT_COMMITTER_NAME": "aind-launcher demo",
        "GIT_COMMITTER_EMAIL": "demo@localhost",
        "GIT_COMMITTER_DATE": "2025-01-01T00:00:00Z",
        "GIT_CONFIG_COUNT": "0",
        "GIT_CONFIG_GLOBAL": "/dev/null",  # git itself translates it on Windows
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DEFAULT_HASH": "sha1",
        **FROM_A_PATH,
    }
)
_CONFIGURED: Final = (
    *("-c", "core.autocrlf=false"),
    *("-c", "core.attributesFile="),
    *("-c", "core.excludesFile="),
    *("-c", "commit.gpgSign=false"),
)


def build_demo(folder: Path, *, fresh: bool = False, python: Path | None = None) -> Path:
    """Make the demo's task repository in `folder`, which must be missing or empty.

    :param fresh: a previous demo in `folder` is removed first; nothing else ever is.
    :param python: what runs the simulated task; by default the Python of the launcher.
    :return: the task repository, absolute.
    :raises UsageError: `folder` holds something else, or a previous demo that may not be removed.
    :raises Refused: it cannot be written, or git says no.
    """
    folder = folder.resolve()
    try:
        _make_room(folder, fresh)
        private = folder / _PRIVATE
        private.mkdir(parents=True)
        (private / _MARKER).write_text(_MARKED, encoding="utf-8")
        _make_origin(private / _ORIGIN)
        _make_task_repository(folder, python or Path(sys.executable))
    except OSError as error:
        raise Refused(
            f"The demo cannot be made in {folder}: {error.strerror or error}.", "Name another folder."
        ) from None
    return folder


def _make_room(folder: Path, fresh: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Name a folder that is empty or does not exist yet.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    private = folder / _PRIVATE
    if not (private / _MARKER).is_file():
        raise UsageError(
            f"{folder} is not empty and was not made by the demo.",
            "Name a folder that is empty or does not exist yet.",
        )
    if not fresh:
        raise UsageError(
            f"{folder} holds a demo already.", "Make it anew with --fresh, which removes it first, or name another."
        )
    if (state := folder / "state").is_dir():
        with rig_lock(state):
            """Nobody runs a session in it."""
    # The marker goes last: where something cannot be removed, the rest still can the next time.
    rest = [path for path in folder.iterdir() if path != private]
    rest += [path for path in private.iterdir() if path.name != _MARKER]
    for path in (*rest, private):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()


def _make_origin(origin: Path) -> None:
    """The curriculum's repository, as a server would have it: without a working tree."""
    _git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(origin), cwd=origin.parent)
    with scratch_folder() as folder:
        tree = Path(folder).resolve()
        _write_template("curriculum", tree)
        refresh_lock(tree)
        of_origin = (f"--git-dir={origin}", f"--work-tree={tree}")
        _git(*of_origin, "add", "--all", ".", cwd=tree)
        _git(*of_origin, "commit", "--quiet", "--message", "Teach a simulated animal to tell two tones apart", cwd=tree)


def _make_task_repository(folder: Path, python: Path) -> None:
    _write_template("task", folder, python)
    # A data directory that is missing is worth a warning on a rig.
    (folder / "data").mkdir()
    _git("init", "--quiet", "--template=", "--initial-branch=main", cwd=folder)
    # Relative, so that the folder may be moved before it is cloned.
    _git("submodule", "--quiet", "add", "--", f"./{_PRIVATE}/{_ORIGIN}", SUBMODULE, cwd=folder)
    _git("add", "--all", ".", cwd=folder)
    _git("commit", "--quiet", "--message", "A simulated task and the curriculum that it pins", cwd=folder)


def _git(*arguments: str, cwd: Path) -> None:
    git(*_CONFIGURED, *arguments, cwd=cwd, environment=_ALWAYS_THE_SAME)


def _write_template(name: str, folder: Path, python: Path | None = None) -> None:
    """Write the files of a template; those named ``.template`` lose that suffix and may have the placeholder."""
    template = _TEMPLATES / name
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        # Installers compile every .py file that they find.
        if "__pycache__" in source.parts:
            continue
        target = folder / source.relative_to(template)
        # Read as text: a checkout on Windows may have other line ends.
        text = source.read_text(encoding="utf-8")
        if target.suffix == _SUFFIX:
            target = target.with_suffix("")
            text = text.replace(_PYTHON, _toml_string(str(python)))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


def _toml_string(text: str) -> str:
    # The two notations agree on quotation marks, backslashes and all control characters but one.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
