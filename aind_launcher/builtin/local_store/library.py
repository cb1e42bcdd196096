"""The library of animals on disk, which may be a network share: where each animal stands, and how it came there.

``<root>/<experiment>/Subjects/<subject>/`` has ``trainer_state.json``, as the curriculum wrote it and open to other
tools; ``history/``, one file for each decision, never overwritten; and ``task.json`` for an animal without curriculum.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aind_launcher.builtin.local_store import history
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.errors import AnimalError, LauncherError, TransientError
from aind_launcher.model.animal import AnimalState, StateRecord, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.names import checked_name
from aind_launcher.model.store import StoredAnimal
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.system.files import move, read_whole, write_whole

STATE: Final = "trainer_state.json"
TASK: Final = "task.json"
HISTORY: Final = "history"
LOCK: Final = ".lock"


class Recorded(StateRecord):
    """What became of a decision.

    :param entry: its file in the history.
    """

    trainer_state: Path
    entry: Path


@dataclass(frozen=True)
class Library:
    """The animals of one experiment.

    A decision is first written into the history, then into ``trainer_state.json``, which alone commits it.

    :param lock_timeout: seconds to wait while another rig writes the same animal.
    """

    root: Path
    experiment: str
    lock_timeout: float = 30.0

    @property
    def place(self) -> str:
        """Where the animals are kept, as part of a sentence."""
        return f"the library {self.root} (experiment {self.experiment})"

    def folder(self, subject: str) -> Path:
        """Where an animal's files are.

        :raises AnimalError: the library is not there, or has the subject or the experiment in another spelling.
        """
        # An unmapped drive or a server that is down has no parent either; a new library's folder has one.
        if not _is_folder(self.root.parent):
            raise AnimalError(
                f"The library of animals {self.root} is not there.",
                "Connect its drive or share, or correct the setting plugin.local-store.library.",
            )
        _refuse_another_spelling("experiment", self.root, self.experiment)
        _refuse_another_spelling("animal", self._subjects, subject)
        return self._subjects / checked_name("subject", subject)

    def animals(self) -> tuple[StoredAnimal, ...]:
        """Every animal, by subject; one that cannot be read says why."""
        return tuple(self._listed(subject) for subject in _folders(self._subjects))

    def read(self, subject: str) -> StoredAnimal:
        """Where an animal stands.

        :raises AnimalError: the library is not there, or the state cannot be read.
        """
        folder = self.folder(subject)
        path = folder / STATE
        text = _read_text(path)
        has_task = (folder / TASK).is_file()
        if text is None:
            return StoredAnimal(subject, self.experiment, folder, has_task=has_task)
        try:
            trainer_state = TrainerStateText.read(text, str(path))
        except AnimalError as error:
            raise AnimalError(error.message, self.how_to_restore(subject)) from None
        entry = history.latest(folder / HISTORY, trainer_state.digest)
        if entry is None:
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
        text = _read_text(path)
        if text is None:
            return None
        try:
            task = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AnimalError(f"The task in {path} is not JSON: {error}.", "Correct the file or remove it.") from None
        if not isinstance(task, dict):
            raise AnimalError(f"The task in {path} is not a JSON object.", "Correct the file or remove it.")
        return task

    def history(self, subject: str) -> tuple[HistoryEntry, ...]:
        """Every decision on an animal, oldest first; files that are none are passed over."""
        return history.entries(self.folder(subject) / HISTORY)

    def refuse_known(self, subject: str) -> None:
        """Raise if the animal must not be enrolled as a new one.

        :raises AnimalError: it is enrolled, or its state is lost or cannot be read.
        """
        state = self.read(subject).state
        if state is not None:
            trainer_state = state.trainer_state
            raise AnimalError(
                f"Animal {subject} is enrolled already: stage {trainer_state.stage} of {trainer_state.curriculum}, "
                f"since {state.date:%Y-%m-%d}.",
                "Move it with `aind-launch animals move`, or enrol it anew with --replace.",
            )
        if lost := self.lost(subject):
            raise AnimalError(lost, self.how_to_restore(subject))

    def lost(self, subject: str) -> str | None:
        """Says that an animal that was somewhere has no state any more; None where that is not so."""
        folder = self.folder(subject)
        if (folder / STATE).exists() or not history.had_a_state(folder / HISTORY):
            return None
        return f"Animal {subject} has a history, but its {STATE} is gone from {folder}."

    def how_to_restore(self, subject: str) -> str:
        """What an operator does about an animal whose state is gone or cannot be read."""
        newest = history.newest_file(self.folder(subject) / HISTORY)
        restore = f'Restore it with `aind-launch animals move {subject} --to "{newest}" --reason "restored"`.'
        anew = f"enrol it again with `aind-launch curricula enroll {subject} --curriculum NAME --replace`."
        return f"{restore} Or {anew}" if newest else f"E{anew[1:]}"

    def enroll(self, subject: str, trainer_state: TrainerStateText, by: str, *, replace: bool = False) -> Recorded:
        """Let an animal start, without metrics.

        :param replace: also where it has a state, readable or not; that is kept beside the new one.
        :raises AnimalError: it has a state.
        """
        with self._locked(subject) as folder:
            if not replace:
                self.refuse_known(subject)
            current = self._readable(subject)
            entry = HistoryEntry(
                kind="enrolled", date=now(), trainer_state=trainer_state.text, digest=trainer_state.digest, by=by
            )
            return _apply(folder, current, entry)

    def move(
        self, subject: str, trainer_state: TrainerStateText, reason: str, by: str, restored: AnimalState | None = None
    ) -> Recorded:
        """Put an animal elsewhere by hand. It keeps its metrics unless the curriculum is another.

        :param restored: what it gets back, with its metrics; also where its state is gone or cannot be read.
        :raises AnimalError: it is not enrolled, or its state cannot be read.
        """
        with self._locked(subject) as folder:
            current = self._readable(subject) if restored else self.read(subject)
            if current.state is None and restored is None:
                raise AnimalError(
                    f"Animal {subject} has no state in {folder}.",
                    f"Enrol it with `aind-launch curricula enroll {subject} --curriculum NAME`.",
                )
            stood = current.state
            if stood is not None and stood.trainer_state.curriculum != trainer_state.curriculum:
                stood = None
            from_file = restored.metrics if restored else None
            entry = HistoryEntry(
                kind="moved",
                date=now(),
                trainer_state=trainer_state.text,
                digest=trainer_state.digest,
                metrics=from_file if from_file is not None else stood.metrics if stood else None,
                reason=reason,
                by=by,
            )
            return _apply(folder, current, entry)

    def record(
        self,
        subject: str,
        suggestion: CurriculumSuggestion,
        session_name: str,
        session_date: datetime,
        ran_with: AnimalState | None,
        *,
        known: bool = False,
    ) -> Recorded:
        """Make a suggestion the animal's state, unless the animal is further already.

        Doing it again is harmless and completes what a power failure left half-done.

        :param known: this library had the animal when the session began; if it has not now, it is not all there.
        :raises AnimalError: the animal's state cannot be read.
        :raises TransientError: the folder is locked or cannot be written.
        """
        entry = HistoryEntry(
            kind="suggestion",
            date=session_date,
            session_name=session_name,
            trainer_state=suggestion.trainer_state.text,
            digest=suggestion.trainer_state.digest,
            metrics=suggestion.metrics,
            suggestion_digest=suggestion.digest,
            provenance=suggestion.provenance,
        )
        if known and self.read(subject).state is None:
            raise TransientError(
                f"Animal {subject} is no longer in the library {self.root}, where it was when its session began.",
                "Connect the library's drive or share and resume.",
            )
        with self._locked(subject) as folder:
            current = self.read(subject)
            if current.state is None or current.state.yields_to(session_name, session_date, ran_with):
                return _apply(folder, current, entry)
            because = f"the animal was put where it stands by {_origin(current.state)}, which is later"
            late = entry.model_copy(update={"superseded": True, "reason": because})
            kept = history.keep(folder / HISTORY, late)
            return Recorded(outcome="superseded", trainer_state=folder / STATE, entry=kept, because=because)

    def _readable(self, subject: str) -> StoredAnimal:
        """Where an animal stands, with its lock held; what cannot be read is set aside and kept."""
        try:
            return self.read(subject)
        except AnimalError:
            folder = self.folder(subject)
            move(folder / STATE, folder / f"trainer_state.unreadable-{now():%Y-%m-%dT%H%M%S.%fZ}.json")
            return self.read(subject)

    @property
    def _subjects(self) -> Path:
        return self.root / checked_name("experiment", self.experiment) / "Subjects"

    def _listed(self, subject: str) -> StoredAnimal:
        try:
            return self.read(subject)
        except LauncherError as error:
            return StoredAnimal(subject, self.experiment, self._subjects / subject, problem=str(error))

    @contextmanager
    def _locked(self, subject: str) -> Iterator[Path]:
        """The animal's folder, made where it is missing, for one writer at a time on any rig."""
        from filelock import FileLock, Timeout

        folder = self.folder(subject)
        lock = folder / LOCK
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=self.lock_timeout, mode=0o666):
                yield folder
        except Timeout:
            raise TransientError(
                f"Animal {subject} is being written by another rig: {lock} was locked for {self.lock_timeout:g} s.",
                "Wait for the other rig and try again.",
            ) from None
        except OSError as error:
            raise TransientError(
                f"The animal's folder {folder} cannot be written: {error.strerror or error}.",
                f"Check that {self.root} is connected and that this login may write there, then try again.",
            ) from None


def experiments(root: Path) -> tuple[str, ...]:
    """The experiments that have animals in the library at `root`."""
    return tuple(name for name in _folders(root) if _is_folder(root / name / "Subjects"))


def _apply(folder: Path, current: StoredAnimal, entry: HistoryEntry) -> Recorded:
    """History first, then the state that commits it."""
    path = folder / STATE
    if current.state is not None and current.changed_outside:
        found = current.state.trainer_state
        history.keep(
            folder / HISTORY,
            HistoryEntry(kind="found", date=current.state.date, trainer_state=found.text, digest=found.digest),
        )
    kept = folder / HISTORY / entry.file_name
    stands = current.state is not None and current.state.trainer_state.digest == entry.digest
    if stands and kept.exists():
        return Recorded(outcome="unchanged", trainer_state=path, entry=kept)
    history.keep(folder / HISTORY, entry)
    write_whole(path, entry.trainer_state)
    return Recorded(outcome="applied", trainer_state=path, entry=kept)


def _read_text(path: Path) -> str | None:
    """The text of `path`, its line ends as they are; None where it does not exist."""
    try:
        return read_whole(path).decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnimalError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the library is connected and that this login may read it.",
        ) from None
    except UnicodeDecodeError:
        raise AnimalError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if _is_folder(path) and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AnimalError(f"{folder} cannot be read: {error.strerror or error}.") from None


def _refuse_another_spelling(kind: str, parent: Path, name: str) -> None:
    """Refuse `name` where `parent` has it with other capitals: on Windows that is the same folder, elsewhere a second.

    :raises AnimalError: so that an animal has one name on every rig.
    """
    known = _folders(parent)
    if name not in known and (other := next((x for x in known if x.lower() == name.lower()), None)):
        raise AnimalError(f"There is no {kind} {name}, but there is {other}.", f"Write {other}.")


def _is_folder(path: Path) -> bool:
    # The root of a drive has folders that nobody may look into.
    with suppress(OSError):
        return path.is_dir()
    return False


def _origin(state: AnimalState) -> str:
    if state.session_name:
        return f"session {state.session_name}"
    return f"an enrolment, a move or an edit of {state.date:%Y-%m-%d %H:%M} UTC"
