"""JSON objects as their programs wrote them. Where their parts are is found without building what they say."""

import json
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

from aind_launcher.model.value import Value, frozen

# Levels. pydantic reads and writes about 200, and a document becomes a part of others.
_DEEPEST: Final = 100
TOO_DEEP: Final = f"is nested too deeply: {_DEEPEST} levels are the most"

_CONSTANT = re.compile(r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|NaN|-?Infinity')


class JsonText(Value):
    """A JSON object as text. The text is what is stored and passed on, byte for byte.

    :param text: the JSON text, as its program wrote it.
    """

    text: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed text, with all that its program put into it.

        :raises ValueError: as `value_in`.
        """
        value = value_in(self.text)
        document: dict[str, Any] = frozen(value if isinstance(value, dict) else {})
        return document


def value_in(text: str) -> Any:
    """The JSON value that `text` is.

    :raises ValueError: it is none, or it is nested too deeply; says why, as the end of a sentence.
    """
    return parsed(text, json.loads, "JSON")


def parsed(text: str, parse: Callable[[str], Any], language: str) -> Any:
    """What `parse` makes of `text`, if it is not nested more deeply than any program writes it.

    :param language: what `text` should be, as in *is not JSON*.
    :raises ValueError: it is not that, or it is nested too deeply; says why, as the end of a sentence.
    """
    try:
        value = parse(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(f"is not {language}: {error}") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for whole in level for part in _parts(whole)]
    if level:
        raise ValueError(TOO_DEEP)
    return value


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def object_in(content: bytes) -> dict[str, Any]:
    """The JSON object that a file holds in UTF-8.

    :raises ValueError: it holds none; says why, as the end of a sentence.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    document = value_in(text)
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    require_utf8(document)
    return document


def require_utf8(value: object) -> None:
    """Raise if a text in the JSON value `value` cannot be written to a file: JSON can name half a character.

    :raises ValueError: says why, as the end of a sentence.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"has text that no file can hold: {error.reason}") from None


def without_constants(text: str) -> str:
    """`text` with null in the place of NaN and infinities, which Python writes and JSON lacks; all else as it was."""
    return _CONSTANT.sub(lambda found: found["string"] or "null", text)


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
