"""A session's log: JSON lines with session and step, written as they come, without secrets."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from aind_launcher.system import interrupts
from aind_launcher.system.files import make_folder, share, write_whole
from aind_launcher.system.redaction import Redactor

# Which step a line belongs to; set around each step so that plugins need not say it.
current_step: ContextVar[str | None] = ContextVar("aind_launcher_step", default=None)


class Unbroken(logging.Handler):
    """A handler that keeps what interrupts a plugin's step out of its lock: a thread that died in it would hold it."""

    def handle(self, record: logging.LogRecord) -> bool:
        with interrupts.held():
            return bool(super().handle(record))


class _SessionFile(Unbroken, logging.FileHandler):
    """The live log of a session; one that cannot be written stops nothing."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing of it: the line is on the terminal, too."""


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, session, step, message, traceback."""

    def __init__(self, session: str, redact: Redactor) -> None:
        super().__init__()
        self._session = session
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "session": self._session,
            "step": current_step.get(),
            "message": self._redact(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self._redact(self.formatException(record.exc_info))
        # Escaped, so that a terminal's control sequences and broken surrogates cannot break a line.
        return json.dumps(line, ensure_ascii=True)


@contextmanager
def session_log(path: Path, session: str, redact: Redactor) -> Iterator[None]:
    """Add this session's lines to `path` while the context lasts. A log that cannot be written stops nothing."""
    root = logging.getLogger()
    try:
        make_folder(path.parent)
        _end_torn_line(path)
        handler = _SessionFile(path, encoding="utf-8", errors="backslashreplace")
        share(path)
    except OSError as error:
        logging.getLogger(__name__).warning("The log %s cannot be written: %s.", path, error.strerror)
        yield
        return
    handler.setFormatter(JsonLines(session, redact))
    levels = {root: logging.INFO, logging.getLogger("aind_launcher"): logging.DEBUG}
    before = {logger: logger.level for logger in levels}
    for logger, level in levels.items():
        logger.setLevel(level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        # What a full disk kept from being written is written, or not, by now.
        with suppress(OSError):
            handler.close()
        for logger, level in before.items():
            logger.setLevel(level)


def seal_log(live: Path, sealed: Path) -> None:
    """Copy what was logged so far to where it leaves with the data, whole; a line that a power cut tore is left out."""
    lines = live.read_bytes().splitlines() if live.is_file() else []
    write_whole(sealed, b"".join(line + b"\n" for line in lines if _is_whole(line)))


def _is_whole(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}")


def _end_torn_line(path: Path) -> None:
    """Let the next line stand by itself where a power cut tore the last one."""
    if path.is_file() and (written := path.read_bytes()) and not written.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
