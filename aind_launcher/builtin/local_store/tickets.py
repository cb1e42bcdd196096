"""What takes a ticket of an animal's register, and what its entry says of it. The animal's lock is held meanwhile."""

import logging
import platform
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, TypeGuard

from pydantic import JsonValue

from aind_launcher.builtin.local_store import history
from aind_launcher.builtin.local_store.folder import AnimalFolder
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.register import Register
from aind_launcher.errors import BeginAgain
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.register import LOOKED_AT, NO_TICKET, EntryDecision, RegisterEntry, Ticket, short_digest
from aind_launcher.model.session import SessionContext

logger = logging.getLogger(__name__)


def begin(
    animal: AnimalFolder, session: SessionContext, standing: AnimalState | None, known: Iterable[Ticket | None]
) -> Ticket:
    """Give a session its ticket, or the one that it has.

    :param standing: where the animal stands.
    :param known: as in `Register.allot`.
    :raises BeginAgain: another rig has a session of this name.
    """
    newest, rig = animal.register.newest(LOOKED_AT), (session.rig_name, session.installation)
    for entry in newest:
        if (entry.kind, entry.session_name) == ("session", session.name):
            if entry.is_of_rig(*rig):
                return entry.ticket
            raise BeginAgain(f"Rig {entry.rig} has a session {session.name} already.")
    for entry in newest:
        if (entry.kind, entry.state) == ("session", "running") and entry.is_of_rig(*rig):
            # This rig is held for the session that begins: nobody is at the other.
            animal.register.write(entry.model_copy(update={"state": "incomplete"}))
    if unread := {*animal.register.numbers()[-LOOKED_AT:]} - {entry.number for entry in newest}:
        entries = ", ".join(map(str, sorted(unread)))
        logger.warning("In %s, entry %s cannot be read and is passed over.", animal.register.folder, entries)
    settle(animal, standing)
    entry = RegisterEntry(
        ticket=NO_TICKET,
        kind="session",
        state="running",
        rig=session.rig_name,
        installation=session.installation,
        began=session.session.date,
        session_name=session.name,
        by=", ".join(session.session.experimenter) or None,
        folder=str(session.folder),
        is_counted=session.task_source != "file",
    )
    # Another store's state may be the newer one.
    ran_with = session.animal_state or standing
    return _allot(animal, ran_with.trainer_state if ran_with else None, entry, known)


def finish(register: Register, session: SessionContext, state: str) -> None:
    """Enter how a session stands, if the register has it."""
    entry = of_session(register, session)
    if entry is None:
        return
    acquired = session.acquisition
    minutes = acquired and round((acquired.end - acquired.start).total_seconds() / 60, 2)
    results = session.results.get("transfer_session", {}).values()
    destination = next((str(found["destination"]) for found in results if _has_destination(found)), None)
    ended = entry.ended if entry.state == state else now()
    more = {"state": state, "ended": ended, "minutes": minutes, "destination": destination}
    _write(register, entry, entry.model_copy(update=more))


def of_person(animal: AnimalFolder, before: AnimalState | None, entry: HistoryEntry) -> Ticket:
    """A ticket for whoever enrols or moves the animal by hand.

    :param before: where the animal stands until then.
    """
    settle(animal, before)
    kind: Literal["moved", "enrolled"] = "moved" if entry.kind == "moved" else "enrolled"
    what = RegisterEntry(
        ticket=NO_TICKET, kind=kind, rig=platform.node(), began=entry.date, by=entry.by, state="running"
    )
    return _allot(animal, entry.state.trainer_state, what, came_from=before.trainer_state if before else None)


def settle(animal: AnimalFolder, standing: AnimalState | None) -> None:
    """Give what put the animal where it stands its entry in the register.

    A launcher that was killed may not have written it. What an older launcher or another tool did gets a ticket, too.
    """
    if standing is None:
        return
    if standing.ticket is not None:
        complete(animal, standing)
        return
    what = RegisterEntry(
        ticket=NO_TICKET, kind="found", rig="", began=standing.date, session_name=standing.session_name
    )
    found = found_entry(standing, "found without a ticket: an older launcher or another tool wrote it")
    ticket = _allot(animal, standing.trainer_state, what)
    cancel(animal, ticket)
    history.write(animal.history, found.model_copy(update={"ticket": ticket}))


def found_entry(standing: AnimalState, reason: str) -> HistoryEntry:
    """What the animal stands by, for its history."""
    return HistoryEntry(
        kind="found",
        date=standing.date,
        session_name=standing.session_name,
        trainer_state=standing.trainer_state.text,
        metrics=standing.metrics,
        reason=reason,
    )


def of_ticket(register: Register, ticket: Ticket | None, session_name: str) -> RegisterEntry | None:
    """The entry that a session's ticket was given with; None where the register has lost it.

    :raises AnimalError: it is there and cannot be read. A session that decided without its ticket could not be resumed.
    """
    entry = register.readable(ticket.number) if ticket else None
    return entry if entry and (entry.ticket, entry.session_name) == (ticket, session_name) else None


def of_session(register: Register, session: SessionContext) -> RegisterEntry | None:
    """The entry of a session: by its ticket, or by its key where its launcher was killed before it kept the ticket."""
    key = ("session", session.name)
    mine = (e for e in register.newest(LOOKED_AT) if e.is_of_rig(session.rig_name, session.installation))
    by_key = (entry for entry in mine if (entry.kind, entry.session_name) == key)
    return of_ticket(register, session.ticket, session.name) or next(by_key, None)


def enter_decision(
    register: Register,
    entry: RegisterEntry,
    decision: HistoryEntry,
    *,
    because: str | None = None,
    superseded: bool = False,
) -> None:
    """Enter the decision on a session.

    :param because: as in `StateRecord`.
    """
    state = decision.state.trainer_state
    made = EntryDecision(
        suggestion=str(decision.suggestion_digest),
        outcome="superseded" if superseded else "applied",
        curriculum=state.curriculum,
        stage=state.decided_stage,
        rule=decision.rule,
        because=because,
    )
    # That another answer came too late does not change that an earlier one put the animal somewhere.
    if not (superseded and entry.put_the_animal):
        _write(register, entry, entry.model_copy(update={"decision": made}))


def complete(animal: AnimalFolder, standing: AnimalState) -> None:
    """Mark the entry that put the animal where it stands; a launcher that was killed may not have done so."""
    entry = animal.register.entry(standing.ticket.number) if standing.ticket else None
    if entry is None or entry.ticket != standing.ticket or entry.put_the_animal:
        return
    if entry.kind != "session":
        animal.register.write(entry.model_copy(update={"state": None}))
    elif made := animal.latest(standing.trainer_state.digest):
        enter_decision(animal.register, entry, made, because=made.reason)


def cancel(animal: AnimalFolder, above: Ticket) -> None:
    """Mark as cancelled what killed launchers left half-done.

    :param above: of what is about to put the animal elsewhere; a later session may still be resumed.
    """
    because = "its launcher was killed before the animal stood there"
    for path in reversed(history.applied(animal.history)):
        number = history.number_of(path)
        entry = animal.register.entry(number)
        if entry is None or entry.put_the_animal:
            return
        if entry.kind == "session" and number < above.number:
            if decision := history.supersede(path, because):
                enter_decision(animal.register, entry, decision, because=because, superseded=True)
        elif entry.kind != "session" and number != above.number:
            history.supersede(path, because)
            animal.register.write(entry.model_copy(update={"state": "cancelled"}))


def _write(register: Register, entry: RegisterEntry, changed: RegisterEntry) -> None:
    if changed != entry:
        register.write(changed)


def _allot(
    animal: AnimalFolder,
    state: TrainerStateText | None,
    entry: RegisterEntry,
    known: Iterable[Ticket | None] = (),
    came_from: TrainerStateText | None = None,
) -> Ticket:
    """A ticket for a session that begins at `state`, or for what puts the animal there.

    :param entry: it without what follows from `state` and from the entries before it.
    :param came_from: where the animal stood before a person put it at `state`.
    """
    numbers = reversed(animal.register.numbers())
    entries = (before for before in map(animal.register.entry, numbers) if before)
    # A move that was cut off counts for nothing.
    newest = next((before for before in entries if before.kind == "session" or before.put_the_animal), None)
    at_stage, unchanged = newest.sessions_at(state) if newest else _counted(animal, state)
    if came_from and state:
        at_stage = at_stage if came_from.stage == state.stage else 0
        unchanged = unchanged if came_from.digest == state.digest else 0
    own = 1 if entry.kind == "session" and entry.is_counted else 0
    where = {
        "curriculum": state.curriculum if state else None,
        "stage": state.decided_stage if state else None,
        "trainer_state": short_digest(state),
        "sessions_at_stage": at_stage + own,
        "sessions_unchanged": unchanged + own,
    }
    above = history.highest_number(animal.history)
    return animal.register.allot(entry.model_copy(update=where), known, above=above).ticket


def _counted(animal: AnimalFolder, state: TrainerStateText | None) -> tuple[int, int]:
    """The sessions at a stage, and with the same trainer state, by the decisions of launchers without a register."""
    if state is None:
        return 0, 0
    at_stage = unchanged = 0
    is_same = True
    applied = [entry for entry in history.entries(animal.history) if not entry.superseded]
    for before, entry in reversed([*pairwise(applied)]):
        ran_with, then = before.state.trainer_state, entry.state.trainer_state
        if any((at.curriculum, at.stage) != (state.curriculum, state.stage) for at in (ran_with, then)):
            break
        is_same = is_same and ran_with.digest == then.digest == state.digest
        at_stage += entry.kind == "suggestion"
        unchanged += is_same and entry.kind == "suggestion"
    return at_stage, unchanged


def _has_destination(result: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    return isinstance(result, dict) and "destination" in result
