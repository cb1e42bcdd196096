"""The person at the rig, as the rest of the launcher sees them: someone to show things to and to ask."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from aind_launcher.errors import Unanswered

if TYPE_CHECKING:
    from aind_launcher.journal.records import StepRecord
    from aind_launcher.model.question import Question
    from aind_launcher.model.session import Check, SessionContext


class Operator:
    """What a session shows and asks. Here nobody is at the rig: nothing is shown, and every question gets its default.

    The terminal is one, and so may be a graphical front end; each says what of this it does otherwise.

    :param attended: whether somebody is there to answer.
    """

    attended = False

    def say(self, line: str, style: str = "") -> None:
        """Show a line; `style` is a colour where there are colours."""

    def checks(self, checks: "Sequence[Check]") -> None:
        """Show how the checks ended."""

    def confirms(self, session: "SessionContext") -> bool:
        """Show which animal this is and what is about to run, and have it confirmed; True where nobody is there."""
        return True

    def working(self, title: str) -> AbstractContextManager[None]:
        """Show that something is under way while the context lasts."""
        return nullcontext()

    def left_to_plugin(self) -> AbstractContextManager[None]:
        """Show nothing of what goes on while the context lasts: the operator is asked something."""
        return nullcontext()

    def ended(self, record: "StepRecord") -> None:
        """Show how a step ended."""

    def ask(self, question: str, answers: Mapping[str, str], default: str) -> str:
        """Ask for one of `answers` (key: what it means); the default where nobody is there."""
        return default

    def ask_for_plugin(self, question: "Question") -> Any:
        """Ask what a plugin asks; the default where nobody is there.

        :raises Unanswered: nobody is there, and there is no default.
        """
        if question.default is None:
            raise Unanswered(f'A person has to answer "{question.label}".')
        return question.default
