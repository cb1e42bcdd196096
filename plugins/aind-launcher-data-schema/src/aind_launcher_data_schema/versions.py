"""Which aind-data-schema is installed, and what keeps a newer one away. Imports nothing of it."""

from importlib.metadata import distributions, version
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

PACKAGE: Final = "aind-data-schema"
# The newest line, and the models that it needs. Those of the watchdog service's packages end before 6.
NEWEST_LINE: Final = {PACKAGE: Version("2.9.0"), "aind-data-schema-models": Version("6.1.0")}


def installed() -> str:
    """The installed version.

    :raises PackageNotFoundError: there is none.
    """
    return version(PACKAGE)


def holders(found: str) -> tuple[str, ...]:
    """The installed distributions that allow no newer line than that of version `found`."""
    if Version(found) >= NEWEST_LINE[PACKAGE]:
        return ()
    holding = set()
    for distribution in distributions():
        name = distribution.metadata["Name"] or ""
        if canonicalize_name(name) != PACKAGE and any(map(_excludes_the_newest, distribution.requires or ())):
            holding.add(f"{name} {distribution.version}")
    return tuple(sorted(holding))


def _excludes_the_newest(text: str) -> bool:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False
    needed = NEWEST_LINE.get(canonicalize_name(requirement.name))
    applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    return needed is not None and applies and needed not in requirement.specifier


def is_newer(one: str, other: str) -> bool:
    """Whether `one` is the newer schema version; False where it is no version."""
    try:
        return Version(one) > Version(other)
    except InvalidVersion:
        return False
