"""What takes a ticket of an animal's register, and what its entry says of it. The animal's lock is held meanwhile."""

import platform
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard

from pydantic import JsonValue

from aind_launcher.builtin.local_store import history
from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.register import Register
from aind_launcher.errors import BeginAgain
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.register import EntryDecision, RegisterEntry, Ticket, short_digest
from aind_launcher.model.session import SessionContext

# Entries of the register in which a session's own, or one of its name, is looked for.
_LOOKED_AT: Final = 20


def begin(
    animal: AnimalFolder, session: SessionContext, standing: AnimalState | None, known: Iterable[Ticket | None]
) -> Ticket:
    """Give a session its ticket, or the one that it has.

    :param standing: where the animal stands.
    :param known: as in `Register.allot`.
    :raises BeginAgain: another rig has a session of this name.
    """
    newest = animal.register.newest(_LOOKED_AT)
    for entry in newest:
        if (entry.kind, entry.session_name) == ("session", session.name):
            if entry.rig == session.rig_name:
                return entry.ticket
            raise BeginAgain(f"Rig {entry.rig} has a session {session.name} already.")
    for entry in newest:
        if entry.rig == session.rig_name and entry.state == "running":
            # This rig is held for the session that begins: nobody is at the other.
            animal.register.write(entry.model_copy(update={"state": "incomplete"}))
    find(animal, standing)
    about = {
        "state": "running",
        "rig": session.rig_name,
        "began": session.session.date,
        "session_name": session.name,
        "by": ", ".join(session.session.experimenter) or None,
        "folder": str(session.folder),
    }
    ran_with = session.animal_state.trainer_state if session.animal_state else None
    return _allot(animal, ran_with, "session", about, known)


def finish(register: Register, session: SessionContext, state: str) -> None:
    """Enter how a session stands, if the register has it."""
    entry = of_ticket(register, session.ticket, session.name)
    if entry is None:
        return
    acquired = session.acquisition
    minutes = acquired and round((acquired.end - acquired.start).total_seconds() / 60, 2)
    results = session.results.get("transfer_session", {}).values()
    destination = next((str(found["destination"]) for found in results if _has_destination(found)), None)
    more = {"state": state, "ended": now(), "minutes": minutes, "destination": destination}
    register.write(entry.model_copy(update=more))


def of_person(animal: AnimalFolder, before: AnimalState | None, entry: HistoryEntry) -> Ticket:
    """A ticket for whoever enrols or moves the animal by hand.

    :param before: where the animal stands until then.
    """
    find(animal, before)
    about = {"rig": platform.node(), "began": entry.date, "by": entry.by}
    return _allot(animal, entry.state.trainer_state, entry.kind, about)


def find(animal: AnimalFolder, standing: AnimalState | None) -> None:
    """Give a ticket to what put the animal where it stands and has none: an older launcher, or another tool."""
    if standing is None or standing.ticket is not None:
        return
    about = {"rig": "", "began": standing.date, "session_name": standing.session_name}
    found = HistoryEntry(
        kind="found",
        date=standing.date,
        session_name=standing.session_name,
        trainer_state=standing.trainer_state.text,
        metrics=standing.metrics,
        reason="found without a ticket: an older launcher or another tool wrote it",
        ticket=_allot(animal, standing.trainer_state, "found", about),
    )
    history.write(animal.history, found)


def of_ticket(register: Register, ticket: Ticket | None, session_name: str) -> RegisterEntry | None:
    """The entry that a session's ticket was given with; None where the register has lost it."""
    entry = register.entry(ticket.number) if ticket else None
    return entry if entry and (entry.ticket, entry.session_name) == (ticket, session_name) else None


def enter_decision(
    register: Register, entry: RegisterEntry, decision: HistoryEntry, *, because: str | None = None
) -> None:
    """Enter the decision on a session.

    :param because: why it is superseded.
    """
    state = decision.state.trainer_state
    made = EntryDecision(
        suggestion=str(decision.suggestion_digest),
        outcome="superseded" if because else "applied",
        curriculum=state.curriculum,
        stage=state.stage,
        rule=decision.rule,
        because=because,
    )
    # That another answer came too late does not change that an earlier one put the animal somewhere.
    if made != entry.decision and not (because and entry.put_the_animal):
        register.write(entry.model_copy(update={"decision": made}))


def complete(animal: AnimalFolder, standing: AnimalState | None) -> None:
    """Enter the decision that the animal stands by, where the launcher that applied it was killed before it did."""
    entry = of_ticket(animal.register, standing.ticket, standing.session_name or "") if standing else None
    if standing and entry and entry.kind == "session" and entry.decision is None:
        made = history.latest(animal.history, standing.trainer_state.digest)
        if made and made.ticket == standing.ticket:
            enter_decision(animal.register, entry, made)


def _allot(
    animal: AnimalFolder,
    state: TrainerStateText | None,
    kind: str,
    about: Mapping[str, Any],
    known: Iterable[Ticket | None] = (),
) -> Ticket:
    """A ticket for a session that begins at `state`, or for what puts the animal there.

    :param about: what else its entry says.
    """
    newest = animal.register.newest(1)
    at_stage, unchanged = newest[0].sessions_at(state) if newest else _counted(animal, state)
    own = 1 if kind == "session" else 0
    where = {
        "kind": kind,
        "curriculum": state.curriculum if state else None,
        "stage": state.stage if state else None,
        "trainer_state": short_digest(state),
        "sessions_at_stage": at_stage + own,
        "sessions_unchanged": unchanged + own,
    }
    return animal.register.allot({**where, **about}, known).ticket


def _counted(animal: AnimalFolder, state: TrainerStateText | None) -> tuple[int, int]:
    """The sessions at a stage, and with the same trainer state, by the decisions of launchers without a register."""
    at_stage = unchanged = 0
    if state is None:
        return 0, 0
    came_there = [e for e in history.entries(animal.history) if e.kind == "suggestion" and not e.superseded]
    for entry in reversed(came_there):
        then = entry.state.trainer_state
        if (then.curriculum, then.stage) != (state.curriculum, state.stage):
            break
        at_stage += 1
        unchanged += then.digest == state.digest and unchanged == at_stage - 1
    return at_stage, unchanged


def _has_destination(result: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    return isinstance(result, dict) and "destination" in result
