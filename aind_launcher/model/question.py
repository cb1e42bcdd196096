"""A plugin's question to the person at the rig, as a value that a terminal asks and a form can draw."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypeVar, overload

from aind_launcher.errors import LauncherError

Answer = TypeVar("Answer", str, bool, int, float)

_YES_OR_NO: Final = {"y": True, "yes": True, "n": False, "no": False}
_KINDS: Final[dict[type, str]] = {str: "a text", int: "a whole number", float: "a number", bool: "yes or no"}


@dataclass(frozen=True)
class Question:
    """What is asked for.

    :param name: what the answer is, as a name: the name of a form's field, and of an answer in tests.
    :param label: what a person reads.
    :param kind: `str`, `int`, `float`, or `bool` for yes or no.
    :param default: the answer of somebody who only presses Enter, or who is not there; None where there is none.
    :param choices: the answers that there are; any where it is empty.
    """

    name: str
    label: str
    kind: type[Any] = str
    default: Any = None
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise TypeError(f"The question {self.name!r} has the type {self.kind!r}, not str, int, float or bool.")
        try:
            for value in (*self.choices, *(() if self.default is None else (self.default,))):
                self.checked(value)
        except ValueError as error:
            raise ValueError(f"The question {self.name!r} is wrong: {error}") from None

    def checked(self, value: Any) -> Any:
        """`value`, if it is an answer; a whole number is a number, too.

        :raises ValueError: it is none; says why, as a sentence.
        """
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind or (self.kind is float and not isfinite(value)):
            raise ValueError(f"{value!r} is not {_KINDS[self.kind]}.")
        if self.choices and value not in self.choices:
            raise ValueError(f"{in_words(value)} is not one of {', '.join(map(in_words, self.choices))}.")
        return value

    def read(self, typed: str) -> Any:
        """The answer that a person typed.

        :raises ValueError: it is none; says why, as a sentence.
        """
        text = typed.strip()
        if not text and self.default != "":
            raise ValueError("An answer is needed.")
        if self.kind is str:
            return self.checked(self._chosen(text))
        if self.kind is bool and text.lower() not in _YES_OR_NO:
            raise ValueError(f"{text} is not yes or no.")
        try:
            value = _YES_OR_NO[text.lower()] if self.kind is bool else self.kind(text)
        except ValueError:
            example = f" Write it as {text.replace(',', '.')}." if self.kind is float and "," in text else ""
            raise ValueError(f"{text} is not {_KINDS[self.kind]}.{example}") from None
        return self.checked(value)

    def _chosen(self, text: str) -> str:
        """The choice that `text` is, or is the beginning of no other than; else `text`."""
        begin = [choice for choice in self.choices if choice.lower().startswith(text.lower())]
        same = [choice for choice in begin if choice.lower() == text.lower()]
        return next(iter(same or (begin if len(begin) == 1 else ())), text)


def in_words(answer: str | int | float) -> str:
    """An answer as a person types it."""
    return ("no", "yes")[answer] if isinstance(answer, bool) else str(answer)


_person: ContextVar[Callable[[Question], Any] | None] = ContextVar("aind_launcher_person", default=None)


@contextmanager
def answered_by(person: Callable[[Question], Any]) -> Iterator[None]:
    """Let `person` answer what is asked while the context lasts."""
    token = _person.set(person)
    try:
        yield
    finally:
        _person.reset(token)


@overload
def ask(name: str, label: str, *, default: str | None = None, choices: Sequence[str] = ()) -> str: ...
@overload
def ask(
    name: str, label: str, type: type[Answer], *, default: Answer | None = None, choices: Sequence[Answer] = ()
) -> Answer: ...
def ask(name: str, label: str, type: type[Any] = str, *, default: Any = None, choices: Sequence[Any] = ()) -> Any:
    """Ask the person at the rig, and wait for the answer; for a plugin, within any of its steps.

    The answer is checked, and asked for again until it fits. The time does not count for ``step-timeout``, and Ctrl-C
    ends the launcher, as at its own questions. Where nobody is there (no terminal, or ``--unattended``) the default is
    the answer. Without a default, the step then ends here and waits: `aind-launch resume` at a terminal calls it again.
    Steps before the acquisition are left out instead, with a warning. A step that is called again asks again.

    :param name: what the answer is, as a name; `aind_launcher.testing` gives answers by it.
    :param label: the question, as a person reads it.
    :param type: `str`, `int`, `float`, or `bool` for yes or no.
    :param default: the answer where the person only presses Enter; "" allows an empty text.
    :param choices: the answers that there are.
    :return: an answer of that type.
    """
    question = Question(name, label, type, default, tuple(choices))
    person = _person.get()
    if person is None:
        raise LauncherError(
            f"ask({name!r}, ...) was called where nobody can be asked: outside of a session's step, or in a thread of "
            "the plugin's own.",
            "In a test, call the plugin within `aind_launcher.testing.answering({...})`.",
        )
    return person(question)
