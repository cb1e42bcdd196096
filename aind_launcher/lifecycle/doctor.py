"""What an operator should know of this rig before the first animal: one check a line, each with its hint."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle import inputs
from aind_launcher.lifecycle.launcher import open_journal
from aind_launcher.lifecycle.resume import unfinished
from aind_launcher.lifecycle.steps import as_checks
from aind_launcher.model.session import Check
from aind_launcher.plugins import Plugins
from aind_launcher.settings.layers import LauncherSettings
from aind_launcher.system.files import write_problem
from aind_launcher.system.git import describe_repository
from aind_launcher.system.programs import find_program
from aind_launcher.system.rig import open_state_directory, rig_lock


def examine(repository: Path, settings: LauncherSettings, plugins: Plugins) -> Iterator[Check]:
    """Every check of this rig, each made when it is asked for. Changes nothing."""
    yield _git()
    if _git_program():
        yield _named("task repository", lambda: _repository(repository))
    for plugin in plugins.all:
        if plugin.error:
            yield _failed(f"plugin {plugin.name}", plugin.error)
    if not plugins.problems():
        names = [plugin.name for plugin in plugins.all if not plugin.blocked]
        yield Check(name="plugins", outcome="passed", message=", ".join(names))
    yield _named("data directory", lambda: _data_directory(settings))
    yield _named("state directory", lambda: _state(settings, repository))
    data_directory = inputs.data_directory_or_none(settings)
    for call in plugins.calls("check_rig"):
        try:
            answer = call(repository=repository, data_directory=data_directory)
            yield from as_checks(answer)
        except LauncherError as error:
            yield _failed(call.plugin.name, error)
        except Exception as error:  # isolates one plugin's look at the rig from the others'
            yield Check(name=call.plugin.name, outcome="failed", message=f"{type(error).__name__}: {error}")


def _git_program() -> Path | None:
    return find_program("git", os.environ.get("PATH") or os.defpath)


def _git() -> Check:
    if program := _git_program():
        return Check(name="git", outcome="passed", message=str(program))
    return Check(
        name="git", outcome="failed", message="git is not installed.", hint="Install it and open a new terminal."
    )


def _repository(repository: Path) -> Check:
    described = describe_repository(repository)
    # Whether a session may run from it is the verdict of the plugin checks.
    at = f"at {described.commit[:10]}" if described.commit else "without a commit"
    return Check(name="task repository", outcome="passed", message=f"{described.path} {at}")


def _data_directory(settings: LauncherSettings) -> Check:
    rig = inputs.read_rig(settings.rig)
    folder = inputs.data_directory(settings, rig)
    if problem := write_problem(folder):
        hint = "Connect the disk, see that it has room, and give this login the right to write there."
        return Check(name="data directory", outcome="failed", message=problem, hint=hint)
    return Check(name="data directory", outcome="passed", message=str(folder))


def _state(settings: LauncherSettings, repository: Path) -> Check:
    folder = open_state_directory(settings.state_directory)
    with rig_lock(folder), open_journal(settings) as journal:
        if journal.impaired:
            hint = "Close the program that uses it, see that the disk has space, or choose another state-directory."
            return Check(name="journal", outcome="failed", message=f"{journal.impaired}.", hint=hint)
        waiting = unfinished(journal, repository)
    if waiting:
        hint = "Run `aind-launch resume --all`."
        message = f"{len(waiting)} session(s) are unfinished, the newest {waiting[-1].name}."
        return Check(name="journal", outcome="warning", message=message, hint=hint)
    return Check(name="journal", outcome="passed", message=str(journal.path))


def _named(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except LauncherError as error:
        return _failed(name, error)


def _failed(name: str, error: LauncherError) -> Check:
    return Check(name=name, outcome="failed", message=error.message, hint=error.hint)
