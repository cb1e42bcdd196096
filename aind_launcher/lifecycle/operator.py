"""The person at the rig, as the rest of the launcher sees them: someone to show things to and to ask."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aind_launcher.journal.records import StepRecord
    from aind_launcher.model.session import Check


class Operator(Protocol):
    """What a session shows and asks. The terminal implements it; so may a graphical front end."""

    @property
    def attended(self) -> bool:
        """Whether somebody is there to answer."""

    def say(self, line: str, style: str = "") -> None:
        """Show a line; `style` is a colour where there are colours."""

    def checks(self, checks: "Sequence[Check]") -> None:
        """Show how the checks ended."""

    def working(self, title: str) -> "AbstractContextManager[None]":
        """Show that something is under way while the context lasts."""

    def ended(self, record: "StepRecord") -> None:
        """Show how a step ended."""

    def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
        """Ask for one of `answers` (key: what it means); the default where nobody is there."""


class NoOperator:
    """No one is at the rig: nothing is shown, every question gets its default."""

    attended = False

    def say(self, line: str, style: str = "") -> None:
        """Said to no one."""

    def checks(self, checks: "Sequence[Check]") -> None:
        """Shown to no one; the journal has them."""

    @contextmanager
    def working(self, title: str) -> Iterator[None]:
        yield

    def ended(self, record: "StepRecord") -> None:
        """Shown to no one; the journal has it."""

    def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
        return default
