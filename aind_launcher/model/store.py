"""What the commands `animals`, `curricula enroll` and `today` need of whatever stores the animals."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pydantic import AwareDatetime, JsonValue, ValidationError

from aind_launcher.errors import AnimalError
from aind_launcher.model.animal import AnimalState, TrainerStateText, fired_rules
from aind_launcher.model.clock import now
from aind_launcher.model.json_text import require_utf8
from aind_launcher.model.register import LOOKED_AT, RegisterEntry, RigStatus, Ticket
from aind_launcher.model.value import Value

if TYPE_CHECKING:
    from aind_launcher.model.session import SessionContext


@dataclass(frozen=True)
class StoredAnimal:
    """An animal as its store has it.

    :param subject: the animal.
    :param experiment: the experiment that it belongs to.
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


@dataclass(frozen=True)
class AnimalRecord:
    """Where an animal stands, and the newest entries of its register.

    :param subject: the animal.
    :param trainer_state: None where it has none, or where it cannot be read.
    :param entries: oldest first; as many as were asked for, or fewer.
    :param problem: why it cannot be read, or why it is not known what the animal did last.
    """

    subject: str
    trainer_state: TrainerStateText | None = None
    entries: tuple[RegisterEntry, ...] = ()
    problem: str | None = None

    @property
    def sessions(self) -> tuple[RegisterEntry, ...]:
        """Those of the entries that are sessions which the animal was in, oldest first."""
        return tuple(entry for entry in self.entries if entry.was_run)

    @property
    def last_session(self) -> RegisterEntry | None:
        """The newest session."""
        return self.sessions[-1] if self.sessions else None

    @property
    def last_put(self) -> RegisterEntry | None:
        """The newest entry that says where the animal was put, by a decision or by hand."""
        return next((entry for entry in reversed(self.entries) if entry.put_the_animal), None)

    @property
    def sessions_at_stage(self) -> int | None:
        """The animal's sessions at its stage since it came there; None without a register."""
        return self._sessions_at and self._sessions_at[0]

    @property
    def sessions_unchanged(self) -> int | None:
        """The animal's sessions since anything in its trainer state changed; None without a register."""
        return self._sessions_at and self._sessions_at[1]

    @property
    def _sessions_at(self) -> tuple[int, int] | None:
        # A move whose launcher was killed counts for nothing.
        known = (entry for entry in reversed(self.entries) if entry.kind == "session" or entry.put_the_animal)
        newest = next(known, None)
        return newest.sessions_at(self.trainer_state) if newest else None


class Decision(Value, populate_by_name=True, ser_json_inf_nan="constants"):
    """One decision on an animal. A store may record more of it than this.

    :param kind: *suggestion* of a curriculum, *enrolled* or *moved* by a person, or *found*: changed outside the
        launcher, and recorded here before the launcher replaced it.
    :param date: as in `AnimalState`.
    :param session_name: the session that was decided on; None where a person decided.
    :param trainer_state: the text of the trainer state that the animal got.
    :param metrics: the curriculum's; None where a person decided.
    :param superseded: it came when the animal was further already, and changed nothing.
    :param reason: why a person decided so, or why it was superseded.
    :param by: who enrolled or moved the animal.
    :param ticket: orders decisions; None where an older launcher recorded it.
    :param rule: the rules that lead from the old stage to the new one: of one, it fired; of several, one of them.
    """

    kind: Literal["suggestion", "enrolled", "moved", "found"]
    date: AwareDatetime
    session_name: str | None = None
    trainer_state: str
    metrics: JsonValue = None
    superseded: bool = False
    reason: str | None = None
    by: str | None = None
    ticket: Ticket | None = None
    rule: tuple[str, ...] = ()

    @property
    def state(self) -> AnimalState:
        """Where the animal stands after this decision."""
        return AnimalState(
            trainer_state=TrainerStateText(text=self.trainer_state),
            metrics=self.metrics,
            session_name=self.session_name,
            date=self.date,
            ticket=self.ticket,
        )


def with_rules(history: Sequence[Decision]) -> list[Decision]:
    """The decisions on an animal, oldest first, with their rules also where an older launcher recorded none."""
    before: TrainerStateText | None = None
    completed = []
    for decision in history:
        then = decision.state.trainer_state
        # That no rule fired is recorded, too.
        if decision.kind == "suggestion" and "rule" not in decision.model_fields_set:
            decision = decision.model_copy(update={"rule": fired_rules(before, then)})
        completed.append(decision)
        before = before if decision.superseded else then
    return completed


class AnimalStore(Protocol):
    """The animals of one experiment. Every method raises a `LauncherError` if the store cannot be reached."""

    @property
    def place(self) -> str:
        """Where the animals are, as part of a sentence: *the library D:/library (experiment odours)*."""

    def subjects(self) -> Sequence[str]:
        """Every animal's number, without a look at where it stands: a store on a share only lists a folder."""

    def animals(self) -> Sequence[StoredAnimal]:
        """Every animal, by subject. An animal that cannot be read has a problem that says why."""

    def read(self, subject: str) -> StoredAnimal:
        """Where an animal stands; without a state if the store does not know it.

        :raises AnimalError: its state cannot be read.
        """

    def history(self, subject: str) -> Sequence[Decision]:
        """Every decision on an animal, oldest first."""

    def register(self, subject: str, last: int = LOOKED_AT) -> AnimalRecord:
        """Where an animal stands, and the newest entries of its register; without any if the store keeps none."""

    def overview(self) -> Sequence[AnimalRecord]:
        """Every animal by subject, each with the two newest entries of its register.

        Older entries are read only if these two contain no session or no decision. For any other animal that has a
        trainer state, a store on a share does at most four file operations.
        """

    def rigs(self) -> Sequence[RigStatus]:
        """What each rig last reported of itself, by name; with its age."""

    def report(self, status: RigStatus) -> None:
        """Keep what a rig reports of itself, in the place of what it reported before."""

    def finish(self, session: "SessionContext", state: str) -> None:
        """Enter how a session stands that was given up outside of any session; one without a ticket is not entered.

        :param state: *closed*.
        """

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


@runtime_checkable
class ArchivingStore(Protocol):
    """What an `AnimalStore` may have beside its other methods: animals can be removed, and nothing is deleted."""

    def remove(self, subject: str, by: str, reason: str | None = None) -> str:
        """Put an animal aside with all that is known of it, whether it can be read or not.

        No other method finds it afterwards, another animal may get its number, and what a session that is still
        unfinished decides on it is refused.

        :param by: who removes it; kept with it, like the time and the reason.
        :return: where it is now.
        """

    def removed(self) -> Collection[str]:
        """The numbers of all animals that were removed."""


def removed_from(store: AnimalStore) -> Collection[str]:
    """The numbers of all animals that were removed from `store`."""
    return store.removed() if isinstance(store, ArchivingStore) else ()


def state_in(path: Path) -> AnimalState:
    """The state that a file holds: a trainer state as curricula write it, or a decision from a history.

    :raises AnimalError: it holds neither, or a text that no file can hold.
    """
    try:
        state = Decision.model_validate_json(path.read_bytes()).state
    except (OSError, ValidationError):
        state = AnimalState(trainer_state=TrainerStateText.read_file(path), date=now())
    try:
        require_utf8(state.trainer_state.document)
    except ValueError as error:
        raise AnimalError(f"The trainer state in {path} {error}.", "Give a file that a curriculum wrote.") from None
    return state
