"""Hides secrets in text: as they are, in JSON, in an address, in base64."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pydantic import BaseModel, SecretBytes, SecretStr

HIDDEN: Final = "**********"

# The base64 of a shorter secret occurs by chance in words, hashes and names of files.
_FEWEST_BYTES: Final = 5
_LETTER: Final = r"[A-Za-z0-9+/_-]"
# The two letters that base64 for addresses replaces, which in an address or in JSON may be escaped themselves.
_PLUS_AND_SLASH: Final = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff]|\\/)"}


@dataclass(frozen=True)
class Redactor:
    """Hides known secret values in text, also where they are encoded: as in JSON, in an address and in base64.

    :param secrets: the values to hide.
    """

    secrets: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        """`text` with asterisks in the place of every secret."""
        shown: list[str] = []
        end = 0
        # Matches may overlap: one secret may be part of another, or begin in another.
        for start, stop in sorted(self._found(text)):
            if start > end or not shown:
                shown += [text[end:start], HIDDEN]
            end = max(end, stop)
        return "".join([*shown, text[end:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in self._patterns:
            found = pattern.search(text)
            while found:
                yield found.span()
                found = pattern.search(text, found.start() + 1)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(form) for secret in self.secrets for form in _forms(secret)]


def _forms(secret: str) -> Iterator[str]:
    """Patterns that find `secret` in each of its forms, also within a longer text that was encoded as a whole."""
    yield "".join(map(_character, secret))
    for encoded in _bytes_of(secret):
        if len(encoded) >= _FEWEST_BYTES:
            yield from (_base64(encoded, before) for before in range(3))


def _character(character: str) -> str:
    """A character as it is, or escaped: character by character, since no two libraries escape the same ones."""
    if character.isascii() and character.isalnum():
        return character
    escaped = {json.dumps(character)[1:-1], f"\\{character}"} - {character}
    escaped |= {"".join(f"%{byte:02x}" for byte in encoded) for encoded in _bytes_of(character)}
    escaped |= {"+"} if character == " " else set()
    return f"(?:(?i:{'|'.join(map(re.escape, sorted(escaped)))})|{re.escape(character)})"


def _base64(encoded: bytes, before: int) -> str:
    """Base64 of `encoded` after `before` other bytes, modulo three.

    A letter has six bits; the first and the last one may share theirs with what stands beside `encoded`.
    """
    begin, end = before * 8, (before + len(encoded)) * 8
    whole = base64.b64encode(bytes(before) + encoded).decode()[-(-begin // 6) : end // 6]
    first = f"{_LETTER}?" if begin % 6 else ""
    last = f"(?:{_LETTER}={{0,2}})?" if end % 6 else ""
    return first + "".join(_PLUS_AND_SLASH.get(letter, letter) for letter in whole) + last


def _bytes_of(text: str) -> set[bytes]:
    """`text` in UTF-8 and in the encoding that HTTP began with, as far as they can encode it."""
    found = set()
    for encoding in ("utf-8", "latin-1"):
        with suppress(UnicodeEncodeError):
            found.add(text.encode(encoding))
    return found


def secrets_in(value: object) -> Iterator[str]:
    """Every secret in a value: in models, mappings and lists, however deep."""
    if isinstance(value, SecretStr | SecretBytes):
        secret = value.get_secret_value()
        text = secret.decode("utf-8", "replace") if isinstance(secret, bytes) else secret
        # One or two characters would blank out half of every line.
        if len(text) > 2:
            yield text
    elif isinstance(value, BaseModel | Mapping):
        for field in dict(value).values():
            yield from secrets_in(field)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_in(item)
