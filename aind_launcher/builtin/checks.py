"""The built-in `checks` plugin: is there room for a session, may it be written, and is the code what it says?"""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ByteSize, Field, PlainSerializer, WithJsonSchema

from aind_launcher.errors import LauncherError
from aind_launcher.hookspecs import hookimpl
from aind_launcher.model.names import few
from aind_launcher.model.session import Check, Repository, SessionContext
from aind_launcher.settings.model import SettingsModel
from aind_launcher.system.files import existing_parent, exists, write_problem
from aind_launcher.system.git import changes, describe_repository, git, is_ignored, submodules, toplevel, version_in

# The first that takes settings from variables (GIT_CONFIG_COUNT); older ones pass over them.
_OLDEST_GIT = (2, 31)


def _in_gigabytes(value: Any) -> Any:
    """A plain number counts gigabytes; a text may name its unit."""
    if isinstance(value, ByteSize):
        return value
    try:
        return int(float(value) * 1e9)
    except (TypeError, ValueError, OverflowError):
        return value


FreeSpace = Annotated[
    ByteSize,
    BeforeValidator(_in_gigabytes),
    PlainSerializer(lambda size: size.human_readable(decimal=True), return_type=str, when_used="json"),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0}),
]


class Checks:
    """What every session needs of its rig, whatever its task."""

    class Settings(SettingsModel):
        """``[tool.aind-launcher.plugin.checks]``"""

        minimum_free_space: FreeSpace = Field(
            ByteSize(10 * 10**9),
            description="What must be free on the data directory's disk: gigabytes, or with a unit as in '500 MB'. "
            "0 turns the check off.",
        )
        clean_repository: Literal["fail", "warn", "off"] = Field(
            "fail",
            description="What uncommitted changes in the task repository do: refuse the session, warn, or nothing.",
        )

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # Last, since a curriculum that is not as pinned says better what to do than "changes that are not committed".
    @hookimpl(trylast=True)
    def pre_session(self, session: SessionContext) -> list[Check]:
        """Data directory, disk, and the task repository."""
        checks = self._folder(session.folder.parent, session.repository.path)
        return [*checks, *self._code(session.repository, allow_dirty=session.session.allow_dirty_repo)]

    @hookimpl
    def check_rig(self, repository: Path, data_directory: Path | None) -> list[Check]:
        """The data directory, and what in the repository would refuse a session; the launcher names its commit."""
        checks = []
        if data_directory is not None:
            checks = self._folder(data_directory, repository)
        try:
            described = describe_repository(repository).model_copy(update={"path": repository})
        except LauncherError:
            return checks  # shown by the launcher's own look at the repository
        return [*checks, *(check for check in self._code(described) if check.outcome != "passed")]

    def _folder(self, folder: Path, repository: Path) -> list[Check]:
        return [*_old_git(repository), _data_directory(folder), *self._disk(folder), *_not_ignored(folder, repository)]

    def _code(self, repository: Repository, *, allow_dirty: bool = False) -> list[Check]:
        if self.settings.clean_repository == "off":
            return []
        refuses = self.settings.clean_repository == "fail" and not allow_dirty
        check = Check.failed if refuses else Check.warning
        name, root = "task repository", repository.path
        if repository.commit is None:
            message = f"{root} has no commit, so nobody will know which code a session ran."
            return [check(name, message, "Commit it with git, or run with --allow-dirty.")]
        if repository.clean:
            return [Check.passed(name, f"{root} at {repository.commit[:10]}")]
        changed, there = changes(root), f'git -C "{root}"' if " " in str(root) else f"git -C {root}"
        moved = [path for path in submodules(root) if path in changed]
        checks = []
        files = [path for path in changed if path not in moved]
        if files or not moved:
            message = (
                f"{root} has changes that are not committed ({few(files)}), so nobody will know which code a session "
                "ran."
            )
            hint = f"See them with `{there} status`; commit them when they are reviewed, or run with --allow-dirty."
            checks.append(check(name, message, hint))
        if moved:
            message = (
                f"{root} has submodules that are not as it pins them ({few(moved)}), so nobody will know which code a "
                "session ran."
            )
            names = " ".join(f'"{path}"' if " " in path else path for path in moved)
            mend = f"Run `{there} submodule update --init --recursive {names}`, or run with --allow-dirty."
            hint = f"{mend} If it does not help, see `{there} status`."
            checks.append(check("submodules", message, hint))
        return checks

    def _disk(self, data_directory: Path) -> list[Check]:
        name = "disk space"
        needed = self.settings.minimum_free_space
        place = existing_parent(data_directory)
        if needed == 0 or place is None:
            return []  # a disk that is not there fails the data directory's own check
        try:
            free = ByteSize(shutil.disk_usage(place).free)
        except OSError as error:
            message = f"The disk of {data_directory} cannot be asked for its free space: {error.strerror}."
            return [Check.failed(name, message, "Check that it is connected.")]
        left = f"{free.human_readable(decimal=True)} free for {data_directory}"
        if free >= needed:
            return [Check.passed(name, left)]
        message = f"Only {left}; a session needs {needed.human_readable(decimal=True)}."
        hint = "Free the disk of sessions that were transferred, or lower the setting plugin.checks.minimum-free-space."
        return [Check.failed(name, message, hint)]


def _old_git(repository: Path) -> list[Check]:
    """Refuse a git that passes over the settings by which it runs no program that a checkout's configuration names."""
    try:
        version = version_in(git("--version", cwd=repository))
    except LauncherError:
        return []  # shown by the launcher's own look at the repository
    if version is None or version >= _OLDEST_GIT:
        return []
    (major, minor), (least, least_minor) = version, _OLDEST_GIT
    message = (
        f"This is git {major}.{minor}, and {least}.{least_minor} is the oldest that runs no program that a checkout's "
        "configuration names."
    )
    return [Check.failed("git", message, "Install a newer git and open a new terminal.")]


def _data_directory(folder: Path) -> Check:
    name = "data directory"
    if problem := write_problem(folder):
        hint = (
            "Connect the disk, see that it has room and give this login the right to write there, or choose another "
            "folder: data_directory in the rig file, or the setting data-directory."
        )
        return Check.failed(name, problem, hint)
    if not exists(folder):
        message = f"{folder} does not exist yet; the session makes it."
        return Check.warning(name, message, "If sessions were written before, check that the path is right.")
    return Check.passed(name, str(folder))


def _not_ignored(data_directory: Path, repository: Path) -> list[Check]:
    """A warning where git would take the sessions for changes of the task repository."""
    try:
        root, folder = toplevel(repository), data_directory.resolve()
        # A pattern for folders also holds for one that is not made yet if something in it is asked for.
        if not folder.is_relative_to(root) or is_ignored(root, folder / "session"):
            return []
    except (LauncherError, OSError):
        return []  # what is wrong there is another check's to say
    hint = "Choose a folder outside the repository."
    if folder != root:
        line = f"/{folder.relative_to(root).as_posix()}/"
        hint = (
            f"Add the line `{line}` to {root / '.gitignore'} and commit it. Or choose a folder outside the repository."
        )
    message = (
        f"{data_directory} lies in the task repository and git does not ignore it, so that each session leaves changes "
        "that are not committed."
    )
    return [Check.warning("gitignore", message, hint)]
