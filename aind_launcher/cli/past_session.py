"""A session of the past, decided once more by the pinned curriculum; nothing of it is changed or recorded."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aind_launcher.errors import Refused, UsageError
from aind_launcher.system.files import scratch_folder
from aind_launcher.system.git import few

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
        before = _files(self.folder)
        with scratch_folder() as scratch:
            copy = Path(scratch, self.folder.name)
            try:
                shutil.copytree(self.folder, copy, copy_function=_copied, ignore_dangling_symlinks=True)
            except OSError as error:
                # shutil collects all that went wrong.
                reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
                raise Refused(
                    f"{self.folder.name} cannot be copied to {scratch}: {reason}.",
                    "Free that disk, or set TMPDIR (on Windows TEMP) to a folder on another.",
                ) from None
            suggestion = ask(copy, copy / self.behavior.name / "trainer_state.json")
        if changed := sorted(name for name, state in _files(self.folder).items() if before.get(name) != state):
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


def _copied(source: str, target: str) -> None:
    if Path(source).stat().st_size >= _LARGE:
        # Windows lets few accounts make links.
        with suppress(OSError):
            Path(target).symlink_to(Path(source).resolve())
            return
    shutil.copyfile(source, target)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    states = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (state.st_size, state.st_mtime_ns) for path, state in states}
