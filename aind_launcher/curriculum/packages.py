"""Which packages an environment has: the same lines on every rig that installed the same."""

import json
from importlib.metadata import Distribution, distributions
from pathlib import Path

from aind_launcher.curriculum.project import normalised
from aind_launcher.system.git import without_credentials


def installed_packages(environment: Path) -> tuple[str, ...]:
    """One line for each package of a virtual environment: ``name==version``, and where else than an index it is from.

    A package of the source's own tree has no more than its version: what it is made of, the commit says.
    """
    folders = [*environment.glob("lib/python*/site-packages"), *environment.glob("Lib/site-packages")]
    return tuple(sorted(_line(distribution) for distribution in distributions(path=[str(x) for x in folders])))


def _line(distribution: Distribution) -> str:
    line = f"{normalised(distribution.name)}=={distribution.version}"
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = "" if origin.get("url", "").startswith("file:") else without_credentials(origin.get("url", ""))
    if repository := origin.get("vcs_info"):
        return f"{line} @ {repository['vcs']}{f'+{url}' if url else ''}@{repository['commit_id']}"
    return f"{line} @ {url}" if url else line
