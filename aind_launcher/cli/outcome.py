"""The summary at the end of a session: what was decided and where everything lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from aind_launcher.board.card import Card, unusually_short
from aind_launcher.cli.printing import plain, print_facts, print_json
from aind_launcher.cli.story import decision, facts, rules
from aind_launcher.errors import ExitCode
from aind_launcher.journal.journal import Journal
from aind_launcher.lifecycle.finish import Outcome
from aind_launcher.lifecycle.operator import Operator

# Sessions that are named of those that are unfinished or unknown.
_SHOWN = 3


def exit_code(code: ExitCode, journal: Journal) -> ExitCode:
    """`code`, but never that all is done where the journal could not record it."""
    return ExitCode.STEP_FAILED if journal.impaired and code == ExitCode.DONE else code


def say_unknown(operator: Operator, folders: Sequence[Path]) -> None:
    """Name the sessions that lie on this machine and that the journal does not know."""
    if folders:
        lines = [f"aind-launch sessions import {folder}" for folder in folders]
        title = f"{len(folders)} session(s) here are unknown to the journal. Bring them back, then resume:"
        say_newest(operator, title, lines, f"more in {folders[0].parent}")


def say_newest(operator: Operator, title: str, lines: Sequence[str], others: str) -> None:
    """Say a line for each of the newest sessions, and how many others there are."""
    operator.say(title, "yellow")
    for line in lines[-_SHOWN:]:
        operator.say(f"  {line}", "yellow")
    if len(lines) > _SHOWN:
        operator.say(f"  and {len(lines) - _SHOWN} {others}", "yellow")


def print_outcome(
    outcome: Outcome, journal_problem: str | None, *, as_json: bool, card: Card | None = None, full: bool = False
) -> None:
    """Print how a session ended, on stdout.

    :param card: of a session that began just now: what was unusual then is said again.
    :param full: name rules with their modules.
    """
    if as_json:
        more = {"card": card.model_dump(mode="json")} if card else {}
        print_json(outcome_data(outcome) | more | {"journal_problem": journal_problem})
        return
    session = outcome.session
    click.echo(f"\nSession {session.name}: {outcome.state}")
    print_facts(facts(session, outcome.suggestion, outcome.steps, full=full))
    for check in card.warnings if card else ():
        click.echo(f"  warning: {plain(check.name)}: {plain(check.message)}")
    if short := unusually_short(session.acquisition, session.animal_entries):
        click.echo(f"  warning: unusually short: {short}.")
    failed = [record for record in outcome.steps if record.is_left_to_do]
    for record in failed:
        click.echo(f"  {record.state}: {record.id.hook} ({record.id.plugin}): {plain(record.error or '')}")
    if outcome.held:
        click.echo(f"  The hand-off is held back: {outcome.held}.")
    if session.acquisition and session.acquisition.outcome != "completed":
        click.echo(f"  {_became_of_data(outcome)}")
    if session.acquisition and not session.folder.is_dir():
        click.echo(f"  The session's folder is gone: {session.folder}")
    elif failed or outcome.held:
        click.echo(f"  The data is safe. Finish with `aind-launch resume {session.name}`.")
    if journal_problem:
        click.echo(
            f"  The journal could not be written ({journal_problem}). "
            "When it can be, `aind-launch resume` completes it."
        )


def _became_of_data(outcome: Outcome) -> str:
    """What came of the data of an acquisition that did not end well, after what the operator chose."""
    session = outcome.session
    match session.disposition:
        case "discard":
            return "Its data was discarded: it stays where it is, and no curriculum decides on it."
        case "score" if outcome.suggestion:
            return f"The curriculum decided on its data: {decision(session, outcome.suggestion, outcome.steps)}."
        case "score" if any(r.id.hook == "curriculum_suggest" and r.is_left_to_do for r in outcome.steps):
            return "The curriculum was asked about its data and gave no answer."
        case "keep" if session.is_on_curriculum and session.folder.is_dir():
            return f"Its data was kept; `aind-launch resume {session.name} --score` lets the curriculum decide on it."
    return "Its data was kept; no curriculum decided on it."


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON data."""
    session, suggestion = outcome.session, outcome.suggestion
    provenance = suggestion.provenance if suggestion else None
    return {
        "session": session.name,
        "subject": session.subject,
        "state": outcome.state,
        "exit_code": int(outcome.exit_code),
        "folder": str(session.folder),
        "decision": decision(session, suggestion, outcome.steps),
        "rule": rules(session, suggestion),
        "stage": suggestion.trainer_state.stage if suggestion else None,
        "metrics": suggestion.metrics if suggestion else None,
        "provenance": provenance.model_dump() if provenance else None,
        "unusually_short": unusually_short(session.acquisition, session.animal_entries),
        "held": outcome.held,
        "steps": [
            {"hook": r.id.hook, "plugin": r.id.plugin, "state": r.state, "error": r.error, "result": _brief(r.result)}
            for r in outcome.steps
        ],
    }


def _brief(result: Any) -> Any:
    """A result without the texts that lie in files anyway."""
    if not isinstance(result, dict):
        return result
    return {name: value for name, value in result.items() if name not in ("text", "trainer_state")}
