"""The demo's sessions: the whole of it on a simulated animal, through the same code as `run`."""

import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from aind_launcher.candidates import find_plugins
from aind_launcher.cli.enrolment import enroll_animal
from aind_launcher.cli.outcome import outcome_data
from aind_launcher.cli.printing import echo, print_facts, print_json, print_table
from aind_launcher.cli.story import decision
from aind_launcher.cli.task_repository import TaskRepository, known_session, open_repository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.curriculum.sources import quoted
from aind_launcher.demo.build import build_demo
from aind_launcher.demo.services import DemoService, running_services
from aind_launcher.errors import ExitCode
from aind_launcher.lifecycle.finish import Outcome
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.resume import ResumeOptions, resume_session
from aind_launcher.lifecycle.run import Request, run_session
from aind_launcher.settings.layers import Layer, merged_overrides

SUBJECT = "demo-mouse"
CURRICULUM = "lick_training"
# The session whose file of licks never reaches the disk; by then the animal has moved on twice.
LOST = 4
# The session during which services cannot be reached, where there are some.
OUTAGE = 5
# Where services keep what is theirs, beside the task repository's own files and ignored by git.
SERVICES = ".demo/services"
_LOSES_LICKS = {"plugin": {"acquisition": {"environment": {"SIMULATED_TASK_LOSES_LICKS": "yes"}}}}


@dataclass(frozen=True)
class Shown:
    """One session of the demo.

    :param duration: seconds, from the animal's state to the end of the last step.
    """

    outcome: Outcome
    duration: float

    @property
    def stage(self) -> str | None:
        """Where the animal stood before it."""
        state = self.outcome.session.animal_state
        return state.trainer_state.stage if state else None

    @property
    def metrics(self) -> str:
        suggestion = self.outcome.suggestion
        values = suggestion.metrics if suggestion and isinstance(suggestion.metrics, dict) else {}
        return ", ".join(f"{name} {value}" for name, value in values.items() if name != "stage")

    @property
    def decision(self) -> str:
        return decision(self.outcome.session, self.outcome.suggestion, self.outcome.steps)


def show_demo(folder: Path, *, sessions: int, fresh: bool, with_services: bool, as_json: bool) -> ExitCode:
    """Build the demo in `folder`, run its sessions, and print what happened."""
    terminal = Terminal(unattended=True)
    folder = build_demo(folder, fresh=fresh)
    with ExitStack() as stack:
        services = stack.enter_context(running_services(folder / SERVICES, (SUBJECT,))) if with_services else {}
        demo = _Demo(folder, services, terminal)
        repository = demo.open()
        terminal.say(f"The demo's task repository is {folder}.")
        enrolled = enroll_animal(repository, SUBJECT, CURRICULUM, by="aind-launch demo")
        terminal.say(f"Animal {SUBJECT} is enrolled: {enrolled}.")
        shown = [demo.run(number) for number in range(1, sessions + 1)]
        if services:
            terminal.say("Waiting for what is still on its way.")
        arrived = {name: lines for name, service in services.items() if (lines := list(service.arrived()))}
    missing = _missing(shown)
    places = _places(repository)
    if as_json:
        sessions_data = [
            {**outcome_data(s.outcome), "stage_before": s.stage, "duration": round(s.duration, 3)} for s in shown
        ]
        data = {"sessions": sessions_data, "stages": _stages(shown)}
        print_json({**data, "missing": missing, "arrived": arrived, "places": places})
    else:
        _print(repository, shown, places, arrived, without=list(services))
    if missing:
        terminal.say(f"The demo did not show all that it promises: {'; '.join(missing)}.", "yellow")
    return ExitCode.STEP_FAILED if missing else ExitCode.DONE


@dataclass(frozen=True)
class _Demo:
    """The demo's task repository, and the services it runs against."""

    folder: Path
    services: Mapping[str, DemoService]
    terminal: Terminal

    def run(self, number: int) -> Shown:
        """One session, as `aind-launch run` runs it."""
        if number == LOST:
            self._say(number, "the file of licks is lost on purpose; the curriculum will miss it.", "bold")
            return self._run(number, _LOSES_LICKS)
        outages = {name: service.down for name, service in self.services.items() if service.down}
        if number != OUTAGE or not outages:
            return self._run(number)
        names = ", ".join(outages)
        self._say(number, f"{names} cannot be reached.", "bold")
        with ExitStack() as stack:
            for down in outages.values():
                stack.enter_context(down())
            shown = self._run(number)
        self._say(number, f"{names} can be reached again; resuming.", "bold")
        with self._launcher() as launcher:
            record = known_session(launcher.journal, shown.outcome.session.name)
            resumed = resume_session(launcher, record, ResumeOptions())
        self._say(number, resumed.state)
        return replace(shown, outcome=resumed)

    def open(self, more: Mapping[str, Any] | None = None) -> TaskRepository:
        """The task repository with its own settings above all others.

        A simulated animal must not reach the stores and services that this rig's settings and plugins lead to.
        """
        opened = open_repository(self.folder)
        sections = {name: dict(service.settings) for name, service in self.services.items()}
        # Without pauses: nothing comes back while the demo waits for it.
        for_services = {"retry-pauses": [], "plugin": sections}
        values = merged_overrides([opened.layers.own.values, for_services, more or {}])
        # Of the rig's file, only where environments are built, since the commands that follow look there.
        of_rig = opened.layers.rig.values.get("plugin", {}).get("isolated-curriculum", {})
        cache = {key: value for key, value in of_rig.items() if key == "cache-directory"}
        layers = replace(
            opened.layers,
            rig=replace(opened.layers.rig, values={"plugin": {"isolated-curriculum": cache}}),
            command_line=Layer("command line", values, self.folder),
        )
        alone = replace(opened, layers=layers)
        foreign = tuple(
            found.name
            for found in find_plugins(alone.settings)
            if found.distribution != "aind-launcher" and found.name not in self.services
        )
        return replace(alone, blocked=foreign)

    def _run(self, number: int, more: Mapping[str, Any] | None = None) -> Shown:
        request = Request(subject=SUBJECT, experimenter=("aind-launch demo",))
        started = time.monotonic()
        with self._launcher(more) as launcher:
            shown = Shown(run_session(launcher, request), time.monotonic() - started)
        self._say(number, f"{shown.decision} ({shown.metrics})" if shown.metrics else shown.decision)
        return shown

    def _say(self, number: int, what: str, style: str = "") -> None:
        self.terminal.say(f"Session {number}: {what}", style)

    def _launcher(self, more: Mapping[str, Any] | None = None) -> AbstractContextManager[Launcher]:
        return self.open(more).launcher(unattended=True, calm=True)


def _stages(shown: Sequence[Shown]) -> list[str]:
    """The stages that the animal stood at, in order."""
    stages = [session.stage for session in shown]
    stages += [s.outcome.suggestion.trainer_state.stage for s in shown if s.outcome.suggestion][-1:]
    return list(dict.fromkeys(stage for stage in stages if stage))


def _missing(shown: Sequence[Shown]) -> list[str]:
    """What the demo promises of so many sessions and did not show."""
    missing = []
    is_whole = len(shown) >= LOST
    if is_whole and len(stages := _stages(shown)) < 3:
        missing.append(f"the animal stood at {len(stages)} stages, not at three")
    failed = [number for number, session in enumerate(shown, 1) if session.outcome.exit_code != ExitCode.DONE]
    if failed != ([LOST] if is_whole else []):
        numbers = ", ".join(map(str, failed)) or "none"
        expected = f"session {LOST} alone" if is_whole else "no session"
        missing.append(f"{expected} was to fail, and these did: {numbers}")
    return missing


def _places(repository: TaskRepository) -> dict[str, str]:
    environments = repository.curriculum_sources().environments()
    return {
        "task repository": str(repository.path),
        "sessions": str(repository.settings.data_directory),
        "the animal and its history": str(repository.animal_store().read(SUBJECT).folder),
        "journal": str(repository.settings.state_directory / "journal.sqlite"),
        "curriculum's environment": str(next(e.folder for e in environments if e.pinned)),
    }


def _program() -> str:
    """What the user types to call this launcher: its name where the search path leads to it."""
    module = f"{typed(sys.executable, _shells())} -m aind_launcher"
    found = shutil.which("aind-launch")
    # nox has its environment on the search path only while it runs.
    if not found or "NOX_CURRENT_SESSION" in os.environ:
        return module
    return "aind-launch" if Path(found).parent.samefile(sysconfig.get_path("scripts")) else module


def _shells() -> list[str]:
    """The programs that this one was started by on Windows, the nearest first."""
    with suppress(psutil.Error, OSError):
        return [process.name() for process in psutil.Process().parents()] if sys.platform == "win32" else []
    return []


def typed(program: str, shells: Iterable[str]) -> str:
    """`program` as a command is typed: PowerShell takes what is in quotes for a text, unless & stands before it.

    :param shells: the programs that this one was started by, the nearest first.
    """
    command = quoted(program)
    shell = next((name for name in map(str.lower, shells) if name in ("cmd.exe", "powershell.exe", "pwsh.exe")), "")
    return f"& {command}" if command != program and shell.startswith(("powershell", "pwsh")) else command


def _print(
    repository: TaskRepository,
    shown: Sequence[Shown],
    places: Mapping[str, str],
    arrived: Mapping[str, Sequence[str]],
    without: Sequence[str],
) -> None:
    """Print what happened.

    :param without: the plugins whose services ended with the demo.
    """
    echo()
    print_table(
        ("session", "stage", "metrics", "decision", "duration"),
        [(s.outcome.session.name, s.stage, s.metrics or "none", s.decision, f"{s.duration:.1f} s") for s in shown],
        empty="",
    )
    for name, lines in arrived.items():
        echo(f"\nWhat arrived through the plugin {name}:")
        for line in lines:
            echo(f"  {line}")
    echo("\nWhere everything lies:")
    print_facts(places)
    lost = shown[LOST - 1] if len(shown) >= LOST else shown[-1]
    program = _program()
    left_out = "".join(f" -p no:{name}" for name in (*without, *repository.blocked))
    echo("\nGo on with:")
    for line in (
        f'cd "{repository.path}"',
        f"{program} sessions show {lost.outcome.session.name}",
        f"{program} animals show {SUBJECT}",
        f"{program} curricula list",
        f"{program} run --subject {SUBJECT} --experimenter me{left_out}",
    ):
        echo(f"  {line}")
    if without:
        echo("The services ended with the demo; without -p no:NAME their plugins would refuse a session.")
    if repository.blocked:
        echo(f"The demo left out the plugins {', '.join(repository.blocked)}, for they are not its own.")
