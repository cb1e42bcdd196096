"""An `acquisition.json` as data: read, completed and validated. Imports aind-data-schema, which takes over a second.

The file's own JSON is what is changed, never a dump of the models: they would rewrite versions, zones and
deprecated fields that are not this plugin's. So a file of a newer version than the installed one can be completed,
too: what the installed models do not know stays as it is, and what is added must bring no error of its own.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aind_data_schema.components.identifiers import Code
from aind_data_schema.core.acquisition import Acquisition, DataStream, PerformanceMetrics
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aind_launcher import LauncherError
from aind_launcher_data_schema import versions
from aind_launcher_data_schema.facts import CurriculumCode, Facts

logger = logging.getLogger(__name__)

SCHEMA = 2
# The schema version of the installed models.
INSTALLED: str = Acquisition.model_fields["schema_version"].default
# How the models refuse what only a newer version has: a field, a kind of object, a value.
_UNKNOWN = {"extra_forbidden", "union_tag_invalid", "literal_error", "enum"}
# Before the name of a value of the task's own that has the name of a metric.
OF_THE_TASK = "task_"
# What the models call a data stream, as opposed to one of a foreign instrument.
_STREAM: str = DataStream.model_fields["object_type"].default
BEHAVIOR = "behavior"
# How acquisitions name the language of a curriculum; its version is the DSL's.
DSL = "aind-behavior-curriculum"


# The metrics that this plugin wrote into each epoch, one object for each answer.
Written = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Document:
    """A valid file, as JSON.

    :param unchecked: what only a newer schema version than the installed one knows.
    """

    data: dict[str, Any]
    unchecked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Additions:
    """What was added where.

    :param epochs: the names of the task's epochs.
    :param curriculum: the name under which the curriculum stands in the `code` of the data stream.
    :param kept_beside: values of the task's own that have the name of a metric, by their names now.
    :param written: the metrics that are not the task's own, by epoch: those of this answer, then of earlier ones.
    """

    epochs: tuple[str, ...] = ()
    curriculum: str | None = None
    kept_beside: tuple[str, ...] = ()
    written: "Written" = field(default_factory=dict)


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
    problems = _problems(text, where)
    newer = versions.is_newer(version, INSTALLED)
    if wrong := [problem for problem in problems if not newer or problem["type"] not in _UNKNOWN]:
        raise invalid(where, wrong, version if newer else None)
    return Document(data, frozenset(map(_place, problems)))


def require_valid(text: str, where: str, unchecked: frozenset[str] = frozenset()) -> None:
    """Refuse what the real models do not take.

    :param unchecked: the places that are not theirs to know.
    :raises LauncherError: names the first field that is wrong.
    """
    if wrong := [problem for problem in _problems(text, where) if _place(problem) not in unchecked]:
        raise invalid(where, wrong)


def _problems(text: str, where: str) -> list[ErrorDetails]:
    try:
        with _warnings_logged(where):
            Acquisition.model_validate_json(text)
    except ValidationError as error:
        return details(error)
    return []


def details(error: ValidationError) -> list[ErrorDetails]:
    """Each thing that is wrong, without what the file holds there."""
    return error.errors(include_url=False, include_context=False, include_input=False)


def invalid(where: str, wrong: Sequence[ErrorDetails], newer: str | None = None) -> LauncherError:
    """The error for what aind-data-schema does not take.

    :param newer: the file's schema version, where that is newer than the installed one.
    """
    place, more = _place(wrong[0]), f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
    message = wrong[0]["msg"].removeprefix("Value error, ").rstrip(".")
    told = f"{where} is not valid: {f'{place}: ' if place else ''}{message}{more}."
    if newer is None:
        return LauncherError(told)
    return LauncherError(
        f"{told} It is of schema version {newer}; aind-data-schema {versions.installed()}, which is installed, knows "
        f"{INSTALLED}.",
        "Let the task write it with the version that is installed here, or install its version here, then resume.",
    )


def _place(problem: ErrorDetails) -> str:
    return ".".join(str(part) for part in problem["loc"])


def enriched(
    document: Document, facts: Facts, stimulus_names: Sequence[str], where: str, written: Written
) -> tuple[dict[str, Any], Additions]:
    """A copy of the document's JSON with `facts` in their places; all else is as it was.

    :param stimulus_names: the epochs of the task; empty to find them by the task's name.
    :param written: as in the `Additions` of earlier answers.
    :raises LauncherError: there is something to say about epochs, but none is the task's.
    """
    data = deepcopy(document.data)
    names: list[str] = []
    beside: list[str] = []
    if facts.metrics is not None or facts.stage or facts.protocol:
        for epoch in _epochs_of_task(data.get("stimulus_epochs") or [], facts.task, stimulus_names, where):
            name = epoch["stimulus_name"]
            names.append(name)
            added, kept = _complete_epoch(epoch, facts, written.get(name, []))
            written = {**written, name: [added, *written.get(name, [])]} if added else written
            beside += kept
    curriculum = None
    if facts.code:
        streams = _streams_with_code(data)
        for stream in streams:
            stream["code"] = _with_code(stream.get("code") or [], facts.code)
            curriculum = facts.code.name
        if not streams:
            logger.warning("%s has no data stream that can name code; the curriculum is not in it.", where)
    return data, Additions(tuple(names), curriculum, tuple(dict.fromkeys(beside)), written)


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


def _complete_epoch(
    epoch: dict[str, Any], facts: Facts, written: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """Put the facts into `epoch`, in the place of what earlier answers wrote.

    :return: the metrics that are not the task's own values, and the new names of the task's values in whose place
        metrics stand.
    """
    added: dict[str, Any] = {}
    beside: list[str] = []
    if facts.metrics is not None:
        performance = epoch.get("performance_metrics") or PerformanceMetrics().model_dump(mode="json")
        present = (performance.get("output_parameters") or {}).items()
        # By their values, too: the task may have written the file again since.
        own = {name: value for name, value in present if not any((name, value) in answer.items() for answer in written)}
        added = {name: value for name, value in facts.metrics.items() if name not in own or own[name] != value}
        replaced = {f"{OF_THE_TASK}{name}": own[name] for name in added if name in own}
        output = {**replaced, **own, **facts.metrics}
        epoch["performance_metrics"] = {**performance, "output_parameters": output}
        beside = [f"{OF_THE_TASK}{name}" for name in added if f"{OF_THE_TASK}{name}" in output]
    if facts.stage:
        epoch["curriculum_status"] = facts.stage
    if facts.protocol:
        epoch["training_protocol_name"] = facts.protocol
    return added, beside


def _streams_with_code(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The streams of behaviour, else all; streams of foreign instruments cannot name code."""
    streams = [stream for stream in data["data_streams"] if stream.get("object_type") == _STREAM]
    behavior = [stream for stream in streams if any(_is_behavior(modality) for modality in stream["modalities"])]
    return behavior or streams


def _is_behavior(modality: Any) -> bool:
    return isinstance(modality, dict) and modality.get("abbreviation") == BEHAVIOR


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
