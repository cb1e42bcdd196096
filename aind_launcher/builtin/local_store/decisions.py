"""How a decision becomes an animal's: first its history, then the trainer state, which alone commits it, then the
register. The animal's lock is held meanwhile."""

from pathlib import Path

from aind_launcher.builtin.local_store import history, tickets
from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.model.animal import AnimalState, StateRecord
from aind_launcher.model.register import Ticket
from aind_launcher.system.files import write_whole


class Recorded(StateRecord):
    """What became of a decision.

    :param entry: its file in the history.
    """

    trainer_state: Path
    entry: Path


def put(animal: AnimalFolder, before: AnimalState | None, entry: HistoryEntry) -> Recorded:
    """Let a person put the animal where `entry` says.

    :param before: where it stands until then.
    """
    ticket = tickets.of_person(animal, before, entry)
    return _apply(animal, before, entry.model_copy(update={"ticket": ticket}))


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
    tickets.complete(animal, current)
    mine = tickets.of_ticket(animal.register, ticket, session)
    entry = entry.model_copy(update={"ticket": mine.ticket if mine else None})
    if current is None or current.yields_to(session, entry.ticket, began_with):
        recorded = _apply(animal, current, entry)
        if mine:
            tickets.enter_decision(animal.register, mine, entry)
        return recorded
    path = animal.history / entry.file_name
    known = mine.decision if mine else None
    is_known = known is not None and (known.suggestion, known.outcome) == (entry.suggestion_digest, "applied")
    if is_known or (mine is None and path.exists()):
        # It was the animal's, which has been put elsewhere since.
        return Recorded(outcome="unchanged", trainer_state=animal.state, entry=path)
    by_hand = f"an enrolment, a move or an edit of {current.date:%Y-%m-%d %H:%M} UTC"
    by = f"session {current.session_name}" if current.session_name else by_hand
    because = f"the animal was put where it stands by {by}, which is later"
    late = history.write(animal.history, entry.model_copy(update={"superseded": True, "reason": because}))
    # Its launcher was killed before the animal stood there.
    path.unlink(missing_ok=True)
    if mine:
        tickets.enter_decision(animal.register, mine, entry, because=because)
    return Recorded(outcome="superseded", trainer_state=animal.state, entry=late, because=because)


def _apply(animal: AnimalFolder, current: AnimalState | None, entry: HistoryEntry) -> Recorded:
    recorded = animal.history / entry.file_name
    stands = current is not None and current.trainer_state.digest == entry.digest
    if stands and recorded.exists():
        return Recorded(outcome="unchanged", trainer_state=animal.state, entry=recorded)
    history.write(animal.history, entry)
    write_whole(animal.state, entry.trainer_state)
    return Recorded(outcome="applied", trainer_state=animal.state, entry=recorded)
