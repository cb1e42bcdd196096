"""The durable record of every step of every session on this machine.

Each step is written *running* before its plugin is called and *done*, *failed* or *skipped* after; every
write is on disk before it returns (WAL, full synchronous).
"""

import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from aind_launcher.animal import now
from aind_launcher.errors import LauncherError

logger = logging.getLogger(__name__)

StepState = Literal["running", "done", "failed", "skipped"]
SessionState = Literal["running", "completed", "incomplete", "failed", "refused", "cancelled", "discarded"]
# States that `resume` has something to do for: a crash leaves *running* behind.
UNFINISHED: tuple[SessionState, ...] = ("running", "incomplete")

# One entry per schema version, applied in order; never edit one that was released.
_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE sessions (
        name TEXT PRIMARY KEY, subject TEXT NOT NULL, repository TEXT NOT NULL, folder TEXT NOT NULL,
        state TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, exit_code INTEGER, message TEXT,
        context TEXT NOT NULL
    ) STRICT;
    CREATE INDEX sessions_by_subject ON sessions (subject, started);
    CREATE TABLE steps (
        number INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (name),
        hook TEXT NOT NULL, plugin TEXT NOT NULL, suggestion TEXT NOT NULL, attempt INTEGER NOT NULL,
        state TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, error TEXT, result TEXT,
        UNIQUE (session, hook, plugin, suggestion, attempt)
    ) STRICT;
    """,
)


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

    A write that fails (a full disk, a lock that is never released) does not stop a session: the journal then
    goes on in a substitute, says so in the log, and `impaired` says why.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, impaired: str | None = None) -> None:
        self._connection = connection
        self.path = path
        self.impaired = impaired

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or make the journal; one that cannot be used is set aside and a new one is begun."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(path), path)
        except sqlite3.DatabaseError as error:
            reason = str(error)
        except OSError as error:
            logger.warning("The journal %s cannot be written (%s); it is kept in memory only.", path, error.strerror)
            return cls(_connect(":memory:"), path, f"{path}: {error.strerror}")
        substitute = path.with_name(f"{path.stem}-{now():%Y%m%dT%H%M%SZ}{path.suffix}")
        if "locked" in reason or "busy" in reason:
            logger.warning("The journal %s is locked by another program; this session is kept in %s.", path, substitute)
            return cls(_connect(substitute), substitute, f"{path} is locked")
        try:
            for suffix in ("", "-wal", "-shm"):
                damaged = path.with_name(path.name + suffix)
                if damaged.exists():
                    damaged.replace(substitute.with_name(f"{substitute.stem}-set-aside{substitute.suffix}{suffix}"))
            logger.warning("The journal %s was unreadable (%s); it was set aside and a new one begun.", path, reason)
            return cls(_connect(path), path)
        except (OSError, sqlite3.Error):
            logger.warning("The journal %s cannot be used (%s); it is kept in memory only.", path, reason)
            return cls(_connect(":memory:"), path, f"{path}: {reason}")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_session(self, name: str, subject: str, repository: Path, folder: Path, context: str) -> None:
        """Record a new session as running."""
        self._write(
            "INSERT INTO sessions (name, subject, repository, folder, state, started, context) "
            "VALUES (?, ?, ?, ?, 'running', ?, ?)",
            (name, subject, str(repository), str(folder), _time(now()), context),
        )

    def keep_context(self, name: str, context: str) -> None:
        """Replace what resuming the session starts from."""
        self._write("UPDATE sessions SET context = ? WHERE name = ?", (context, name))

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
            "UPDATE steps SET state = ?, ended = ?, error = ?, result = ? "
            "WHERE session = ? AND hook = ? AND plugin = ? AND suggestion = ? AND attempt = ?",
            (
                state,
                _time(now()),
                error,
                None if result is None else json.dumps(result, ensure_ascii=True),
                *(step.session, step.hook, step.plugin, step.suggestion, attempt),
            ),
        )

    def import_step(self, record: StepRecord) -> None:
        """Enter an attempt that a session's folder tells of."""
        self._write(
            "INSERT OR IGNORE INTO steps "
            "(session, hook, plugin, suggestion, attempt, state, started, ended, error, result) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(record.id.session, record.id.hook, record.id.plugin, record.id.suggestion),
                *(record.attempt, record.state, _time(record.started)),
                _time(record.ended) if record.ended else None,
                record.error,
                None if record.result is None else json.dumps(record.result, ensure_ascii=True),
            ),
        )

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

    def _read(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise LauncherError(
                f"The journal {self.path} cannot be read: {error}.", "Close other programs that use it and try again."
            ) from error

    def _write(self, sql: str, values: Sequence[Any]) -> None:
        try:
            with self._connection:
                self._connection.execute(sql, values)
        except sqlite3.Error as error:
            if self.impaired:
                logger.error("The journal cannot record this step: %s.", error)
                return
            self._go_on_in_memory(str(error))
            self._write(sql, values)

    def _go_on_in_memory(self, reason: str) -> None:
        """Keep the session going where the file can no longer be written."""
        self.impaired = f"{self.path}: {reason}"
        logger.warning("The journal %s cannot be written (%s); the session goes on without it.", self.path, reason)
        substitute = _connect(":memory:")
        try:
            self._connection.backup(substitute)
        except sqlite3.Error:
            logger.debug("nothing could be copied from the journal", exc_info=True)
        self._connection.close()
        self._connection = substitute


def _connect(path: Path | str) -> sqlite3.Connection:
    # Autocommit off by default in `with connection`; the busy time-out covers a reader such as `sessions list`.
    connection = sqlite3.connect(path, timeout=5, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        _migrate(connection)
        connection.execute("SELECT count(*) FROM steps").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise LauncherError(
                f"The journal was written by a newer launcher (schema {version}).", "Update aind-launcher on this rig."
            )
        for script in _MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS):d}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


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
