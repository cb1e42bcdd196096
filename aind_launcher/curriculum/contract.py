"""The contract with a curriculum, the command line and the answer: the only place that knows either."""

import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ByteSize, Field, PlainSerializer, PositiveFloat, WithJsonSchema, field_validator, model_validator

from aind_launcher.curriculum.answer import Output, last_object
from aind_launcher.errors import AnimalError, CurriculumError, NoAnswer, UsageError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.json_text import members
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.settings.model import Reviewed, SettingsModel
from aind_launcher.system.programs import find_program

Option = str | int | float | bool
Argv = list[str]

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_OF_RUN: Final = ("data_directory", "trainer_state", "curriculum")
_OF_INIT: Final = ("curriculum", "stage")
_OPTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
# What the launcher passes itself.
_RESERVED: Final = {"data-directory", "input-trainer-state", "curriculum", "path", "run"}

# JSON may name halves of characters, which no file and no database takes.
_HALF_CHARACTER: Final = re.compile(r"\\u[dD][89a-fA-F]")


Size = Annotated[
    ByteSize,
    PlainSerializer(lambda size: size.human_readable(), return_type=str, when_used="json"),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0}),
]


class Limits(SettingsModel):
    """What a curriculum may take before it is ended."""

    timeout: PositiveFloat = Field(
        900, description="Seconds that a curriculum may take to decide, within step-timeout."
    )
    answer_timeout: PositiveFloat = Field(120, description="Seconds for list, init, version and for importing.")
    output_limit: Size = Field(ByteSize(1 << 30), description="What a curriculum may print, as in '1 GiB'.")


class OtherCommands(SettingsModel):
    """Whole commands for what `curriculum run` is not asked, in the place of the contract's own."""

    list: Argv | None = Field(None, description="Prints the names of its curricula.")
    init: Argv | None = Field(
        None, description="Prints a first trainer state; with the placeholders {curriculum} and {stage}."
    )
    version: Argv | None = Field(None, description="Prints the version of its package.")
    dsl_version: Argv | None = Field(None, description="Prints the version of its aind-behavior-curriculum.")

    @field_validator("list", "version", "dsl_version")
    @classmethod
    def _check_plain(cls, value: Argv | None) -> Argv | None:
        return value if value is None else _checked_command(value, ())

    @field_validator("init")
    @classmethod
    def _check_init(cls, value: Argv | None) -> Argv | None:
        for option, argument in itertools.pairwise(value or ()):
            # Left out alone, it would leave its option behind.
            if argument == "{stage}" and option.startswith("-"):
                raise ValueError(
                    f"Without a stage, the argument {{stage}} is left out. Write '{option}={{stage}}' as one argument."
                )
        return value if value is None else _checked_command(value, _OF_INIT)


class SourceSettings(SettingsModel):
    """How one curriculum source is found and asked."""

    path: Annotated[Path | None, Reviewed] = Field(
        None, description="Its folder in the task repository, for one that is not a submodule."
    )
    contract: Annotated[Literal["default", "path"] | list[str], Reviewed] = Field(
        "default",
        description="How it is called: 'default' (curriculum run …), 'path' (curriculum -run --path=…), or a command "
        "of its own with the placeholders {data_directory}, {trainer_state} and {curriculum}.",
    )
    module: Annotated[str | None, Reviewed] = Field(
        None, description="Run as 'python -m MODULE', for a source without a console script."
    )
    commands: Annotated[OtherCommands, Reviewed] = Field(
        OtherCommands.model_validate({}), description="How it is asked for its curricula, first states and versions."
    )
    options: Annotated[dict[str, Option], Reviewed] = Field({}, description="Options passed to every run.")
    extras: Annotated[list[str], Reviewed] = Field([], description="Extras to install with it.")
    python: str | None = Field(None, description="The Python of its environment, such as 3.12.")

    @property
    def needs_script(self) -> bool:
        """Whether it is run by its console script ``curriculum``."""
        return self.module is None and not isinstance(self.contract, list)

    @field_validator("contract")
    @classmethod
    def _check_contract(cls, value: str | list[str]) -> str | list[str]:
        return value if isinstance(value, str) else _checked_command(value, _OF_RUN)

    @field_validator("module")
    @classmethod
    def _check_module(cls, value: str | None) -> str | None:
        if value is not None and not MODULE.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of a Python module. Name it as in 'import'.")
        return value

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Option]) -> dict[str, Option]:
        for name, value in options.items():
            if not _OPTION.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a curriculum's option. Write it without leading dashes.")
            if name.replace("_", "-") in _RESERVED:
                raise ValueError(f"The curriculum's option {name!r} is set by the launcher. Remove it.")
            if "\0" in str(value):
                raise ValueError(f"The curriculum's option {name!r} has a NUL character. Remove it.")
        return options

    @model_validator(mode="after")
    def _check_command(self) -> "SourceSettings":
        if isinstance(self.contract, list) and (self.module or self.options):
            raise ValueError(
                "A curriculum with a command of its own takes neither 'module' nor 'options'. "
                "Write them into the command."
            )
        return self


@dataclass(frozen=True)
class Commands:
    """Whole command lines, one argument per item; never read by a shell.

    :param python: the interpreter of the source's environment.
    :param scripts: its folder of console scripts, ``bin`` or ``Scripts``.
    :param clone: the private clone of what is pinned.
    :param inside: the source's folder in the clone, where its programs are started.
    :raises CurriculumError: from each method, where a program is neither the environment's nor in the clone.
    """

    settings: SourceSettings
    python: Path
    scripts: Path
    clone: Path
    inside: str
    platform: str = sys.platform

    def run(self, data_directory: Path, trainer_state: Path, curriculum: str) -> Argv:
        """Evaluate the curriculum on a session.

        :param curriculum: its name, for a command that needs it.
        """
        form = self.settings.contract
        options = [(name, value) for name, value in self.settings.options.items() if value is not False]
        if isinstance(form, list):
            values = (str(data_directory), str(trainer_state), curriculum)
            return self._filled(form, dict(zip(_OF_RUN, values, strict=True)))
        if form == "path":
            return [*self._program, "-run", f"--path={data_directory}", *(_joined(*option) for option in options)]
        command = [*self._program, "run", "--data-directory", str(data_directory)]
        command += ["--input-trainer-state", str(trainer_state)]
        return command + [part for option in options for part in _apart(*option)]

    def ask(self, verb: Literal["list", "version", "dsl-version"]) -> Argv | None:
        """Ask for the source's curricula, its package's version or its DSL's; None where it has no such command."""
        own: Argv | None = getattr(self.settings.commands, verb.replace("-", "_"))
        if own:
            return self._filled(own, {})
        return [*self._program, verb] if self.settings.contract == "default" else None

    def init(self, curriculum: str, stage: str | None = None) -> Argv | None:
        """Print the trainer state with which an animal starts; None where the source has no such command.

        :raises UsageError: `curriculum` or `stage` is no name, or the command takes no stage.
        """
        named = {"curriculum": _argument("curriculum", curriculum)}
        if stage is not None:
            named["stage"] = _argument("stage", stage)
        if own := self.settings.commands.init:
            if stage is not None and "{stage}" not in " ".join(own):
                raise UsageError("The command 'init' of this curriculum source takes no stage.", "Leave out --stage.")
            return self._filled([part for part in own if stage is not None or "{stage}" not in part], named)
        if self.settings.contract != "default":
            return None
        return [*self._program, "init", *(part for name, value in named.items() for part in (f"--{name}", value))]

    def _filled(self, command: Argv, values: Mapping[str, str]) -> Argv:
        # One pass: a brace in a value is a character like any other.
        program, *arguments = (_PLACEHOLDER.sub(lambda match: values[match[1]], part) for part in command)
        return [self._resolved(program), *arguments]

    @property
    def _program(self) -> Argv:
        if self.settings.module:
            return [str(self.python), "-m", self.settings.module]
        return [str(self._script("curriculum"))]

    def _script(self, name: str) -> Path:
        suffix = ".exe" if self.platform == "win32" and not name.lower().endswith(".exe") else ""
        return self.scripts / f"{name}{suffix}"

    def _resolved(self, program: str) -> str:
        """``python`` and the scripts are the environment's; all else is in the clone, where it is pinned."""
        if program in ("python", "python3", "python.exe"):
            return str(self.python)
        if "/" not in program and "\\" not in program and (script := self._script(program)).is_file():
            return str(script)
        found = find_program(program, "", [self.clone / self.inside])
        if found is None or not found.resolve().is_relative_to(self.clone.resolve()):
            raise CurriculumError(
                f"The curriculum's program {program} is neither in its environment nor in its pinned source.",
                "Write python, a script of the environment, or the path of an executable file in the source, such as "
                "./decide.sh.",
            )
        return str(found)


def _checked_command(command: Argv, placeholders: Sequence[str]) -> Argv:
    if not command or not command[0]:
        raise ValueError("The curriculum's command is empty. Give a program and its arguments.")
    known = ", ".join(f"{{{name}}}" for name in placeholders)
    for name in _PLACEHOLDER.findall(" ".join(command)):
        if name not in placeholders:
            hint = f"Use {known}." if known else "It takes none."
            raise ValueError(f"The curriculum's command has an unknown placeholder {{{name}}}. {hint}")
    return command


def parse_list(output: str) -> tuple[str, ...]:
    """The curricula that the answer to ``list`` names, in its order: bulleted lines, a JSON list, or bare words."""
    lines = [line.strip().removeprefix("\ufeff") for line in output.splitlines()]
    for line in reversed([output.strip().removeprefix("\ufeff"), *lines]):
        names = _json_names(line)
        if names:
            return tuple(dict.fromkeys(names))
    bulleted = [
        match[1] for line in lines if (match := re.fullmatch(r"[-*•]\s+([A-Za-z_][\w.-]*)(?:\s*[:(].*)?", line))
    ]
    bare = [line for line in lines if re.fullmatch(r"[A-Za-z_][\w.-]*", line)]
    return tuple(dict.fromkeys(bulleted or bare))


def read_suggestion(stdout: Path) -> CurriculumSuggestion:
    """The answer in a curriculum's kept output, without provenance. Its text is kept byte for byte.

    :raises NoAnswer: there is none, or it has no usable trainer state.
    """
    text = _answer_in(stdout)
    try:
        if _HALF_CHARACTER.search(text):
            json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
        state = text[members(text)["trainer_state"]]
        return CurriculumSuggestion(text=text, trainer_state=TrainerStateText.read(state, "the curriculum's answer"))
    except (AnimalError, ValueError, RecursionError) as error:
        raise NoAnswer(
            f"The curriculum's answer cannot be used. {error}", f"All that it printed is in {stdout}."
        ) from None


def _answer_in(stdout: Path) -> str:
    try:
        output = Output(stdout.read_bytes(), "latin-1")
    except OSError as error:
        raise NoAnswer(f"The curriculum's output {stdout} cannot be read: {error.strerror}.") from None
    if not output:
        raise NoAnswer(
            f"The curriculum ended well but printed nothing to stdout ({stdout}).",
            "It may have been told to mute its suggestion; look at its options.",
        )
    if text := last_object(output, "trainer_state", "metrics"):
        return text
    what = (
        "'trainer_state' is there, but in no whole JSON object (in UTF-8) that has it and 'metrics'"
        if '"trainer_state"' in output
        else "no JSON object with 'trainer_state' and 'metrics'"
    )
    raise NoAnswer(
        f"The curriculum ended well but printed no suggestion: {what}.", f"All that it printed is in {stdout}."
    )


def read_trainer_state(output: str) -> TrainerStateText:
    """The trainer state that ``init`` printed.

    :raises NoAnswer: there is none.
    """
    text = last_object(Output(output.encode("utf-8", "surrogateescape"), "latin-1"), "curriculum", "stage")
    if text is None:
        raise NoAnswer("The curriculum's 'init' printed no trainer state.", "Ask the curriculum's author.")
    try:
        return TrainerStateText.read(text, "the answer of the curriculum's 'init'")
    except AnimalError as error:
        raise NoAnswer(str(error)) from None


def _json_names(line: str) -> Argv | None:
    try:
        names = json.loads(line) if line.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _argument(kind: str, value: str) -> str:
    """`value`, if it cannot be taken for an option or break the command line."""
    if not value or value.startswith("-") or not value.isprintable():
        raise UsageError(f"{value!r} is not a valid name of a {kind}.")
    return value


def _joined(name: str, value: Option) -> str:
    return f"--{name}" if value is True else f"--{name}={value}"


def _apart(name: str, value: Option) -> Argv:
    """Two arguments, but for a value that would be taken for an option."""
    if value is True or str(value).startswith("-"):
        return [_joined(name, value)]
    return [f"--{name}", str(value)]
