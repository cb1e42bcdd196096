"""A curriculum source in its environment, ready to be asked."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aind_launcher import __version__
from aind_launcher.curriculum.contract import MODULE, Commands, Limits, parse_list, read_trainer_state
from aind_launcher.curriculum.environments import Environment
from aind_launcher.curriculum.pins import Pin
from aind_launcher.curriculum.runner import ask, run_curriculum
from aind_launcher.curriculum.sources import Source
from aind_launcher.errors import CurriculumError, NoCommand
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion, Provenance
from aind_launcher.system.files import file_states
from aind_launcher.system.tail import OnLine

logger = logging.getLogger(__name__)

_OF_THE_LAUNCHER = "behavior/Logs/launcher/"
# Processes that a source is asked by at once; each imports for seconds.
_AT_ONCE = 4
# Imports its argument in the source's environment: versions answer also where a curriculum itself is broken.
_IMPORT = "import importlib, sys; importlib.import_module(sys.argv[1])"


@dataclass(frozen=True)
class Versions:
    """What a source says of itself; None where it has no command to say it."""

    package: str | None
    dsl: str | None


@dataclass(frozen=True)
class Installed:
    """One source at its pin, its environment, and how it is asked."""

    source: Source
    pin: Pin
    environment: Environment
    commands: Commands
    limits: Limits

    def curricula(self) -> tuple[str, ...] | None:
        """The curricula that its own ``list`` names; None where it has no such command."""
        command = self.commands.ask("list")
        return parse_list(self._ask(command)) if command else None

    def enrolled(self, curriculum: str, stage: str | None = None) -> TrainerStateText:
        """The state in which an animal starts `curriculum`, from the curriculum's own ``init``.

        :raises CurriculumError: the source has no ``init``, or it does not know the curriculum or the stage.
        """
        command = self.commands.init(curriculum, stage)
        if command is None:
            raise NoCommand(
                f"The curriculum source {self.source.name} has no 'init' command.",
                "Enrol with `aind-launch curricula enroll SUBJECT --trainer-state FILE`, or give the command in the "
                "settings of the source, as commands.init.",
            )
        return read_trainer_state(self._ask(command))

    def check(self, package: str | None) -> Versions:
        """Its versions, after importing `package`, all at once since each takes seconds to start.

        A source may lack the commands that tell its versions; the import then shows that it works.

        :raises CurriculumError: its program is not pinned, the import failed or, without `package`, nothing answered.
        """
        # Raises where its program is not pinned.
        self.commands.run(Path(), Path(), "")
        own, dsl = self.commands.ask("version"), self.commands.ask("dsl-version")
        with ThreadPoolExecutor(max_workers=2) as pool:
            asked, asked_dsl = pool.submit(self._version, own), pool.submit(self._version, dsl)
            if package:
                self._import(package)
        versions = Versions(asked.result(), asked_dsl.result())
        if not package and own and versions == Versions(None, None):
            # Raises what is wrong, unless it has no such command.
            with suppress(NoCommand):
                self._ask(own)
        return versions

    def import_curricula(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Import every curriculum of the source, as before a session of an animal that was enrolled on it.

        :return: the names of those that were imported, and why others were not: no command says which there are, how
            an animal starts, or which module it is.
        :raises CurriculumError: one cannot be imported.
        """
        try:
            names = self.curricula()
        except NoCommand as error:
            return (), (error.message,)
        if not names:
            lacks = "no 'list' command" if names is None else "a 'list' command that names no curriculum"
            return (), (f"The curriculum source {self.source.name} has {lacks}.",)
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            found = dict(zip(names, pool.map(self._package_or_reason, names), strict=True))
            packages = {name: package for name, (package, _) in found.items() if package}
            [*pool.map(self._import, {*packages.values()})]
        return tuple(packages), tuple(dict.fromkeys(reason for package, reason in found.values() if not package))

    def _package_or_reason(self, curriculum: str) -> tuple[str | None, str]:
        """The module that defines a curriculum, or else why it is not known."""
        try:
            return self.enrolled(curriculum).package, f"The first state of {curriculum} names no module."
        except NoCommand as error:
            return None, error.message

    def _import(self, package: str) -> None:
        """Import the module of an animal's curriculum in the environment, as evaluating it will."""
        if not MODULE.fullmatch(package):
            raise CurriculumError(f"{package!r}, which the trainer state names, is not the name of a Python module.")
        try:
            self._ask([str(self.environment.python), "-c", _IMPORT, package])
        except CurriculumError as error:
            reason = error.message.partition("\n")[2].strip() or error.message
            raise CurriculumError(
                f"{self.source.name} cannot import the animal's curriculum {package}: {' '.join(reason.split())}.",
                self._known(),
            ) from None

    def decide(
        self, folder: Path, trainer_state: Path, kept: Path, on_line: OnLine | None = None
    ) -> CurriculumSuggestion:
        """What the curriculum decides on a session's folder, without provenance.

        :param kept: the folder for all that it prints.
        :raises CurriculumError: it gave no usable answer.
        """
        curriculum = TrainerStateText.read_file(trainer_state).curriculum or ""
        return run_curriculum(
            self.commands.run(folder, trainer_state, curriculum),
            self.environment.source_folder,
            kept,
            timeout=self.limits.timeout,
            output_limit=self.limits.output_limit,
            on_line=on_line,
        )

    def suggest(self, session: SessionContext, on_line: OnLine | None = None) -> CurriculumSuggestion:
        """Evaluate the curriculum on a session's folder; answer, provenance and output are kept.

        :raises CurriculumError: it gave no usable answer.
        """
        before = _files(session.folder)
        started = time.monotonic()
        answer = self.decide(session.folder, session.paths.trainer_state, session.output_folder, on_line)
        provenance = Provenance(
            source=self.source.name,
            url=self.pin.url,
            commit=self.environment.commit,
            dirty=self.pin.dirty,
            environment=self.environment.key,
            locked=self.environment.locked,
            packages_digest=self.environment.packages_digest,
            options=self.commands.settings.options,
            python=self.environment.python_version,
            package_version=answer.version,
            dsl_version=answer.dsl_version,
            launcher_version=__version__,
            duration=round(time.monotonic() - started, 3),
        )
        after = _files(session.folder)
        if lost := sorted(name for name in before if before[name] != after.get(name)):
            logger.warning("the curriculum changed or removed files of the session: %s", ", ".join(lost[:5]))
        new = tuple(sorted(after.keys() - before))
        return answer.model_copy(update={"provenance": provenance, "new_files": new})

    def _version(self, command: list[str] | None) -> str | None:
        try:
            words = self._ask(command).split() if command else []
        except CurriculumError:
            return None
        return words[-1] if words else None

    def _ask(self, command: list[str]) -> str:
        return ask(command, self.environment.source_folder, self.limits.answer_timeout)

    def _known(self) -> str | None:
        try:
            names = self.curricula()
        except CurriculumError:
            return None
        return f"{self.source.name} has: {', '.join(names)}." if names else None


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a session but the launcher's own, by its path in the folder."""
    states = {path: state for path, state in file_states(folder).items() if not path.startswith(_OF_THE_LAUNCHER)}
    # A name may be no text; the journal and the record have to be.
    return {path.encode("utf-8", "backslashreplace").decode(): state for path, state in states.items()}
