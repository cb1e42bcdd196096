"""The library of animals on disk, which may be a network share: where each animal stands, and how it came there.

``<root>/<experiment>/Subjects/<subject>/`` has ``trainer_state.json``, as the curriculum wrote it and open to other
tools; ``history/``, one file for each decision, never overwritten; ``sessions/``, the register, one file for each
ticket; and ``task.json`` for an animal without curriculum. ``<root>/<experiment>/Archive`` has those that were removed.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aind_launcher.builtin.local_store import archive, decisions, history, tickets
from aind_launcher.builtin.local_store.decisions import Recorded
from aind_launcher.builtin.local_store.folder import HISTORY, SESSIONS, STATE, TASK, AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.locks import locked
from aind_launcher.builtin.local_store.reading import reading
from aind_launcher.builtin.local_store.register import Register, at_once
from aind_launcher.builtin.local_store.rigs import read_statuses, write_status
from aind_launcher.errors import AnimalError, BeginAgain, LauncherError, TransientError
from aind_launcher.model.animal import AnimalState, TrainerStateText, fired_rules
from aind_launcher.model.clock import now
from aind_launcher.model.json_text import object_in
from aind_launcher.model.names import brief, checked_name
from aind_launcher.model.register import LOOKED_AT, RegisterEntry, RigStatus, Ticket
from aind_launcher.model.session import SessionContext
from aind_launcher.model.store import AnimalRecord, StoredAnimal
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import make_folder, move, read_whole

RIGS: Final = "Rigs"


@dataclass(frozen=True)
class Library:
    """The animals of one experiment: an `ArchivingStore`, which says what the methods of the same name do.

    :param lock_timeout: seconds to wait while another rig writes the same animal; fewer than a ticket may take.
    """

    root: Path
    experiment: str
    lock_timeout: float = 15.0

    @property
    def place(self) -> str:
        """The root and the experiment, and whether it is there."""
        place = f"the library {self.root} (experiment {self.experiment})"
        return place if self.root.is_dir() else f"{place}, which does not exist"

    def folder(self, subject: str) -> Path:
        """Where an animal's files are."""
        return self._subjects / checked_name("subject", subject)

    def subjects(self) -> tuple[str, ...]:
        """Every animal's number."""
        return tuple(folder.name for folder in self._folders())

    def animals(self) -> tuple[StoredAnimal, ...]:
        """Every animal, by subject; 16 at a time."""
        return tuple(at_once(self._listed, self._folders()))

    def _folders(self) -> list[Path]:
        with suppress(FileNotFoundError), reading(self._subjects):
            # Of a share, the listing knows what is a folder; a path for each would ask again.
            with os.scandir(self._subjects) as found:
                names = [entry.name for entry in found if entry.name[0] != "." and entry.is_dir()]
            return [self._subjects / name for name in sorted(names)]
        return []

    def read(self, subject: str) -> StoredAnimal:
        """Where an animal stands; what is not in its trainer state comes from the history.

        :raises AnimalError: it cannot be read, or the library has the subject or the experiment in another spelling.
        """
        self._refuse_another_spelling(subject)
        return self._read(subject)

    def _read(self, subject: str) -> StoredAnimal:
        folder = self.folder(subject)
        path = folder / STATE
        content = _content(path)
        has_task = (folder / TASK).is_file()
        if content is None:
            return StoredAnimal(subject, self.experiment, folder, has_task=has_task)
        try:
            trainer_state = TrainerStateText.read(content, str(path))
        except AnimalError as error:
            raise AnimalError(error.message, self._how_to_restore(subject)) from None
        entry = AnimalFolder(folder).latest(trainer_state.digest)
        if entry is None:
            if _content(path) != content:
                # Another rig has put the animal elsewhere meanwhile.
                return self._read(subject)
            date = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            state = AnimalState(trainer_state=trainer_state, date=date)
        else:
            state = entry.state.model_copy(update={"trainer_state": trainer_state})
        return StoredAnimal(subject, self.experiment, folder, state, entry is None, has_task)

    def task(self, subject: str) -> dict[str, Any] | None:
        """The task of an animal without curriculum, where it has one.

        :raises AnimalError: it cannot be read.
        """
        path = self.folder(subject) / TASK
        content = _content(path)
        if content is None:
            return None
        try:
            return object_in(content)
        except ValueError as error:
            raise AnimalError(f"The task in {path} {error}.", "Correct the file or remove it.") from None

    def history(self, subject: str) -> tuple[HistoryEntry, ...]:
        """Every decision, oldest first; files that are none are passed over."""
        return history.entries(self.folder(subject) / HISTORY)

    def register(self, subject: str, last: int = LOOKED_AT) -> AnimalRecord:
        """Where an animal stands, and the newest entries of its register."""
        return self._record(self.folder(subject), last)

    def overview(self) -> tuple[AnimalRecord, ...]:
        """Every animal by subject, each with its two newest entries; 16 at a time.

        Entries before them are read only where the two tell of no session, or not how the animal came where it stands.
        """
        return tuple(at_once(lambda folder: self._record(folder, 2, further=True), self._folders()))

    def _record(self, folder: Path, last: int, *, further: bool = False) -> AnimalRecord:
        try:
            content = _content(folder / STATE)
            state = TrainerStateText.read(content, str(folder / STATE)) if content is not None else None
            if further and state is None and (lost := self.lost(folder.name)):
                raise lost
            register = Register(folder / SESSIONS)
            numbers = register.numbers()

            def suffice(entries: Sequence[RegisterEntry]) -> bool:
                is_put = state is None or any(entry.put_the_animal for entry in entries)
                return not further or (is_put and any(entry.was_run for entry in entries))

            record = AnimalRecord(folder.name, state, register.newest(last, suffice, numbers))
            if further and (damaged := register.unread(numbers, record)):
                message = f"{damaged} cannot be read, so it is not known what the animal did last."
                problem = AnimalError(message, "See `aind-launch sessions list` on its rig.")
                return AnimalRecord(folder.name, state, problem=str(problem))
            return record
        except LauncherError as error:
            return AnimalRecord(folder.name, problem=str(error))

    def rigs(self) -> tuple[RigStatus, ...]:
        """What each rig last reported of itself, by name."""
        return read_statuses(self._subjects.parent / RIGS)

    def report(self, status: RigStatus) -> None:
        """Keep what a rig reports of itself, in a library that has animals: without any it may not be connected.

        :raises TransientError: it cannot be written.
        """
        if not self._subjects.is_dir():
            return
        folder = self._subjects.parent / RIGS
        try:
            write_status(folder, status)
        except OSError as error:
            raise TransientError(
                f"What this rig reports of itself cannot be written into {folder}: {error.strerror or error}.",
                f"Check that {self.root} is connected and that this login may write there.",
            ) from None

    def refuse_known(self, subject: str) -> None:
        """Raise if the animal is enrolled, or if its state is lost or cannot be read."""
        state = self.read(subject).state
        if state is not None:
            trainer_state = state.trainer_state
            raise AnimalError(
                f"Animal {subject} is enrolled already: stage {brief(trainer_state.stage)} of "
                f"{brief(trainer_state.curriculum)}, since {state.date:%Y-%m-%d}.",
                "Move it with `aind-launch animals move`, or enrol it anew with --replace.",
            )
        if lost := self.lost(subject):
            raise lost

    def lost(self, subject: str) -> AnimalError | None:
        """What to say of an animal that stood somewhere and whose state is gone; None for any other."""
        folder = self.folder(subject)
        if (folder / STATE).exists() or not history.had_a_state(folder / HISTORY):
            return None
        message = f"Animal {subject} has a history, but its {STATE} is gone from {folder}."
        return AnimalError(message, self._how_to_restore(subject))

    def _how_to_restore(self, subject: str) -> str:
        enroll = f"`aind-launch curricula enroll {subject} --curriculum NAME --replace`"
        applied = history.applied(self.folder(subject) / HISTORY)
        if not applied:
            return f"Enrol it again with {enroll}."
        restore = f'`aind-launch animals move {subject} --to "{applied[-1]}" --reason "restored"`'
        return f"Restore it with {restore}, or enrol it again with {enroll}."

    def enroll(self, subject: str, trainer_state: TrainerStateText, by: str, *, replace: bool = False) -> Recorded:
        """Let an animal start. What was there stays in the history or, if it cannot be read, beside the new state."""
        with self._locked(subject) as animal:
            if not replace:
                self.refuse_known(subject)
            current = self._readable(subject).state
            entry = HistoryEntry(kind="enrolled", date=now(), trainer_state=trainer_state.text, by=by)
            return decisions.put(animal, current, entry)

    def move(
        self, subject: str, trainer_state: TrainerStateText, reason: str, by: str, restored: AnimalState | None = None
    ) -> Recorded:
        """Put an animal elsewhere by hand."""
        with self._locked(subject) as animal:
            before = (self._readable(subject) if restored else self.read(subject)).state
            if before is None and restored is None:
                raise AnimalError(
                    f"Animal {subject} has no state in {animal.path}.",
                    f"Enrol it with `aind-launch curricula enroll {subject} --curriculum NAME`.",
                )
            metrics = restored.metrics if restored else None
            if metrics is None and before and before.trainer_state.curriculum == trainer_state.curriculum:
                metrics = before.metrics
            entry = HistoryEntry(
                kind="moved", date=now(), trainer_state=trainer_state.text, metrics=metrics, reason=reason, by=by
            )
            return decisions.put(animal, before, entry)

    def remove(self, subject: str, by: str, reason: str | None = None) -> str:
        """Put an animal into the archive, readable or not."""
        with self._locked(subject) as animal:
            return str(archive.put_away(animal, self._archive, by, reason))

    def removed(self) -> frozenset[str]:
        """The numbers of the animals in the archive."""
        return archive.subjects_in(self._archive)

    def begin(self, session: SessionContext, loaded: AnimalState | None, known: Iterable[Ticket | None]) -> Ticket:
        """Give a session its ticket, which it keeps when it is asked again.

        :param loaded: what this library said of the animal when the session was prepared.
        :param known: as in `Register.allot`.
        :raises BeginAgain: the animal was put elsewhere since, or another rig has a session of this name.
        """
        with self._locked(session.subject) as animal:
            standing = self.read(session.subject).state
            if (standing or loaded) and not (standing and standing.is_still(loaded)):
                where = standing.trainer_state.stage if standing else "no stage"
                raise BeginAgain(f"Animal {session.subject} was put at {where} since it was loaded.")
            return tickets.begin(animal, session, standing, known)

    def as_later_than_all_tickets(self, subject: str, state: AnimalState) -> AnimalState:
        """`state` with the ticket that it will get when the next session begins, if it has none.

        What another tool wrote into the library since the last ticket is later than what other stores say.
        """
        if state.ticket is not None:
            return state
        ticket = Register(self.folder(subject) / SESSIONS).next_ticket()
        return state.model_copy(update={"ticket": ticket})

    def finish(self, session: SessionContext, state: str) -> None:
        """Enter into the register how a session stands; one without an entry there gets none.

        :param state: as in `session_finished`.
        """
        if self.folder(session.subject).is_dir():
            with self._locked(session.subject) as animal:
                tickets.finish(animal.register, session, state)

    def record(
        self,
        subject: str,
        suggestion: CurriculumSuggestion,
        session_name: str,
        session_date: datetime,
        began_with: AnimalState | None,
        ticket: Ticket | None = None,
        *,
        ran_with: TrainerStateText | None = None,
    ) -> Recorded:
        """Make a suggestion the animal's state, unless the animal is further already or was removed.

        Doing it again is harmless and completes what a power failure left half-done.

        :param began_with: what this library said of the animal when the session began. If it had the animal then and
            has not now, it is not all there.
        :param ticket: the session's.
        :param ran_with: the trainer state that the session ran with, which may be another store's.
        :raises AnimalError: the animal's state cannot be read.
        :raises TransientError: the folder is locked or cannot be written.
        """
        if removed := self._removed(subject, self.read(subject).state, began_with):
            return removed
        entry = HistoryEntry(
            kind="suggestion",
            date=session_date,
            session_name=session_name,
            trainer_state=suggestion.trainer_state.text,
            metrics=suggestion.metrics,
            suggestion_digest=suggestion.digest,
            provenance=suggestion.provenance,
            rule=fired_rules(ran_with, suggestion.trainer_state),
        )
        with self._locked(subject) as animal:
            standing = self.read(subject).state
            # Another rig may have held the lock to remove it.
            if removed := self._removed(subject, standing, began_with):
                return removed
            return decisions.decide(animal, standing, entry, ticket, began_with)

    def _removed(self, subject: str, standing: AnimalState | None, began_with: AnimalState | None) -> Recorded | None:
        """What becomes of a decision on an animal that was removed after its session began; None for any other.

        :raises TransientError: it has no state any more, and was not removed.
        """
        if began_with is None or standing is not None:
            return None
        if subject in self.removed():
            because = f"the animal was removed from the library {self.root}"
            return Recorded(outcome="superseded", because=because, trainer_state=self.folder(subject) / STATE)
        raise TransientError(
            f"Animal {subject} is no longer in the library {self.root}, where it was when its session began.",
            "Connect the library's drive or share and resume.",
        )

    def _readable(self, subject: str) -> StoredAnimal:
        """Where an animal stands, with its lock held; what cannot be read is moved aside."""
        try:
            return self.read(subject)
        except AnimalError:
            folder = self.folder(subject)
            move(folder / STATE, folder / f"trainer_state.unreadable-{now():%Y-%m-%dT%H%M%S.%fZ}.json")
            return self.read(subject)

    @property
    def _archive(self) -> Path:
        return self._subjects.parent / archive.ARCHIVE

    @property
    def _subjects(self) -> Path:
        return self.root / checked_name("experiment", self.experiment) / "Subjects"

    def _listed(self, folder: Path) -> StoredAnimal:
        try:
            return self._read(folder.name)
        except LauncherError as error:
            return StoredAnimal(folder.name, self.experiment, folder, problem=str(error))

    def _refuse_another_spelling(self, subject: str) -> None:
        """Refuse what the library has with other capitals: on Windows that is the same folder, elsewhere a second.

        :raises AnimalError: so that an animal has one name on every rig.
        """
        for parent, name in ((self.root, self.experiment), (self._subjects, subject)):
            known = set[str]()
            with suppress(FileNotFoundError), reading(parent):
                known = {path.name for path in parent.iterdir()}
            if name not in known and (other := next((x for x in known if x.lower() == name.lower()), None)):
                raise AnimalError(f"The library {self.root} has no {name}, but it has {other}.", f"Write {other}.")

    @contextmanager
    def _locked(self, subject: str) -> Iterator[AnimalFolder]:
        """The animal's folder, made where it is missing, for one writer at a time on any rig."""
        from filelock import Timeout

        self._refuse_another_spelling(subject)
        animal = AnimalFolder(self.folder(subject))
        try:
            make_folder(animal.path)
            with locked(animal.lock, self.lock_timeout):
                try:
                    yield animal
                finally:
                    archive.unlink_lock_of_empty(animal)
        except Timeout:
            raise TransientError(
                f"Animal {subject} is being written by another rig: {animal.lock} was locked for "
                f"{self.lock_timeout:g} s.",
                "Wait for the other rig and try again.",
            ) from None
        except OSError as error:
            raise TransientError(
                f"The animal's folder {animal.path} cannot be written: {error.strerror or error}.",
                f"Check that {self.root} is connected and that this login may write there, then try again.",
            ) from None
        finally:
            archive.remove_empty(animal)


def _content(path: Path) -> bytes | None:
    """What is in `path`; None where it does not exist."""
    with suppress(FileNotFoundError), reading(path):
        return read_whole(path)
    return None
