"""The contract with a curriculum, the command line and the answer: the only place that knows either."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from aind_launcher.curriculum.answer import Output, last_object
from aind_launcher.errors import AnimalError, NoAnswer, SettingsError, UsageError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.json_text import members
from aind_launcher.model.suggestion import CurriculumSuggestion

Form = Literal["default", "path"] | tuple[str, ...]
Option = str | int | float | bool
Argv = list[str]

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_PLACEHOLDERS: Final = ("data_directory", "trainer_state", "curriculum")
_OPTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
# What the launcher passes itself.
_RESERVED: Final = {"data-directory", "input-trainer-state", "curriculum", "path", "run"}

# JSON may name halves of characters, which no file and no database takes.
_HALF_CHARACTER: Final = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Contract:
    """How a source is asked, as its settings say.

    :param form: *default* is what published curricula understand, *path* the older form; a tuple is any other
        command, with placeholders.
    :param module: started as ``python -m MODULE`` where the source has no console script.
    :param options: passed to every run, ``--NAME VALUE``; True passes a flag and False nothing.
    :raises SettingsError: an unknown placeholder, or a name that cannot be an option or a module.
    """

    form: Form = "default"
    module: str | None = None
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.form, tuple):
            self._check_custom(self.form)
        if self.module is not None and not _MODULE.fullmatch(self.module):
            raise SettingsError(f"{self.module!r} is not the name of a Python module.", "Name it as in 'import'.")
        for name, value in self.options.items():
            if not _OPTION.fullmatch(name):
                raise SettingsError(
                    f"{name!r} is not the name of a curriculum's option.", "Write it without leading dashes."
                )
            if name.replace("_", "-") in _RESERVED:
                raise SettingsError(f"The curriculum's option {name!r} is set by the launcher.", "Remove it.")
            if "\0" in str(value):
                raise SettingsError(f"The curriculum's option {name!r} has a NUL character.", "Remove it.")

    def _check_custom(self, command: tuple[str, ...]) -> None:
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
        if not command or not command[0]:
            raise SettingsError("The curriculum's command is empty.", f"Give a program; placeholders: {known}.")
        for name in _PLACEHOLDER.findall(" ".join(command)):
            if name not in _PLACEHOLDERS:
                raise SettingsError(f"The curriculum's command has an unknown placeholder {{{name}}}.", f"Use {known}.")
        if self.module or self.options:
            raise SettingsError(
                "A curriculum with a command of its own takes neither 'module' nor 'options'.",
                "Write them into the command.",
            )

    def commands(self, python: Path, scripts: Path, platform: str = sys.platform) -> "Commands":
        """The same in an environment.

        :param python: the environment's interpreter.
        :param scripts: its folder of console scripts, ``bin`` or ``Scripts``.
        """
        return Commands(self, python, scripts, platform)


@dataclass(frozen=True)
class Commands:
    """Whole command lines, one argument per item; never read by a shell.

    A verb is None where the contract does not have it.
    """

    contract: Contract
    python: Path
    scripts: Path
    platform: str = sys.platform

    def run(self, data_directory: Path, trainer_state: Path, curriculum: str | None = None) -> Argv:
        """Evaluate the curriculum on a session.

        :param curriculum: forces a curriculum instead of the one that the trainer state names.
        :raises UsageError: `curriculum` is no name, or the command needs one and there is none.
        """
        form = self.contract.form
        if curriculum is not None:
            _argument("curriculum", curriculum)
        if isinstance(form, tuple):
            return self._custom(form, data_directory, trainer_state, curriculum)
        if form == "path":
            options = [_joined(name, value) for name, value in self._options]
            return [*self._program, "-run", f"--path={data_directory}", *options]
        command = [*self._program, "run", "--data-directory", str(data_directory)]
        command += ["--input-trainer-state", str(trainer_state)]
        command += ["--curriculum", curriculum] if curriculum is not None else []
        return command + [part for name, value in self._options for part in _apart(name, value)]

    @property
    def list(self) -> Argv | None:
        """Name the curricula of the source."""
        return [*self._program, "list"] if self._has_verbs else None

    def init(self, curriculum: str, stage: str | None = None) -> Argv | None:
        """Print the trainer state with which an animal starts.

        :raises UsageError: `curriculum` or `stage` is no name.
        """
        if not self._has_verbs:
            return None
        command = [*self._program, "init", "--curriculum", _argument("curriculum", curriculum)]
        return command if stage is None else [*command, "--stage", _argument("stage", stage)]

    @property
    def version(self) -> Argv | None:
        """Print the version of the source's package."""
        return [*self._program, "version"] if self._has_verbs else None

    @property
    def dsl_version(self) -> Argv | None:
        """Print the version of `aind-behavior-curriculum` in the environment."""
        return [*self._program, "dsl-version"] if self._has_verbs else None

    @property
    def _has_verbs(self) -> bool:
        return self.contract.form == "default"

    @property
    def _program(self) -> Argv:
        if self.contract.module:
            return [str(self.python), "-m", self.contract.module]
        return [str(self._script("curriculum"))]

    @property
    def _options(self) -> tuple[tuple[str, Option], ...]:
        return tuple((name, value) for name, value in self.contract.options.items() if value is not False)

    def _script(self, name: str) -> Path:
        suffix = ".exe" if self.platform == "win32" and not name.lower().endswith(".exe") else ""
        return self.scripts / f"{name}{suffix}"

    def _custom(self, form: tuple[str, ...], data_directory: Path, trainer_state: Path, curriculum: str | None) -> Argv:
        values = {"data_directory": str(data_directory), "trainer_state": str(trainer_state)}
        if curriculum is not None:
            values["curriculum"] = curriculum
        elif any("{curriculum}" in part for part in form):
            raise UsageError("The curriculum's command has the placeholder {curriculum}, and no curriculum was given.")
        # One pass: a brace in a value is a character like any other.
        program, *arguments = (_PLACEHOLDER.sub(lambda match: values[match[1]], part) for part in form)
        return [self._resolved(program), *arguments]

    def _resolved(self, program: str) -> str:
        """``python`` and bare names are the environment's where it has them, else as they stand."""
        if program in ("python", "python3", "python.exe"):
            return str(self.python)
        if "/" not in program and "\\" not in program and (script := self._script(program)).exists():
            return str(script)
        return program


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
