"""The built-in `acquisition` plugin: runs the task's own program, and judges by its exit code and its data."""

import difflib
import logging
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    SecretStr,
    field_validator,
)

from aind_launcher.errors import AcquisitionError
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model import session as values
from aind_launcher.model.clock import now
from aind_launcher.model.session import Check, SessionContext
from aind_launcher.system.files import move
from aind_launcher.system.inherited import is_credential
from aind_launcher.system.interrupts import InterruptedAgain
from aind_launcher.system.programs import find_program
from aind_launcher.system.redaction import HIDDEN

if TYPE_CHECKING:
    from aind_launcher.system.processes import Ended

logger = logging.getLogger(__name__)
# The program's own output, line by line.
output = logging.getLogger("aind_launcher.acquisition")

PLACEHOLDERS: Final = ("session", "rig", "task", "trainer_state", "data_directory", "session_directory", "repository")
STDOUT: Final = "acquisition.stdout.txt"
STDERR: Final = "acquisition.stderr.txt"

# Other braces, as of JSON in an argument, are left as they are.
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z][\w-]*)\}")
# A known name whose closing brace is missing; a brace of any kind further on may be its own.
_HALF_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\b(?![^{{]*\}})")
# In a file pattern: one of several letters.
_LETTERS: Final = re.compile(r"\[!?\]?[^\]/]*\]")
# Whoever looks at the settings sees the names alone.
_HIDE_VALUES: Final = PlainSerializer(lambda variables: dict.fromkeys(variables, HIDDEN), when_used="json")


class Acquisition:
    """Runs one command for each session: Bonsai, a Python program, anything that ends when the session does."""

    class Settings(BaseModel):
        """``[tool.aind-launcher.plugin.acquisition]``"""

        model_config = ConfigDict(frozen=True, extra="forbid")

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
                for name in _PLACEHOLDER.findall(argument):
                    if name not in PLACEHOLDERS:
                        near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
                        hint = f"did you mean {{{near[0]}}}?" if near else f"known are {', '.join(PLACEHOLDERS)}"
                        raise ValueError(f"unknown placeholder {{{name}}} in {argument!r}; {hint}")
            return command

        @field_validator("command")
        @classmethod
        def _closed_placeholders(cls, command: list[str] | None) -> list[str] | None:
            for argument in command or ():
                if half := _HALF_PLACEHOLDER.search(argument):
                    raise ValueError(f"{half[0]!r} in {argument!r} lacks a brace; write {{{half[1]}}}")
            return command

        @field_validator("requires_data")
        @classmethod
        def _within_the_folder(cls, patterns: list[str]) -> list[str]:
            for pattern in patterns:
                parts = PureWindowsPath(pattern)
                if not parts.parts or parts.anchor or ".." in parts.parts:
                    raise ValueError(f"{pattern!r} is not a pattern within the session's folder")
                if any("**" in part and part != "**" for part in parts.parts):
                    raise ValueError(f"{pattern!r} has '**' beside other letters; write it as '**/*.csv'")
                if "[" in _LETTERS.sub("", pattern):
                    raise ValueError(f"{pattern!r} has a '[' without its ']'")
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
            return [
                Check(
                    name="acquisition",
                    outcome="warning",
                    message="No command is set, so another plugin has to run the acquisition.",
                    hint="Set plugin.acquisition.command, or where another plugin does run it: "
                    'disable = ["acquisition"].',
                )
            ]
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
    def run_session(self, session: SessionContext, environment: Mapping[str, str]) -> values.Acquisition | None:
        """Run the program to its end, or until Ctrl-C asks it to close."""
        if self.settings.command is None:
            return None
        program, *arguments = (substituted(argument, _places(session)) for argument in self.settings.command)
        found = self._found(program, session.repository.path)
        if found is None:
            raise AcquisitionError(f"The program {program} was not found.", "Install it, or correct its path.")
        last_words: deque[str] = deque(maxlen=1)

        def show(stream: Literal["stdout", "stderr"], line: str) -> None:
            if line.strip():
                output.info("%s", line)
                if stream == "stderr":
                    last_words.append(line.strip())

        def say_that_it_closes() -> None:
            grace = self.settings.close_grace
            logger.warning("Asking %s to close, for up to %g s. Ctrl-C again ends it at once.", found.name, grace)

        from aind_launcher.system.processes import Program, run_child

        start = now()
        ended: Ended | None = None
        try:
            ended = run_child(
                Program(
                    [found, *arguments],
                    cwd=self._working_directory(session.repository.path),
                    env=self._with_own(environment),
                    stdout=session.staged_output / STDOUT,
                    stderr=session.staged_output / STDERR,
                    timeout=self.settings.timeout,
                    close_grace=self.settings.close_grace,
                    on_line=show,
                    on_close=say_that_it_closes,
                )
            )
        except InterruptedAgain:
            _keep_output(session)
            raise
        except KeyboardInterrupt:
            logger.warning("Interrupted: %s has ended.", found.name)
        end = now()
        kept = _keep_output(session)
        if ended is None:
            message = f"{found.name} was interrupted by the operator and has ended; its output is in {kept}."
            return values.Acquisition(outcome="interrupted", start=start, end=end, message=message)
        return self._judged(session, ended, start, end, found.name, last_words[0] if last_words else None, kept)

    def _judged(
        self,
        session: SessionContext,
        ended: "Ended",
        start: datetime,
        end: datetime,
        program: str,
        last_words: str | None,
        kept: Path,
    ) -> values.Acquisition:
        code = ended.exit_code
        meaning = self.settings.exit_codes.get(code, "completed" if code == 0 else "failed")
        said = f" ({last_words})" if last_words else ""
        problem: str | None = None
        if ended.ended_by == "timeout":
            problem = f"{program} did not end within {self.settings.timeout:g} s and was ended{said}; see {kept}."
        elif meaning == "failed":
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            problem = f"{program} {how}{said}; see {kept}."
        elif missing := [pattern for pattern in self.settings.requires_data if not _has_data(session, pattern)]:
            problem = (
                f"{program} ended with exit code {code}, but {session.folder} has no data for "
                f"{', '.join(missing)}; see {kept}."
            )
        return values.Acquisition(
            outcome="failed" if problem else "completed", start=start, end=end, exit_code=code, message=problem
        )

    def _working_directory(self, repository: Path) -> Path:
        return repository / self.settings.working_directory

    def _with_own(self, environment: Mapping[str, str]) -> dict[str, str]:
        return with_variables(environment, self.settings.environment, sys.platform)

    def _found(self, program: str, repository: Path) -> Path | None:
        """The program on its own search path, or relative to its working directory or the task repository."""
        variables = self._with_own(os.environ).items()
        search = next((value for name, value in variables if name.upper() == "PATH"), os.defpath)
        return find_program(program, search, [self._working_directory(repository), repository])

    def _program_check(self, program: str, repository: Path) -> Check:
        name = "acquisition"
        working_directory = self._working_directory(repository)
        if not working_directory.is_dir():
            return Check(
                name=name,
                outcome="failed",
                message=f"The program's working directory {working_directory} does not exist.",
                hint="Correct the setting plugin.acquisition.working-directory.",
            )
        found = self._found(program, repository)
        if found is not None:
            return Check(name=name, outcome="passed", message=str(found))
        places = " or ".join(dict.fromkeys([str(working_directory), str(repository)]))
        script = program.endswith(".py")
        of_script = f' A script needs its interpreter: command = ["python", "{program}"].' if script else ""
        searched = f"on PATH, nor in {places}" if Path(program).name == program else f"in {places}"
        return Check(
            name=name,
            outcome="failed",
            message=f"The program {program} is not {searched}, or is not a program.",
            hint="Install it, or correct the setting plugin.acquisition.command." + of_script,
        )


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
    return {
        "session": session.staged_session,
        "rig": session.staged_rig,
        "task": session.staged_task,
        "trainer_state": session.paths.trainer_state,
        "data_directory": session.folder.parent,
        "session_directory": session.folder,
        "repository": session.repository.path,
    }


def _missing_inputs(session: SessionContext, used: set[str]) -> Iterator[Check]:
    """A failed check for each input that the command names and the session does not have."""
    if "rig" in used and session.rig is None:
        yield _missing("rig", "Name this rig's file with the setting rig, or with --rig FILE.")
    if "task" in used and session.task is None:
        yield _missing(
            "task",
            f"Enrol {session.subject} in a curriculum, give --task FILE, or put a task.json into the animal's folder "
            "of the library.",
        )
    if "trainer_state" in used and session.task_source == "file":
        yield _missing("trainer_state", "Leave out --task: with a task of its own a session has no trainer state.")
    elif "trainer_state" in used and session.animal_state is None:
        yield _missing(
            "trainer_state", f"Enrol it: `aind-launch curricula enroll {session.subject} --curriculum NAME`."
        )


def _missing(placeholder: str, hint: str) -> Check:
    return Check(
        name=placeholder.replace("_", " "),
        outcome="failed",
        message=f"The acquisition's command uses {{{placeholder}}}, which this session does not have.",
        hint=hint,
    )


def _has_data(session: SessionContext, pattern: str) -> bool:
    """Whether the acquisition left a file for `pattern` that is not empty; a folder counts for the files in it."""
    ours = {session.paths.trainer_state, session.paths.previous_metrics}
    for match in session.folder.glob(pattern):
        for path in [match] if match.is_file() else match.rglob("*"):
            if path in ours or session.paths.launcher in path.parents:
                continue
            if path.is_file() and path.stat().st_size > 0:
                return True
    return False


def _keep_output(session: SessionContext) -> Path:
    """Move the program's output to where it leaves with the data.

    :return: the folder that has it.
    """
    folder = session.kept_output
    if not session.folder.is_dir():
        # Making it anew would hide that it is gone.
        logger.warning("The session's folder is gone; the program's output stays in %s.", session.staged_output)
        return session.staged_output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (STDOUT, STDERR):
            source = session.staged_output / name
            if source.is_file():
                # The two may lie on different disks, where moving is no single act.
                part = folder / f".{name}.part"
                shutil.copyfile(source, part)
                move(part, folder / name)
                source.unlink()
    except OSError as error:
        logger.warning("The program's output stays in %s: %s.", session.staged_output, error)
        return session.staged_output
    return folder
