"""`aind-launch today`: which animals have run, where they stand and why, and what is unfinished on which rig."""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from math import ceil, inf
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from aind_launcher.cli.printing import echo, local_time, print_json, print_table, table_height
from aind_launcher.cli.task_repository import TaskRepository, in_task_repository
from aind_launcher.errors import LauncherError, UsageError
from aind_launcher.model.clock import now

if TYPE_CHECKING:
    from aind_launcher.board.today import AnimalToday, RigToday, Today
    from aind_launcher.model.register import RegisterEntry, UnfinishedSession
    from aind_launcher.model.store import AnimalStore


_ANIMALS = ("animal", "today", "stage", "sessions", "unchanged", "last session", "decision")
_RIGS = ("rig", "", "heard of", "at", "unfinished sessions")


@click.command(
    epilog="""\b
Examples:
  aind-launch today                       every animal, and every rig
  aind-launch today --not-run --rig box-3 who is still due there
  aind-launch today --stuck               who should have moved on long ago
  aind-launch today --watch               on a screen in the animal room
"""
)
@in_task_repository
@click.option("--stage", help="Only animals at this stage.")
@click.option("--rig", help="Only this rig, and animals that had their last session there.")
@click.option("--stuck", is_flag=True, help="Only animals that are stuck.")
@click.option("--not-run", is_flag=True, help="Only animals that have not run today.")
@click.option(
    "--stuck-after",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="SESSIONS",
    help="An animal is stuck after so many sessions without a change of its trainer state.",
)
@click.option(
    "--watch",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=30,
    metavar="[SECONDS]",
    help="Look again every 30 seconds, or as often as is said, until Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(repository: TaskRepository, stuck_after: int, watch: int | None, as_json: bool, **wanted: Any) -> None:
    """Show who ran today, who is due or stuck, what was decided, and what is unfinished.

    It reads the animals' store alone, from any machine that reaches it, and changes no file.
    """
    store = repository.animal_store()

    def look() -> "Today":
        from aind_launcher.board.today import today

        records = store.overview()
        if not records:
            repository.refuse_unplugged(store)
        whole = today(records, store.rigs(), now(), stuck_after)
        if records:
            _refuse_unknown(whole, wanted["stage"], wanted["rig"])
        return whole.only(**wanted)

    if watch is not None:
        _watch(look, store, watch, as_json)
    elif as_json:
        print_json(look().as_data())
    else:
        _print(look(), store)


def _refuse_unknown(whole: "Today", stage: str | None, rig: str | None) -> None:
    if stage is not None and stage not in whole.stages:
        raise UsageError(
            f"No animal's curriculum has a stage {stage}.", f"There are: {', '.join(whole.stages) or 'none'}."
        )
    if rig is not None and rig not in whole.rig_names:
        raise UsageError(f"No rig {rig} is known here.", f"There are: {', '.join(whole.rig_names) or 'none'}.")


def _watch(look: "Callable[[], Today]", store: "AnimalStore", seconds: int, as_json: bool) -> None:
    """Show it again and again on a terminal, until Ctrl-C."""
    if as_json or not (sys.stdout and sys.stdout.isatty()):
        raise UsageError("--watch draws on a terminal.", "Leave it out, and call `aind-launch today` again and again.")
    shown, problem = look(), None
    try:
        while True:
            # All is read before the screen is cleared, so that it stands empty for no time.
            click.clear()
            size = get_terminal_size()
            last = problem or f"Read at {now().astimezone():%H:%M:%S}. Ctrl-C ends this."
            # One line stands empty before the last, and the cursor is in the one after it.
            _print(shown, store, size.lines - 2 - ceil(len(last) / size.columns))
            echo(f"\n{last}")
            time.sleep(seconds)
            try:
                shown, problem = look(), None
            except LauncherError as error:
                # A share may be gone for a while; nobody stands by to begin the watch anew.
                problem = problem or f"Not read again since {now().astimezone():%H:%M:%S}: {error}"
    except KeyboardInterrupt:
        echo("")


def _print(shown: "Today", store: "AnimalStore", height: float = inf) -> None:
    """Print the day.

    :param height: lines for which there is room; what is not urgent is left out.
    """
    moment = now()
    count, stuck = len(shown.animals), sum(animal.is_stuck for animal in shown.animals)
    some = f"{count} of {shown.of} animals" if count < shown.of else f"{count} animal{'' if count == 1 else 's'}"
    counts = ", ".join(f"{number} {status}" for status, number in shown.counts().items())
    told = "; ".join(filter(None, (some, counts, f"{stuck} stuck" if stuck else "")))
    echo(f"{shown.day:%A %Y-%m-%d}: {told}.\n")
    of_animals, of_rigs = _rows(shown, moment)
    room = for_rigs = inf
    if height < inf:
        # The summary is written, and a line stands empty between the tables.
        room = height - 3
        for_rigs = min(table_height(_RIGS, of_rigs) if of_rigs else 0, room // 2)
        room -= for_rigs
        if table_height(_ANIMALS, of_animals) > room:
            of_animals, of_rigs = _rows(shown.most_urgent_first(), moment)
    print_table(
        _ANIMALS,
        of_animals,
        empty="No animal is as asked for."
        if shown.of
        else f"No animal in {store.place}. If there should be one, connect its drive or share; else enrol one with "
        "`aind-launch curricula enroll SUBJECT --curriculum NAME`.",
        room=room,
        others="animals; a taller window shows them.",
    )
    if of_rigs:
        echo("")
        print_table(_RIGS, of_rigs, empty="", room=for_rigs, others="rigs; a taller window shows them.")


def _rows(shown: "Today", moment: datetime) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    return [_row(animal, moment) for animal in shown.animals], [_rig_row(rig) for rig in shown.rigs]


def _row(animal: "AnimalToday", moment: datetime) -> tuple[object, ...]:
    from aind_launcher.board.decision import entry_text

    record = animal.record
    stage = record.trainer_state and record.trainer_state.stage_in_words
    if record.problem:
        return (record.subject, animal.status, stage, None, None, None, " ".join(record.problem.split()))
    last, decided = record.last_session, animal.decided
    return (
        record.subject,
        animal.status,
        stage or "no curriculum",
        record.sessions_at_stage,
        f"{record.sessions_unchanged} stuck" if animal.is_stuck else record.sessions_unchanged,
        last and _when_and_where(last, moment),
        decided and entry_text(decided),
    )


def _when_and_where(session: "RegisterEntry", moment: datetime) -> str:
    from aind_launcher.board.words import when

    how = f", {session.state}" if session.state in ("failed", "interrupted", "discarded", "closed") else ""
    return f"{when(session.began, moment)}, {session.rig}{how}"


def _rig_row(rig: "RigToday") -> tuple[object, ...]:
    from aind_launcher.board.words import ago

    heard = "never"
    if rig.status:
        age = rig.status.age
        heard = local_time(rig.status.written) if age is None else ago(age)
    how = "unreadable" if rig.problem else "stale" if rig.is_stale else ""
    told = [" ".join(rig.problem.split())] if rig.problem else []
    return (rig.rig, how, heard, rig.running, "\n".join([*told, *map(_left, rig.unfinished)]))


def _left(session: "UnfinishedSession") -> str:
    how = "its end was not seen" if session.state == "running" else " ".join((session.message or session.state).split())
    return f"{session.session_name}: {how}"
