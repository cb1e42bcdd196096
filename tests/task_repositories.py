"""Task repositories for tests of the whole chain, with plugins in their own tree, on real git."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aind_launcher.journal import Journal
from aind_launcher.lifecycle import Launcher, Outcome, Request, run_session
from aind_launcher.log import Redactor
from aind_launcher.machine import RigLock, open_state_directory, rig_lock
from aind_launcher.operator import Nobody, Operator
from aind_launcher.plugins import load_plugins
from aind_launcher.resume import Wishes, resume_session
from aind_launcher.settings import load_layers
from aind_launcher.steps import Steps

# An acquisition and a curriculum that cost nothing, for tests of what lies around them.
CHAIN = """
    import json
    from datetime import UTC, datetime
    from aind_launcher import Acquisition, CurriculumSuggestion, TrainerStateText, hookimpl

    def state(stage):
        curriculum = {"name": "Ladder", "version": "1.0.0", "pkg_location": "ladder"}
        task = {"name": "Climb", "task_parameters": {}}
        return json.dumps({"curriculum": curriculum, "stage": {"name": stage, "task": task},
                           "is_on_curriculum": True, "active_policies": []})

    class Rig:
        @hookimpl
        def run_session(self, session):
            start = datetime.now(UTC)
            (session.folder / "behavior" / "trials.txt").write_text("done", encoding="utf-8")
            return Acquisition(outcome="completed", start=start, end=datetime.now(UTC), exit_code=0)

    class Ladder:
        @hookimpl
        def curriculum_suggest(self, session):
            if (session.repository.path / "curriculum-is-broken").exists():
                raise RuntimeError("the ladder is broken")
            now = session.animal_state.trainer_state.stage
            text = state(f"rung{int(now[4:]) + 1}")
            answer = f'{{"trainer_state": {text}, "metrics": {{"climbed": 1}}, "version": "1", "dsl_version": "0.0.1"}}'
            return CurriculumSuggestion(text=answer, trainer_state=TrainerStateText.read(text, "here"))
"""


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return ended.stdout


@dataclass(frozen=True)
class Laboratory:
    """A task repository with a library, data and state of its own, and ways to use it as an operator would."""

    root: Path

    @property
    def repository(self) -> Path:
        return self.root / "task repository"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def subjects(self) -> Path:
        return self.root / "library" / "climbing" / "Subjects"

    @property
    def journal(self) -> Path:
        return self.state / "journal.sqlite"

    def write(self, name: str, text: str) -> None:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def commit(self) -> None:
        git(self.repository, "add", "--all")
        git(self.repository, "commit", "--quiet", "--allow-empty", "--message", "as it is")

    def launch(
        self,
        action: Callable[[Launcher, RigLock], Outcome],
        *,
        operator: Operator | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Outcome:
        """Do `action(launcher, lock)` as one call of the program."""
        # Each call of the program imports the repository's own plugins anew.
        for module in ("chain", "more"):
            sys.modules.pop(module, None)
        sys.path[:] = [entry for entry in sys.path if Path(entry).name != "task repository"]
        layers = load_layers(self.repository, overrides)
        settings = layers.launcher().settings
        plugins = load_plugins(layers, settings)
        plugins.require_sound()
        operator = operator or Nobody()
        with (
            Journal.open(open_state_directory(settings.state_directory) / "journal.sqlite") as journal,
            rig_lock(settings.state_directory) as lock,
        ):
            steps = Steps(plugins, journal, operator, Redactor(plugins.secrets()), tuple(settings.retry_pauses))
            return action(Launcher(self.repository, settings, plugins, journal, operator, steps), lock)

    def run(self, subject: str = "123", **options) -> Outcome:
        request = {key: options.pop(key) for key in ("task_file", "notes", "allow_dirty") if key in options}
        return self.launch(lambda launcher, lock: run_session(launcher, Request(subject, **request), lock), **options)

    def resume(self, name: str, wishes: Wishes | None = None, **options) -> Outcome:
        def action(launcher: Launcher, lock):
            record = launcher.journal.session(name)
            assert record
            return resume_session(launcher, record, wishes or Wishes(), lock)

        return self.launch(action, **options)

    def stage(self, subject: str = "123") -> str:
        text = (self.subjects / subject / "trainer_state.json").read_text(encoding="utf-8")
        return str(json.loads(text)["stage"]["name"])


def laboratory(root: Path, plugins: str = "", settings: str = "", names: Mapping[str, str] | None = None) -> Laboratory:
    """A laboratory with the chain above, an animal `123` on the first rung, and more plugins of its own tree.

    :param plugins: the source of further plugins, in the module ``more``.
    :param names: their entries, name to object.
    """
    made = Laboratory(root)
    own = {"rig": "chain:Rig", "ladder": "chain:Ladder", **{k: f"more:{v}" for k, v in (names or {}).items()}}
    made.write("chain.py", CHAIN)
    made.write("more.py", plugins)
    made.write(".gitignore", "__pycache__/\n*-is-broken\n")
    made.write(
        "pyproject.toml",
        f"""
[tool.aind-launcher]
experiment = "climbing"
data-directory = {json.dumps(str(made.data))}
state-directory = {json.dumps(str(made.state))}
retry-pauses = [0, 0]
{"" if "disable" in settings else 'disable = ["isolated-curriculum", "acquisition"]'}
plugins = {{ {", ".join(f"{name} = {json.dumps(target)}" for name, target in own.items())} }}
{settings}

[tool.aind-launcher.plugin.local-store]
library = {json.dumps(str(root / "library"))}

[tool.aind-launcher.plugin.checks]
minimum-free-space = "1 MB"
""",
    )
    git(made.repository, "init", "--quiet", "--initial-branch", "main")
    made.commit()
    place = made.subjects / "123"
    place.mkdir(parents=True)
    stage = {"name": "rung1", "task": {"name": "Climb", "task_parameters": {}}}
    curriculum = {"name": "Ladder", "version": "1.0.0", "pkg_location": "ladder"}
    state = {"curriculum": curriculum, "stage": stage, "is_on_curriculum": True, "active_policies": []}
    (place / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return made
