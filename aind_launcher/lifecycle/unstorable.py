"""Where in what a plugin returned is that which JSON cannot hold, for the plugin's author."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_jsonable_python

from aind_launcher.model.names import brief

# What reading and writing JSON raises; pydantic's own errors of serializing are ValueErrors.
UNSTORABLE = (ValueError, RecursionError)


def as_json(value: Any) -> Any:
    """`value` as JSON data.

    :raises ValueError: it has no such form, or not one that can be read back, as for `RecursionError`.
    """
    text = json.dumps(to_jsonable_python(value, inf_nan_mode="constants"))
    # What cannot be read back, within the context it becomes part of, would stop the session later.
    [[[plain]]] = from_json(f"[[[{text}]]]")
    return plain


def why_unstorable(value: Any) -> str:
    """The first part of `value` that JSON cannot hold, by its key, with its type: *rig.port is of type object*."""
    keys: list[str] = []
    # A list may be part of itself.
    while len(keys) < 100:
        for key, part in _parts(value):
            if not _is_storable(part):
                keys.append(str(key) if isinstance(key, str | int) else repr(key))
                value = part
                break
        else:
            break
    place = ".".join(keys).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, str):
        why = "is a text that UTF-8 cannot hold"
    elif isinstance(value, dict | list | tuple):
        why = "is nested too deeply, or has a key that JSON cannot hold"
    else:
        why = f"is of type {type(value).__name__}, which JSON cannot hold"
    return f"{brief(place) or 'it'} {why}"


def _is_storable(value: Any) -> bool:
    try:
        as_json(value)
    except UNSTORABLE:
        return False
    return True


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    return iter(value) if isinstance(value, BaseModel) else ()
