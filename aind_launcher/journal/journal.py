"""The durable record of every step of every session on this machine.

Each step is written *running* before its plugin is called and *done*, *failed* or *skipped* after; every
write is on disk before it returns (WAL, full synchronous).
"""

import errno
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aind_launcher.errors import LauncherError
from aind_launcher.journal.file import (
    INSERT_SESSION,
    INSERT_STEP,
    UNREADABLE,
    begun_anew,
    begun_substitute,
    checked_session,
    checked_step,
    connect,
    is_damaged,
    merge,
    opened,
    remove,
    substitute_name,
)
from aind_launcher.journal.records import (
    UNFINISHED,
    SessionRecord,
    SessionState,
    StepId,
    StepRecord,
    storable,
    time_text,
)
from aind_launcher.model.clock import now

if TYPE_CHECKING:
    from aind_launcher.model.session import SessionContext

logger = logging.getLogger(__name__)

Read = TypeVar("Read")
Change = tuple[str, Mapping[str, Any]]

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
        self, file: sqlite3.Connection | None, path: Path, elsewhere: Path | None = None, impaired: str | None = None
    ) -> None:
        # The journal or its substitute; None where neither can be written.
        self._file = file
        # All of the sessions that this launcher works on, whatever becomes of the file.
        self._in_hand = connect(":memory:")
        self._names_in_hand = set[str]()
        self.path = path
        self.impaired = impaired
        # Only one is begun: a session that needs another has no disk left.
        self._substitute = elsewhere / substitute_name(path, f"{now():%Y%m%dT%H%M%S.%fZ}") if elsewhere else None

    @classmethod
    def open(cls, path: Path, elsewhere: Path | None = None) -> Self:
        """Open the journal at `path`, or go on without it where it cannot be used now.

        :param elsewhere: the folder of its substitutes, best on another disk.
        :raises LauncherError: it was written by a newer launcher, or is damaged while another launcher uses it.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(opened(path, elsewhere), path, elsewhere)
        except (OSError, sqlite3.DatabaseError) as error:
            problem = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
            return cls(None, path, elsewhere, problem)

    @property
    def staging(self) -> Path:
        """The folder that has a staging folder for each session of this machine."""
        return self.path.parent / "sessions"

    def close(self) -> None:
        """Close the file; what the journal lacks is first taken into it, if it can be by now."""
        where = self._file and self._substitute
        self._close_file()
        if self.impaired and self._names_in_hand:
            try:
                with closing(connect(self.path)) as home:
                    merge(self._in_hand, home)
                if self._substitute:
                    remove(self._substitute)
                self.impaired = None
                logger.warning("The journal %s can be written again and has this session.", self.path)
            except (OSError, sqlite3.Error, LauncherError) as error:
                found = f"it is in {where}" if where else "`aind-launch resume` learns it from the session's folder"
                logger.error("The journal %s lacks the end of this session (%s); %s.", self.path, error, found)
        self._in_hand.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep_session(self, name: str, subject: str, repository: Path, folder: Path, context: str) -> None:
        """Record a session as running, new or again, with what resuming it starts from."""
        sql = (
            "INSERT INTO sessions (name, subject, repository, folder, state, started, context) "
            "VALUES (:name, :subject, :repository, :folder, 'running', :started, :context) ON CONFLICT DO UPDATE SET "
            "context = excluded.context, state = 'running', ended = NULL, exit_code = NULL, message = NULL"
        )
        places = {"repository": str(repository), "folder": str(folder)}
        values = {"name": name, "subject": subject, "started": time_text(now()), "context": context}
        self._write(name, [(sql, values | places)])

    def end_session(self, name: str, state: SessionState, exit_code: int, message: str | None = None) -> None:
        """Record how a session stands when the launcher lets go of it."""
        sql = (
            "UPDATE sessions SET state = :state, ended = :ended, exit_code = :exit_code, message = :message "
            "WHERE name = :name"
        )
        values = {"name": name, "state": state, "ended": time_text(now()), "exit_code": exit_code}
        self._write(name, [(sql, values | {"message": storable(message)})])

    def move_session(self, name: str, repository: Path, folder: Path) -> None:
        """Record where a session's task repository and folder are now."""
        sql = "UPDATE sessions SET repository = :repository, folder = :folder WHERE name = :name"
        self._write(name, [(sql, {"name": name, "repository": str(repository), "folder": str(folder)})])

    def begin_step(self, step: StepId) -> StepRecord:
        """Record a new attempt as running.

        :raises OSError: no file can be written. What began now would be begun again: nobody would know of it.
        """
        previous = self.last_attempt(step)
        record = StepRecord(step, previous.attempt + 1 if previous else 1, "running", now())
        self._write(step.session, [(INSERT_STEP, record.as_row())], in_a_file=True)
        return record

    def end_step(self, record: StepRecord) -> None:
        """Record how an attempt ended."""
        self._write(record.id.session, [(INSERT_STEP, record.as_row())])

    def import_session(self, record: SessionRecord, context: str, steps: Sequence[StepRecord]) -> None:
        """Enter what another record tells of a session: its entry, and steps beside or in the place of those known.

        :param context: the JSON of its `SessionContext`.
        """
        entries = [(INSERT_STEP, step.as_row()) for step in steps]
        self._write(record.name, [(INSERT_SESSION, record.as_row(context)), *entries])

    def trial(self, session: str) -> "Journal":
        """A journal in memory that begins with what this one has of a session: what is changed there stays there."""
        memory = connect(":memory:")
        self._copy(session, memory)
        return Journal(memory, self.path)

    def last_attempt(self, step: StepId) -> StepRecord | None:
        """The newest attempt at a step, if there was any."""
        newest = "SELECT * FROM steps WHERE (session, hook, plugin, key) = (?, ?, ?, ?) ORDER BY attempt DESC LIMIT 1"
        return next(iter(self._read(newest, astuple(step), StepRecord.from_row, step.session)), None)

    def steps(self, session: str, *hooks: str) -> tuple[StepRecord, ...]:
        """Every attempt at every step of a session, in the order in which they began.

        :param hooks: only steps of these; all without any.
        """
        of_these = f" AND hook IN ({', '.join('?' * len(hooks))})" if hooks else ""
        sql = f"SELECT * FROM steps WHERE session = ?{of_these} ORDER BY number"  # noqa: S608 - marks alone
        return tuple(self._read(sql, (session, *hooks), StepRecord.from_row, session))

    def current_steps(self, session: str) -> tuple[StepRecord, ...]:
        """The last attempt at each step of a session, in the order in which the steps first began."""
        return tuple({record.id: record for record in self.steps(session)}.values())

    def session(self, name: str) -> SessionRecord | None:
        """The entry of a session."""
        rows = self._read(f"{_SELECT_RECORDS} WHERE name = ?", (name,), SessionRecord.from_row, name)
        return rows[0] if rows else None

    def context(self, name: str) -> "SessionContext":
        """A session's latest context.

        :raises LauncherError: the journal has no such session, or its context is damaged.
        """
        from aind_launcher.model.session import SessionContext

        rows = self._read(_SELECT_SESSION, (name,), dict, name)
        if not rows:
            raise LauncherError(
                f"The journal {self.path} has no session {name}.",
                "`aind-launch sessions import FOLDER` brings it back from its folder.",
            )
        try:
            return SessionContext.model_validate_json(rows[0]["context"])
        except ValueError:
            raise LauncherError(
                f"What the journal has of session {name} cannot be read: it is damaged, or of another version.",
                f"Its data lies in {rows[0]['folder']}. Update aind-launcher and try again; "
                f"`aind-launch sessions close {name} --reason WHY` gives up what is left of it.",
            ) from None

    def last_entered(self, besides: str | None = None) -> SessionRecord | None:
        """The session whose entry was made last, whatever its date says.

        :param besides: a session that does not count.
        """
        # SQLite numbers the rows of a table without a number of its own as they come.
        select = f"{_SELECT_RECORDS} WHERE name IS NOT ? ORDER BY rowid DESC LIMIT 1"
        return next(iter(self._read(select, (besides,), SessionRecord.from_row)), None)

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
            wanted["started >= ?"] = [time_text(since)]
        where = " AND ".join(condition for condition, values in wanted.items() if values) or "TRUE"
        rows = self._read(
            f"{_SELECT_RECORDS} WHERE {where} ORDER BY started DESC, name DESC LIMIT ?",
            (*chain(*wanted.values()), -1 if last is None else last),
            SessionRecord.from_row,
        )
        return tuple(reversed(rows))

    def unfinished(self) -> tuple[SessionRecord, ...]:
        """Sessions of all task repositories with something left to do, oldest first."""
        return self.sessions(states=UNFINISHED)

    def _read(
        self, sql: str, values: Sequence[Any], read: Callable[[sqlite3.Row], Read], session: str | None = None
    ) -> list[Read]:
        """What `read` makes of each row; a `session` that is in hand is read from memory."""
        file = None if self.impaired or session in self._names_in_hand else self._file
        try:
            # A statement that is not done with keeps the file open, and Windows then lets nobody rename it.
            with closing((file or self._in_hand).execute(sql, values)) as rows:
                return [read(row) for row in rows]
        except UnicodeEncodeError:
            # It was asked for by a name that is no text, which no journal has.
            return []
        except UNREADABLE as error:
            if file and is_damaged(error):
                self._go_on_elsewhere(error)
                return self._read(sql, values, read, session)
            raise LauncherError(
                f"The journal {self.path} cannot be read: {error}.", "Close other programs that use it and try again."
            ) from error

    def _take_in_hand(self, session: str) -> None:
        """Have in memory what the file knows of a session that is to be changed."""
        if session in self._names_in_hand:
            return
        if self.impaired and not self._names_in_hand:
            # From the start; who only looked needed no substitute.
            self._begin_substitute()
        self._copy(session, self._in_hand)
        self._names_in_hand.add(session)

    def _copy(self, session: str, target: sqlite3.Connection) -> None:
        for select, checked, insert in (
            (_SELECT_SESSION, checked_session, INSERT_SESSION),
            (_SELECT_STEPS, checked_step, INSERT_STEP),
        ):
            rows = self._read(select, (session,), checked)
            with target:
                target.executemany(insert, rows)

    def _write(self, session: str, changes: Sequence[Change], *, in_a_file: bool = False) -> None:
        """Change what is known of a session, in memory and on disk.

        :raises OSError: it must be `in_a_file`, and none can be written; nothing is changed then.
        """
        self._take_in_hand(session)
        with self._in_hand:
            _execute(self._in_hand, changes)
            try:
                if self._file:
                    with self._file:
                        _execute(self._file, changes)
            except sqlite3.Error as error:
                self._go_on_elsewhere(error)
            if in_a_file and self._file is None:
                problem = (self.impaired or "").partition(": ")[2]
                raise OSError(errno.EIO, f"{problem}, nor can a file in its place", str(self.path))

    def _go_on_elsewhere(self, error: Exception) -> None:
        """Leave a file that cannot be used: for a new journal where it is damaged, else for a substitute."""
        if self.impaired:
            # That was the substitute.
            self._close_file()
            self._say_where()
            return
        if is_damaged(error) and self._goes_on_in(partial(begun_anew, self.path, str(error))):
            return
        self.impaired = f"{self.path}: {error}"
        self._begin_substitute()

    def _begin_substitute(self) -> None:
        self._close_file()
        if self._substitute:
            self._goes_on_in(partial(begun_substitute, self._substitute))
        self._say_where()

    def _goes_on_in(self, begin: Callable[[], sqlite3.Connection]) -> bool:
        """Write from now on into another file, which begins with what is in hand, if it can be written."""
        self._close_file()
        try:
            self._file = begin()
            merge(self._in_hand, self._file)
        except (OSError, sqlite3.Error):
            logger.debug("no other file can be written", exc_info=True)
            self._close_file()
        return self._file is not None

    def _say_where(self) -> None:
        where = self._substitute if self._file else "memory only"
        logger.warning("The journal cannot be written (%s); the session is recorded in %s.", self.impaired, where)

    def _close_file(self) -> None:
        if self._file:
            self._file.close()
        self._file = None


def _execute(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    for sql, values in changes:
        connection.execute(sql, values)
