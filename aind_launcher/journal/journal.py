"""The durable record of every step of every session on this machine.

Each step is written *running* before its plugin is called and *done*, *failed* or *skipped* after; every
write is on disk before it returns (WAL, full synchronous).
"""

import errno
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

from aind_launcher.errors import LauncherError
from aind_launcher.journal.file import (
    INSERT_SESSION,
    INSERT_STEP,
    UNREADABLE,
    begun_anew,
    connect,
    file_of,
    is_damaged,
    merge,
    opened,
    remove,
    substitute,
)
from aind_launcher.journal.records import UNFINISHED, SessionRecord, SessionState, StepId, StepRecord, StepState
from aind_launcher.model.clock import now

__all__ = ["READERS", "UNFINISHED", "Journal", "SessionRecord", "SessionState", "StepId", "StepRecord", "StepState"]

logger = logging.getLogger(__name__)

Read = TypeVar("Read")

# Without contexts, which fill most of the file.
_SELECT_RECORDS = "SELECT name, subject, repository, folder, state, started, ended, exit_code, message FROM sessions"
_SELECT_SESSION = "SELECT * FROM sessions WHERE name = ?"
_SELECT_STEPS = "SELECT * FROM steps WHERE session = ? ORDER BY number"


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
        self.impaired = impaired
        self._elsewhere = elsewhere
        # Those that this launcher made; None until it needs one.
        self._substitutes: list[Path] | None = None

    @classmethod
    def open(cls, path: Path, elsewhere: Path | None = None) -> Self:
        """Open or make the journal, or a substitute where it cannot be used.

        :param elsewhere: the folder for a substitute, best on another disk.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(opened(path, elsewhere, READERS), path, elsewhere)
        except (OSError, sqlite3.DatabaseError) as error:
            problem = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
            return cls(connect(":memory:"), path, elsewhere, problem)

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
                    merge(self._in_hand, home, READERS)
                self.impaired = None
                logger.warning("The journal %s can be written again and has this session.", self.path)
            except (OSError, sqlite3.Error, LauncherError) as error:
                where = f"it is in {kept}" if kept else "`aind-launch resume` learns it from the session's folder"
                logger.error("The journal %s lacks the end of this session (%s); %s.", self.path, error, where)
        self._connection.close()
        self._in_hand.close()
        if not self.impaired:
            for file in self._substitutes or ():
                remove(file)

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
        # The file that had its beginning may have been lost meanwhile.
        self._write(
            INSERT_STEP,
            _step_row(StepRecord(step, attempt, state, (ended := now()), ended, error, result)),
            step.session,
        )

    def import_session(self, record: SessionRecord, context: str, steps: Sequence[StepRecord]) -> None:
        """Enter what another record tells of a session: its entry, and steps beside or in the place of those known.

        :param context: the JSON of its `SessionContext`.
        :raises LauncherError: they cannot be written; nothing was entered then.
        """
        try:
            with self._connection as connection:
                connection.execute(INSERT_SESSION, _session_row(record, context))
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
            _step,
            step.session,
        )
        return rows[0] if rows else None

    def steps(self, session: str) -> tuple[StepRecord, ...]:
        """Every attempt at every step of a session, in the order in which they began."""
        return tuple(self._read(_SELECT_STEPS, (session,), _step, session))

    def current_steps(self, session: str) -> tuple[StepRecord, ...]:
        """The last attempt at each step of a session, in the order in which the steps first began."""
        latest: dict[StepId, StepRecord] = {}
        for record in self.steps(session):
            latest[record.id] = record
        return tuple(latest.values())

    def session(self, name: str) -> SessionRecord | None:
        rows = self._read(f"{_SELECT_RECORDS} WHERE name = ?", (name,), _session, name)
        return rows[0] if rows else None

    def context(self, name: str) -> str:
        """The JSON of a session's latest `SessionContext`.

        :raises LauncherError: the journal has no such session.
        """
        for context in self._read(_SELECT_SESSION, (name,), lambda row: str(row["context"]), name):
            return context
        raise LauncherError(
            f"The journal {self.path} has no session {name}.",
            "`aind-launch sessions import FOLDER` brings it back from its folder.",
        )

    def names(self) -> frozenset[str]:
        """Of all sessions."""
        return frozenset(self._read("SELECT name FROM sessions", (), lambda row: str(row["name"])))

    def sessions(
        self,
        *,
        subject: str | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        last: int | None = None,
    ) -> tuple[SessionRecord, ...]:
        """Sessions, oldest first.

        :param states: any of these; all where it is empty.
        :param last: only the newest so many.
        """
        wanted: dict[str, Sequence[str]] = {f"state IN ({', '.join('?' * len(states))})": states}
        if subject is not None:
            wanted["subject = ?"] = [subject]
        if since is not None:
            wanted["started >= ?"] = [_time(since)]
        where = " AND ".join(condition for condition, values in wanted.items() if values) or "TRUE"
        rows = self._read(
            f"{_SELECT_RECORDS} WHERE {where} ORDER BY started DESC, name DESC LIMIT ?",
            (*chain(*wanted.values()), -1 if last is None else last),
            _session,
        )
        return tuple(reversed(rows))

    def _take_in_hand(self, session: str) -> None:
        """Have in memory what the file knows of a session that is to be changed."""
        if session in self._names_in_hand:
            return
        for select, table, insert in (
            (_SELECT_SESSION, "sessions", INSERT_SESSION),
            (_SELECT_STEPS, "steps", INSERT_STEP),
        ):
            rows = self._read(select, (session,), partial(_sound, table))
            with self._in_hand:
                self._in_hand.executemany(insert, rows)
        self._names_in_hand.add(session)

    def _read(
        self, sql: str, values: Sequence[Any], read: Callable[[sqlite3.Row], Read], session: str | None = None
    ) -> list[Read]:
        """What `read` makes of each row; a `session` that is in hand is read from memory."""
        try:
            connection = self._in_hand if session in self._names_in_hand else self._connection
            # A statement that is not done with keeps the file open, and Windows then lets nobody rename it.
            with closing(connection.execute(sql, values)) as rows:
                return [read(row) for row in rows]
        except UNREADABLE as error:
            if is_damaged(error) and not self.impaired:
                self._go_on_elsewhere(error)
                return self._read(sql, values, read, session)
            raise LauncherError(
                f"The journal {self.path} cannot be read: {error}.", "Close other programs that use it and try again."
            ) from error

    def _write(self, sql: str, values: Sequence[Any] | dict[str, Any], session: str) -> None:
        self._take_in_hand(session)
        with self._in_hand:
            self._in_hand.execute(sql, values)
        if self.impaired and self._substitutes is None:
            self._begin_substitute()
            return
        try:
            with self._connection:
                self._connection.execute(sql, values)
        except sqlite3.Error as error:
            self._go_on_elsewhere(error)

    def _go_on_elsewhere(self, error: Exception) -> None:
        """Go on with what is in hand where the file can no longer be used."""
        self._connection.close()
        if is_damaged(error) and not self.impaired:
            try:
                self._connection = begun_anew(self.path, str(error), READERS)
                merge(self._in_hand, self._connection, READERS)
                return
            except (OSError, sqlite3.Error):
                logger.debug("no new journal could be begun", exc_info=True)
        self.impaired = f"{self.path}: {error}"
        self._begin_substitute()

    def _begin_substitute(self) -> None:
        """Record from now on in a file elsewhere or, where there was one or that disk is full too, in memory."""
        self._connection.close()
        self._connection = substitute(self.path, self._elsewhere if self._substitutes is None else None)
        file = file_of(self._connection)
        self._substitutes = [*(self._substitutes or ()), *([file] if file else ())]
        try:
            merge(self._in_hand, self._connection, READERS)
        except sqlite3.Error:
            return self._begin_substitute()
        where = file or "memory only"
        logger.warning("The journal cannot be written (%s); the session is recorded in %s.", self.impaired, where)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _session(row: sqlite3.Row) -> SessionRecord:
    values = {field.name: row[field.name] for field in fields(SessionRecord)}
    values |= {"repository": Path(row["repository"]), "folder": Path(row["folder"])}
    return SessionRecord(**values | {"started": datetime.fromisoformat(row["started"]), "ended": _moment(row["ended"])})


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


def _sound(table: str, row: sqlite3.Row) -> dict[str, Any]:
    """`row` as it is, if a record can be made of it."""
    READERS[table](row)
    if any(isinstance(value, bytes) for value in row):
        raise TypeError(f"a row of {table} has bytes for a text")
    return dict(row)


def _session_row(record: SessionRecord, context: str) -> dict[str, Any]:
    ended = _time(record.ended) if record.ended else None
    places = {"repository": str(record.repository), "folder": str(record.folder)}
    return vars(record) | places | {"started": _time(record.started), "ended": ended, "context": context}


def _step_row(record: StepRecord) -> dict[str, Any]:
    return vars(record.id) | {
        "attempt": record.attempt,
        "state": record.state,
        "started": _time(record.started),
        "ended": _time(record.ended) if record.ended else None,
        "error": record.error,
        "result": None if record.result is None else json.dumps(record.result, ensure_ascii=True),
    }


READERS = {"sessions": _session, "steps": _step}
