"""The journal's file: how it is opened, brought up to date, set aside when damaged, and merged with a substitute."""

import hashlib
import logging
import os
import platform
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from aind_launcher.errors import LauncherError, Refused
from aind_launcher.model.clock import now
from aind_launcher.system.files import move
from aind_launcher.system.rig import living_holder

logger = logging.getLogger(__name__)

# Seconds to wait for a reader such as `sessions list`.
PATIENCE = 5

# What makes a record of a table's row; it raises where the row makes no sense.
Readers = Mapping[str, Callable[[Any], object]]
# What is raised where a file, or a row of it, is damaged.
UNREADABLE = (sqlite3.Error, ValueError, TypeError, LookupError)

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
    "ALTER TABLE steps RENAME COLUMN suggestion TO key",
    # Times are compared as text from here on, so all are in UTC.
    """
    UPDATE sessions SET started = coalesce(strftime('%Y-%m-%dT%H:%M:%f000+00:00', started), started)
        WHERE started NOT LIKE '%+00:00';
    CREATE INDEX sessions_by_start ON sessions (started, name);
    CREATE INDEX sessions_by_state ON sessions (state, started);
    """,
)

INSERT_SESSION = """
    INSERT OR REPLACE INTO sessions
        (name, subject, repository, folder, state, started, ended, exit_code, message, context)
    VALUES (:name, :subject, :repository, :folder, :state, :started, :ended, :exit_code, :message, :context)
"""
# A step that has ended is never replaced.
INSERT_STEP = """
    INSERT INTO steps (session, hook, plugin, key, attempt, state, started, ended, error, result)
    VALUES (:session, :hook, :plugin, :key, :attempt, :state, :started, :ended, :error, :result)
    ON CONFLICT DO UPDATE SET state = excluded.state, ended = excluded.ended, error = excluded.error,
        result = excluded.result WHERE steps.ended IS NULL
"""
_LAST_CHANGE = """
    SELECT max(max(started, coalesce(ended, started))) FROM
        (SELECT started, ended FROM sessions WHERE name = :name
         UNION ALL SELECT started, ended FROM steps WHERE session = :name)
"""


def opened(path: Path, elsewhere: Path | None, readers: Readers) -> sqlite3.Connection:
    """The journal at `path`, with what its substitutes in the folder `elsewhere` have.

    :raises sqlite3.DatabaseError: it cannot be used now, or cannot take in a substitute.
    """
    try:
        connection = connect(path)
    except UNREADABLE as error:
        if not is_damaged(error):
            raise
        connection = begun_anew(path, str(error), readers)
    try:
        for file in sorted(elsewhere.glob(_substitute_name(path, "*"))) if elsewhere else ():
            _take_in(connection, file, readers, of_living=living_holder(path.parent) is not None)
    except BaseException:
        connection.close()
        raise
    return connection


def _take_in(journal: sqlite3.Connection, file: Path, readers: Readers, *, of_living: bool) -> None:
    """Merge a substitute and remove it.

    :param of_living: a launcher is at work on this machine; what it has locked is left to it.
    """
    try:
        source = connect(file, alone=True, patience=0 if of_living else PATIENCE)
    except UNREADABLE as error:
        if of_living and _code(error) == sqlite3.SQLITE_BUSY:
            return
        raise sqlite3.OperationalError(f"{file}, which has what it lacks, cannot be read: {error}") from error
    with closing(source):
        is_whole = source.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        merge(source, journal, readers)
    if not is_whole:
        aside = file.with_suffix(".damaged")
        move(file, aside)
        logger.warning("%s was damaged; what could be read is in the journal, and the file is now %s.", file, aside)
        return
    remove(file)
    logger.warning("The journal has taken in what had to be recorded in %s.", file)


def substitute(path: Path, elsewhere: Path | None) -> sqlite3.Connection:
    """What takes the place of the journal at `path`: a new file in the folder `elsewhere`, or else memory."""
    if elsewhere is not None:
        with suppress(OSError, sqlite3.Error):
            elsewhere.mkdir(parents=True, exist_ok=True)
            file = elsewhere / _substitute_name(path, f"{now():%Y%m%dT%H%M%S.%fZ}")
            # The next operator may have another login.
            file.touch(mode=0o666)
            return connect(file, alone=True)
    return connect(":memory:")


def _substitute_name(path: Path, which: str) -> str:
    """The name of a substitute of the journal at `path`; other machines may write into the same folder."""
    owner = hashlib.sha256(f"{platform.node()}:{path.absolute()}".encode()).hexdigest()[:12]
    return f".aind-launcher-journal-{owner}-{which}.sqlite"


def file_of(connection: sqlite3.Connection) -> Path | None:
    """The file of a connection; None for one in memory."""
    (file,) = (file for _, name, file in connection.execute("PRAGMA database_list") if name == "main")
    return Path(file) if file else None


def remove(file: Path) -> None:
    """Remove a substitute, with the files that SQLite may have left beside it."""
    for suffix in ("-wal", "-shm", ""):
        with suppress(OSError):
            file.with_name(file.name + suffix).unlink(missing_ok=True)


def begun_anew(path: Path, reason: str, readers: Readers) -> sqlite3.Connection:
    """A new journal at `path`; the damaged one is set aside, and what can be read of it is taken over.

    :raises LauncherError: another launcher is at work, and writes into the file under whatever name.
    """
    holder = living_holder(path.parent)
    if holder and holder["process"] != os.getpid():
        raise LauncherError(
            f"The journal {path} is damaged ({reason}), and another launcher uses it.", "Try again when it has ended."
        )
    aside = path.with_name(f"{path.stem}-{now():%Y%m%dT%H%M%S.%fZ}-set-aside{path.suffix}")
    for suffix in ("", "-wal", "-shm"):
        damaged = path.with_name(path.name + suffix)
        if damaged.exists():
            move(damaged, aside.with_name(aside.name + suffix))
    logger.warning(
        "The journal %s was unreadable (%s); it was set aside as %s and a new one begun.", path, reason, aside
    )
    connection = connect(path)
    with suppress(*UNREADABLE), closing(sqlite3.connect(aside)) as source:
        source.row_factory = sqlite3.Row
        source.text_factory = lambda text: text.decode("utf-8", "replace")
        merge(source, connection, readers)
    return connection


def merge(source: sqlite3.Connection, target: sqlite3.Connection, readers: Readers) -> None:
    """Add to `target` what `source` has, but for what is older; of a damaged one as much as can be read."""
    unreadable = 0
    with target:
        for table, insert in (("sessions", INSERT_SESSION), ("steps", INSERT_STEP)):
            for row in _readable(source, table):
                try:
                    # As it was called in the first schema, which a damaged file may still have.
                    row = {"key": row.get("suggestion"), **row}
                    readers[table](row)
                    if table == "steps" or _last_change(source, row["name"]) >= _last_change(target, row["name"]):
                        target.execute(insert, row)
                except (sqlite3.IntegrityError, ValueError, TypeError, LookupError):
                    logger.debug("a damaged row of %s", table, exc_info=True)
                    unreadable += 1
    if unreadable:
        logger.warning("%d entries of the journal were unreadable and are lost.", unreadable)


def _readable(source: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """The rows that can be read, in their order: from both ends up to where the file is damaged."""
    rows: dict[int, dict[str, Any]] = {}
    for order in ("ASC", "DESC"):
        with suppress(*UNREADABLE):
            select = f"SELECT rowid AS position, * FROM {table} ORDER BY rowid {order}"  # noqa: S608 - our own names
            for row in source.execute(select):
                if row["position"] in rows:
                    break
                rows[row["position"]] = dict(row)
    return [rows[position] for position in sorted(rows)]


def _last_change(connection: sqlite3.Connection, session: str) -> str:
    """When a session was last changed; "" where it is unknown, or cannot be told of a damaged file."""
    with suppress(*UNREADABLE):
        return connection.execute(_LAST_CHANGE, {"name": session}).fetchone()[0] or ""
    return ""


def is_damaged(error: Exception) -> bool:
    """Whether the file is no journal, is torn, lacks the journal's tables, or has a row that makes no sense."""
    if isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode"):
        # Python's own: a text that cannot be decoded.
        return True
    if not isinstance(error, sqlite3.Error):
        return True
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _code(error: Exception) -> int:
    # Extended codes have the plain one in their lowest byte.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def connect(path: Path | str, *, alone: bool = False, patience: float | None = None) -> sqlite3.Connection:
    """Open or make a journal.

    :param alone: keep everybody else out as long as the connection lives.
    :param patience: seconds to wait for others, where they are not `PATIENCE`.
    """
    timeout = PATIENCE if patience is None else patience
    connection = sqlite3.connect(path, timeout=timeout, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        _migrate(connection)
        connection.execute("SELECT 1 FROM steps LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise Refused(
                f"The journal was written by a newer launcher (schema {version}).", "Update aind-launcher on this rig."
            )
        for script in _MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        if version < len(_MIGRATIONS):
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
