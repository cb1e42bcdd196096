"""What an operator should know of this rig before the first animal: one check a line, each with its hint."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle import inputs, windows
from aind_launcher.lifecycle.clock import clock_check
from aind_launcher.lifecycle.home import Home
from aind_launcher.lifecycle.launcher import open_journal
from aind_launcher.lifecycle.seen import refuse_unplugged
from aind_launcher.lifecycle.steps import as_checks
from aind_launcher.lifecycle.stores import find_store
from aind_launcher.model.clock import now
from aind_launcher.model.session import Check
from aind_launcher.model.store import removed_from
from aind_launcher.plugins import Plugins
from aind_launcher.settings.layers import LauncherSettings
from aind_launcher.system.git import describe_repository
from aind_launcher.system.programs import find_program
from aind_launcher.system.rig import installation, open_state_directory, rig_lock


def examine(repository: Path, settings: LauncherSettings, plugins: Plugins) -> Iterator[Check]:
    """Every check of this rig, each made when it is asked for. Changes nothing."""
    if git := find_program("git", os.environ.get("PATH") or os.defpath):
        yield Check.passed("git", str(git))
        yield _named("task repository", lambda: _repository(repository))
    else:
        yield Check.failed("git", "git is not installed.", "Install it and open a new terminal.")
    if found := windows.look():
        yield from windows.checks(found)
    for plugin in plugins.all:
        if plugin.error:
            yield Check.failed(f"plugin {plugin.name}", plugin.error.message, plugin.error.hint)
    if not plugins.problems():
        names = [plugin.name for plugin in plugins.all if not plugin.blocked]
        yield Check.passed("plugins", ", ".join(names))
    yield _named("state directory", lambda: _state(settings, repository))
    if clock := _clock(settings):
        yield clock
    data_directory = None
    try:
        data_directory = inputs.data_directory(settings, inputs.read_rig(settings.rig))
    except LauncherError as error:
        yield Check.failed("data directory", error.message, error.hint)
    for call in plugins.calls("check_rig"):
        try:
            yield from as_checks(call(repository=repository, data_directory=data_directory))
        except LauncherError as error:
            yield Check.failed(call.plugin.name, error.message, error.hint)
        except (Exception, SystemExit) as error:  # isolates one plugin's look at the rig from the others'
            line = plugins.line_of(error, call.plugin.name)
            yield Check.failed(call.plugin.name, f"{type(error).__name__}: {error}{line}")
    yield from _animals(repository, settings, plugins)
    with suppress(Exception):  # as there
        yield from _rig_name(repository, settings, plugins)


def _animals(repository: Path, settings: LauncherSettings, plugins: Plugins) -> Iterator[Check]:
    """A store without animals, though this rig had some."""
    try:
        calls = plugins.calls("animal_store")
        answers = (call(repository=repository, experiment=settings.experiment) for call in calls)
        store = next((store for store in answers if store is not None), None)
        place = store.place if store is not None and not store.subjects() else None
        removed = removed_from(store) if store is not None else ()
    except Exception:  # isolates what a store does when it is asked; its own look at the rig says what is wrong
        return
    if place is not None:
        try:
            with open_journal(settings) as journal:
                refuse_unplugged(Home(journal, repository), settings.experiment, place, removed=removed)
        except LauncherError as error:
            yield Check.failed("animals", error.message, error.hint)


def _rig_name(repository: Path, settings: LauncherSettings, plugins: Plugins) -> Iterator[Check]:
    """Another rig that reports to the store of animals under the name of this one."""
    store = find_store(plugins, repository, settings.experiment)
    for status in store.rigs() if store else ():
        clash = status.rig == inputs.rig_name(settings) and status.clash(installation(settings.state_directory))
        if clash:
            yield Check.warning("rig name", clash, "Give each rig a name of its own with the setting rig-name.")


def _repository(repository: Path) -> Check:
    described = describe_repository(repository)
    # Whether a session may run from it is the verdict of the plugin checks.
    at = f"at {described.commit[:10]}" if described.commit else "without a commit"
    return Check.passed("task repository", f"{described.path} {at}")


def _state(settings: LauncherSettings, repository: Path) -> Check:
    folder = open_state_directory(settings.state_directory)
    with rig_lock(folder), open_journal(settings) as journal:
        if journal.impaired:
            hint = "Close the program that uses it, see that the disk has space, or choose another state-directory."
            return Check.failed("journal", f"{journal.impaired}.", hint)
        waiting = Home(journal, repository).unfinished()
    if waiting:
        message = f"{len(waiting)} session(s) are unfinished, the newest {waiting[-1].name}."
        return Check.warning("journal", message, "Run `aind-launch resume --all`.")
    return Check.passed("journal", str(journal.path))


def _clock(settings: LauncherSettings) -> Check | None:
    # Of a journal that cannot be opened, the check of the state directory tells.
    with suppress(LauncherError), open_journal(settings) as journal:
        return clock_check(journal, now())
    return None


def _named(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except LauncherError as error:
        return Check.failed(name, error.message, error.hint)
