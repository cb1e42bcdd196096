"""Whom a plugin's step asks: the operator, by way of the thread that waits for the step."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aind_launcher.errors import Unanswered
from aind_launcher.lifecycle import step_thread
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.model.question import Question, answered_by, in_words
from aind_launcher.system.interrupts import QuestionInterrupted

logger = logging.getLogger(__name__)


class Person:
    """Answers the questions of one step. When the step is tried again, it has the answers that were given before."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._given: list[tuple[Question, Any]] = []

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Answer what is asked while the context lasts: one attempt at the step.

        :raises Unanswered: nobody was there to answer, whatever the plugin made of it.
        """
        unanswered: list[Unanswered] = []
        before = iter([*self._given])
        self._given.clear()

        def answer(question: Question) -> Any:
            known, given = next(before, (None, None))
            if known != question:
                try:
                    given = step_thread.done_by_caller(lambda: self._answer(question))
                except Unanswered as reason:
                    unanswered.append(reason)
                    raise
            self._given.append((question, given))
            return given

        with answered_by(answer):
            try:
                yield
            except Exception:  # the plugin's own, after a question that has no answer
                if not unanswered:
                    raise
        if unanswered:
            raise unanswered[0]

    def _answer(self, question: Question) -> Any:
        try:
            answer = question.checked(self._operator.ask_for_plugin(question))
        except KeyboardInterrupt:
            raise QuestionInterrupted from None
        if not self._operator.attended:
            logger.info('nobody is there to answer "%s"; it counts as %s', question.label, in_words(answer))
        return answer
