"""The journal's file: how it is opened, brought up to date, set aside when damaged, and merged with a substitute."""

import hashlib
import logging
import os
import platform
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from aind_launcher.errors import LauncherError, Refused
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.model.clock import now
from aind_launcher.system.files import make_folder, move, share
from aind_launcher.system.rig import living_holder

logger = logging.getLogger(__name__)

# Seconds to wait for a reader such as `sessions list`.
LOCK_TIMEOUT = 5

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


def checked_session(row: Any) -> dict[str, Any]:
    """A row of sessions, if a record can be made of it; raises what `UNREADABLE` lists."""
    return SessionRecord.from_row(row).as_row(row["context"])


def checked_step(row: Any) -> dict[str, Any]:
    """A row of steps, if a record can be made of it; raises what `UNREADABLE` lists."""
    return StepRecord.from_row(row).as_row()


def opened(path: Path, elsewhere: Path | None) -> sqlite3.Connection:
    """The journal at `path`, with what its substitutes in the folder `elsewhere` have.

    :raises sqlite3.DatabaseError: it cannot be used now, or cannot take in a substitute.
    """
    try:
        connection = connect(path)
    except UNREADABLE as error:
        if not is_damaged(error):
            raise
        connection = begun_anew(path, str(error))
    try:
        for file in sorted(elsewhere.glob(substitute_name(path, "*"))) if elsewhere else ():
            _take_in(connection, file, of_living=living_holder(path.parent) is not None)
    except BaseException:
        connection.close()
        raise
    return connection


def _take_in(journal: sqlite3.Connection, file: Path, *, of_living: bool) -> None:
    """Merge a substitute and remove it.

    :param of_living: a launcher is at work on this machine; what it has locked is left to it.
    """
    try:
        source = connect(file, alone=True, waits=not of_living)
    except UNREADABLE as error:
        if of_living and _code(error) == sqlite3.SQLITE_BUSY:
            return
        raise sqlite3.OperationalError(f"{file}, which has what it lacks, cannot be read: {error}") from error
    with closing(source):
        is_whole = source.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        merge(source, journal)
    if not is_whole:
        aside = file.with_suffix(".damaged")
        move(file, aside)
        logger.warning("%s was damaged; what could be read is in the journal, and the file is now %s.", file, aside)
        return
    remove(file)
    logger.warning("The journal has taken in what had to be recorded in %s.", file)


def substitute_name(path: Path, which: str) -> str:
    """The name of a substitute of the journal at `path`; other machines may write into the same folder."""
    owner = hashlib.sha256(f"{platform.node()}:{path.absolute()}".encode()).hexdigest()[:12]
    return f".aind-launcher-journal-{owner}-{which}.sqlite"


def begun_substitute(file: Path) -> sqlite3.Connection:
    """A new substitute, which no other launcher takes in as long as it is open."""
    make_folder(file.parent)
    # The next operator may have another login.
    file.touch(mode=0o666)
    return connect(file, alone=True)


def remove(file: Path) -> None:
    """Remove a substitute, with what SQLite leaves beside it where the disk is full."""
    for suffix in ("-wal", "-shm", ""):
        with suppress(OSError):
            file.with_name(file.name + suffix).unlink(missing_ok=True)


def begun_anew(path: Path, reason: str) -> sqlite3.Connection:
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
    with suppress(*UNREADABLE), closing(_connection(aside)) as source:
        merge(source, connection)
    return connection


def merge(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Add to `target` what `source` has, but for what is older; of a damaged one as much as can be read."""
    unreadable = 0
    with target:
        for table, checked, insert in (
            ("sessions", checked_session, INSERT_SESSION),
            ("steps", checked_step, INSERT_STEP),
        ):
            for raw in _readable(source, table):
                try:
                    row = checked(raw)
                    if table == "steps" or _last_change(source, row["name"]) >= _last_change(target, row["name"]):
                        target.execute(insert, row)
                except (sqlite3.IntegrityError, ValueError, TypeError, LookupError):
                    logger.debug("a damaged row of %s", table, exc_info=True)
                    unreadable += 1
    if unreadable:
        logger.warning("%d entries of the journal were unreadable and are lost.", unreadable)


def _readable(source: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    """The rows that can be read, in their order: from both ends up to where the file is damaged."""
    rows: dict[int, sqlite3.Row] = {}
    for order in ("ASC", "DESC"):
        with suppress(*UNREADABLE):
            select = f"SELECT rowid AS position, * FROM {table} ORDER BY rowid {order}"  # noqa: S608 - our own names
            for row in source.execute(select):
                if row["position"] in rows:
                    break
                rows[row["position"]] = row
    return [rows[position] for position in sorted(rows)]


def _last_change(connection: sqlite3.Connection, session: str) -> str:
    """When a session was last changed; "" where it is unknown, or a damaged file does not tell."""
    with suppress(*UNREADABLE):
        return connection.execute(_LAST_CHANGE, {"name": session}).fetchone()[0] or ""
    return ""


def is_damaged(error: Exception) -> bool:
    """Whether the file is no journal, is torn, lacks the journal's tables, or has a row that makes no sense."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _code(error: Exception) -> int:
    # What is not SQLite's own comes of what a file has, unless the launcher itself asked amiss.
    unknown = sqlite3.SQLITE_MISUSE if isinstance(error, sqlite3.ProgrammingError) else sqlite3.SQLITE_CORRUPT
    # Extended codes have the plain one in their lowest byte.
    code: int = getattr(error, "sqlite_errorcode", unknown)
    return code & 0xFF


def connect(path: Path | str, *, alone: bool = False, waits: bool = True) -> sqlite3.Connection:
    """Open or make a journal, and bring its tables up to date.

    :param alone: keep everybody else out as long as the connection lives.
    :param waits: for whoever has it locked, up to `LOCK_TIMEOUT`.
    """
    connection = _connection(path, timeout=LOCK_TIMEOUT if waits else 0)
    try:
        if isinstance(path, Path):
            # Before SQLite makes the files beside it, to which it gives the same mode.
            share(path)
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connection(path: Path | str, timeout: float = LOCK_TIMEOUT) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level="IMMEDIATE", check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # A byte that is no text costs the letter.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
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
