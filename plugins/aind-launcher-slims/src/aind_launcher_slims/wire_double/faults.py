"""What goes wrong with a request: rules that the double asks before it answers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

Cut = Literal["before commit", "after commit"]


@dataclass
class Fault:
    """One rule. What is None does not matter to it.

    :param status: answer with this status instead of carrying the request out.
    :param delay: seconds to wait with the answer; the request has taken effect by then.
    :param drips: seconds to wait before each byte of the answer's content; its headers come at once.
    :param echoes: refuse the request with status 400 and an error message that quotes its Authorization header.
    :param cut: end the connection without an answer, before or after the request has taken effect.
    :param method: only requests with this method.
    :param path: only requests whose path, below ``rest/``, this regular expression is found in.
    :param nth: only the nth request that method and path fit, counted from 1; None is each of them.
    """

    status: int | None = None
    delay: float = 0.0
    drips: float = 0.0
    echoes: bool = False
    cut: Cut | None = None
    method: str | None = None
    path: str = ""
    nth: int | None = None
    _seen: "count[int]" = field(default_factory=lambda: count(1), repr=False)

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is one of the rule's; counts it."""
        if self.method not in (None, method) or not re.search(self.path, path):
            return False
        return next(self._seen) == self.nth or self.nth is None


def struck(faults: Iterable[Fault], method: str, path: str) -> Fault:
    """The fault of a request; one without effect where no rule applies. The first that strikes wins."""
    # Every rule counts every request that fits it, also those that another rule takes.
    hits = [fault for fault in faults if fault.strikes(method, path)]
    return hits[0] if hits else Fault()
