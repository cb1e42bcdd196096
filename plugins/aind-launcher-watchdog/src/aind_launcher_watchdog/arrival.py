"""Where the service puts what a manifest names, and what would be lost on the way: two files of one name, and links."""

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from aind_launcher import LauncherError


def sources(path: Path, system: str) -> tuple[Path, ...]:
    """What the manifest names so that a folder's files arrive directly under their modality.

    The service copies a folder's contents on Windows (robocopy), but elsewhere the folder itself (rsync).
    """
    if system == "win32" or not path.is_dir():
        return (path,)
    return tuple(sorted(path.iterdir()))


def place(path: PurePath, source: PurePath, system: str) -> PurePath:
    """Where the service puts `path`, relative to the folder that it copies `source` into.

    :param path: `source` itself, or what lies in it; a folder that is itself the source has no place on Windows.
    """
    contents_only = system == "win32" and path != source
    return path.relative_to(source if contents_only else source.parent)


def refuse_losses(
    modalities: Mapping[str, Iterable[Path]], schemas: Iterable[Path], extra: Container[str], system: str
) -> None:
    """Refuse data that would not arrive whole, although the service would call its job complete.

    :param modalities: what the manifest names of each modality, as `schemas` are its metadata files.
    :param extra: the modalities of which the settings name paths.
    :param system: `sys.platform` of the service's machine.
    :raises LauncherError: names a link that the service would not copy, or two files that would become one.
    """
    for modality, paths in modalities.items():
        inside = [
            (path, modality / place(path, source, system)) for source in paths for path in _all_of(source, system)
        ]
        _refuse_links((path for path, _ in inside), system)
        setting = f", or name one folder that holds both in plugin.watchdog.extra-modalities.{modality}"
        _refuse_collisions(inside, f"Rename one of them{setting if modality in extra else ''}.")
    named = [(path, place(path, path, system)) for path in schemas]
    _refuse_links((path for path, _ in named), system)
    _refuse_collisions(named, "Leave one of them out of plugin.watchdog.schemas.")


def _all_of(source: Path, system: str) -> Iterator[Path]:
    if system != "win32" or not source.is_dir():
        yield source
    # rsync does not follow the link, so nothing below it is copied.
    if system == "win32" or not source.is_symlink():
        yield from source.rglob("*")


def _refuse_links(paths: Iterable[Path], system: str) -> None:
    for path in paths:
        # robocopy copies what a link leads to; rsync leaves the link out without a word.
        if not path.is_symlink() or (system == "win32" and path.exists()):
            continue
        nowhere = "" if path.exists() else " that leads nowhere"
        raise LauncherError(
            f"{path} is a link{nowhere}, and the watchdog service would not copy it.",
            "Put the data itself in its place, or delete the link.",
        )


def _refuse_collisions(arriving: Iterable[tuple[Path, PurePath]], hint: str) -> None:
    first: dict[str, Path] = {}
    for path, at in arriving:
        # The destination is often a share that does not tell upper from lower case.
        other = first.setdefault(at.as_posix().casefold(), path)
        if other != path and not (_is_folder(other) and _is_folder(path)):
            raise LauncherError(
                f"{other} and {path} would both arrive as {at.as_posix()}, and only one of them would be left.", hint
            )


def _is_folder(path: Path) -> bool:
    """Whether it is merged with another of its name; a link is not looked into."""
    return path.is_dir() and not path.is_symlink()
