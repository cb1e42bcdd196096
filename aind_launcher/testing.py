"""pytest fixtures for plugin authors: whole sessions through the real launcher, in a second, on any machine.

Installed with aind-launcher, they need no import. `task_repository` is a git repository with an animal, a
library, a journal and a rig of its own, whose acquisition and curriculum cost nothing; all else is the real thing.
"""

import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from aind_launcher.errors import LauncherError
from aind_launcher.hookspecs import hookimpl
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepRecord
from aind_launcher.lifecycle.finish import Outcome
from aind_launcher.lifecycle.launcher import Launcher, open_launcher
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.resume import ResumeOptions, resume_session
from aind_launcher.lifecycle.run import Request, run_session
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.question import Question, answered_by
from aind_launcher.model.session import Acquisition, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.own_modules import places_of
from aind_launcher.plugins import Plugins, load_plugins
from aind_launcher.settings.environment import from_environment
from aind_launcher.settings.layers import SettingsLayers, load_layers

__all__ = [
    "SUBJECT",
    "Operator",
    "Outcome",
    "Question",
    "Request",
    "ResumeOptions",
    "StepRecord",
    "TaskRepositoryForTests",
    "answering",
    "ladder_state",
    "plugins_of",
    "task_repository",
]

logger = logging.getLogger(__name__)

# The animal of the fixture: ``123456``.
SUBJECT = "123456"
_BROKEN = "curriculum-is-broken"


def plugins_of(repository: Path) -> Plugins:
    """The plugins of a task repository as the launcher loads them, those that are broken included.

    :param repository: its folder; a ``pyproject.toml`` with the settings is all that it needs.
    :return: `all` of them (each has `name`, `hooks`, `settings.settings` and `error`), and ``calls(hook)``: the calls
        of one hook in their order.
    """
    layers = load_layers(repository)
    return load_plugins(layers, layers.launcher().settings)


class Answering(Operator):
    """A person at the rig who gives these answers, by the names of the questions, and the default to any other."""

    attended = True

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def ask_for_plugin(self, question: Question) -> Any:
        """The answer to a plugin's question."""
        if question.name in self._answers:
            return question.checked(self._answers[question.name])
        if question.default is None:
            raise LauncherError(
                f"The test has no answer to the question {question.name!r}.",
                f"Give it: answers={{{question.name!r}: ...}}.",
            )
        return question.default


@contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[None]:
    """Answer what a plugin asks while the context lasts, for tests that call it without a session.

    :param answers: by the names of the questions.
    """
    with answered_by(Answering(answers).ask_for_plugin):
        yield


def ladder_state(stage: str) -> TrainerStateText:
    """The trainer state of an animal on the curriculum of these fixtures.

    :param stage: ``rung1``, ``rung2``, and so on.
    """
    document = {
        "curriculum": {"name": "Ladder", "version": "1.0.0", "pkg_location": "ladder"},
        "stage": {"name": stage, "task": {"name": "Climb", "task_parameters": {}}},
        "is_on_curriculum": True,
        "active_policies": [],
    }
    return TrainerStateText(text=json.dumps(document))


class InstantRig:
    """An acquisition that is over at once and leaves one file."""

    @hookimpl
    def run_session(self, session: SessionContext) -> Acquisition:
        """Write the one file."""
        start = datetime.now(UTC)
        (session.paths.behavior / "trials.txt").write_text("done", encoding="utf-8")
        return Acquisition(outcome="completed", start=start, end=datetime.now(UTC), exit_code=0)


class Ladder:
    """A curriculum that moves every animal one rung up, unless it was broken on purpose."""

    @hookimpl
    def curriculum_suggest(self, session: SessionContext) -> CurriculumSuggestion:
        """Decide for the next rung."""
        if (session.repository.path / _BROKEN).exists():
            raise RuntimeError("the ladder is broken")
        before = session.animal_state.trainer_state.stage if session.animal_state else None
        state = ladder_state(f"rung{int((before or 'rung0')[4:]) + 1}")
        answer = {"metrics": {"climbed": 1}, "version": "1.0.0", "dsl_version": "0.0.1"}
        text = f'{{"trainer_state": {state.text}, {json.dumps(answer)[1:]}'
        return CurriculumSuggestion(text=text, trainer_state=state)


@dataclass(frozen=True)
class TaskRepositoryForTests:
    """A task repository with all that belongs to it below one folder, and ways to use it as an operator would.

    :param root: that folder.
    """

    root: Path

    @property
    def path(self) -> Path:
        """The repository; its name has a space, as folders of rigs have."""
        return self.root / "task repository"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / "state"

    @property
    def subjects(self) -> Path:
        """The animals of the local store."""
        return self.root / "library" / "climbing" / "Subjects"

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.state / "journal.sqlite"

    @classmethod
    def make(cls, root: Path, settings: str = "", plugins: Mapping[str, str] | None = None) -> Self:
        """A new one, with the animal `SUBJECT` on the first rung.

        :param root: a folder that is not there yet.
        :param settings: as for `configure`.
        :param plugins: as for `configure`.
        """
        made = cls(root)
        made.path.mkdir(parents=True)
        _git(made.path, "init", "--quiet")
        made.write(".gitignore", "__pycache__/\n*-is-broken\n")
        made.configure(settings, plugins)
        made.add_animal()
        return made

    def configure(self, settings: str = "", plugins: Mapping[str, str] | None = None) -> None:
        """Write and commit the repository's settings.

        What was configured before is forgotten.

        :param settings: more lines of TOML, beginning inside ``[tool.aind-launcher]``. With a line ``disable = [...]``
            name ``isolated-curriculum`` and ``acquisition`` there, too; the fixture's own replace them. The sections of
            ``local-store`` and ``checks`` are there already.
        :param plugins: plugins that are not installed, name to ``module:object``; `write` their modules before.
        """
        own = {"instant-rig": f"{__name__}:InstantRig", "ladder": f"{__name__}:Ladder", **(plugins or {})}
        listed = ", ".join(f"{name} = {json.dumps(target)}" for name, target in own.items())
        disabled = "" if "disable" in settings else 'disable = ["isolated-curriculum", "acquisition"]'
        self.write(
            "pyproject.toml",
            f"""[tool.aind-launcher]
experiment = "climbing"
data-directory = {json.dumps(str(self.data))}
state-directory = {json.dumps(str(self.state))}
retry-pauses = [0, 0]
plugins = {{ {listed} }}
{disabled}
{settings}

[tool.aind-launcher.plugin.local-store]
library = {json.dumps(str(self.root / "library"))}

[tool.aind-launcher.plugin.checks]
minimum-free-space = "1 MB"
""",
        )
        self.commit()

    def write(self, name: str, text: str) -> None:
        """Write a file of the repository, without a commit.

        :param name: its path in the repository.
        :param text: all of it; what all of its lines are indented by is left out.
        """
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def commit(self) -> None:
        """Commit all that was changed in the repository."""
        _git(self.path, "add", "--all")
        _git(self.path, "commit", "--quiet", "--allow-empty", "--message", "as it is")

    def add_animal(self, subject: str = SUBJECT, stage: str = "rung1") -> None:
        """Put a new animal into the library.

        :param subject: its number.
        :param stage: where it stands; see `ladder_state`.
        """
        folder = self.subjects / subject
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(ladder_state(stage).text, encoding="utf-8")

    def break_curriculum(self) -> None:
        """From now on the curriculum fails, and hooks get None as suggestion."""
        (self.path / _BROKEN).touch()

    def repair_curriculum(self) -> None:
        """Undo `break_curriculum`."""
        (self.path / _BROKEN).unlink()

    def run(
        self,
        subject: str = SUBJECT,
        *,
        answers: Mapping[str, Any] | None = None,
        operator: Operator | None = None,
        **request: Any,
    ) -> Outcome:
        """One session, as `aind-launch run` makes it.

        :param subject: the animal.
        :param answers: to what plugins ask, by the names of the questions; without any, nobody is there.
        :param operator: who is at the rig, where `answers` do not say it all.
        :param request: other fields of `Request`.
        :raises LauncherError: the session was refused.
        """
        operator = operator or (None if answers is None else Answering(answers))
        return self._launch(lambda launcher: run_session(launcher, Request(subject, **request)), operator)

    def resume(
        self,
        session: str,
        options: ResumeOptions | None = None,
        *,
        answers: Mapping[str, Any] | None = None,
        operator: Operator | None = None,
    ) -> Outcome:
        """Finish a session, as `aind-launch resume` does.

        :param session: its name.
        :param options: as on the command line.
        :param answers: as for `run`.
        :param operator: as for `run`.
        :raises LauncherError: it cannot be resumed.
        """
        operator = operator or (None if answers is None else Answering(answers))

        def action(launcher: Launcher) -> Outcome:
            record = launcher.journal.session(session)
            if record is None:
                pytest.fail(f"the journal has no session {session}")
            return resume_session(launcher, record, options or ResumeOptions())

        return self._launch(action, operator)

    def _launch(self, action: Callable[[Launcher], Outcome], operator: Operator | None = None) -> Outcome:
        """Do `action` as one call of the program, with settings and plugins read anew."""
        with forgetting_plugins_of(self.path):
            layers = load_layers(self.path)
            # The rig on which the tests run has real data and animals.
            layers = replace(layers, rig=replace(layers.rig, values={}))
            settings = layers.launcher().settings
            plugins = _without_strangers(load_plugins(layers, settings), layers)
            with open_launcher(self.path, settings, plugins, operator or Operator()) as launcher:
                return action(launcher)

    def steps(self, session: str) -> dict[tuple[str, str], StepRecord]:
        """The last attempt at each step of a session, by hook and plugin.

        :param session: its name.
        """
        with Journal.open(self.journal) as journal:
            return {(step.id.hook, step.id.plugin): step for step in journal.current_steps(session)}

    def stage(self, subject: str = SUBJECT) -> str | None:
        """Where the animal stands now: its stage in the library.

        :param subject: the animal.
        """
        text = (self.subjects / subject / "trainer_state.json").read_text(encoding="utf-8")
        return TrainerStateText(text=text).stage


@pytest.fixture
def task_repository(tmp_path: Path) -> TaskRepositoryForTests:
    """A task repository with one animal, `SUBJECT`, on the first rung.

    Installed plugins take part, but not one that needs settings and has none.
    """
    return TaskRepositoryForTests.make(tmp_path / "launcher")


@contextmanager
def forgetting_plugins_of(repository: Path) -> Iterator[None]:
    """Forget at the end what was imported from a repository's own tree: the next has others by the same names."""
    finders, known = list(sys.meta_path), set(sys.modules)
    try:
        yield
    finally:
        sys.meta_path[:] = finders
        for name in set(sys.modules) - known:
            if any(Path(place).is_relative_to(repository.resolve()) for place in places_of(sys.modules[name])):
                del sys.modules[name]


def _without_strangers(plugins: Plugins, layers: SettingsLayers) -> Plugins:
    """Leave out what is only installed beside the plugin under test: it needs settings, and the test gives it none."""
    strangers = {
        plugin.name
        for plugin in plugins.all
        if plugin.candidate.distribution and plugin.settings_type and plugin.settings is None
        if plugin.name not in layers.sections() and not from_environment(plugin.settings_type, ("plugin", plugin.name))
    }
    for plugin in plugins.all:
        if plugin.name in strangers:
            # pytest shows it where a test fails.
            logger.warning("%s takes no part, since this test gives it no settings. %s", plugin.candidate, plugin.error)
    left = (replace(p, blocked=True, error=None) if p.name in strangers else p for p in plugins.all)
    return replace(plugins, all=tuple(left))


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
