"""Everything a session needs that is not the session itself: wired once, for the program and for tests of plugins."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aind_launcher.journal.journal import Journal
from aind_launcher.lifecycle.home import Home
from aind_launcher.lifecycle.inputs import data_directory_or_none
from aind_launcher.system.files import remove_old_temporaries
from aind_launcher.system.rig import RigLock, open_state_directory, rig_lock

if TYPE_CHECKING:
    # What only reads the journal has no use for plugins.
    from aind_launcher.lifecycle.operator import Operator
    from aind_launcher.lifecycle.steps import Steps
    from aind_launcher.model.session import SessionContext
    from aind_launcher.plugins import Plugins
    from aind_launcher.settings.layers import LauncherSettings

logger = logging.getLogger(__name__)

_JOURNAL = "journal.sqlite"
# Entries of the animal's register by which a session that is resumed is still compared with those before it.
_ENTRIES_KEPT = 6


@dataclass(frozen=True)
class Launcher:
    """The repository, settings, plugins, journal and operator of one call of the program.

    :param lock: the rig's; None for one that only plans.
    """

    repository: Path
    settings: "LauncherSettings"
    plugins: "Plugins"
    journal: Journal
    operator: "Operator"
    steps: "Steps"
    lock: RigLock | None = None

    @cached_property
    def home(self) -> Home:
        """Tells the sessions of the repository from those of others."""
        return Home(self.journal, self.repository)

    def keep(self, session: "SessionContext") -> None:
        """Have `session` on disk: this is where resuming it starts from. What steps returned is in their records."""
        kept = session.model_copy(update={"animal_entries": session.animal_entries[-_ENTRIES_KEPT:]})
        context = kept.model_dump_json(exclude={"results"})
        self.journal.keep_session(session.name, session.subject, self.repository, session.folder, context)

    def work_on(self, session: str) -> None:
        """Write down for which session the rig is held."""
        if self.lock:
            self.lock.write_note(session)


def has_journal(settings: "LauncherSettings") -> bool:
    """Whether this machine had a session; who only asks must not begin a journal."""
    return (settings.state_directory / _JOURNAL).is_file()


def open_journal(settings: "LauncherSettings") -> Journal:
    """The journal of this machine, or a substitute in the data directory; see `Journal.open`.

    :raises Refused: the state directory cannot be made.
    """
    path = open_state_directory(settings.state_directory) / _JOURNAL
    return Journal.open(path, data_directory_or_none(settings))


@contextmanager
def open_launcher(
    repository: Path,
    settings: "LauncherSettings",
    plugins: "Plugins",
    operator: "Operator",
    *,
    only_plans: bool = False,
) -> Iterator[Launcher]:
    """A launcher that has its journal open, and holds the rig unless it only plans, while the context lasts.

    :raises PluginError: a plugin is broken.
    :raises Refused: another launcher holds the rig.
    """
    from aind_launcher.lifecycle.steps import Steps
    from aind_launcher.system.redaction import Redactor

    plugins.require_sound()
    if not only_plans:
        remove_old_temporaries()
    redact = Redactor(plugins.secrets())
    with (
        open_journal(settings) as journal,
        nullcontext() if only_plans else rig_lock(settings.state_directory) as lock,
        _threads_of_plugins_heard(plugins),
    ):
        steps = Steps(plugins, journal, operator, redact, tuple(settings.retry_pauses), settings.step_timeout)
        yield Launcher(repository, settings, plugins, journal, operator, steps, lock)


@contextmanager
def _threads_of_plugins_heard(plugins: "Plugins") -> Iterator[None]:
    """Say in a sentence what ended a thread that a plugin started; Python would show its traceback on the screen."""

    def say(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            line = plugins.line_in_any(ended.exc_value)
            logger.warning("A thread has failed: %s: %s%s", ended.exc_type.__name__, ended.exc_value, line)
            logger.debug("traceback of it", exc_info=ended.exc_value)

    before, threading.excepthook = threading.excepthook, say
    try:
        yield
    finally:
        threading.excepthook = before
