"""The task repository that a command works in: options that all commands share, and what opens from them.

Each command imports this file for its options: what a method needs is imported when it is called.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aind_launcher.cli.streams import stdout_kept
from aind_launcher.errors import LauncherError, UsageError
from aind_launcher.system import interrupts

if TYPE_CHECKING:
    from aind_launcher.journal.journal import Journal
    from aind_launcher.journal.records import SessionRecord
    from aind_launcher.lifecycle.home import Home
    from aind_launcher.lifecycle.launcher import Launcher
    from aind_launcher.model.sources import CurriculumSources
    from aind_launcher.model.store import AnimalStore
    from aind_launcher.plugins import Plugins
    from aind_launcher.settings.layers import LauncherSettings, Resolved, SettingsLayers
    from aind_launcher.system.redaction import Redactor

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class TaskRepository:
    """A task repository with its settings; plugins are imported when they are asked for."""

    path: Path
    layers: "SettingsLayers"
    blocked: tuple[str, ...] = ()
    verbose: bool = False

    @cached_property
    def resolved(self) -> "Resolved[LauncherSettings]":
        """The launcher's own settings, each with its source.

        :raises SettingsError: one is wrong.
        """
        return self.layers.launcher()

    @property
    def settings(self) -> "LauncherSettings":
        """The launcher's own settings, without plugins'."""
        return self.resolved.settings

    def with_rig(self, rig: Path) -> "TaskRepository":
        """The same with another rig file."""
        strongest = self.layers.command_line
        layers = replace(self.layers, command_line=replace(strongest, values={**strongest.values, "rig": str(rig)}))
        return replace(self, layers=layers)

    def plugins(self) -> "Plugins":
        """All plugins, sound or not."""
        from aind_launcher.plugins import load_plugins

        return load_plugins(self.layers, self.settings, self.blocked)

    def redact(self, text: str) -> str:
        """`text` without the secrets of any plugin."""
        return self.secrets_hidden()(text)

    def secrets_hidden(self) -> "Redactor":
        """What hides the secrets of every plugin that can be loaded."""
        from aind_launcher.system.redaction import Redactor

        with suppress(LauncherError):
            return Redactor(self.plugins().secrets())
        return Redactor()

    def curriculum_sources(self) -> "CurriculumSources":
        """What builds and asks the curricula.

        :raises LauncherError: no plugin does, or it is broken.
        """
        sources: CurriculumSources = self._ask("curriculum_sources", "builds and asks curricula", "isolated-curriculum")
        return sources

    def animal_store(self) -> "AnimalStore":
        """What keeps the animals.

        :raises LauncherError: no plugin does, or it is broken.
        """
        experiment = self.settings.experiment
        store: AnimalStore = self._ask("animal_store", "keeps animals", "local-store", experiment=experiment)
        return store

    def refuse_unplugged(self, store: "AnimalStore") -> None:
        """Raise if this rig had animals of a store that now has none.

        :raises AnimalError: it had: the store may not be connected.
        """
        from aind_launcher.lifecycle.launcher import has_journal
        from aind_launcher.lifecycle.seen import refuse_unplugged
        from aind_launcher.model.store import removed_from

        if has_journal(self.settings):
            with self.home() as home:
                refuse_unplugged(home, self.settings.experiment, store.place, removed=removed_from(store))

    def _ask(self, hook: str, does: str, built_in: str, **arguments: Any) -> Any:
        from aind_launcher.plugins import first_answer

        answer = first_answer(self.layers, self.settings, self.blocked, hook, repository=self.path, **arguments)
        if answer is None:
            raise UsageError(
                f"No plugin {does}.",
                f"The built-in {built_in} does; remove it from disable and -p no:, or install a plugin in its place.",
            )
        return answer

    @contextmanager
    def journal(self, *, changes: bool = False) -> Iterator["Journal"]:
        """The journal.

        :param changes: hold the rig meanwhile.
        :raises Refused: another launcher holds the rig.
        :raises LauncherError: it cannot be used now; a substitute would answer as if nothing had ever happened. Or
            what was to be recorded is not.
        """
        from aind_launcher.lifecycle.launcher import open_journal
        from aind_launcher.system.rig import rig_lock

        with (
            rig_lock(self.settings.state_directory) if changes else nullcontext(),
            open_journal(self.settings) as journal,
        ):
            yield whole(journal)
        if journal.impaired:
            raise LauncherError(
                f"What was done is not recorded in the journal {journal.impaired}.",
                "Free the disk, or close other programs that use the journal, and call this again.",
            )

    @contextmanager
    def home(self) -> Iterator["Home"]:
        """Tells this repository's sessions in the journal from those of others."""
        from aind_launcher.lifecycle.home import Home

        with self.journal() as journal:
            yield Home(journal, self.path)

    @contextmanager
    def launcher(
        self,
        *,
        unattended: bool = False,
        calm: bool = False,
        agreed: bool = False,
        only_plans: bool = False,
    ) -> Iterator["Launcher"]:
        """Everything a session needs, with its log shown on the terminal; see `Terminal` and `open_launcher`."""
        from aind_launcher.cli.terminal import Terminal, end_with
        from aind_launcher.lifecycle.launcher import open_launcher
        from aind_launcher.system.redaction import Redactor

        redact = Redactor()
        try:
            plugins = self.plugins()
            redact = Redactor(plugins.secrets())
            shows = {"calm": calm, "agreed": agreed, "verbose": self.verbose}
            terminal = Terminal(redact=redact, unattended=unattended, **shows)
            with (
                # What Ctrl-C became on its way through foreign code is no error.
                interrupts.heard(),
                terminal.showing_log(self.verbose),
                open_launcher(self.path, self.settings, plugins, terminal, only_plans=only_plans) as launcher,
            ):
                yield launcher
        except (click.ClickException, BrokenPipeError):
            raise
        except Exception as error:
            # Shown here, where the secrets that it may carry are known.
            raise click.exceptions.Exit(end_with(error, redact)) from error


def whole(journal: "Journal") -> "Journal":
    """`journal`, if it is the one with the sessions.

    :raises LauncherError: it is a substitute.
    """
    if journal.impaired:
        raise LauncherError(
            f"What sessions there are cannot be told: the journal {journal.impaired}.",
            "Nothing is lost. Try again when no other program uses the file, this login may write it and the disk has "
            "space. Move a substitute away that stays unreadable; the sessions' folders know what it had.",
        )
    return journal


def known_session(journal: "Journal", name: str) -> "SessionRecord":
    """The entry of a session.

    :raises UsageError: the journal has none.
    """
    if not name.strip():
        raise UsageError("The session's name is empty.", "See `aind-launch sessions list`.")
    if record := journal.session(name):
        return record
    raise UsageError(
        f"The journal has no session {name}.",
        "See `aind-launch sessions list`; `aind-launch sessions import FOLDER` brings one back.",
    )


def in_task_repository(function: Command) -> Command:
    """Give a command the options that choose and change the task repository; it is called with `repository`."""

    @click.option(
        "--repository",
        "-C",
        "task_repository",
        type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
        default=".",
        help="The task repository (default: the one this folder lies in).",
    )
    @click.option(
        "--plugin", "-p", "blocked", multiple=True, metavar="no:NAME", help="Leave out a plugin for this call."
    )
    @click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting for this call.")
    @click.option("--verbose", "-v", is_flag=True, help="Show what is logged for developers, with tracebacks.")
    def wrapped(
        task_repository: Path, blocked: tuple[str, ...], overrides: tuple[str, ...], verbose: bool, **options: Any
    ) -> Any:
        repository = open_repository(task_repository, blocked, overrides, verbose)
        # One line that a plugin prints would make the JSON unreadable.
        with stdout_kept() if options.get("as_json") else nullcontext():
            try:
                return function(repository=repository, **options)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise
            except Exception as error:
                from aind_launcher.cli.terminal import end_with

                # Shown here, where the secrets that a store may have told are known.
                raise click.exceptions.Exit(end_with(error, repository.secrets_hidden())) from error

    wrapped.__doc__ = function.__doc__
    wrapped.__name__ = function.__name__
    # Options that were declared on the function itself.
    wrapped.__click_params__ = [*getattr(wrapped, "__click_params__", []), *getattr(function, "__click_params__", [])]  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def open_repository(
    folder: Path, plugin: tuple[str, ...] = (), overrides: tuple[str, ...] = (), verbose: bool = False
) -> TaskRepository:
    """Find the repository of `folder` and read its settings.

    :raises UsageError: there is none, or an option is wrong.
    """
    from aind_launcher.settings.layers import find_repository, load_layers, merged_overrides, parsed_override

    path = find_repository(folder)
    layers = load_layers(path, merged_overrides([*map(parsed_override, overrides)]))
    return TaskRepository(path, layers, tuple(map(_blocked, plugin)), verbose)


def _blocked(value: str) -> str:
    no, _, name = value.partition(":")
    if no != "no" or not name:
        raise UsageError(f"-p {value} is not understood.", "Write -p no:NAME to leave out the plugin NAME.")
    return name
