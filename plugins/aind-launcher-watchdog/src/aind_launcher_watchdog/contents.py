"""What of a session's folder leaves the rig: the data of each modality, and the metadata files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePath

from aind_launcher import LauncherError, SessionContext
from aind_launcher_watchdog.arrival import refuse_losses, sources
from aind_launcher_watchdog.naming import filled


@dataclass(frozen=True)
class Contents:
    """What goes into the manifest.

    :param modalities: the paths of each modality.
    :param empty: modality folders without a file; the service has nothing to copy there.
    :param left_out: names in the session's folder that are neither a modality nor metadata.
    :param foreign: metadata files of another subject, each with that subject; they stay here.
    """

    modalities: Mapping[str, tuple[Path, ...]]
    schemas: tuple[Path, ...] = ()
    empty: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    foreign: Mapping[Path, str] = field(default_factory=dict)


def modality_names() -> tuple[str, ...]:
    """The abbreviations that aind-data-schema-models knows: behavior, behavior-videos, ecephys, …"""
    from aind_data_schema_models.modalities import Modality

    return tuple(Modality.abbreviation_map)


def find(session: SessionContext, extra: Mapping[str, Sequence[str]], schemas: Iterable[str], system: str) -> Contents:
    """Look through the session's folder, by the names of its folders.

    :param extra: `WatchdogSettings.extra_modalities`.
    :param schemas: `WatchdogSettings.schemas`.
    :param system: `sys.platform` of the service's machine, which is this one.
    :raises LauncherError: the folder is gone, extra data is missing, there is no data at all, or some would be lost.
    """
    if not session.folder.is_dir():
        raise LauncherError(
            f"The session's folder {session.folder} is gone.", "Bring it back and run `aind-launch resume` again."
        )
    known = {name.casefold(): name for name in modality_names()}
    metadata = sorted(set(_metadata(session.folder, schemas)))
    own = {path.name for path in metadata if path.parent == session.folder}
    found: dict[str, list[Path]] = {}
    empty: list[str] = []
    left_out: list[str] = []
    places = extra_paths(session, extra)
    for path in sorted(session.folder.iterdir()):
        # Tasks also write "Behavior", which is the same folder to Windows.
        modality = known.get(path.name.casefold()) if path.is_dir() or not path.exists() else None
        if modality and _has_data(path):
            found.setdefault(modality, []).extend(sources(path, system))
        elif modality:
            empty.append(path.name)
        elif not (path.name in own or path.name.startswith(".") or any(path in p for p in places.values())):
            left_out.append(path.name)
    for modality, paths in places.items():
        for path in paths:
            if not path.exists():
                raise LauncherError(
                    f"{path}, which holds extra data of {modality}, does not exist.",
                    "Put it there or correct plugin.watchdog.extra-modalities, "
                    f"then `aind-launch resume {session.name}`.",
                )
            if path.is_dir() and not _has_data(path):
                empty.append(str(path))
                continue
            found.setdefault(modality, []).extend(sources(path, system))
    if not found:
        raise LauncherError(
            f"{session.folder} holds no data of any modality ({', '.join(empty) or 'no folder of that name'}"
            f"{' is empty' if len(empty) == 1 else ' are empty' if empty else ''}), so there is nothing to hand off.",
            "Folders are named after their modality, as in 'behavior'.",
        )
    modalities = {modality: tuple(dict.fromkeys(paths)) for modality, paths in found.items()}
    subjects = {path: subject for path in metadata if (subject := _subject_of(path))}
    foreign = {path: subject for path, subject in subjects.items() if subject != session.subject}
    named = tuple(path for path in metadata if path not in foreign)
    refuse_losses(modalities, named, extra, system)
    return Contents(
        modalities=modalities,
        schemas=named,
        empty=tuple(empty),
        left_out=tuple(left_out),
        foreign=foreign,
    )


def extra_paths(session: SessionContext, extra: Mapping[str, Sequence[str]]) -> dict[str, tuple[Path, ...]]:
    """Where the extra data of this session lies.

    :raises LauncherError: there is no such modality; names the nearest.
    """
    known = modality_names()
    for modality in extra:
        if modality not in known:
            close = get_close_matches(modality, known, n=1)
            raise LauncherError(
                f"plugin.watchdog.extra-modalities names {modality!r}, which is no modality.",
                f"Did you mean {close[0]!r}?" if close else f"Modalities: {', '.join(known)}.",
            )
    return {
        modality: tuple(session.folder / filled(path, session) for path in paths) for modality, paths in extra.items()
    }


def refuse_known_losses(session: SessionContext, extra: Mapping[str, Sequence[str]], system: str) -> None:
    """Refuse, before the session, extra data of which it is known already that some would be lost.

    A path that does not exist yet is taken for a file where the setting gives its name a suffix.

    :raises LauncherError: as `find`.
    """
    known = {
        modality: [
            source
            for setting, path in zip(extra[modality], paths, strict=True)
            if PurePath(setting).suffix or path.exists()
            for source in sources(path, system)
        ]
        for modality, paths in extra_paths(session, extra).items()
    }
    refuse_losses(known, (), extra, system)


def _metadata(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """The files, and links in the place of files, that a name or a pattern names; hidden ones only by their name."""
    for pattern in patterns:
        named = folder / pattern
        if named.is_file() or named.is_symlink():
            yield named
        else:
            found = (path for path in folder.glob(pattern) if not path.name.startswith("."))
            yield from (path for path in found if path.is_file() or path.is_symlink())


def _subject_of(path: Path) -> str | None:
    """The subject that a metadata file says it is of; None where it does not say."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        # Metadata that cannot be read is carried along as data is; who reads it says what is wrong with it.
        return None
    subject = content.get("subject_id") if isinstance(content, dict) else None
    return str(subject) if isinstance(subject, str | int) else None


def _has_data(folder: Path) -> bool:
    """Whether there is a file, or a link in the place of one, which must not be passed over."""
    return not folder.exists() or any(path.is_symlink() or path.is_file() for path in folder.rglob("*"))
