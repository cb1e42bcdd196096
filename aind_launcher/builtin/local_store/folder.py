"""The folder of one animal in the library: what lies where."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aind_launcher.builtin.local_store import history
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.register import Register

STATE: Final = "trainer_state.json"
TASK: Final = "task.json"
HISTORY: Final = "history"
SESSIONS: Final = "sessions"
LOCK: Final = ".lock"


@dataclass(frozen=True)
class AnimalFolder:
    """Where an animal's files are, whether they exist or not."""

    path: Path

    @property
    def subject(self) -> str:
        """The animal."""
        return self.path.name

    @property
    def state(self) -> Path:
        """The trainer state, as the curriculum wrote it and open to other tools."""
        return self.path / STATE

    @property
    def history(self) -> Path:
        """A file for each decision."""
        return self.path / HISTORY

    def latest(self, digest: str) -> HistoryEntry | None:
        """The newest decision that put the animal into the trainer state `digest`."""
        return history.latest(self.history, digest, self.register.put_the_animal)

    @property
    def register(self) -> Register:
        """A file for each ticket."""
        return Register(self.path / SESSIONS)

    @property
    def task(self) -> Path:
        """The task of an animal without curriculum."""
        return self.path / TASK

    @property
    def lock(self) -> Path:
        """Held by whoever writes the animal."""
        return self.path / LOCK
