"""The task repository of plugin authors' tests, with plugins in its own tree."""

from collections.abc import Mapping
from pathlib import Path

from aind_launcher.testing import TaskRepositoryForTests


def laboratory(
    root: Path, plugins: str = "", settings: str = "", names: Mapping[str, str] | None = None
) -> TaskRepositoryForTests:
    """A task repository with one animal on the first rung, and all that belongs to it below `root`.

    :param plugins: the source of plugins, in the module ``more``.
    :param names: their entries, name to object.
    """
    made = TaskRepositoryForTests.make(root)
    made.write("more.py", plugins)
    made.configure(settings, {name: f"more:{target}" for name, target in (names or {}).items()})
    return made


def laboratory_with_data(root: Path) -> TaskRepositoryForTests:
    """A `laboratory` whose data directory is there, so that no check warns."""
    made = laboratory(root)
    made.data.mkdir()
    return made
