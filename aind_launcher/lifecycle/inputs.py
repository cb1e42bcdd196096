"""What an acquisition is started with: the rig's file, the task, and the data directory that the rig names."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aind_launcher.errors import LauncherError, Refused, SettingsError, UsageError

if TYPE_CHECKING:
    from aind_launcher.model.animal import AnimalState
    from aind_launcher.model.session import Inputs, SessionContext
    from aind_launcher.settings.layers import LauncherSettings

TaskSource = Literal["trainer state", "file"]


def read_rig(path: Path | None) -> dict[str, Any] | None:
    """The rig file as plain data.

    :raises UsageError: it is missing or is not a JSON object.
    """
    return None if path is None else _read_object(path, "rig", "Set rig, or give --rig FILE.")


def data_directory(settings: "LauncherSettings", rig: dict[str, Any] | None) -> Path:
    """Where sessions are written: where the rig file says, since the task writes there.

    :raises SettingsError: nothing says where, or rig file and setting contradict each other.
    """
    named = (rig or {}).get("data_directory")
    if named is not None and not isinstance(named, str):
        raise SettingsError(f"data_directory in the rig file {settings.rig} is not a path.", "Correct the rig file.")
    if named is None:
        if settings.data_directory is None:
            raise SettingsError(
                "Nothing says where sessions are written.",
                "Set data-directory, or a rig file (rig) that has a data_directory.",
            )
        return settings.data_directory
    of_rig = Path(named)
    if not of_rig.is_absolute():
        of_rig = (settings.rig.parent if settings.rig else Path.cwd()) / of_rig
    if settings.data_directory is not None and settings.data_directory.resolve() != of_rig.resolve():
        raise SettingsError(
            f"The rig file {settings.rig} writes to {of_rig}, but the setting data-directory is "
            f"{settings.data_directory}.",
            "Remove the setting, or make both the same.",
        )
    return of_rig


def data_directory_or_none(settings: "LauncherSettings") -> Path | None:
    """Where sessions are written, if the settings and the rig file say so."""
    try:
        return data_directory(settings, read_rig(settings.rig))
    except LauncherError:
        return None


def first_task(task_file: Path | None, state: "AnimalState | None") -> tuple[dict[str, Any] | None, TaskSource | None]:
    """The task before plugins are asked: the operator's file, else the stage of the trainer state.

    :raises UsageError: the file is missing or is not a JSON object.
    """
    if task_file is not None:
        return _read_object(task_file, "task", "Give --task a JSON file."), "file"
    task = state.trainer_state.task if state else None
    return (task, "trainer state") if task is not None else (None, None)


def changed(session: "SessionContext", inputs: "Inputs", plugin: str) -> "SessionContext":
    """`session` with the rig and task that a plugin prepared.

    :raises Refused: the plugin moved the data directory, which is part of the session's identity.
    """
    if (inputs.rig or {}).get("data_directory") != (session.rig or {}).get("data_directory"):
        raise Refused(f"Plugin {plugin} changed the rig's data_directory.", "Set it in the rig file.")
    source = session.task_source
    if session.task is None and inputs.task is not None:
        source = inputs.task_from
    return session.model_copy(update={"rig": inputs.rig, "task": inputs.task, "task_source": source})


def _read_object(path: Path, what: str, hint: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The {what} file {path} cannot be read: {error.strerror}.", hint) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The {what} file {path} is not JSON: {error}.", "Correct the file.") from None
    if not isinstance(document, dict):
        raise UsageError(f"The {what} file {path} is not a JSON object.", "Correct the file.")
    return document
