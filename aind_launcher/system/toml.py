"""TOML, with a reason for whoever wrote what cannot be read."""

import tomllib
from typing import Any

from aind_launcher.model.json_text import TOO_DEEP, is_too_deep


def tables_in(content: str | bytes) -> dict[str, Any]:
    """The tables of TOML; bytes are UTF-8.

    :raises ValueError: it is none, or it is nested too deeply; says why, as the end of a sentence.
    """
    try:
        tables = tomllib.loads(content if isinstance(content, str) else content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(f"is not valid TOML: {error}") from None
    if is_too_deep(tables):
        raise ValueError(TOO_DEEP)
    return tables
