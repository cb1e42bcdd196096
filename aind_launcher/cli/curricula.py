"""`aind-launch curricula`: what decides over animals, and enrolling them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli import words
from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import echo, echo_json, print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import UsageError

if TYPE_CHECKING:
    from aind_launcher.model.sources import CurriculumSources, SourceStatus


@click.group(cls=CommandGroup, epilog="Example: aind-launch curricula list")
def command() -> None:
    """List, check, sync and run curricula; enrol animals."""


@command.command("list", epilog="Example: aind-launch curricula list --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, as_json: bool) -> None:
    """List every curriculum source: its pin, whether it is clean and built, and its curricula."""
    from aind_launcher.cli.readiness import passed_over_in_words

    sources = repository.curriculum_sources()
    found = _status(sources) if sources.names() else ()
    passed_over = sources.passed_over()
    if as_json:
        listed = (source.model_dump(exclude={"passed_over"}) | {"clean": source.problem is None} for source in found)
        print_json([*listed])
        if passed_over:
            echo(passed_over_in_words(passed_over), err=True)
        return
    print_table(
        ("source", "path", "pinned at", "state", "built", "curricula"),
        [
            (
                *(source.name, source.path, (source.commit or "")[:10], _state(source)),
                *("yes" if source.built else "no", ", ".join(source.curricula or ()) or source.unasked),
            )
            for source in found
        ],
        empty="This task repository has no curriculum source. Add one with `git submodule add URL`.",
    )
    for source in found:
        if source.problem:
            echo(f"\n{source.name}: {source.problem}")
    unlocked = [source.name for source in found if source.locked is False and not source.problem]
    if unlocked:
        echo(
            f"\nUnlocked: {', '.join(unlocked)}. Rigs may install different packages for one commit; run `uv lock` in "
            "the source and commit uv.lock."
        )
    unbuilt = [source.name for source in found if not source.built and not source.problem]
    if unbuilt:
        echo(
            f"\nNot built yet: {', '.join(unbuilt)}. `aind-launch curricula sync` builds what is pinned; "
            "this list then names the curricula."
        )
    if passed_over:
        echo(f"\n{passed_over_in_words(passed_over)}")


@command.command("sync", epilog="Example: aind-launch curricula sync")
@in_task_repository
@click.argument("name", required=False)
@click.option("--allow-dirty", is_flag=True, help="Build uncommitted changes too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sync(repository: TaskRepository, name: str | None, allow_dirty: bool, as_json: bool) -> int:
    """Build the environment of every source, or of one, at its pin."""
    from aind_launcher.cli.readiness import Readiness

    readiness = Readiness(repository, allow_dirty=allow_dirty, as_json=as_json)
    readiness.sources(name, check=False)
    return readiness.end()


@command.command(
    "check",
    epilog="""\b
Examples:
  aind-launch curricula check
  aind-launch curricula check --on D:/data/123456_2026-01-31T170000Z
""",
)
@in_task_repository
@click.argument("name", required=False)
@click.option(
    "--on",
    "session",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
    metavar="SESSION",
    help="Decide on a copy of this session's folder, and compare with what is recorded in it.",
)
@click.option("--allow-dirty", is_flag=True, help="Check uncommitted changes too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(repository: TaskRepository, name: str | None, session: Path | None, allow_dirty: bool, as_json: bool) -> int:
    """Verify that every source, or one, is as pinned and can decide.

    Its curricula are imported in its environment, and so are those of the animals. Exit code 3 where something would
    refuse a session or, with --on, decides otherwise than recorded.
    """
    from aind_launcher.cli.readiness import Readiness

    readiness = Readiness(repository, allow_dirty=allow_dirty, as_json=as_json)
    if session:
        readiness.past_session(session, name)
    else:
        readiness.sources(name, check=True)
        if not name:
            readiness.animals()
    return readiness.end()


@command.command(
    "enroll",
    epilog="""\b
Examples:
  aind-launch curricula enroll 123456 --curriculum depletion
  aind-launch curricula enroll 123456 --curriculum depletion --stage graduated --replace
  aind-launch curricula enroll 123456 --trainer-state first_state.json
""",
)
@in_task_repository
@click.argument("subject")
@click.option("--curriculum", "-c", help="A name that `curricula list` shows.")
@click.option("--stage", help="Start at this stage instead of the first.")
@click.option(
    "--trainer-state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Start in the state in this file, for a curriculum without `init`.",
)
@click.option("--source", help="The curriculum source, where several have a curriculum of that name.")
@click.option("--by", type=words.text, default=None, help="Who enrols the animal (default: the login).")
@click.option("--replace", is_flag=True, help="Also for an animal that has a state already; its history is kept.")
@click.option("--allow-dirty", is_flag=True, help="Also with uncommitted changes in the source.")
def enroll(repository: TaskRepository, subject: str, **options: Any) -> None:
    """Start an animal on a curriculum, in the state that the curriculum's own `init` or a file gives."""
    from aind_launcher.cli.enrolment import enroll_animal

    echo(f"Animal {subject} is enrolled: {enroll_animal(repository, subject, **options)}.")


@command.command(
    "run", epilog="Example: aind-launch curricula run D:/data/123456_2026-01-31T170000Z --trainer-state state.json"
)
@in_task_repository
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True))
@click.option("--trainer-state", type=click.Path(path_type=Path, dir_okay=False), help="Default: the session's own.")
@click.option("--source", help="The curriculum source to ask.")
@click.option("--allow-dirty", is_flag=True, help="Also with uncommitted changes in the source.")
def run(
    repository: TaskRepository, folder: Path, trainer_state: Path | None, source: str | None, allow_dirty: bool
) -> None:
    """Print what the pinned curriculum decides on a session's folder; nothing is recorded or pushed."""
    from aind_launcher.cli.terminal import Terminal
    from aind_launcher.model.session import SessionPaths

    state_file = (trainer_state or SessionPaths(folder).trainer_state).resolve()
    if not state_file.is_file():
        raise UsageError(f"There is no trainer state {state_file}.", "Give one with --trainer-state FILE.")
    sources = repository.curriculum_sources()
    terminal = Terminal()
    with terminal.working("asking the curriculum"):
        answer = sources.suggest(folder, state_file, source=source, allow_dirty=allow_dirty, progress=terminal.say)
    echo_json(answer.text)


def _state(source: "SourceStatus") -> str:
    if source.problem:
        return "refused"
    return "clean, unlocked" if source.locked is False else "clean"


def _status(sources: "CurriculumSources") -> "Sequence[SourceStatus]":
    from aind_launcher.cli.terminal import Terminal

    with Terminal().working("asking the curriculum sources"):
        return sources.status()
