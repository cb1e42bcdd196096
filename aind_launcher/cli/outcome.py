"""The summary at the end of a session: what was decided and where everything lies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from aind_launcher.cli.printing import plain, print_json, print_table
from aind_launcher.errors import ExitCode
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import StepRecord
from aind_launcher.lifecycle.finish import Outcome
from aind_launcher.model.animal import AnimalState

# Sessions that are named, of those that the journal does not know.
_SHOWN = 3


def exit_code(code: ExitCode, journal: Journal) -> ExitCode:
    """`code`, but never that all is done where the journal could not record it."""
    return ExitCode.STEP_FAILED if journal.impaired and code == ExitCode.DONE else code


def unknown_lines(folders: Sequence[Path]) -> Iterator[str]:
    """Lines about sessions that lie on this machine and that the journal does not know."""
    if folders:
        yield f"{len(folders)} session(s) lie here that the journal does not know. Bring them back, then resume:"
    for folder in folders[-_SHOWN:]:
        yield f"  aind-launch sessions import {folder}"
    if len(folders) > _SHOWN:
        yield f"  and {len(folders) - _SHOWN} more in {folders[0].parent}"


def print_outcome(outcome: Outcome, journal_problem: str | None, *, as_json: bool) -> None:
    """Print how a session ended, on stdout."""
    if as_json:
        print_json(outcome_data(outcome) | {"journal_problem": journal_problem})
        return
    session = outcome.session
    click.echo(f"\nSession {session.name}: {outcome.state}")
    print_table(("", ""), [(name, value) for name, value in _lines(outcome) if value], empty="")
    failed = [record for record in outcome.steps if record.state == "failed"]
    for record in failed:
        click.echo(f"  failed: {record.id.hook} ({record.id.plugin}): {plain(record.error or '')}")
    if outcome.held:
        click.echo(f"  The hand-off is held back: {outcome.held}.")
    acquisition = session.acquisition
    if acquisition and acquisition.outcome != "completed" and acquisition.message:
        click.echo(f"  The acquisition: {plain(acquisition.message)}")
    if outcome.state in ("failed", "interrupted"):
        click.echo(
            f"  Its data was kept; `aind-launch resume {session.name} --score` lets the curriculum decide on it."
        )
    if acquisition and not session.folder.is_dir():
        click.echo(f"  The session's folder is gone: {session.folder}")
    elif failed or outcome.held:
        click.echo(f"  The data is safe. Finish with `aind-launch resume {session.name}`.")
    if journal_problem:
        click.echo(
            f"  The journal could not be written ({journal_problem}). "
            "When it can be, `aind-launch resume` completes it."
        )


def decision(before: AnimalState | None, outcome: Outcome) -> str:
    """One line: where the animal goes next, and why it stays where it does."""
    if outcome.suggestion is None:
        state = before.trainer_state if before else None
        return "none; the animal's state is unchanged" if state else "none; no curriculum decides over this animal"
    if any(_is_superseded(record) for record in outcome.steps):
        return "superseded: the animal has moved on since"
    then = outcome.suggestion.trainer_state
    stage = before.trainer_state.stage if before else None
    if not then.is_on_curriculum:
        return f"{stage} -> off curriculum"
    return f"stays at {then.stage}" if then.stage == stage else f"{stage} -> {then.stage}"


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON data."""
    session = outcome.session
    return {
        "session": session.name,
        "subject": session.subject,
        "state": outcome.state,
        "exit_code": int(outcome.exit_code),
        "folder": str(session.folder),
        "decision": decision(session.animal_state, outcome),
        "stage": outcome.suggestion.trainer_state.stage if outcome.suggestion else None,
        "metrics": outcome.suggestion.metrics if outcome.suggestion else None,
        "provenance": outcome.suggestion.provenance.model_dump()
        if outcome.suggestion and outcome.suggestion.provenance
        else None,
        "held": outcome.held,
        "steps": [
            {"hook": r.id.hook, "plugin": r.id.plugin, "state": r.state, "error": r.error, "result": _brief(r.result)}
            for r in outcome.steps
        ],
    }


def _lines(outcome: Outcome) -> list[tuple[str, str | None]]:
    session, suggestion = outcome.session, outcome.suggestion
    provenance = suggestion.provenance if suggestion else None
    state = session.animal_state.trainer_state if session.animal_state else None
    return [
        ("  subject", session.subject),
        ("  curriculum", f"{state.curriculum} {state.curriculum_version or ''}" if state else None),
        ("  decision", decision(session.animal_state, outcome)),
        ("  metrics", _short(suggestion.metrics) if suggestion else None),
        ("  decided by", f"{provenance.source} at {provenance.commit[:10]}" if provenance else None),
        ("  acquisition", session.acquisition.outcome if session.acquisition else None),
        ("  folder", str(session.folder)),
        ("  log", str(session.staging / "log.jsonl")),
    ]


def _short(metrics: Any) -> str:
    if not isinstance(metrics, dict):
        return str(metrics)
    text = ", ".join(f"{key} {_number(value)}" for key, value in metrics.items())
    return text if len(text) <= 160 else f"{text[:157]}..."


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_superseded(record: StepRecord) -> bool:
    return record.id.hook == "record_state" and bool(record.result) and record.result["outcome"] == "superseded"


def _brief(result: Any) -> Any:
    """A result without the texts that lie in files anyway."""
    return (
        {k: v for k, v in result.items() if k not in ("text", "trainer_state")} if isinstance(result, dict) else result
    )
