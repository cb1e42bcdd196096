"""A session of the past, decided once more by the pinned curriculum; nothing of it is changed or recorded."""

import errno
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aind_launcher.errors import Refused, UsageError
from aind_launcher.model.names import few
from aind_launcher.system.files import file_states, scratch_folder

if TYPE_CHECKING:
    from aind_launcher.model.animal import TrainerStateText
    from aind_launcher.model.suggestion import CurriculumSuggestion

# Bytes from which a file is linked into the scratch copy: videos and recordings, which no curriculum rewrites.
_LARGE = 256 << 20


@dataclass(frozen=True)
class PastSession:
    """A session's folder with the state that the session ran with.

    :param behavior: its folder of that name, which older sessions write with a capital.
    """

    folder: Path
    behavior: Path

    @classmethod
    def find(cls, folder: Path) -> "PastSession":
        """The session in `folder`.

        :raises UsageError: it has no trainer state.
        """
        for behavior in (folder / "behavior", folder / "Behavior"):
            if (behavior / "trainer_state.json").is_file():
                return cls(folder, behavior)
        raise UsageError(
            f"There is no trainer state {folder / 'behavior' / 'trainer_state.json'}.",
            "Give the folder of a session that ran with a curriculum.",
        )

    @property
    def trainer_state(self) -> "TrainerStateText":
        """The state that the session ran with.

        :raises UsageError: no curriculum decides by it.
        """
        from aind_launcher.model.animal import TrainerStateText

        state = TrainerStateText.read_file(self.behavior / "trainer_state.json")
        if not state.is_on_curriculum:
            raise UsageError(
                f"No curriculum decides on {self.folder.name}: the animal was off its curriculum.",
                "Give another session.",
            )
        return state

    def decide(self, ask: "Callable[[Path, Path], CurriculumSuggestion]") -> "CurriculumSuggestion":
        """What a curriculum decides on a scratch copy of the folder.

        :param ask: is given the copy and the file in it with the trainer state.
        :raises Refused: it cannot be copied, or one of its large files, which are linked into the copy, was changed.
        """
        with ExitStack() as until_decided:
            try:
                before = file_states(self.folder)
                copy = Path(until_decided.enter_context(scratch_folder()), self.folder.name)
                _copy_folder(self.folder, copy)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                raise Refused(
                    f"{self.folder.name} cannot be copied: {where}{error.strerror or error}.",
                    "Free the disk of the temporary directory, or set TMPDIR (on Windows TEMP) to a folder on another."
                    if error.errno in (errno.ENOSPC, errno.EDQUOT)
                    else "Give a copy of the session's folder without it.",
                ) from None
            suggestion = ask(copy, copy / self.behavior.name / "trainer_state.json")
        if changed := sorted(name for name, state in file_states(self.folder).items() if before.get(name) != state):
            raise Refused(
                f"Files of {self.folder.name} changed while the curriculum decided: {few(changed)}.",
                "Compare them with another copy of the data.",
            )
        return suggestion

    def differences(self, suggestion: "CurriculumSuggestion") -> tuple[str, ...] | None:
        """What of the answer is not as recorded in the folder, versions aside; None where nothing is recorded."""
        try:
            recorded = json.loads((self.behavior / "Logs" / "suggestion.json").read_bytes())
            then = _parts(recorded["trainer_state"], recorded["metrics"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError):
            return ("all, as the record cannot be read",)
        now = _parts(suggestion.trainer_state.document, suggestion.metrics)
        return tuple(name for name in now if now[name] != then[name])

    @staticmethod
    def policies(suggestion: "CurriculumSuggestion") -> list[str]:
        """The names of the policies that would be active in the next session."""
        active = suggestion.trainer_state.document.get("active_policies")
        listed = active if isinstance(active, list) else []
        return [str(policy.get("name", policy)) if isinstance(policy, dict) else str(policy) for policy in listed]


def _parts(trainer_state: dict[str, Any], metrics: object) -> dict[str, str]:
    """The parts of an answer by what people call them, each as text that is equal where the part is."""
    state = dict(trainer_state)
    stage = dict(state.pop("stage", None) or {})
    curriculum = {name: value for name, value in (state.pop("curriculum", None) or {}).items() if name != "version"}
    parts = {
        "stage": stage.pop("name", None),
        "task": stage.pop("task", None),
        "policies": state.pop("active_policies", None),
        "metrics": metrics,
        "curriculum": curriculum,
        "trainer state": [stage, state],
    }
    # Text, since no NaN is equal to another.
    return {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}


def _copy_folder(source: Path, target: Path, above: tuple[Path, ...] = ()) -> None:
    """Copy a folder with what its links lead to; a link that leads nowhere is left out.

    :param above: the folders that it is in.
    """
    here = source.resolve()
    if here in above:
        raise OSError(errno.ELOOP, "it leads back to a folder above it", str(source))
    target.mkdir()
    for path in source.iterdir():
        if path.is_dir():
            _copy_folder(path, target / path.name, (*above, here))
        elif path.is_file():
            _copy_file(path, target / path.name)
        elif path.exists():
            raise OSError(errno.EINVAL, "it is no regular file", str(path))


def _copy_file(source: Path, target: Path) -> None:
    if source.stat().st_size >= _LARGE:
        # Windows lets few accounts make links.
        with suppress(OSError):
            target.symlink_to(source.resolve())
            return
    shutil.copyfile(source, target)
