"""Task repositories with a curriculum as their submodule, and the commands that refuse it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refusals import REFUSED, refuse
from repositories import make_task_with_submodule

RUN = ("run", "--subject", "123456")


@dataclass(frozen=True)
class Pinned:
    """A task repository with a curriculum as its submodule."""

    root: Path

    @property
    def task(self) -> Path:
        return self.root / "task"

    @property
    def submodule(self) -> Path:
        return self.task / "curricula"

    def refuse(self, sentence: str, *arguments: str, code: int = REFUSED) -> None:
        keeps = (self.task, self.root / "library", self.root / "data")
        journal = self.root / "state" / "journal.sqlite"
        refuse(code, sentence, *(arguments or RUN), cwd=self.task, keeps=keeps, journal=journal)


def made_in(root: Path, files: Mapping[str, str] | None = None, more: str = "") -> Pinned:
    """:param more: settings of the plugin `isolated-curriculum`."""
    settings = [
        'experiment = "pinned"',
        'disable = ["acquisition"]',
        *(f"{name}-directory = {json.dumps(str(root / name))}" for name in ("data", "state")),
        "[tool.aind-launcher.plugin]",
        f"local-store.library = {json.dumps(str(root / 'library'))}",
        'checks.minimum-free-space = "1 MB"',
        f"isolated-curriculum.cache-directory = {json.dumps(str(root / 'cache'))}",
        more,
    ]
    make_task_with_submodule(root, files, settings="\n".join(settings))
    return Pinned(root)


def pinned(root: Path, files: Mapping[str, str] | None = None, package: str = "my_curricula", more: str = "") -> Pinned:
    """:param package: of the curriculum of its one animal."""
    made = made_in(root, files, more)
    state = {
        "curriculum": {"name": "counting", "version": "1.0.0", "pkg_location": package},
        "stage": {"name": "first", "task": {"name": "counting"}},
        "is_on_curriculum": True,
        "active_policies": [],
    }
    animal = root / "library" / "pinned" / "Subjects" / "123456"
    animal.mkdir(parents=True)
    (animal / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return made
