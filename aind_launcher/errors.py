"""Every error a user can meet: what happened, to what, what to do next, and the exit code it ends with."""

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What `aind-launch` says to whoever called it."""

    DONE = 0
    STEP_FAILED = 1
    USAGE = 2
    REFUSED = 3
    ACQUISITION_FAILED = 4
    INTERRUPTED = 130


class LauncherError(Exception):
    """Base of all errors that are shown as a sentence and never as a traceback.

    :param message: what happened and to what.
    :param hint: what the reader does next, as a sentence or a command.
    """

    exit_code = ExitCode.STEP_FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UsageError(LauncherError):
    """The call itself cannot be carried out: a name, an option, a folder that is not a task repository."""

    exit_code = ExitCode.USAGE


class SettingsError(UsageError):
    """A setting is unknown, has the wrong type, or contradicts another."""


class PluginError(UsageError):
    """A plugin is broken, missing or duplicate; no session starts with it."""


class Refused(LauncherError):
    """A session or command was refused before the animal is on the rig; nothing was changed."""

    exit_code = ExitCode.REFUSED


class BeginAgain(Refused):
    """Raised by `begin_session`: the session must begin again, with the animal as it is now and another name."""


class SourceError(Refused):
    """A curriculum source is missing, moved or modified, or none serves the animal."""


class EnvironmentBuildError(Refused):
    """A curriculum's environment cannot be built or is not healthy."""


class AnimalError(Refused):
    """An animal is unknown, or its stored state cannot be read."""


class CurriculumError(LauncherError):
    """A curriculum gave no usable answer; the session goes on and the step can be resumed."""


class CurriculumFailed(CurriculumError):
    """The curriculum's process ended with a code other than 0, or by a signal."""


class CurriculumTimedOut(CurriculumError):
    """The curriculum did not end in time; its whole process tree was ended."""


class NoAnswer(CurriculumError):
    """The curriculum ended well but printed no suggestion, or one that cannot be read."""


class NoCommand(CurriculumError):
    """A curriculum source has no command for what it was asked."""


class TransientError(LauncherError):
    """For plugin authors: raise it where a second try may well succeed (a time-out, a 503)."""


class StepSkipped(LauncherError):
    """For plugin authors: this step does not apply to this session; the message says why."""


class Unanswered(LauncherError):
    """A plugin needs a person, or the answer to a question that has no default, and nobody is there."""


class HandedOff(LauncherError):
    """For plugin authors: a step had to write into a session's folder that was handed off already.

    :param message: what had to be written, as a sentence.
    :param session: the session's name.
    """

    def __init__(self, message: str, session: str) -> None:
        super().__init__(message, f"Ask for a new hand-off with `aind-launch resume {session} --hand-off-again`.")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The question whether one of `known` was meant, as a hint; None where none is like `name`.

    :param cutoff: how alike they must be, from 0 to 1.
    """
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return f"Did you mean '{close[0]}'?" if close else None
