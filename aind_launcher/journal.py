"""The durable record of every step of every session on this machine.

Each step is written *running* before its plugin is called and *done*, *failed* or *skipped* after; every
write is on disk before it returns (WAL, full synchronous).
"""

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from aind_launcher.animal import now
from aind_launcher.errors import LauncherError
from aind_launcher.journal_file import (
    INSERT_SESSION,
    INSERT_STEP,
    begun_anew,
    beside,
    connect,
    is_damaged,
    is_locked,
    merge,
    opened,
)

logger = logging.getLogger(__name__)

StepState = Literal["running", "done", "failed", "skipped"]
SessionState = Literal[
    "running", "completed", "incomplete", "failed", "refused", "cancelled", "interrupted", "discarded", "closed"
]
# States that `resume` has something to do for: a crash leaves *running* behind.
UNFINISHED: tuple[SessionState, ...] = ("running", "incomplete")


@dataclass(frozen=True)
class StepId:
    """What makes a step the same step when it is run again.

    :param suggestion: the suggestion's digest (for a hand-off, its number); "" where there is none.
    """

    session: str
    hook: str
    plugin: str
    suggestion: str = ""


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

    What happens to its file does not stop a session. One that is damaged is set aside and what can still be read
    of it goes into a new one. Where it cannot be written (a full disk, another program's lock), a substitute takes
    its place, `impaired` says why, and what the substitute has comes back as soon as the journal can be written.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, impaired: str | None = None) -> None:
        self._connection = connection
        self.path = path
        self.impaired = impaired

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or make the journal, or a substitute where it cannot be used."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(opened(path), path)
        except sqlite3.DatabaseError as error:
            reason = str(error)
            if is_locked(error):
                substitute = beside(path, "substitute")
                logger.warning("The journal %s is locked by another program; going on in %s.", path, substitute)
                with suppress(OSError, sqlite3.Error):
                    return cls(connect(substitute, alone=True), substitute, f"{path} is locked")
        except OSError as error:
            reason = error.strerror or str(error)
        logger.warning("The journal %s cannot be used (%s); it is kept in memory only.", path, reason)
        return cls(connect(":memory:"), path, f"{path}: {reason}")

    def close(self) -> None:
        """Close the file; what is only in memory is first written into it, if it can be by now."""
        if self.impaired and self._in_memory() and self.sessions():
            try:
                with closing(opened(self.path)) as home:
                    merge(self._connection, home)
                self.impaired = None
                logger.warning("The journal %s can be written again and is complete.", self.path)
            except (OSError, sqlite3.Error, LauncherError) as error:
                logger.error(
                    "The journal %s lacks the end of this session (%s). It can be rebuilt from the session's folder: "
                    "`aind-launch sessions import FOLDER`.",
                    *(self.path, error),
                )
        self._connection.close()

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
        )

    def end_session(self, name: str, state: SessionState, exit_code: int, message: str | None = None) -> None:
        self._write(
            "UPDATE sessions SET state = ?, ended = ?, exit_code = ?, message = ? WHERE name = ?",
            (state, _time(now()), exit_code, message, name),
        )

    def begin_step(self, step: StepId) -> int:
        """Record a new attempt as running.

        :return: its number, from 1.
        """
        previous = self.last_attempt(step)
        attempt = previous.attempt + 1 if previous else 1
        self._write(
            "INSERT INTO steps (session, hook, plugin, suggestion, attempt, state, started) "
            "VALUES (?, ?, ?, ?, ?, 'running', ?)",
            (step.session, step.hook, step.plugin, step.suggestion, attempt, _time(now())),
        )
        return attempt

    def end_step(
        self, step: StepId, attempt: int, state: StepState, *, error: str | None = None, result: Any = None
    ) -> None:
        self._write(
            # The file that had its beginning may have been lost meanwhile.
            f"{INSERT_STEP.replace('OR REPLACE', '')} "
            "ON CONFLICT DO UPDATE SET state = :state, ended = :ended, error = :error, result = :result",
            _step_row(StepRecord(step, attempt, state, (ended := now()), ended, error, result)),
        )

    def import_session(self, record: SessionRecord, steps: Sequence[StepRecord]) -> None:
        """Enter a session and its steps as its folder tells of them.

        :raises LauncherError: they cannot be written; nothing was entered then.
        """
        try:
            with self._connection as connection:
                connection.execute(INSERT_SESSION, _session_row(record))
                connection.executemany(INSERT_STEP, map(_step_row, steps))
        except sqlite3.Error as error:
            raise LauncherError(
                f"Session {record.name} cannot be written to the journal {self.path}: {error}.",
                "Free the disk, or close other programs that use the journal, and try again.",
            ) from error

    def last_attempt(self, step: StepId) -> StepRecord | None:
        rows = self._read(
            "SELECT * FROM steps WHERE session = ? AND hook = ? AND plugin = ? AND suggestion = ? "
            "ORDER BY attempt DESC LIMIT 1",
            (step.session, step.hook, step.plugin, step.suggestion),
        )
        return _step(rows[0]) if rows else None

    def steps(self, session: str) -> tuple[StepRecord, ...]:
        """Every attempt at every step of a session, in the order in which they began."""
        return tuple(map(_step, self._read("SELECT * FROM steps WHERE session = ? ORDER BY number", (session,))))

    def current_steps(self, session: str) -> tuple[StepRecord, ...]:
        """The last attempt at each step of a session, in the order in which the steps first began."""
        latest: dict[StepId, StepRecord] = {}
        for record in self.steps(session):
            latest[record.id] = record
        return tuple(latest.values())

    def session(self, name: str) -> SessionRecord | None:
        rows = self._read("SELECT * FROM sessions WHERE name = ?", (name,))
        return _session(rows[0]) if rows else None

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

    def _in_memory(self) -> bool:
        ((_, _, file),) = self._connection.execute("PRAGMA database_list")
        return not file

    def _read(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            if is_damaged(error) and not self.impaired:
                self._go_on_elsewhere(error)
                return self._read(sql, values)
            raise LauncherError(
                f"The journal {self.path} cannot be read: {error}.", "Close other programs that use it and try again."
            ) from error

    def _write(self, sql: str, values: Sequence[Any] | dict[str, Any]) -> None:
        try:
            with self._connection:
                self._connection.execute(sql, values)
        except sqlite3.Error as error:
            if self.impaired:
                logger.error("The journal cannot record this step: %s.", error)
                return
            self._go_on_elsewhere(error)
            self._write(sql, values)

    def _go_on_elsewhere(self, error: sqlite3.Error) -> None:
        """Keep the session going where the file can no longer be used."""
        substitute = connect(":memory:")
        merge(self._connection, substitute)
        self._connection.close()
        self._connection = substitute
        if is_damaged(error):
            try:
                self._connection = begun_anew(self.path, str(error))
                merge(substitute, self._connection)
                return
            except (OSError, sqlite3.Error):
                logger.debug("no new journal could be begun", exc_info=True)
        self.impaired = f"{self.path}: {error}"
        logger.warning("The journal %s cannot be written (%s); the session goes on without it.", self.path, error)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _session(row: sqlite3.Row) -> SessionRecord:
    values = dict(row) | {"repository": Path(row["repository"]), "folder": Path(row["folder"])}
    return SessionRecord(**values | {"started": _moment(row["started"]), "ended": _moment(row["ended"])})


def _step(row: sqlite3.Row) -> StepRecord:
    return StepRecord(
        StepId(row["session"], row["hook"], row["plugin"], row["suggestion"]),
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
