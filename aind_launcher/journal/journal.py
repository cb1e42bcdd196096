"""The durable record of every step of every session on this machine.

Each step is written *running* before its plugin is called and *done*, *failed* or *skipped* after; every
write is on disk before it returns (WAL, full synchronous).
"""

import errno
import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from aind_launcher.errors import LauncherError
from aind_launcher.journal.file import (
    INSERT_SESSION,
    INSERT_STEP,
    begun_anew,
    connect,
    file_of,
    is_damaged,
    merge,
    opened,
    remove,
    substitute,
)
from aind_launcher.model.clock import now

logger = logging.getLogger(__name__)

StepState = Literal["running", "done", "failed", "skipped"]
SessionState = Literal[
    "running", "completed", "incomplete", "failed", "refused", "cancelled", "interrupted", "discarded", "closed"
]
# States that `resume` has something to do for: a crash leaves *running* behind.
UNFINISHED: tuple[SessionState, ...] = ("running", "incomplete")

_SELECT_SESSION = "SELECT * FROM sessions WHERE name = ?"
_SELECT_STEPS = "SELECT * FROM steps WHERE session = ? ORDER BY number"


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

    @property
    def duration(self) -> float | None:
        """Seconds, where it has ended."""
        return (self.ended - self.started).total_seconds() if self.ended else None


@dataclass(frozen=True)
class SessionRecord:
    """A session as the journal knows it.

    :param context: the JSON of its latest `SessionContext`.
    """

    name: str
    subject: str
    repository: Path
    folder: Path
    state: SessionState
    started: datetime
    ended: datetime | None
    exit_code: int | None
    message: str | None
    context: str


class Journal:
    """The journal of one machine, in one SQLite file.

    What happens to its file does not stop a session. One that is damaged is set aside, and what can still be read of
    it goes into a new one. Where it cannot be written (a full disk, another program's lock), a substitute takes its
    place: a file in another folder or, where that cannot be written either, memory. `impaired` then says why. The
    journal takes in what a substitute has as soon as it can be written.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, elsewhere: Path | None = None, impaired: str | None = None
    ) -> None:
        self._connection = connection
        # All of the sessions that this launcher works on: a substitute begins with it, whatever became of the file.
        self._in_hand = connect(":memory:")
        self._names_in_hand = set[str]()
        self.path = path
        self.elsewhere = elsewhere
        self.impaired = impaired

    @classmethod
    def open(cls, path: Path, elsewhere: Path | None = None) -> Self:
        """Open or make the journal, or a substitute where it cannot be used.

        :param elsewhere: the folder for a substitute, best on another disk.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(opened(path, elsewhere), path, elsewhere)
        except (OSError, sqlite3.DatabaseError) as error:
            problem = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
            return cls(_said(substitute(path, elsewhere), problem), path, elsewhere, problem)

    @property
    def staging(self) -> Path:
        """The folder that has a staging folder for each session of this machine."""
        return self.path.parent / "sessions"

    def close(self) -> None:
        """Close the file; what stands in a substitute is first taken into the journal, if it can be by now."""
        kept = file_of(self._connection)
        if self.impaired and self._names_in_hand:
            try:
                with closing(connect(self.path)) as home:
                    merge(self._in_hand, home)
                self.impaired = None
                logger.warning("The journal %s can be written again and is complete.", self.path)
            except (OSError, sqlite3.Error, LauncherError) as error:
                where = f"it is in {kept}" if kept else "`aind-launch resume` learns it from the session's folder"
                logger.error("The journal %s lacks the end of this session (%s); %s.", self.path, error, where)
        self._connection.close()
        self._in_hand.close()
        if kept and kept != self.path and not self.impaired:
            remove(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep_session(self, name: str, subject: str, repository: Path, folder: Path, context: str) -> None:
        """Record a session as running, new or again, with what resuming it starts from."""
        self._write(
            "INSERT INTO sessions (name, subject, repository, folder, state, started, context) "
            "VALUES (?, ?, ?, ?, 'running', ?, ?) ON CONFLICT DO UPDATE SET "
            "context = excluded.context, state = 'running', ended = NULL, exit_code = NULL, message = NULL",
            (name, subject, str(repository), str(folder), _time(now()), context),
            name,
        )

    def end_session(self, name: str, state: SessionState, exit_code: int, message: str | None = None) -> None:
        self._write(
            "UPDATE sessions SET state = ?, ended = ?, exit_code = ?, message = ? WHERE name = ?",
            (state, _time(now()), exit_code, message, name),
            name,
        )

    def begin_step(self, step: StepId) -> int:
        """Record a new attempt as running.

        :return: its number, from 1.
        :raises OSError: no file can be written. What began now would be begun again: nobody would know of it.
        """
        previous = self.last_attempt(step)
        attempt = previous.attempt + 1 if previous else 1
        self._write(
            "INSERT INTO steps (session, hook, plugin, key, attempt, state, started) "
            "VALUES (?, ?, ?, ?, ?, 'running', ?)",
            (step.session, step.hook, step.plugin, step.key, attempt, _time(now())),
            step.session,
        )
        if self.impaired and file_of(self._connection) is None:
            self._write(
                "DELETE FROM steps WHERE session = ? AND hook = ? AND plugin = ? AND key = ? AND attempt = ?",
                (step.session, step.hook, step.plugin, step.key, attempt),
                step.session,
            )
            raise OSError(errno.EIO, f"{self.impaired.partition(': ')[2]}, nor can a file in its place", str(self.path))
        return attempt

    def end_step(
        self, step: StepId, attempt: int, state: StepState, *, error: str | None = None, result: Any = None
    ) -> None:
        self._write(
            # The file that had its beginning may have been lost meanwhile.
            f"{INSERT_STEP.replace('OR REPLACE', '')} "
            "ON CONFLICT DO UPDATE SET state = :state, ended = :ended, error = :error, result = :result",
            _step_row(StepRecord(step, attempt, state, (ended := now()), ended, error, result)),
            step.session,
        )

    def import_session(self, record: SessionRecord, steps: Sequence[StepRecord]) -> None:
        """Enter what another record tells of a session: its entry, and steps beside or in the place of those known.

        :raises LauncherError: they cannot be written; nothing was entered then.
        """
        try:
            with self._connection as connection:
                connection.execute(INSERT_SESSION, _session_row(record))
                connection.executemany(INSERT_STEP, map(_step_row, steps))
            self._names_in_hand.discard(record.name)
        except sqlite3.Error as error:
            raise LauncherError(
                f"Session {record.name} cannot be written to the journal {self.path}: {error}.",
                "Free the disk, or close other programs that use the journal, and try again.",
            ) from error

    def last_attempt(self, step: StepId) -> StepRecord | None:
        rows = self._read(
            "SELECT * FROM steps WHERE session = ? AND hook = ? AND plugin = ? AND key = ? "
            "ORDER BY attempt DESC LIMIT 1",
            (step.session, step.hook, step.plugin, step.key),
            step.session,
        )
        return _step(rows[0]) if rows else None

    def steps(self, session: str) -> tuple[StepRecord, ...]:
        """Every attempt at every step of a session, in the order in which they began."""
        rows = self._read(_SELECT_STEPS, (session,), session)
        return tuple(map(_step, rows))

    def current_steps(self, session: str) -> tuple[StepRecord, ...]:
        """The last attempt at each step of a session, in the order in which the steps first began."""
        latest: dict[StepId, StepRecord] = {}
        for record in self.steps(session):
            latest[record.id] = record
        return tuple(latest.values())

    def session(self, name: str) -> SessionRecord | None:
        rows = self._read(_SELECT_SESSION, (name,), name)
        return _session(rows[0]) if rows else None

    def names(self) -> frozenset[str]:
        """Of all sessions."""
        return frozenset(name for (name,) in self._read("SELECT name FROM sessions", ()))

    def sessions(
        self, *, subject: str | None = None, states: Sequence[str] | None = None, since: datetime | None = None
    ) -> tuple[SessionRecord, ...]:
        """Sessions, oldest first."""
        found = map(_session, self._read("SELECT * FROM sessions ORDER BY started, name", ()))
        return tuple(
            record
            for record in found
            if (subject is None or record.subject == subject)
            and (states is None or record.state in states)
            and (since is None or record.started >= since)
        )

    def _take_in_hand(self, session: str) -> None:
        """Have in memory what the file knows of a session that is to be changed."""
        if session in self._names_in_hand:
            return
        for select, insert in ((_SELECT_SESSION, INSERT_SESSION), (_SELECT_STEPS, INSERT_STEP)):
            rows = map(dict, self._read(select, (session,)))
            with self._in_hand:
                self._in_hand.executemany(insert, rows)
        self._names_in_hand.add(session)

    def _read(self, sql: str, values: Sequence[Any], session: str | None = None) -> list[sqlite3.Row]:
        """:param session: the one that is read, which is in memory if it is in hand."""
        try:
            connection = self._in_hand if session in self._names_in_hand else self._connection
            return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            if is_damaged(error) and not self.impaired:
                self._go_on_elsewhere(error)
                return self._read(sql, values, session)
            raise LauncherError(
                f"The journal {self.path} cannot be read: {error}.", "Close other programs that use it and try again."
            ) from error

    def _write(self, sql: str, values: Sequence[Any] | dict[str, Any], session: str) -> None:
        self._take_in_hand(session)
        with self._in_hand:
            self._in_hand.execute(sql, values)
        try:
            with self._connection:
                self._connection.execute(sql, values)
        except sqlite3.Error as error:
            self._go_on_elsewhere(error)

    def _go_on_elsewhere(self, error: sqlite3.Error) -> None:
        """Go on with what is in hand where the file can no longer be used."""
        is_substitute = self.impaired is not None
        self._connection.close()
        if is_damaged(error) and not is_substitute:
            try:
                self._connection = begun_anew(self.path, str(error))
                merge(self._in_hand, self._connection)
                return
            except (OSError, sqlite3.Error):
                logger.debug("no new journal could be begun", exc_info=True)
        self.impaired = f"{self.path}: {error}"
        self._connection = _said(substitute(self.path, None if is_substitute else self.elsewhere), self.impaired)
        merge(self._in_hand, self._connection)


def _said(connection: sqlite3.Connection, problem: str) -> sqlite3.Connection:
    """`connection`, a substitute, once the operator was told of it."""
    where = file_of(connection) or "memory only"
    logger.warning("The journal cannot be written (%s); the session is recorded in %s.", problem, where)
    return connection


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _session(row: sqlite3.Row) -> SessionRecord:
    values = dict(row) | {"repository": Path(row["repository"]), "folder": Path(row["folder"])}
    return SessionRecord(**values | {"started": _moment(row["started"]), "ended": _moment(row["ended"])})


def _step(row: sqlite3.Row) -> StepRecord:
    return StepRecord(
        StepId(row["session"], row["hook"], row["plugin"], row["key"]),
        row["attempt"],
        row["state"],
        datetime.fromisoformat(row["started"]),
        _moment(row["ended"]),
        row["error"],
        json.loads(row["result"]) if row["result"] else None,
    )


def _session_row(record: SessionRecord) -> dict[str, Any]:
    ended = _time(record.ended) if record.ended else None
    places = {"repository": str(record.repository), "folder": str(record.folder)}
    return vars(record) | places | {"started": _time(record.started), "ended": ended}


def _step_row(record: StepRecord) -> dict[str, Any]:
    return vars(record.id) | {
        "attempt": record.attempt,
        "state": record.state,
        "started": _time(record.started),
        "ended": _time(record.ended) if record.ended else None,
        "error": record.error,
        "result": None if record.result is None else json.dumps(record.result, ensure_ascii=True),
    }
