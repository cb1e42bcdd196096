"""`aind-launch animals`: where animals stand, how they came there, and moving them by hand."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli import words
from aind_launcher.cli.groups import CommandGroup
from aind_launcher.cli.printing import echo, print_facts, print_json, print_table
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import AnimalError, Refused, UsageError
from aind_launcher.model.names import brief, checked_name, did_you_mean, names_like

if TYPE_CHECKING:
    from aind_launcher.model.register import RegisterEntry
    from aind_launcher.model.store import AnimalRecord, AnimalStore, StoredAnimal

# Characters of metrics; `--json` has all of them.
_WIDEST = 200
# Entries of an animal's register among which one may be running.
_LOOKED_AT = 5


@click.group(cls=CommandGroup, epilog="Example: aind-launch animals show 123456")
def command() -> None:
    """List animals, show where they stand, move and remove them."""


@command.command("list", epilog="Example: aind-launch animals list --json")
@in_task_repository
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(repository: TaskRepository, as_json: bool) -> None:
    """List the animals of this experiment."""
    store = repository.animal_store()
    animals = _animals(repository, store)
    records = {record.subject: record for record in store.overview()}
    if as_json:
        print_json([_data(animal) | _sessions(records.get(animal.subject)) for animal in animals])
        return
    print_table(
        # A problem is a long sentence: in its own column it does not widen the others.
        ("subject", "curriculum", "stage", "sessions", "since", "last run", ""),
        [_row(animal, records.get(animal.subject)) for animal in animals],
        empty=f"No animal in {store.place}. Enrol one with `aind-launch curricula enroll SUBJECT --curriculum NAME`.",
    )


@command.command("show", epilog="Example: aind-launch animals show 123456")
@in_task_repository
@click.argument("subject")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the trainer state itself.")
def show(repository: TaskRepository, subject: str, as_json: bool) -> None:
    """Show where an animal stands and every decision that put it there."""
    from aind_launcher.board.words import to_the_minute
    from aind_launcher.model.animal import named_rules
    from aind_launcher.model.store import with_rules

    store = repository.animal_store()
    animal = _known(repository, store, subject)
    history = with_rules(store.history(subject))
    if as_json:
        entries = [entry.model_dump(mode="json", exclude={"trainer_state"}) for entry in history]
        document = animal.state.trainer_state.document if animal.state else None
        record = store.register(subject, 1)
        print_json(_data(animal) | _sessions(record) | {"trainer_state": document, "history": entries})
        return
    echo(f"Animal {subject}")
    state = animal.state
    facts: dict[str, Any] = {}
    if state:
        trainer_state = state.trainer_state
        facts = {
            "curriculum": trainer_state.curriculum_in_words,
            "stage": trainer_state.stage_in_words,
            "since": to_the_minute(state.date),
            "from": "changed outside the launcher" if animal.changed_outside else state.session_name,
            "metrics": json.dumps(state.metrics)[:_WIDEST] if state.metrics is not None else None,
        }
    elif animal.has_task:
        facts = {"task": "its own task.json; no curriculum"}
    facts["folder"] = animal.folder
    print_facts(facts)
    echo("")
    print_table(
        ("date", "what", "stage", "rule", "session", "metrics", "by", "reason"),
        [
            (
                to_the_minute(entry.date),
                f"{entry.kind} (superseded)" if entry.superseded else entry.kind,
                entry.state.trainer_state.stage_in_words,
                named_rules(entry.rule),
                entry.session_name,
                # A move by hand carries them on.
                json.dumps(entry.metrics)[:_WIDEST] if entry.kind == "suggestion" else None,
                entry.by,
                entry.reason,
            )
            for entry in history
        ],
        empty="No decision is recorded.",
    )


@command.command(
    "move",
    epilog="""\b
Examples:
  aind-launch animals move 123456 --stage detection --reason "moved on too early"
  aind-launch animals move 123456 --curriculum depletion --reason "new project"
  aind-launch animals move 123456 --off-curriculum --reason "surgery"
""",
)
@in_task_repository
@click.argument("subject")
@click.option("--stage", help="Another stage of the animal's curriculum, or of --curriculum.")
@click.option("--curriculum", "-c", help="Another curriculum, as `curricula list` names it.")
@click.option("--source", help="The curriculum source, where several have a curriculum of that name.")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A trainer state, or a decision of its history, in a file.",
)
@click.option("--off-curriculum", is_flag=True, help="No curriculum decides over it until it is moved again.")
@click.option("--reason", type=words.text, required=True, help="Why; kept in the animal's history.")
@click.option("--by", type=words.text, default=None, help="Who moves it (default: the login).")
def move(
    repository: TaskRepository,
    subject: str,
    stage: str | None,
    curriculum: str | None,
    source: str | None,
    file: Path | None,
    off_curriculum: bool,
    reason: str,
    by: str | None,
) -> None:
    """Move an animal to another stage or curriculum by hand."""
    from aind_launcher.cli.terminal import Terminal
    from aind_launcher.model.animal import TrainerStateText, at_stage
    from aind_launcher.model.store import state_in
    from aind_launcher.system.rig import login

    ways = [way for way in (stage or curriculum, file, off_curriculum) if way]
    if len(ways) != 1:
        raise UsageError(
            "The options contradict each other." if ways else "Nothing says where the animal goes.",
            "Give one of --stage or --curriculum, --to, and --off-curriculum.",
        )
    if not reason.strip():
        raise UsageError("--reason is empty.", "Say in a few words why the animal is moved.")
    by = by or login()
    store = repository.animal_store()
    checked_name("subject", subject)
    before = restored = None
    if file:
        restored = state_in(file)
        target = restored.trainer_state
        # A state that cannot be read is what a file of its history restores.
        with suppress(AnimalError):
            before = store.read(subject).state
    else:
        before = _known(repository, store, subject).state
        if before is None:
            raise AnimalError(
                f"Animal {subject} has no trainer state.", "Enrol it with `aind-launch curricula enroll`."
            )
        if off_curriculum:
            document = {**before.trainer_state.document, "is_on_curriculum": False}
            target = TrainerStateText(text=json.dumps(document))
        elif curriculum:
            sources, say = repository.curriculum_sources(), Terminal().say
            target = sources.first_state(curriculum, stage, source=source, allow_dirty=False, progress=say)
            sources.verify(target, allow_dirty=False, progress=say)
        else:
            target = at_stage(before.trainer_state, stage or "")
    store.move(subject, target, reason=reason, by=by, restored=restored)
    where = f"stage {target.stage} of {target.curriculum}" if target.is_on_curriculum else "off curriculum"
    echo(f"Animal {subject}: {before.trainer_state.stage if before else None} -> {where}.")
    _say_that_it_runs(repository, store, subject)


@command.command(
    "remove",
    epilog="""\b
Examples:
  aind-launch animals remove 123456 --reason "the experiment is over"
  aind-launch animals remove 123456 --yes             also without a terminal, and with unfinished sessions
""",
)
@in_task_repository
@click.argument("subject")
@click.option("--reason", type=words.text, help="Why; kept with the animal.")
@click.option("--by", type=words.text, default=None, help="Who removes it (default: the login).")
@click.option("--yes", "-y", "agreed", is_flag=True, help="Do not ask, also where a session is unfinished.")
def remove(repository: TaskRepository, subject: str, reason: str | None, by: str | None, agreed: bool) -> None:
    """Put an animal into the archive of its store; nothing is deleted, and its number is free."""
    from aind_launcher.cli.terminal import Terminal
    from aind_launcher.model.store import ArchivingStore
    from aind_launcher.system.rig import login

    store = repository.animal_store()
    if not isinstance(store, ArchivingStore):
        raise UsageError(
            f"Animals cannot be removed from {store.place}.", "Remove the animal there, or ask its plugin's author."
        )
    if checked_name("subject", subject) not in store.subjects():
        raise _unknown(repository, store, subject)
    unfinished = _unfinished(repository, store, subject)
    if unfinished and not agreed:
        raise Refused(
            f"Animal {subject} has unfinished sessions: {'; '.join(unfinished)}. What they decide would be lost.",
            "Finish them with `aind-launch resume`, give them up with `aind-launch sessions close`, or add --yes.",
        )
    terminal = Terminal()
    if not agreed and not terminal.attended:
        raise UsageError(f"Nobody can be asked whether to remove animal {subject}.", "Add --yes.")
    answers = {"yes": f"remove {subject} from {store.place}", "no": "change nothing"}
    if not agreed and terminal.ask("Remove this animal?", answers, default="no") == "no":
        raise Refused(f"Animal {subject} was not removed.", "Nothing was changed.")
    where = store.remove(subject, by or login(), reason)
    echo(f"Animal {subject} was removed. All that was known of it is in {where}.")


def _unfinished(repository: TaskRepository, store: "AnimalStore", subject: str) -> list[str]:
    """The animal's sessions that may still decide on it, by its register and by the journal of this rig."""
    from aind_launcher.journal.records import UNFINISHED
    from aind_launcher.lifecycle.launcher import has_journal

    entries = [entry for entry in store.register(subject).sessions if entry.state in UNFINISHED]
    found = [f"{entry.session_name} on {entry.rig}" for entry in entries]
    if has_journal(repository.settings):
        with repository.home() as home:
            here = {record.name for record in home.unfinished() if record.subject == subject}
        found += [f"{name} on this rig" for name in sorted(here - {str(entry.session_name) for entry in entries})]
    return found


def _say_that_it_runs(repository: TaskRepository, store: "AnimalStore", subject: str) -> None:
    """Name the sessions of an animal that was moved which run now; they go on as they were begun."""
    from aind_launcher.lifecycle.stores import ask, at_work

    def running(store: "AnimalStore") -> "list[tuple[RegisterEntry, bool]]":
        return [*at_work(store.register(subject, _LOOKED_AT).sessions, store.rigs)]

    for entry, is_confirmed in ask(lambda: store, running, repository.redact) or ():
        since = f"{entry.began.astimezone():%Y-%m-%d %H:%M}"
        how = f"is running on rig {entry.rig}, since {since}"
        how = how if is_confirmed else f"began on rig {entry.rig} at {since}, and nobody saw its end"
        consequence = "What it decides does not move the animal any more."
        echo(f"Session {entry.session_name} of this animal {how}. {consequence}", err=True)


def _animals(repository: TaskRepository, store: "AnimalStore") -> "Sequence[StoredAnimal]":
    """Every animal; there are none only where this rig never had one."""
    animals = store.animals()
    if not animals:
        repository.refuse_unplugged(store)
    return animals


def _known(repository: TaskRepository, store: "AnimalStore", subject: str) -> "StoredAnimal":
    animal = store.read(checked_name("subject", subject))
    if animal.state is None and not animal.has_task:
        # Its state may be lost.
        store.refuse_known(subject)
        raise _unknown(repository, store, subject)
    return animal


def _unknown(repository: TaskRepository, store: "AnimalStore", subject: str) -> AnimalError:
    """What to say of a number that the store does not have."""
    from aind_launcher.model.store import removed_from

    others = store.subjects()
    if not others:
        repository.refuse_unplugged(store)
    was_removed = " any more: it was removed" if subject in removed_from(store) else ""
    return AnimalError(
        f"Animal {subject} is not in {store.place}{was_removed}.",
        f"{did_you_mean(names_like(subject, others))}See `aind-launch animals list`, or enrol it with "
        "`aind-launch curricula enroll`.",
    )


def _row(animal: "StoredAnimal", record: "AnimalRecord | None") -> tuple[Any, ...]:
    from aind_launcher.board.words import to_the_minute

    last = record and record.last_session
    run = last and f"{to_the_minute(last.began)}, {last.rig}"
    if animal.problem:
        return (animal.subject, "unreadable", None, None, None, run, " ".join(animal.problem.split()))
    if animal.state is None:
        return (animal.subject, "own task.json" if animal.has_task else "none", None, None, None, run, None)
    state = animal.state.trainer_state
    since = to_the_minute(animal.state.date)
    sessions = record and record.sessions_at_stage
    return (animal.subject, brief(state.curriculum), state.stage_in_words, sessions, since, run, None)


def _sessions(record: "AnimalRecord | None") -> dict[str, Any]:
    last = record and record.last_session
    return {
        "sessions_at_stage": record and record.sessions_at_stage,
        "sessions_unchanged": record and record.sessions_unchanged,
        "last_session": last and last.model_dump(mode="json", include={"session_name", "rig", "began", "state"}),
    }


def _data(animal: "StoredAnimal") -> dict[str, Any]:
    state = animal.state.trainer_state if animal.state else None
    return {
        "subject": animal.subject,
        "experiment": animal.experiment,
        "curriculum": state.curriculum if state else None,
        "curriculum_version": state.curriculum_version if state else None,
        "stage": state.stage if state else None,
        "on_curriculum": state.is_on_curriculum if state else False,
        "since": animal.state.date.isoformat() if animal.state else None,
        "session": animal.state.session_name if animal.state else None,
        "metrics": animal.state.metrics if animal.state else None,
        "has_task": animal.has_task,
        "changed_outside": animal.changed_outside,
        "problem": animal.problem,
        "folder": str(animal.folder) if animal.folder else None,
    }
