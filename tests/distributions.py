"""Installed distributions, laid out in a folder as an installer does; on the search path they are found."""

import textwrap
from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, distribution: str, entry_points: Mapping[str, str], modules: Mapping[str, str]) -> None:
    """A distribution of version 1.2.

    :param entry_points: its plugins, name to ``module:object``.
    :param modules: their source by the module's name.
    """
    info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    listed = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[aind_launcher]\n{listed}", encoding="utf-8")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
