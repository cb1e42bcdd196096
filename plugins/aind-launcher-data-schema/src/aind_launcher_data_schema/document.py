"""An `acquisition.json` as data: read, completed and validated. Imports aind-data-schema, which takes over a second.

The file's own JSON is what is changed, never a dump of the models: they would rewrite versions, zones and
deprecated fields that are not this plugin's.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aind_data_schema.components.identifiers import Code
from aind_data_schema.core.acquisition import Acquisition, DataStream, PerformanceMetrics
from pydantic import ValidationError

from aind_launcher import LauncherError
from aind_launcher_data_schema.facts import CurriculumCode, Facts

logger = logging.getLogger(__name__)

SCHEMA = 2
BEHAVIOR = "behavior"
# How acquisitions name the language of a curriculum; its version is the DSL's.
DSL = "aind-behavior-curriculum"


@dataclass(frozen=True)
class Document:
    """A valid file: its JSON, and the same as aind-data-schema reads it."""

    data: dict[str, Any]
    model: Acquisition


@dataclass(frozen=True)
class Additions:
    """What was added where.

    :param epochs: the names of the task's epochs.
    :param curriculum: the name under which the curriculum stands in the `code` of the data stream.
    """

    epochs: tuple[str, ...] = ()
    curriculum: str | None = None


def read(path: Path) -> Document:
    """The file at `path`.

    :raises LauncherError: it is not JSON, of another schema version, or not valid.
    """
    try:
        return parsed(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise LauncherError(f"{path} cannot be read: {error}.") from None


def parsed(text: str, where: str) -> Document:
    """The document in `text`.

    :param where: what it is, for the error.
    :raises LauncherError: as for `read`.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LauncherError(f"{where} is not JSON: {error}.", "Let the task write it again, then resume.") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, str):
        raise LauncherError(f"{where} has no schema_version, so it is no acquisition of aind-data-schema.")
    if version.partition(".")[0] != str(SCHEMA):
        raise LauncherError(
            f"{where} is of schema version {version}; only version {SCHEMA} has a place for metrics and curriculum.",
            f"Let the task write it with aind-data-schema {SCHEMA}, then resume.",
        )
    return Document(data, validated(text, where))


def validated(text: str, where: str) -> Acquisition:
    """`text` as the real model reads it.

    :raises LauncherError: names the first field that is wrong.
    """
    try:
        with _warnings_logged(where):
            return Acquisition.model_validate_json(text)
    except ValidationError as error:
        raise invalid(where, error) from None


def invalid(where: str, error: ValidationError) -> LauncherError:
    """The error for what aind-data-schema does not take."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return LauncherError(f"{where} is not valid: {f'{place}: ' if place else ''}{message}{more}.")


def enriched(
    document: Document, facts: Facts, stimulus_names: Sequence[str], where: str
) -> tuple[dict[str, Any], Additions]:
    """A copy of the document's JSON with `facts` in their places; all else is as it was.

    :param stimulus_names: the epochs of the task; empty to find them by the task's name.
    :raises LauncherError: there is something to say about epochs, but none is the task's.
    """
    data = deepcopy(document.data)
    names: list[str] = []
    if facts.metrics is not None or facts.stage or facts.protocol:
        for epoch in _epochs_of_task(data.get("stimulus_epochs") or [], facts.task, stimulus_names, where):
            names.append(epoch["stimulus_name"])
            _complete_epoch(epoch, facts)
    curriculum = None
    if facts.code:
        streams = [stream for stream, _ in _streams_with_code(data, document.model)]
        for stream in streams:
            stream["code"] = _with_code(stream.get("code") or [], facts.code)
            curriculum = facts.code.name
        if not streams:
            logger.warning("%s has no data stream that can name code; the curriculum is not in it.", where)
    return data, Additions(tuple(names), curriculum)


def _epochs_of_task(
    epochs: list[dict[str, Any]], task: str | None, stimulus_names: Sequence[str], where: str
) -> list[dict[str, Any]]:
    wanted = {_plain(name) for name in (stimulus_names or ([task] if task else ()))}
    found = [epoch for epoch in epochs if _plain(epoch["stimulus_name"]) in wanted]
    if found:
        return found
    if len(epochs) == 1 and not stimulus_names:
        return epochs
    if not epochs:
        raise LauncherError(
            f"{where} has no stimulus epoch, so metrics and stage have no place in it.",
            "Let the task write its epochs, then resume.",
        )
    present = ", ".join(repr(epoch["stimulus_name"]) for epoch in epochs)
    expected = " or ".join(repr(name) for name in stimulus_names) or repr(task)
    raise LauncherError(
        f"{where} has no stimulus epoch named {expected}, but {present}, so metrics and stage have no place in it.",
        "Name the task's epochs in plugin.data-schema.stimulus-names, then resume.",
    )


def _plain(name: str) -> str:
    """A name without what tasks and their metadata spell differently: "VR foraging", "vr-foraging"."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _complete_epoch(epoch: dict[str, Any], facts: Facts) -> None:
    if facts.metrics is not None:
        performance = epoch.get("performance_metrics") or PerformanceMetrics().model_dump(mode="json")
        before = performance.get("output_parameters") or {}
        epoch["performance_metrics"] = {**performance, "output_parameters": {**before, **facts.metrics}}
    if facts.stage:
        epoch["curriculum_status"] = facts.stage
    if facts.protocol:
        epoch["training_protocol_name"] = facts.protocol


def _streams_with_code(data: dict[str, Any], model: Acquisition) -> list[tuple[dict[str, Any], DataStream]]:
    """The streams of behaviour, else all; streams of foreign instruments cannot name code."""
    pairs = [
        (stream, read)
        for stream, read in zip(data["data_streams"], model.data_streams, strict=True)
        if isinstance(read, DataStream)
    ]
    behavior = [pair for pair in pairs if any(modality.abbreviation == BEHAVIOR for modality in pair[1].modalities)]
    return behavior or pairs


def _with_code(present: list[dict[str, Any]], code: CurriculumCode) -> list[dict[str, Any]]:
    """`present` with the curriculum in it once: the task may have written it already, knowing less."""
    known: dict[str, Any] = {
        "url": code.url,
        "name": code.name,
        "version": code.version,
        "commit_hash": code.commit,
        "language": DSL,
        "language_version": code.dsl_version,
        "parameters": {"uncommitted_changes": True} if code.dirty else None,
    }
    known = {key: value for key, value in known.items() if value is not None}
    if any(entry.get("name") == code.name for entry in present):
        return [{**entry, **known} if entry.get("name") == code.name else entry for entry in present]
    return [*present, Code.model_construct(**known).model_dump(mode="json", warnings=False)]


@contextmanager
def _warnings_logged(where: str) -> Iterator[None]:
    """aind-data-schema warns of what it deprecates, which the file's writer decides; the rest goes to the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in sorted({str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)}):
        logger.warning("%s: %s", where, message)
