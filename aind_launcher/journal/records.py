"""What the journal knows of a session and of each of its steps, and how it is written as JSON data and as rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from aind_launcher.model.clock import now

StepState = Literal["running", "done", "failed", "skipped", "waiting"]
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

    :param id: the step: its `session`, `hook`, `plugin` and `key`.
    :param attempt: 1 is the first.
    :param state: *skipped* where the plugin raised `StepSkipped`; *waiting* for a person, who was not
        there; *running* where it was cut off.
    :param started: when it began.
    :param ended: when it ended; None where it was cut off.
    :param error: what it failed with, or why it was skipped.
    :param result: what the plugin returned, as JSON data.
    """

    id: StepId
    attempt: int
    state: StepState
    started: datetime
    ended: datetime | None = None
    error: str | None = None
    result: Any = None

    def __post_init__(self) -> None:
        _check_state(self.state, StepState)

    @property
    def is_left_to_do(self) -> bool:
        """Whether `resume` calls it again, since it failed or waits for a person."""
        return self.state in ("failed", "waiting")

    @property
    def duration(self) -> float | None:
        """Seconds, where it has ended."""
        return (self.ended - self.started).total_seconds() if self.ended else None

    def ended_as(self, state: StepState, *, error: str | None = None, result: Any = None) -> Self:
        """The attempt as it ends now."""
        return replace(self, state=state, ended=now(), error=storable(error), result=result)

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        values = _plain(vars(self.id) | vars(self))
        del values["id"]
        return values

    @classmethod
    def from_data(cls, session: str, data: Mapping[str, Any]) -> Self:
        """What `as_data` gave.

        :raises ValueError, TypeError, LookupError: it makes no sense.
        """
        # The key was called "suggestion" in the first records.
        key = data["key"] if "key" in data else data["suggestion"]
        return cls(
            StepId(session, str(data["hook"]), str(data["plugin"]), str(key)),
            int(data["attempt"]),
            data["state"],
            datetime.fromisoformat(data["started"]),
            datetime.fromisoformat(data["ended"]) if data["ended"] else None,
            None if data["error"] is None else str(data["error"]),
            data["result"],
        )

    def as_row(self) -> dict[str, Any]:
        """As a row of the journal's table."""
        return self.as_data() | {"result": None if self.result is None else json.dumps(self.result)}

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """What `as_row` gave.

        :raises ValueError, TypeError, LookupError: the row makes no sense.
        """
        row = _checked(row)
        return cls.from_data(row["session"], row | {"result": json.loads(row["result"]) if row["result"] else None})


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
        _check_state(self.state, SessionState)

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return _plain(vars(self))

    def as_row(self, context: str) -> dict[str, Any]:
        """As a row of the journal's table.

        :param context: the JSON of its `SessionContext`.
        """
        return self.as_data() | {"context": context}

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """:raises ValueError, TypeError, LookupError: the row makes no sense."""
        row = _checked(row)
        values = {field.name: row[field.name] for field in fields(cls)}
        values |= {"repository": Path(row["repository"]), "folder": Path(row["folder"])}
        values |= {"started": datetime.fromisoformat(row["started"])}
        return cls(**values | {"ended": datetime.fromisoformat(row["ended"]) if row["ended"] else None})


def storable(message: str | None) -> str | None:
    """`message` as the journal can store it: the name of a file in it may be no text, and is escaped."""
    return message and message.encode("utf-8", "backslashreplace").decode()


def time_text(moment: datetime) -> str:
    """In UTC, so that times can be compared as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with times and paths as text."""
    plain = dict(values)
    for name, value in values.items():
        if isinstance(value, datetime):
            plain[name] = time_text(value)
        elif isinstance(value, Path):
            plain[name] = str(value)
    return plain


def _check_state(state: str, states: Any) -> None:
    if state not in get_args(states):
        raise ValueError(f"{state!r} is none of {', '.join(get_args(states))}")


def _checked(row: Any) -> dict[str, Any]:
    """`row`, if it has no bytes in the place of a text, as a damaged one may."""
    values = dict(row)
    if any(isinstance(value, bytes) for value in values.values()):
        raise TypeError(f"bytes in the place of a text: {values}")
    return values
