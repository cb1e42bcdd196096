"""What an acquisition is started with: the rig's file, the task, and the data directory that the rig names."""

import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aind_launcher.errors import LauncherError, Refused, SettingsError, UsageError
from aind_launcher.model.json_text import object_in
from aind_launcher.model.names import as_name

if TYPE_CHECKING:
    from aind_launcher.model.session import Inputs, SessionContext
    from aind_launcher.settings.layers import LauncherSettings


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
    if named is None and settings.data_directory is not None:
        return settings.data_directory
    if named is None:
        raise SettingsError(
            "Nothing says where sessions are written.",
            "Set data-directory, or a rig file (rig) that has a data_directory.",
        )
    if not isinstance(named, str):
        raise SettingsError(f"data_directory in the rig file {settings.rig} is not a path.", "Correct the rig file.")
    of_rig = Path(settings.rig or "").parent / named
    if settings.data_directory is not None and settings.data_directory.resolve() != of_rig.resolve():
        raise SettingsError(
            f"The rig file {settings.rig} writes to {of_rig}, but the setting data-directory is "
            f"{settings.data_directory}.",
            "Remove the setting, or make both the same.",
        )
    return of_rig


def rig_name(settings: "LauncherSettings") -> str:
    """What this rig is called in registers: the setting, else the rig file's ``rig_name``, else the machine's name."""
    if settings.rig_name is not None:
        return settings.rig_name
    named: object = None
    with suppress(LauncherError):
        named = (read_rig(settings.rig) or {}).get("rig_name")
    return as_name(named if isinstance(named, str) and named else platform.node() or "rig")


def data_directory_or_none(settings: "LauncherSettings") -> Path | None:
    """Where sessions are written, if the settings and the rig file say so."""
    try:
        return data_directory(settings, read_rig(settings.rig))
    except LauncherError:
        return None


def with_task(session: "SessionContext", task_file: Path | None) -> "SessionContext":
    """`session` with its task before plugins are asked: the operator's file, else the stage of the trainer state.

    :raises UsageError: the file is missing or is not a JSON object.
    """
    if task_file is not None:
        task = _read_object(task_file, "task", "Give --task a JSON file.")
        return session.model_copy(update={"task": task, "task_source": "file"})
    of_stage = session.animal_state.trainer_state.task if session.animal_state else None
    source = "trainer state" if of_stage is not None else None
    return session.model_copy(update={"task": of_stage, "task_source": source})


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
        return object_in(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The {what} file {path} cannot be read: {error.strerror}.", hint) from None
    except ValueError as error:
        raise UsageError(f"The {what} file {path} {error}.", "Correct the file.") from None
