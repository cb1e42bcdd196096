"""Which sessions of the journal are a task repository's own. The journal knows them by its path, from which it may have
been moved since; another clone of the same git repository has sessions of its own."""

from contextlib import suppress
from pathlib import Path

from aind_launcher.errors import LauncherError
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import SessionRecord
from aind_launcher.model.session import Repository
from aind_launcher.system.files import exists
from aind_launcher.system.git import commit_of, remote_url, toplevel


class Home:
    """A task repository and the sessions of a journal that were begun in it, wherever it was then."""

    def __init__(self, journal: Journal, repository: Path) -> None:
        self.journal = journal
        self._repository = repository
        # By path and commit, since git takes its time.
        self._known: dict[tuple[Path, str | None], bool] = {}

    def has(self, record: SessionRecord) -> bool:
        """Whether a session is this repository's."""
        try:
            known = self.journal.context(record.name).repository
        except LauncherError:
            return is_same_folder(record.repository, self._repository)
        # The journal knows where it is since it was moved.
        was = (known.adopted_by or known).model_copy(update={"path": record.repository})
        key = (was.path, was.commit)
        if key not in self._known:
            self._known[key] = is_now(was, self._repository)
        return self._known[key]

    def owner(self, record: SessionRecord) -> str:
        """Where a session belongs that is not this repository's: a path, and what became of what was there."""
        if not record.repository.is_dir():
            return f"{record.repository}, which is gone"
        if is_same_folder(record.repository, self._repository):
            return f"another task repository, which was in {record.repository} before"
        return str(record.repository)

    def unfinished(self) -> tuple[SessionRecord, ...]:
        """Its sessions with something left to do, oldest first."""
        return tuple(filter(self.has, self.journal.unfinished()))


def is_now(was: Repository, repository: Path) -> bool:
    """Whether the task repository at `repository` is the one that a session was begun in.

    It is where it was, by whatever path. Or it is gone from there, and this one has the commit of that session, the
    same remote where both have one, and the same place in its git repository.
    """
    if is_same_folder(was.path, repository):
        return stands(was)
    if was.commit is None or stands(was):
        return False
    with suppress(LauncherError):
        root = toplevel(repository)
        place = repository.resolve().relative_to(root).parts
        has_moved = not was.path.is_relative_to(root)
        is_same_place = was.path.parts[len(was.path.parts) - len(place) :] == place
        if has_moved and is_same_place and commit_of(repository, was.commit):
            return was.url is None or remote_url(repository) in (None, was.url)
    return False


def stands(was: Repository) -> bool:
    """Whether a session's task repository is still where it was: with its settings, and that session's commit.

    One that has the same remote may have been cloned anew, without a commit that was never pushed.
    """
    if not exists(was.path / "pyproject.toml"):
        return False
    try:
        if was.commit is None or commit_of(was.path, was.commit):
            return True
        return was.url is not None and remote_url(was.path) == was.url
    except LauncherError:
        # git does not say, for instance since it distrusts the owner.
        return True


def is_same_folder(one: Path, other: Path) -> bool:
    """Whether both paths lead to one folder, as a link or another drive letter may."""
    with suppress(OSError):
        return one == other or one.samefile(other)
    return False
