"""TOML, with a reason for whoever wrote what cannot be read."""

import tomllib
from typing import Any

from aind_launcher.model.json_text import parsed


def tables_in(content: str | bytes) -> dict[str, Any]:
    """The tables of TOML; bytes are UTF-8.

    :raises ValueError: it is none, or it is nested too deeply; says why, as the end of a sentence.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not valid TOML: {error}") from None
    tables: dict[str, Any] = parsed(text, tomllib.loads, "valid TOML")
    return tables
