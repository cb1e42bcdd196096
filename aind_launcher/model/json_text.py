"""JSON objects as their programs wrote them. Where their parts are is found without building what they say."""

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from aind_launcher.model.value import Value, frozen


class JsonText(Value):
    """A JSON object as text. The text is what is stored and passed on, byte for byte.

    :param text: the JSON text, as its program wrote it.
    """

    text: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed text, with all that its program put into it."""
        parsed = json.loads(self.text)
        document: dict[str, Any] = frozen(parsed if isinstance(parsed, dict) else {})
        return document


def object_in(content: bytes) -> dict[str, Any]:
    """The JSON object that a file holds in UTF-8.

    :raises ValueError: it holds none; says why, as the end of a sentence.
    """
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"has text that no file can hold: {error.reason}") from None
    return document


def skimming(on_object: Callable[[list[tuple[str, Any]]], Any] = bool) -> json.JSONDecoder:
    """A decoder that checks all and builds almost nothing: numbers become True, 0 or NaN.

    :param on_object: what becomes of an object, by its pairs.
    """
    return json.JSONDecoder(parse_float=bool, parse_int=_zero, object_pairs_hook=on_object)


def members(text: str) -> dict[str, slice]:
    """Where the value of each member of a JSON object is; of two with one name the last, as `json` has it.

    :param text: well-formed JSON.
    :raises ValueError: `text` is not a JSON object.
    """
    found: dict[str, slice] = {}
    here = _next_token(text, 0)
    if not text.startswith("{", here):
        raise ValueError("it is not a JSON object")
    here = _next_token(text, here + 1)
    while text[here] != "}":
        key, here = _DECODER.raw_decode(text, here)
        start = _next_token(text, here)
        _, here = _DECODER.raw_decode(text, start)
        found[key] = slice(start, here)
        here = _next_token(text, here)
    return found


def _zero(digits: str) -> int:
    # Python refuses integers of more than some thousand digits.
    return int(digits) and 0


def _next_token(text: str, here: int) -> int:
    while text[here : here + 1] in (" ", "\t", "\r", "\n", ",", ":"):
        here += 1
    return here


_DECODER = skimming()
