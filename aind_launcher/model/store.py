"""What the commands `animals` and `curricula enroll` need of whatever stores the animals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel, JsonValue, ValidationError

from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now


@dataclass(frozen=True)
class StoredAnimal:
    """An animal as its store has it.

    :param folder: where its files are, if the store has files.
    :param state: None where it is not enrolled, or where there is a problem.
    :param changed_outside: its trainer state was not written by the launcher; its date is the file's.
    :param has_task: it has a task of its own, for which it needs no curriculum.
    :param problem: why its state cannot be read; set in lists only.
    """

    subject: str
    experiment: str
    folder: Path | None = None
    state: AnimalState | None = None
    changed_outside: bool = False
    has_task: bool = False
    problem: str | None = None


class Decision(BaseModel, frozen=True, populate_by_name=True, ser_json_inf_nan="constants"):
    """One decision on an animal. A store may record more of it than this.

    :param kind: *suggestion* of a curriculum, *enrolled* or *moved* by a person, or *found*: changed outside the
        launcher, and recorded here before the launcher replaced it.
    :param date: as in `AnimalState`.
    :param trainer_state: the text of the trainer state that the animal got.
    :param superseded: it came when the animal was further already, and changed nothing.
    :param by: who enrolled or moved the animal.
    """

    kind: Literal["suggestion", "enrolled", "moved", "found"]
    date: AwareDatetime
    session_name: str | None = None
    trainer_state: str
    metrics: JsonValue = None
    superseded: bool = False
    reason: str | None = None
    by: str | None = None

    @property
    def state(self) -> AnimalState:
        """Where the animal stands after this decision."""
        return AnimalState(
            trainer_state=TrainerStateText(text=self.trainer_state),
            metrics=self.metrics,
            session_name=self.session_name,
            date=self.date,
        )


class AnimalStore(Protocol):
    """The animals of one experiment. Every method raises a `LauncherError` if the store cannot be reached."""

    @property
    def place(self) -> str:
        """Where the animals are, as part of a sentence: *the library D:/library (experiment odours)*."""

    def animals(self) -> Sequence[StoredAnimal]:
        """Every animal, by subject. An animal that cannot be read has a problem that says why."""

    def read(self, subject: str) -> StoredAnimal:
        """Where an animal stands; without a state if the store does not know it.

        :raises AnimalError: its state cannot be read.
        """

    def history(self, subject: str) -> Sequence[Decision]:
        """Every decision on an animal, oldest first."""

    def refuse_known(self, subject: str) -> None:
        """Raise if the animal must not be enrolled as a new one.

        :raises AnimalError: it is enrolled, or it was and its state is lost; the hint says how to restore it.
        """

    def enroll(self, subject: str, trainer_state: TrainerStateText, by: str, *, replace: bool = False) -> object:
        """Let an animal start, without metrics. What this returns is not used.

        :param replace: also if it has a state, readable or not. Keep the old state.
        :raises AnimalError: it has a state.
        """

    def move(
        self, subject: str, trainer_state: TrainerStateText, reason: str, by: str, restored: AnimalState | None = None
    ) -> object:
        """Put an animal elsewhere by hand. It keeps its metrics unless the curriculum is another.

        :param restored: what it gets back, with its metrics; also if its state is gone or cannot be read.
        :raises AnimalError: it is not enrolled, or its state cannot be read.
        """


def state_in(path: Path) -> AnimalState:
    """The state that a file holds: a trainer state as curricula write it, or a decision from a history.

    :raises AnimalError: it holds neither.
    """
    try:
        return Decision.model_validate_json(path.read_bytes()).state
    except (OSError, ValidationError):
        return AnimalState(trainer_state=TrainerStateText.read_file(path), date=now())
