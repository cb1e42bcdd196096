"""What the journal knows of a session and of each of its steps."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

StepState = Literal["running", "done", "failed", "skipped"]
SessionState = Literal[
    "running", "completed", "incomplete", "failed", "refused", "cancelled", "interrupted", "discarded", "closed"
]
# States that `resume` has something to do for: a crash leaves *running* behind.
UNFINISHED: tuple[SessionState, ...] = ("running", "incomplete")


@dataclass(frozen=True)
class StepId:
    """What makes a step the same step when it is run again.

    :param key: what makes it a new step when it must run again: the digest of a suggestion, the number of a hand-off;
        "" where it runs once.
    """

    session: str
    hook: str
    plugin: str
    key: str = ""


@dataclass(frozen=True)
class StepRecord:
    """One attempt at a step.

    :param result: what the plugin returned, as JSON data.
    """

    id: StepId
    attempt: int
    state: StepState
    started: datetime
    ended: datetime | None
    error: str | None
    result: Any

    def __post_init__(self) -> None:
        _checked_state(self.state, StepState)

    @property
    def duration(self) -> float | None:
        """Seconds, where it has ended."""
        return (self.ended - self.started).total_seconds() if self.ended else None


@dataclass(frozen=True)
class SessionRecord:
    """A session as the journal knows it; its context, which is large, is read on its own."""

    name: str
    subject: str
    repository: Path
    folder: Path
    state: SessionState
    started: datetime
    ended: datetime | None
    exit_code: int | None
    message: str | None

    def __post_init__(self) -> None:
        _checked_state(self.state, SessionState)


def _checked_state(state: str, states: Any) -> None:
    if state not in get_args(states):
        raise ValueError(f"{state!r} is none of {', '.join(get_args(states))}")
