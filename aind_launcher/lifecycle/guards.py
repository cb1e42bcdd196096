"""What is unusual about a session, said before the animal is on the rig. Only a data disk that is gone refuses it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from aind_launcher.errors import LauncherError
from aind_launcher.lifecycle.clock import clock_check
from aind_launcher.lifecycle.folder import is_marked
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.seen import subjects_seen
from aind_launcher.lifecycle.stores import ask_store, at_work
from aind_launcher.model.clock import now
from aind_launcher.model.names import did_you_mean, names_like
from aind_launcher.model.register import FEWEST_SESSIONS, NOT_RUN, RECENT_SESSIONS, RegisterEntry
from aind_launcher.model.session import Check, SessionContext
from aind_launcher.model.store import AnimalRecord, removed_from

# The newest sessions of this machine among which one is looked for that was written where this one goes.
_LOOKED_AT = 100


def guards(
    launcher: Launcher, session: SessionContext, began_again: str | None = None, *, new_data_directory: bool = False
) -> list[Check]:
    """The warnings of a session, from the animal's register, and whether the data disk is the one that it was.

    :param began_again: why what was shown and confirmed a moment ago is no longer so.
    :param new_data_directory: the operator knows that it is not.
    """
    sessions = AnimalRecord(session.subject, entries=session.animal_entries).sessions
    looks: dict[str, Callable[[], Iterable[Check]]] = {
        "unknown animal": lambda: _unknown_animal(launcher, session),
        "ran today": lambda: _ran_today(sessions),
        "running elsewhere": lambda: _runs_elsewhere(launcher, session, sessions),
        "another rig": lambda: _another_rig(session, sessions),
        "clock": lambda: _clock(launcher, session, sessions),
    }
    if not new_data_directory:
        looks["data directory"] = lambda: _data_disk(launcher, session)
    checks = [check for name, look in looks.items() for check in _found(name, look)]
    return [Check.warning("asked again", began_again, "Read the card again."), *checks] if began_again else checks


def _found(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return [*look()]
    except Exception as error:  # isolates what one look meets from the session, which it must not refuse
        return [Check.warning(name, f"This could not be looked at: {type(error).__name__}: {error}")]


def _clock(launcher: Launcher, session: SessionContext, sessions: tuple[RegisterEntry, ...]) -> Iterator[Check]:
    # The newest by its ticket: an older one may have had a wrong clock.
    known = [(f"session {entry.session_name} of the animal", entry.ended or entry.began) for entry in sessions[-1:]]
    if session.animal_state:
        known.append(("what put the animal where it stands", session.animal_state.date))
    if check := clock_check(launcher.journal, now(), known, running=session.name):
        yield check


def _unknown_animal(launcher: Launcher, session: SessionContext) -> Iterator[Check]:
    """Whether its task is the operator's or a plugin's, and nothing else here knows the animal."""
    if session.animal_state or session.task_source == "animal":
        return
    sessions = launcher.journal.sessions(subject=session.subject)
    was_here = (r for r in sessions if r.state not in NOT_RUN and launcher.home.has(r))
    if any(record.name != session.name for record in was_here):
        return
    animals, removed = ask_store(launcher, lambda store: (store.subjects(), removed_from(store))) or ((), ())
    seen = subjects_seen(launcher.home).difference(removed)
    others = {*animals, *seen} - {session.subject}
    if others and session.subject not in animals:
        yield Check.warning(
            "unknown animal",
            f"Animal {session.subject} is unknown, and it had no session on this rig.",
            f"{did_you_mean(names_like(session.subject, others))}Check the number.",
        )


def _ran_today(sessions: tuple[RegisterEntry, ...]) -> Iterator[Check]:
    date = now().astimezone().date()
    today = [entry for entry in sessions if entry.state != "running" and entry.began.astimezone().date() == date]
    if today:
        newest = today[-1]
        count = "a session" if len(today) == 1 else f"{len(today)} sessions"
        which = "" if len(today) == 1 else "the newest "
        at = f"{which}at {newest.began.astimezone():%H:%M} on {newest.rig}: {newest.state}"
        yield Check.warning("ran today", f"The animal had {count} today, {at}.")


def _runs_elsewhere(
    launcher: Launcher, session: SessionContext, sessions: tuple[RegisterEntry, ...]
) -> Iterator[Check]:
    for entry, is_confirmed in at_work(sessions, lambda: ask_store(launcher, lambda store: store.rigs()) or ()):
        if _is_own(entry, session):
            continue
        which = entry.rig if entry.rig != session.rig_name else f"{entry.rig}, another of this name,"
        since = f"{entry.began.astimezone():%Y-%m-%d %H:%M}"
        if is_confirmed:
            yield Check.warning(
                "running elsewhere",
                f"Rig {which} is at session {entry.session_name} of this animal, since {since}.",
                "See that it is the right animal.",
            )
        else:
            yield Check.warning(
                "end not seen",
                f"Session {entry.session_name} of this animal began on rig {which} at {since}, and nobody saw its end.",
                f"See that the animal is not on {entry.rig}; `aind-launch resume` there finishes the session.",
            )


def _is_own(entry: RegisterEntry, session: SessionContext) -> bool:
    return entry.is_of_rig(session.rig_name, session.installation)


def _another_rig(session: SessionContext, sessions: tuple[RegisterEntry, ...]) -> Iterator[Check]:
    # An animal that changes rigs has none of its own.
    rigs = {entry.rig for entry in sessions[-RECENT_SESSIONS:]}
    if len(sessions) >= FEWEST_SESSIONS and len(rigs) == 1 and session.rig_name not in rigs:
        count = min(len(sessions), RECENT_SESSIONS)
        message = f"This is rig {session.rig_name}; the animal's last {count} sessions were on {rigs.pop()}."
        yield Check.warning("another rig", message, "See that it is the right animal.")


def _data_disk(launcher: Launcher, session: SessionContext) -> Iterator[Check]:
    folder = session.folder.parent
    if is_marked(folder) or _has_anything(folder):
        return
    for record in reversed(launcher.journal.sessions(last=_LOOKED_AT)):
        written = record.folder.parent == folder and record.state not in (*NOT_RUN, "running")
        if written and launcher.home.has(record) and _left_a_trace(launcher, record.name):
            yield Check.failed(
                "data directory",
                f"{folder} {'is empty' if folder.is_dir() else 'does not exist'}, but session {record.name} was "
                "written there: its disk may not be connected.",
                "Connect it. If sessions are to be written here all the same, add --new-data-directory once.",
            )
            return


def _has_anything(folder: Path) -> bool:
    try:
        return any(path.name[0] != "." for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # that it cannot be looked into is another check's to say
        return True


def _left_a_trace(launcher: Launcher, name: str) -> bool:
    """Whether something of a session must be where it was written, wherever the transfer service took its folder."""
    with suppress(LauncherError):
        session = launcher.journal.context(name)
        # Launchers that had no names for rigs did not mark data directories, either.
        return bool(session.rig_name) or not session.handed_off
    return False
