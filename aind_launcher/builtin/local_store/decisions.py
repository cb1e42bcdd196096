"""How a decision becomes an animal's: first its history, then the trainer state, which alone commits it, then the
register. The animal's lock is held meanwhile."""

from pathlib import Path

from aind_launcher.builtin.local_store import history, tickets
from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.model.animal import AnimalState, StateRecord
from aind_launcher.model.register import EntryDecision, RegisterEntry, Ticket
from aind_launcher.system.files import write_whole


class Recorded(StateRecord):
    """What became of a decision.

    :param entry: its file in the history; None where the animal was removed.
    """

    trainer_state: Path
    entry: Path | None = None


def put(animal: AnimalFolder, before: AnimalState | None, entry: HistoryEntry) -> Recorded:
    """Let a person put the animal where `entry` says.

    :param before: where it stands until then.
    """
    ticket = tickets.of_person(animal, before, entry)
    recorded = _apply(animal, before, entry.model_copy(update={"ticket": ticket}))
    tickets.complete(animal, entry.state.model_copy(update={"ticket": ticket}))
    return recorded


def decide(
    animal: AnimalFolder,
    current: AnimalState | None,
    entry: HistoryEntry,
    ticket: Ticket | None,
    began_with: AnimalState | None,
) -> Recorded:
    """Make the decision on a session the animal's, unless the animal was put where it stands by something later.

    :param current: where it stands now.
    :param entry: the decision, without its ticket.
    :param ticket: the session's; it does not count where the register has lost it.
    :param began_with: as in `AnimalState.yields_to`.
    """
    session = str(entry.session_name)
    if current is not None:
        tickets.complete(animal, current)
    mine = tickets.of_ticket(animal.register, ticket, session)
    without = None if mine else "the register does not have the session"
    entry = entry.model_copy(update={"ticket": mine.ticket if mine else None, "reason": without})
    if current is None or current.yields_to(session, entry.ticket, began_with):
        return _make(animal, current, entry, mine, began_with)
    return _keep_late(animal, current, entry, mine)


def _make(
    animal: AnimalFolder,
    current: AnimalState | None,
    entry: HistoryEntry,
    mine: RegisterEntry | None,
    began_with: AnimalState | None,
) -> Recorded:
    """Make the decision `entry` the animal's.

    :param mine: its session's entry in the register.
    """
    session = str(entry.session_name)
    if current and current.ticket is None and animal.latest(current.trainer_state.digest) is None:
        reason = f"found outside the history, before the decision on {session} replaced it"
        history.write(animal.history, tickets.found_entry(current, reason))
    replaced = _replaced(current, session, began_with)
    entry = entry.model_copy(update={"reason": entry.reason or replaced})
    recorded = _apply(animal, current, entry)
    if mine and not _was_applied(mine, entry):
        tickets.enter_decision(animal.register, mine, entry, because=replaced)
    return recorded.model_copy(update={"because": replaced})


def _keep_late(animal: AnimalFolder, current: AnimalState, entry: HistoryEntry, mine: RegisterEntry | None) -> Recorded:
    """Keep the decision `entry` in the history alone. One that was applied, and replaced later, stays as it is."""
    path = animal.history / entry.file_name
    if _was_applied(mine, entry) or (mine is None and path.exists()):
        return Recorded(outcome="unchanged", trainer_state=animal.state, entry=path)
    said = _known(mine, entry)
    because = said.because if said and said.because else _why_late(current, entry.ticket)
    late = history.write(animal.history, entry.model_copy(update={"superseded": True, "reason": because}))
    # Its launcher was killed before the animal stood there.
    path.unlink(missing_ok=True)
    if mine:
        tickets.enter_decision(animal.register, mine, entry, because=because, superseded=True)
    return Recorded(outcome="superseded", trainer_state=animal.state, entry=late, because=because)


def _known(mine: RegisterEntry | None, entry: HistoryEntry) -> EntryDecision | None:
    """What the register says already of the decision `entry`."""
    made = mine.decision if mine else None
    return made if made and made.suggestion == entry.suggestion_digest else None


def _was_applied(mine: RegisterEntry | None, entry: HistoryEntry) -> bool:
    known = _known(mine, entry)
    return known is not None and known.outcome == "applied"


def _replaced(current: AnimalState | None, session: str, began_with: AnimalState | None) -> str | None:
    """What a decision replaces that its session did not run with: another session ran at the same time, for example."""
    if current is None or began_with is None or current.session_name == session:
        return None
    if current.is_still(began_with) or current.trainer_state.digest == began_with.trainer_state.digest:
        return None
    ran_with, now_at = (state.trainer_state.stage_in_words for state in (began_with, current))
    return f"the session ran with {ran_with}, which {_put_by(current)} replaced by {now_at} meanwhile"


def _put_by(state: AnimalState) -> str:
    by_hand = f"an enrolment, a move or an edit of {state.date:%Y-%m-%d %H:%M} UTC"
    return f"session {state.session_name}" if state.session_name else by_hand


def _why_late(current: AnimalState, ticket: Ticket | None) -> str:
    by = _put_by(current)
    if ticket and current.ticket and current.ticket.is_above(ticket):
        return f"the animal was put where it stands by {by}, which is later"
    return f"the animal was put elsewhere since the session began, by {by}, and no tickets say which is later"


def _apply(animal: AnimalFolder, current: AnimalState | None, entry: HistoryEntry) -> Recorded:
    recorded = animal.history / entry.file_name
    stands = current is not None and current.trainer_state.digest == entry.digest
    if stands and recorded.exists():
        return Recorded(outcome="unchanged", trainer_state=animal.state, entry=recorded)
    if entry.ticket:
        tickets.cancel(animal, entry.ticket)
    history.write(animal.history, entry)
    write_whole(animal.state, entry.trainer_state)
    # A launcher that was killed may have left it, when something else was later.
    (animal.history / entry.model_copy(update={"superseded": True}).file_name).unlink(missing_ok=True)
    return Recorded(outcome="applied", trainer_state=animal.state, entry=recorded)
