"""A session for people: what it was, what was decided on it, and what each of its steps returned."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from aind_launcher.board.words import in_short
from aind_launcher.cli.printing import echo, local_time, print_facts, print_table
from aind_launcher.journal.records import SessionRecord, StepRecord
from aind_launcher.model.animal import fired_rules, move_text, named_rules
from aind_launcher.model.names import brief
from aind_launcher.model.session import SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion


def print_story(record: SessionRecord, session: SessionContext, steps: Sequence[StepRecord]) -> None:
    """Print all of a session on stdout."""
    echo(f"Session {record.name}: {record.state}")
    times = {"started": local_time(record.started), "ended": record.ended and local_time(record.ended)}
    print_facts(times | {"message": record.message} | facts(session, _suggestion(session, steps), steps))
    echo("")
    rows = []
    for step in steps:
        seconds = None if step.duration is None else f"{step.duration:.2f}"
        result = step.error or in_short(step.result).replace(f"{record.folder}{os.sep}", "")
        rows.append((step.id.hook, step.id.plugin, step.attempt, step.state, seconds, result))
    columns = ("step", "plugin", "try", "state", "seconds", "what it returned, or why not")
    print_table(columns, rows, empty="No step was run.")


def facts(
    session: SessionContext,
    suggestion: CurriculumSuggestion | None,
    steps: Sequence[StepRecord],
    *,
    full: bool = False,
) -> dict[str, Any]:
    """What people want to know of a session, by name; None where it is not known.

    :param full: name rules with their modules.
    """
    state = session.animal_state.trainer_state if session.animal_state else None
    acquisition = session.acquisition
    return {
        "subject": session.subject,
        "experimenter": ", ".join(session.session.experimenter),
        "ran with": state and f"stage {brief(state.stage)} of {state.curriculum_in_words}",
        "decision": decision(session, suggestion, steps),
        "rule": named_rules(rules(session, suggestion), full=full),
        "metrics": suggestion and in_short(suggestion.metrics),
        "decided by": suggestion and _decided_by(suggestion),
        "acquisition": acquisition and ": ".join(filter(None, (acquisition.outcome, acquisition.message))),
        "repository": f"{session.repository.path} at {(session.repository.commit or 'no commit')[:10]}",
        "folder": session.folder,
        "log": session.log,
    }


def decision(session: SessionContext, suggestion: CurriculumSuggestion | None, steps: Sequence[StepRecord]) -> str:
    """One line: where the animal goes next, or why it stays where it is, and what is unusual about that."""
    before = session.animal_state.trainer_state if session.animal_state else None
    if suggestion is None:
        return "none; the animal's state is unchanged" if before else "none; no curriculum decides over this animal"
    states = [record.result for record in steps if record.id.hook == "record_state" and record.result]
    for state in states:
        if state["outcome"] == "superseded":
            return f"superseded: {state.get('because') or 'the animal has moved on since'}"
    moved = move_text(before.stage if before else None, suggestion.trainer_state.decided_stage)
    return ", but ".join((moved, *(state["because"] for state in states if state.get("because"))))


def rules(session: SessionContext, suggestion: CurriculumSuggestion | None) -> tuple[str, ...]:
    """The rules that may have moved the animal; none where it stays."""
    before = session.animal_state.trainer_state if session.animal_state else None
    return fired_rules(before, suggestion.trainer_state) if suggestion else ()


def _suggestion(session: SessionContext, steps: Sequence[StepRecord]) -> CurriculumSuggestion | None:
    """What was decided, where the curriculum was asked and what it answered can be read."""
    for step in steps:
        if step.id.hook == "curriculum_suggest" and step.result is not None and session.disposition == "score":
            # What another version of the launcher recorded may have another form.
            with suppress(ValidationError):
                return CurriculumSuggestion.model_validate(step.result)
    return None


def _decided_by(suggestion: CurriculumSuggestion) -> str:
    provenance = suggestion.provenance
    if provenance is None:
        return f"{brief(suggestion.trainer_state.curriculum)} {brief(suggestion.version)}"
    package = f"{provenance.source} {provenance.package_version or ''}".rstrip()
    return f"{package} at {provenance.commit[:10]}{' (modified)' if provenance.dirty else ''}"
