"""The built-in `acquisition` plugin: runs the task's own program, and judges by its exit code and its data."""

import logging
import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    SecretStr,
    field_validator,
)

from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.clock import now
from aind_launcher.model.session import Acquisition, Check, SessionContext
from aind_launcher.settings.model import SettingsModel
from aind_launcher.system.inherited import is_credential
from aind_launcher.system.interrupts import InterruptedAgain
from aind_launcher.system.programs import find_program
from aind_launcher.system.redaction import HIDDEN
from aind_launcher.system.tail import task_output

if TYPE_CHECKING:
    from aind_launcher.system.processes import Ended

logger = logging.getLogger(__name__)

# What a command may name, and where the session has it.
PLACEHOLDERS: Final = {
    "session": attrgetter("staged_session"),
    "rig": attrgetter("staged_rig"),
    "task": attrgetter("staged_task"),
    "trainer_state": attrgetter("paths.trainer_state"),
    "data_directory": attrgetter("folder.parent"),
    "session_directory": attrgetter("folder"),
    "repository": attrgetter("repository.path"),
}
# What to do where the session lacks an input that the command names.
_HINTS: Final = {
    "rig": "Name this rig's file with the setting rig, or with --rig FILE.",
    "task": "Enrol the animal in a curriculum, give --task FILE, or put a task.json into its folder of the library.",
    "trainer_state": "Enrol the animal with `aind-launch curricula enroll`, and leave out --task: with a task of its "
    "own a session has no trainer state.",
}

# Other braces, as of JSON in an argument, are left as they are.
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z][\w-]*)\}")
# A known name whose closing brace is missing; a brace of any kind further on may be its own.
_HALF_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\b(?![^{{]*\}})")
# Whoever looks at the settings sees the names alone.
_HIDE_VALUES: Final = PlainSerializer(lambda variables: dict.fromkeys(variables, HIDDEN), when_used="json")


class AcquisitionProgram:
    """Runs one command for each session: Bonsai, a Python program, anything that ends when the session does."""

    class Settings(SettingsModel):
        """``[tool.aind-launcher.plugin.acquisition]``"""

        command: list[str] | None = Field(
            None,
            min_length=1,
            description="The program and its arguments, with the placeholders "
            f"{', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}. Without it another plugin runs the acquisition.",
        )
        working_directory: Path = Field(Path(), description="Where the program runs; the task repository unless set.")
        timeout: PositiveFloat | None = Field(
            None, description="Seconds after which the program is asked to close. Without it: never."
        )
        close_grace: NonNegativeFloat = Field(
            10, description="Seconds that the program gets to close by itself before it is killed."
        )
        exit_codes: dict[int, Literal["completed", "failed"]] = Field(
            {}, description="What an exit code means. Unless said here, 0 is completed and all others are failed."
        )
        requires_data: list[str] = Field(
            [],
            description="Patterns of files in the session's folder, as in 'behavior/**/*.csv'. A session without a "
            "file that is not empty for each of them counts as failed, however the program ended.",
        )
        environment: Annotated[dict[str, str], _HIDE_VALUES] = Field(
            {}, description="Variables that the program gets beside its own."
        )

        @field_validator("command")
        @classmethod
        def _known_placeholders(cls, command: list[str] | None) -> list[str] | None:
            for argument in command or ():
                if half := _HALF_PLACEHOLDER.search(argument):
                    raise ValueError(f"{half[0]!r} in {argument!r} lacks a brace; write {{{half[1]}}}")
                for name in _PLACEHOLDER.findall(argument):
                    if name not in PLACEHOLDERS:
                        known = ", ".join(PLACEHOLDERS)
                        raise ValueError(f"unknown placeholder {{{name}}} in {argument!r}; known are {known}")
            return command

        @field_validator("environment")
        @classmethod
        def _names_of_variables(cls, environment: dict[str, str]) -> dict[str, str]:
            for name in environment:
                if not name or "=" in name:
                    raise ValueError(f"{name!r} is not the name of a variable")
            return environment

        @field_validator("requires_data")
        @classmethod
        def _within_the_folder(cls, patterns: list[str]) -> list[str]:
            for pattern in patterns:
                path = PureWindowsPath(pattern)
                if not path.parts or path.anchor or ".." in path.parts:
                    raise ValueError(f"{pattern!r} is not a pattern within the session's folder")
                # Python 3.11 and 3.12 raise an error for it, which would be after the session.
                if any("**" in part and part != "**" for part in path.parts):
                    raise ValueError(f"{pattern!r} has '**' beside other letters; write it as '**/*.csv'")
            return patterns

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def secrets(self) -> list[SecretStr]:
        """The values of its own variables that are called like credentials; to hide "true" or "D:/data" would harm."""
        own = self.settings.environment
        return [SecretStr(value) for name, value in own.items() if is_credential(name)]

    @hookimpl
    def pre_session(self, session: SessionContext) -> list[Check]:
        """The program is there, and so is every input that its command names."""
        command = self.settings.command
        if command is None:
            message = "No command is set, so another plugin has to run the acquisition."
            hint = 'Set plugin.acquisition.command, or where another plugin does run it: disable = ["acquisition"].'
            return [Check.warning("acquisition", message, hint)]
        used = set(_PLACEHOLDER.findall(" ".join(command)))
        program = substituted(command[0], _places(session))
        return [self._program_check(program, session.repository.path), *_missing_inputs(session, used)]

    @hookimpl
    def check_rig(self, repository: Path) -> Check | None:
        """The program is there, as far as that can be said without a session."""
        if self.settings.command is None:
            return None
        program = substituted(self.settings.command[0], {"repository": repository})
        return None if _PLACEHOLDER.search(program) else self._program_check(program, repository)

    @hookimpl
    def run_session(self, session: SessionContext, environment: Mapping[str, str]) -> Acquisition | None:
        """Run the program to its end, or until Ctrl-C asks it to close."""
        if self.settings.command is None:
            return None
        from aind_launcher.system.processes import Program, run_child

        written, *arguments = (substituted(argument, _places(session)) for argument in self.settings.command)
        program = self._found(written, session.repository.path) or Path(written)
        last_words: deque[str] = deque(maxlen=1)

        def show(stream: Literal["stdout", "stderr"], line: str) -> None:
            if line.strip():
                task_output.info("%s", line)
                if stream == "stderr":
                    last_words.append(line.strip())

        def say_that_it_closes() -> None:
            grace = self.settings.close_grace
            logger.warning("Asking %s to close, for up to %g s. Ctrl-C again ends it at once.", program.name, grace)

        start = now()
        try:
            ended = run_child(
                Program(
                    [program, *arguments],
                    cwd=self.settings.working_directory,
                    env=with_variables(environment, self.settings.environment, sys.platform),
                    stdout=session.staged_output / "acquisition.stdout.txt",
                    stderr=session.staged_output / "acquisition.stderr.txt",
                    timeout=self.settings.timeout,
                    close_grace=self.settings.close_grace,
                    on_line=show,
                    on_close=say_that_it_closes,
                )
            )
        except InterruptedAgain:
            raise
        except KeyboardInterrupt:
            message = f"{program.name} was interrupted by the operator and has ended; see {session.staged_output}."
            return Acquisition(outcome="interrupted", start=start, end=now(), message=message)
        end = now()
        problem = self._problem(session, ended)
        if problem:
            said = f" ({last_words[0]})" if last_words else ""
            problem = f"{program.name} {problem}{said}; see {session.staged_output}."
        outcome: Literal["failed", "completed"] = "failed" if problem else "completed"
        return Acquisition(outcome=outcome, start=start, end=end, exit_code=ended.exit_code, message=problem)

    def _problem(self, session: SessionContext, ended: "Ended") -> str | None:
        """Why the session counts as failed, as the predicate of a sentence."""
        code = ended.exit_code
        if ended.ended_by == "timeout":
            return f"did not end within {self.settings.timeout:g} s and was ended"
        if self.settings.exit_codes.get(code, "completed" if code == 0 else "failed") == "failed":
            return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        missing = self.missing_data(session)
        return f"ended with exit code {code}, but {missing}" if missing else None

    @hookimpl
    def missing_data(self, session: SessionContext) -> str | None:
        """The patterns of required data for which there is none."""
        missing = [pattern for pattern in self.settings.requires_data if not _has_data(session, pattern)]
        return f"{session.folder} has no data for {', '.join(missing)}" if missing else None

    def _found(self, program: str, repository: Path) -> Path | None:
        """The program on its own search path, or relative to its working directory or the task repository."""
        own = with_variables(os.environ, self.settings.environment, sys.platform)
        search = next((value for name, value in own.items() if name.upper() == "PATH"), os.defpath)
        return find_program(program, search, [self.settings.working_directory, repository])

    def _program_check(self, program: str, repository: Path) -> Check:
        name = "acquisition"
        working_directory = self.settings.working_directory
        if not working_directory.is_dir():
            message = f"The program's working directory {working_directory} does not exist."
            return Check.failed(name, message, "Correct the setting plugin.acquisition.working-directory.")
        if found := self._found(program, repository):
            if starts_elsewhere(found, working_directory, sys.platform):
                message = f"{found.name} would start in C:\\Windows, since {working_directory} is on a share."
                return Check.failed(name, message, "Name the program itself, or keep the folder on a disk of this rig.")
            return Check.passed(name, str(found))
        places = " or ".join(dict.fromkeys([str(working_directory), str(repository)]))
        script = program.endswith(".py")
        of_script = f' A script needs its interpreter: command = ["python", "{program}"].' if script else ""
        searched = f"on PATH, nor in {places}" if Path(program).name == program else f"in {places}"
        message = f"The program {program} is not {searched}, or is not a program."
        hint = "Install it, or correct the setting plugin.acquisition.command."
        return Check.failed(name, message, hint + of_script)


def starts_elsewhere(program: PurePath, folder: PurePath, platform: str) -> bool:
    """Whether `program` cannot start in `folder`: the command interpreter of Windows works in no folder on a share."""
    on_share = PureWindowsPath(folder).drive.startswith("\\\\")
    return platform == "win32" and program.suffix.lower() in (".bat", ".cmd") and on_share


def substituted(argument: str, places: Mapping[str, Path]) -> str:
    """`argument` with its placeholders filled in; what is filled in is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: str(places.get(found[1], found[0])), argument)


def with_variables(environ: Mapping[str, str], more: Mapping[str, str], platform: str) -> dict[str, str]:
    """`environ` with `more`; on Windows, where names have no case, ``PATH`` replaces ``Path``."""
    if platform == "win32":
        replaced = {name.upper() for name in more}
        environ = {name: value for name, value in environ.items() if name.upper() not in replaced}
    return {**environ, **more}


def _places(session: SessionContext) -> dict[str, Path]:
    return {name: place(session) for name, place in PLACEHOLDERS.items()}


def _missing_inputs(session: SessionContext, used: set[str]) -> Iterator[Check]:
    """A failed check for each input that the command names and the session does not have."""
    inputs = {
        "rig": session.rig,
        "task": session.task,
        "trainer_state": session.animal_state if session.task_source != "file" else None,
    }
    for name, given in inputs.items():
        if name in used and given is None:
            message = f"The acquisition's command uses {{{name}}}, which this session does not have."
            yield Check.failed(name.replace("_", " "), message, _HINTS[name])


def _has_data(session: SessionContext, pattern: str) -> bool:
    """Whether the acquisition left a file for `pattern` that is not empty; a folder counts for the files in it."""
    ours = {session.paths.trainer_state, session.paths.previous_metrics}
    for match in session.folder.glob(pattern):
        for path in [match] if match.is_file() else match.rglob("*"):
            # Hidden files are the launcher's own, as its mark of the machine.
            if path in ours or path.name.startswith("."):
                continue
            if path.is_file() and path.stat().st_size > 0:
                return True
    return False
