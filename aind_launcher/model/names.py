"""Names from a user, checked before they become a part of a path."""

import re

from aind_launcher.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LONGEST_NAME = 128
# Windows opens a device instead of a file for these, with any extension and in any case.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def checked_name(kind: str, value: str) -> str:
    """`value`, if it can be one part of a path on every platform.

    :param kind: what the name is of, for the error: "subject", "experiment".
    :raises UsageError: it is empty, too long, has a separator, or is a name that Windows reserves.
    """
    if len(value) > _LONGEST_NAME:
        raise UsageError(
            f"The {kind} {value[:16]!r}... has {len(value)} characters; {_LONGEST_NAME} are the most.",
            "Choose a shorter one.",
        )
    if value.split(".")[0].lower() in _DEVICES:
        raise UsageError(
            f"{value!r} is not a valid {kind}: Windows reserves this name for a device.", "Choose another."
        )
    if not _NAME.fullmatch(value) or value.endswith("."):
        raise UsageError(
            f"{value!r} is not a valid {kind}.",
            "Use letters, digits, '-', '_', '+' and '.', starting with a letter or digit.",
        )
    return value
