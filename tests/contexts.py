"""For tests of parts without a whole chain: trainer states, suggestions, sessions, and disks that cannot be written."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aind_launcher.journal.file import connect
from aind_launcher.journal.journal import Journal
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.session import Repository, Session, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion

MONDAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TUESDAY = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)

# The machine's: a test has its own, which is as private as pytest's.
_TEMPORARY = tempfile.gettempdir()


def trainer_state(stage: str | None, curriculum: str = "Ladder") -> TrainerStateText:
    """A small one; its text is indented, so that a copy of its content is told from a copy of its text."""
    stages: list[dict[str, Any]] = [
        {"name": name, "task": {"name": "Climb"}, "start_policies": []} for name in ("first", "second", "third")
    ]
    current = next((each for each in stages if each["name"] == stage), {"name": stage} if stage else None)
    graph = {"nodes": {str(n): each for n, each in enumerate(stages)}, "graph": {}}
    document: dict[str, Any] = {
        "curriculum": {"name": curriculum, "version": "1.0.0", "pkg_location": "ladder", "graph": graph},
        "stage": current,
        "is_on_curriculum": stage is not None,
        "active_policies": [],
    }
    return TrainerStateText(text=json.dumps(document, indent=3))


def off_curriculum(stage: str) -> TrainerStateText:
    """Of an animal that left its curriculum and goes on with the task of its last stage."""
    return TrainerStateText(text=json.dumps(trainer_state(stage).document | {"is_on_curriculum": False}))


def suggestion(to: str | TrainerStateText, metrics: Any = None) -> CurriculumSuggestion:
    state = trainer_state(to) if isinstance(to, str) else to
    text = json.dumps({"trainer_state": state.document, "metrics": metrics, "version": "1.0.0"})
    return CurriculumSuggestion(text=text, trainer_state=state)


def a_session(folder: Path, subject: str = "123456", date: datetime = MONDAY, **context: Any) -> SessionContext:
    """A session below `folder`, whose names have spaces as those of Windows do."""
    session = Session(subject=subject, date=date, allow_dirty_repo=context.pop("allow_dirty_repo", False))
    known: dict[str, Any] = {
        "session": session,
        "folder": folder / "my data" / session.session_name,
        "staging": folder / "my state" / session.session_name,
        "repository": Repository(path=folder, commit="0123456789abcdef"),
    }
    return SessionContext(**(known | context))


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """A folder that every login may reach, as those of a share; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(dir=_TEMPORARY))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """`folder`, and all in it, cannot be written while the context lasts; also not by an administrator."""
    if os.name == "nt":
        everybody = "*S-1-1-0"
        subprocess.run(["icacls", str(folder), "/deny", f"{everybody}:(OI)(CI)(WD,AD)"], check=True)
        try:
            yield
        finally:
            subprocess.run(["icacls", str(folder), "/remove:d", everybody, "/T"], check=True)
        return
    parts = [folder, *folder.rglob("*")]
    modes = {part: part.stat().st_mode for part in parts}
    for part in parts:
        part.chmod(0o555 if part.is_dir() else 0o444)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # nobody: the administrator may write anything
    try:
        yield
    finally:
        os.seteuid(was)
        for part, mode in modes.items():
            part.chmod(mode)


def journal_on_a_full_disk(path: Path, elsewhere: Path | None = None) -> Journal:
    """The journal in `path`, which cannot grow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    return Journal(connection, path, elsewhere)
