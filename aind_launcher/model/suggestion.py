"""What a curriculum answers, and where the answer came from."""

import hashlib
import json
from functools import cached_property

from pydantic import JsonValue

from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.json_text import JsonText, members
from aind_launcher.model.value import Value, frozen


class Provenance(Value):
    """Which code decided: enough to run the same decision again.

    :param source: the curriculum source's name in the task repository.
    :param url: where its repository is fetched from; None for a directory without a remote.
    :param commit: the commit that the environment was built from.
    :param dirty: whether uncommitted changes were part of it (``--allow-dirty``).
    :param environment: the key of the virtual environment.
    :param locked: whether a lock file said which packages to install; None where an older launcher did not record it.
    :param packages_digest: names all versions that were installed, which ``aind-launch env list --json`` shows.
    :param options: that the settings passed to it; None where an older launcher did not record them.
    :param python: the environment's Python version.
    :param package_version: of the package that answered, where it says so.
    :param dsl_version: of `aind-behavior-curriculum` in that environment, where it says so.
    :param launcher_version: of `aind-launcher`.
    :param duration: seconds from start to end of the curriculum's process.
    """

    source: str
    url: str | None = None
    commit: str
    dirty: bool = False
    environment: str
    locked: bool | None = None
    packages_digest: str | None = None
    options: dict[str, str | int | float | bool] | None = None
    python: str
    package_version: str | None = None
    dsl_version: str | None = None
    launcher_version: str
    duration: float


class CurriculumSuggestion(JsonText):
    """A curriculum's suggestion: the next trainer state and the metrics behind it, as it wrote them.

    :param trainer_state: the part of it that belongs to the animal.
    :param provenance: which code answered; None where nobody says so.
    :param new_files: files that the curriculum left in the session's folder, relative to it.
    """

    trainer_state: TrainerStateText
    provenance: Provenance | None = None
    new_files: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Names this answer: part of a step's identity."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()[:16]

    @property
    def metrics(self) -> JsonValue:
        """The metrics as plain JSON data; numbers that JSON lacks (NaN) are Python's."""
        metrics: JsonValue = frozen(json.loads(self.metrics_text))
        return metrics

    @property
    def metrics_text(self) -> str:
        """The metrics as JSON text, as the curriculum wrote them, for files and attachments."""
        return self._member("metrics")

    @property
    def version(self) -> str | None:
        """The version of the package that answered."""
        return self._text("version")

    @property
    def dsl_version(self) -> str | None:
        """The version of `aind-behavior-curriculum` that the curriculum ran with."""
        return self._text("dsl_version")

    @cached_property
    def _members(self) -> dict[str, slice]:
        return members(self.text)

    def _member(self, name: str) -> str:
        return self.text[self._members[name]] if name in self._members else "null"

    def _text(self, name: str) -> str | None:
        value = json.loads(self._member(name))
        return value if isinstance(value, str) else None
