"""Names from a user: checked before they become a part of a path, and what they may have been meant for."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from aind_launcher.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LONGEST_NAME = 128
_LONGEST_SHOWN = 60
_NAMED = 3
# Windows opens a device instead of a file for these, with any extension and in any case.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def checked_name(kind: str, value: str) -> str:
    """`value`, if it can be one part of a path on every platform.

    :param kind: what the name is of, for the error: "subject", "experiment".
    :param value: the name.
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


def as_name(text: str) -> str:
    """`text` where it can be one part of a path, else a name like it, which no other text has."""
    with suppress(UsageError):
        return checked_name("name", text)
    like = re.sub(r"[^A-Za-z0-9_+-]+", "-", text[: _LONGEST_NAME // 2]).strip("-+_")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return "-".join(filter(None, (like, digest)))


def brief(name: str | None) -> str:
    """The name of a curriculum or a stage, for people: a damaged file may have one of any length."""
    name = name or ""
    return name if len(name) <= _LONGEST_SHOWN else f"{name[: _LONGEST_SHOWN - 3]}..."


# Of names that may have been meant, those that are named.
_SUGGESTED = 3
# Characters that look like a digit.
_LOOKS = str.maketrans("oil|", "0111")


def names_like(name: str, known: Iterable[str], *, only_looks: bool = False) -> tuple[str, ...]:
    """Those of `known` that `name` may have been meant for: what looks the same, or else is one slip away.

    One slip is a character too many, too few or another, or two that changed places.

    :param only_looks: nothing else; animals of one litter have numbers that are one slip away from each other.
    """
    others = sorted({other for other in known if other != name})
    look = _look(name)
    if same := tuple(other for other in others if _look(other) == look):
        return same
    return () if only_looks else tuple(other for other in others if _is_one_slip(look, _look(other)))


def _look(name: str) -> str:
    return name.lower().translate(_LOOKS)


def _is_one_slip(one: str, other: str) -> bool:
    start = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, other_rest = one[start:], other[start:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return other_rest in (swapped, rest[1:]) or rest == other_rest[1:] or rest[1:] == other_rest[1:]


def did_you_mean(names: Iterable[str]) -> str:
    """The question whether one of `names` was meant, before other hints; "" where there is none."""
    listed = list(names)[:_SUGGESTED]
    return f"Did you mean {'one of ' if len(listed) > 1 else ''}{', '.join(listed)}? " if listed else ""


def few(names: Sequence[str]) -> str:
    """The first of `names` and how many more there are, as a sentence names them."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
