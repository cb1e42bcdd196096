"""The plugins that there are, by their names; none of them is imported."""

import re
from dataclasses import dataclass
from importlib.metadata import entry_points

from aind_launcher.errors import nearest
from aind_launcher.settings.layers import LauncherSettings

GROUP = "aind_launcher"


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found but not imported.

    :param target: ``module`` or ``module:object``; empty where nothing was found by this name.
    :param distribution: what provides it; None for one of the task repository's own tree.
    :param group: the entry-point group that it stands in.
    """

    name: str
    target: str = ""
    distribution: str | None = None
    version: str | None = None
    group: str = GROUP

    @property
    def provider(self) -> str:
        """The distribution and version that it comes from, as part of a sentence."""
        return f"{self.distribution} {self.version}" if self.distribution else "this repository"

    def __str__(self) -> str:
        return f"Plugin {self.name} ({self.provider})"


def find_plugins(settings: LauncherSettings) -> tuple[Candidate, ...]:
    """What is installed or registered by the task repository, in the order of calls; nothing is imported."""
    found = {Candidate(name, target) for name, target in settings.plugins.items()}
    points = entry_points()
    for group in (GROUP, *filter(_is_nearly_ours, points.groups)):
        names = {candidate.name for candidate in found}
        for point in points.select(group=group):
            if group == GROUP or point.name not in names:
                name, version = (point.dist.name, point.dist.version) if point.dist else (None, None)
                found.add(Candidate(point.name, point.value, name, version, group))
    own = {candidate.name for candidate in found if candidate.distribution is None}
    return tuple(sorted(found, key=lambda c: (c.name not in own, c.name, c.target)))


def _is_nearly_ours(group: str) -> bool:
    """Whether whoever wrote the name of an entry-point group meant the launcher's."""
    if group == GROUP or not group.casefold().startswith("aind"):
        return False
    letters = re.sub("[-_. ]|plugins?", "", group.casefold())
    return nearest(letters, [GROUP.replace("_", "")], cutoff=0.9) is not None
