"""What is unusual about a session, said before the animal is on the rig: warnings, which refuse nothing."""

from collections.abc import Iterator

from aind_launcher.lifecycle.clock import clock_check
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.stores import ask_store
from aind_launcher.model.clock import now
from aind_launcher.model.register import RegisterEntry
from aind_launcher.model.session import Check, SessionContext
from aind_launcher.model.store import AnimalRecord


def guards(launcher: Launcher, session: SessionContext) -> list[Check]:
    """The warnings of a session, from the animal's register."""
    sessions = AnimalRecord(session.subject, entries=session.animal_entries).sessions
    # The newest by its ticket: an older one may have had a wrong clock.
    known = [(f"session {entry.session_name} of the animal", entry.ended or entry.began) for entry in sessions[-1:]]
    if session.animal_state:
        known.append(("what put the animal where it stands", session.animal_state.date))
    clock = clock_check(launcher.journal, now(), known, running=session.name)
    return [*([clock] if clock else []), *_ran_today(sessions), *_runs_elsewhere(launcher, session, sessions)]


def _ran_today(sessions: tuple[RegisterEntry, ...]) -> Iterator[Check]:
    today = now().astimezone().date()
    for entry in sessions:
        if entry.state != "running" and entry.began.astimezone().date() == today:
            at = f"at {entry.began.astimezone():%H:%M} on {entry.rig}"
            yield Check.warning("ran today", f"The animal had session {entry.session_name} today, {at}: {entry.state}.")


def _runs_elsewhere(
    launcher: Launcher, session: SessionContext, sessions: tuple[RegisterEntry, ...]
) -> Iterator[Check]:
    running = [entry for entry in sessions if entry.state == "running" and entry.rig != session.rig_name]
    if not running:
        return
    rigs = {status.rig: status for status in ask_store(launcher, lambda store: store.rigs()) or ()}
    for entry in running:
        status = rigs.get(entry.rig)
        # What the rig itself says counts: it may have been switched off in the middle.
        if status is None or status.running == entry.session_name:
            yield Check.warning(
                "running elsewhere",
                f"Rig {entry.rig} is at session {entry.session_name} of this animal, since "
                f"{entry.began.astimezone():%H:%M}.",
                "See that it is the right animal.",
            )
