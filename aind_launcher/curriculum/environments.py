"""One virtual environment per pinned source: built once, checked before it is used, and removed when it is old."""

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aind_launcher import __version__
from aind_launcher.curriculum.build import build, executable, remove_tree, scripts_folder
from aind_launcher.curriculum.contents import first_changed_file, list_contents
from aind_launcher.curriculum.packages import installed_packages
from aind_launcher.curriculum.pins import pin
from aind_launcher.curriculum.specification import EnvironmentSpec, home_of
from aind_launcher.errors import EnvironmentBuildError, LauncherError
from aind_launcher.model.sources import Progress
from aind_launcher.system.files import move, read_whole, write_whole

_DISCARDED = "-discarded-"


class Environment(BaseModel):
    """A built environment. All but `folder` is what its marker says; the marker is written last.

    :param folder: holds the virtual environment and the private clone; marker, lock and log lie beside it.
    :param source: the name of the curriculum source.
    :param commit: the commit that it was built from.
    :param dirty: whether uncommitted changes are part of it.
    :param inside: the source's folder in the clone.
    :param locked: whether a lock said which packages to install; None where an older launcher built it, without a list.
    :param packages: all that was installed, as `installed_packages` lists it.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    folder: Path = Field(exclude=True)
    source: str
    url: str | None
    commit: str
    dirty: bool
    inside: str
    extras: tuple[str, ...]
    python_version: str
    launcher_version: str
    built: AwareDatetime
    locked: bool | None = None
    packages: tuple[str, ...] = ()

    @property
    def scripts(self) -> Path:
        """Where its programs are."""
        return scripts_folder(self.folder / "venv", sys.platform)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / executable("python", sys.platform)

    @property
    def clone(self) -> Path:
        """The private clone that it was built from."""
        return self.folder / "source"

    @property
    def source_folder(self) -> Path:
        """The source's folder in the private clone."""
        return self.clone / self.inside

    @property
    def packages_digest(self) -> str:
        """Names what was installed: the same on every rig that has the same packages."""
        return hashlib.sha256("\n".join(self.packages).encode("utf-8")).hexdigest()[:16]

    @property
    def log(self) -> Path:
        """What was printed while it was built."""
        return self.folder.with_suffix(".log")

    @property
    def used(self) -> datetime:
        """When it was last used."""
        return _last_used(self.folder)


def find_environment(folder: Path) -> Environment | None:
    """Return the environment in `folder`, also a damaged one; None if there is no finished build."""
    try:
        written = json.loads(read_whole(_marker(folder)))
        return Environment.model_validate({**written, "folder": folder})
    except (OSError, ValueError, TypeError):
        return None


def health_check(environment: Environment, *, compared: bool = True) -> str | None:
    """Describe the first thing in `environment` that is not as it was built, or return None. Starts no process.

    :param compared: compare every file, too.
    """
    if not environment.python.exists():
        return f"Its Python, {environment.python}, is missing."
    # On Windows its Python is no link, and still there when the one that it was made from is gone.
    base = _configuration(environment.folder).get("home")
    if base is None or not Path(base).exists():
        return f"The Python that it was made from{f', in {base},' if base else ''} is gone."
    try:
        changed = first_changed_file(environment.folder) if compared else None
    except (OSError, ValueError) as error:
        return f"The files in {environment.folder} cannot be compared with what was built ({error})."
    return f"{changed} in {environment.folder} was changed after it was built." if changed else None


def ensure_environment(
    spec: EnvironmentSpec, progress: Progress = lambda line: None, *, compared: bool = True
) -> Environment:
    """Return the environment for `spec`, and build it first if it is missing or damaged.

    Several launchers at once build it once.

    :param compared: build it anew, too, where a file in it was changed since it was built.
    :param progress: is called with each line that says what is being done.
    :raises EnvironmentBuildError: it cannot be built; nothing half-built is ever taken for built.
    """
    try:
        if usable := _usable(spec, lambda line: None, compared):
            return usable
        spec.folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(spec.folder, progress):
            return _usable(spec, progress, compared) or _built(spec, progress)
    except OSError as error:
        raise EnvironmentBuildError(
            f"The environment of {spec.source.name} cannot be built in {spec.folder}: {error.strerror or error}.",
            "See that the folder is writable and the disk has space, or choose another 'cache-directory'.",
        ) from None


def list_environments(cache: Path) -> tuple[Environment, ...]:
    """Every environment that was built, the last used first."""
    markers = home_of(cache).glob("*.json")
    found = (find_environment(marker.with_suffix("")) for marker in markers)
    return tuple(sorted((x for x in found if x), key=lambda environment: environment.used, reverse=True))


def prune(cache: Path, older_than: timedelta, pinned: Collection[str]) -> tuple[Environment, ...]:
    """Remove environments that were not used for `older_than` and are no longer pinned, and what builds left behind.

    One that is being built, or whose files are in use, stays.

    :param pinned: the keys of environments to keep.
    :return: those that were removed.
    """
    home, limit = home_of(cache), datetime.now(UTC) - older_than
    removed = []
    # A marker that cannot be read may be that of another version of the launcher.
    for folder in sorted({path.with_suffix("") for path in (*home.glob("*/"), *home.glob("*.json"))}):
        if _DISCARDED in folder.name:
            with suppress(OSError):
                remove_tree(folder)
        elif folder.name not in pinned and _last_used(folder) <= limit:
            environment = find_environment(folder)
            if _discard(folder) and environment:
                removed.append(environment)
    return tuple(removed)


def _usable(spec: EnvironmentSpec, progress: Progress, compared: bool) -> Environment | None:
    environment = find_environment(spec.folder)
    if environment is None:
        return None
    if problem := health_check(environment, compared=compared):
        progress(f"The environment of {spec.source.name} is built again. {problem}")
        return None
    # The marker's time is when the environment was last used. On a shared machine it may be another account's.
    with suppress(OSError):
        os.utime(_marker(spec.folder))
    return environment


def _built(spec: EnvironmentSpec, progress: Progress) -> Environment:
    """Build for `spec`, with its lock held."""
    source, marker = spec.source, _marker(spec.folder)
    try:
        _set_aside(spec.folder)
    except OSError as error:
        raise EnvironmentBuildError(
            f"{spec.folder} has to be built again, but cannot be moved away ({error.strerror or error}).",
            "Try again when no other session uses it.",
        ) from None
    spec.folder.mkdir()
    try:
        build(spec, progress)
        # A clean source was cloned by its commit; changes were copied while an editor may have been at them.
        if spec.pin.changes and pin(source).identity != spec.pin.identity:
            raise EnvironmentBuildError(f"{source.name} was changed while it was being built.", "Try again.")
    except LauncherError:
        with suppress(OSError):
            remove_tree(spec.folder)
        raise
    list_contents(spec.folder)
    environment = Environment(
        key=spec.key,
        folder=spec.folder,
        source=source.name,
        url=spec.pin.url,
        commit=spec.pin.head or "",
        dirty=bool(spec.pin.changes),
        inside=source.inside,
        extras=spec.extras,
        python_version=_configuration(spec.folder)["version_info"],
        launcher_version=__version__,
        built=datetime.now(UTC),
        locked=spec.as_of is None,
        packages=installed_packages(spec.folder / "venv"),
    )
    write_whole(marker, environment.model_dump_json(indent=2))
    return environment


@contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("Another launcher is building this environment; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _discard(folder: Path) -> bool:
    """Remove an environment unless it is in use. It leaves its name at once, so that no half of it can be found."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder.with_suffix(".lock")).acquire(timeout=0):
            _set_aside(folder)
            folder.with_suffix(".log").unlink(missing_ok=True)
        # The lock file stays: without it, two launchers could hold two locks of one name.
    except (Timeout, OSError):
        return False
    return True


def _set_aside(folder: Path) -> None:
    """Remove what is in `folder`, with its lock held. It leaves its name at once, so that no half of it can be found.

    :raises OSError: Windows refuses this while a program runs from it, or a file in it is open; it is then as before.
    """
    aside = folder.with_name(f"{folder.name}{_DISCARDED}{uuid4().hex[:8]}")
    if folder.exists():
        move(folder, aside)
    _marker(folder).unlink(missing_ok=True)
    # What cannot be removed now is removed by the next `prune`.
    with suppress(OSError):
        remove_tree(aside)


def _marker(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _configuration(folder: Path) -> dict[str, str]:
    """What the virtual environment in `folder` says of its Python."""
    try:
        lines = (folder / "venv" / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _last_used(folder: Path) -> datetime:
    """When an environment was last used or, while it has no marker, built."""
    for path in (_marker(folder), folder):
        with suppress(OSError):
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.now(UTC)
