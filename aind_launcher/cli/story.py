"""A session's whole story, for `sessions show`: what it was, and each step with what it returned."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from aind_launcher.cli.printing import local_time, print_table
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Acquisition, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion

# Characters of what a step returned; a table is to be read.
_WIDEST = 300


def print_story(
    record: SessionRecord, context: SessionContext, steps: tuple[StepRecord, ...], message: str | None
) -> None:
    """Print it on stdout.

    :param message: why the session stands as it does.
    """
    state = context.animal_state
    acquisition = context.acquisition
    click.echo(f"Session {record.name}: {record.state}")
    facts: list[tuple[str, Any]] = [
        ("subject", record.subject),
        ("experimenter", ", ".join(context.session.experimenter)),
        ("started", local_time(record.started)),
        ("ended", local_time(record.ended) if record.ended else None),
        ("message", message),
        ("ran with", f"stage {state.trainer_state.stage} of {state.trainer_state.curriculum}" if state else None),
        ("acquisition", f"{acquisition.outcome} {acquisition.message or ''}" if acquisition else None),
        ("repository", f"{record.repository} at {(context.repository.commit or 'no commit')[:10]}"),
        ("folder", record.folder),
        ("log", context.staging / "log.jsonl"),
    ]
    print_table(("", ""), [(f"  {name}", value) for name, value in facts if value], empty="")
    click.echo("")
    rows = []
    for step in steps:
        seconds = None if step.duration is None else f"{step.duration:.2f}"
        result = step.error or _brief(step, record.folder)
        rows.append((step.id.hook, step.id.plugin, step.attempt, step.state, seconds, result))
    columns = ("step", "plugin", "try", "state", "seconds", "what it returned, or why not")
    print_table(columns, rows, empty="No step was run.")


def _brief(step: StepRecord, folder: Path) -> str:
    """What a step returned, in a few words; `--json` has all of it."""
    result = step.result
    if step.id.hook in _SUMMARIES and isinstance(result, dict):
        # What another version of the launcher recorded may have another form.
        with suppress(ValidationError):
            return _SUMMARIES[step.id.hook](result)
    if isinstance(result, list):
        checks = all(isinstance(item, dict) and "outcome" in item for item in result)
        text = ", ".join(f"{item.get('name')} {item['outcome']}" if checks else str(item) for item in result)
    elif isinstance(result, dict):
        text = ", ".join(f"{key}: {value}" for key, value in result.items() if value is not None)
    else:
        text = "" if result is None else str(result)
    text = text.replace(f"{folder}{os.sep}", "")
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _animal_state(result: dict[str, Any]) -> str:
    state = AnimalState.model_validate(result)
    where = f"stage {state.trainer_state.stage} of {state.trainer_state.curriculum}"
    return f"{where}, since {state.session_name or local_time(state.date)}"


def _inputs(result: dict[str, Any]) -> str:
    return "gave " + " and ".join(name for name, value in result.items() if value is not None)


def _acquisition(result: dict[str, Any]) -> str:
    acquisition = Acquisition.model_validate(result)
    code = f", exit code {acquisition.exit_code}" if acquisition.exit_code is not None else ""
    return f"{acquisition.outcome}{code}{f': {acquisition.message}' if acquisition.message else ''}"


def _suggestion(result: dict[str, Any]) -> str:
    suggestion = CurriculumSuggestion.model_validate(result)
    state, provenance = suggestion.trainer_state, suggestion.provenance
    where = f"stage {state.stage}" if state.is_on_curriculum else "off curriculum"
    if provenance is None:
        return f"{where}, by {state.curriculum} {suggestion.version or ''}".rstrip()
    by = f"{provenance.source} {provenance.package_version or ''}".rstrip()
    modified = " (modified)" if provenance.dirty else ""
    return f"{where}, by {by} at {provenance.commit[:10]}{modified} in {provenance.duration:.1f} s"


_SUMMARIES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "load_animal_state": _animal_state,
    "prepare_session": _inputs,
    "run_session": _acquisition,
    "curriculum_suggest": _suggestion,
}
