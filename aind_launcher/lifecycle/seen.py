"""Animals that this rig's journal knows: one that its store does not know may be in a library that is not connected."""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aind_launcher.errors import AnimalError, LauncherError
from aind_launcher.lifecycle.home import Home
from aind_launcher.model.register import NOT_RUN

if TYPE_CHECKING:
    from aind_launcher.model.session import SessionContext

# The newest sessions among which one is looked for whose animal had a trainer state: each has to be read.
_LOOKED_AT: Final = 100

CONNECT = "Connect the library's drive or share, and see that `aind-launch animals list` shows its animals."


def refuse_seen(home: Home, subject: str, experiment: str | None, store: str, hint: str) -> None:
    """Raise if the animal had a trainer state in a session of this rig: its store may not be connected.

    :param store: what does not know it.
    :raises AnimalError: it had one.
    """
    if (session := _last_seen(home, experiment, subject)) and session.animal_state:
        state = session.animal_state.trainer_state
        raise AnimalError(
            f"Animal {subject} was at {state.stage} of {state.curriculum} in session {session.name}, but {store} does "
            "not know it.",
            hint,
        )


def refuse_unplugged(
    home: Home,
    experiment: str | None,
    place: str,
    hint: str = CONNECT,
    *,
    removed: Collection[str] = (),
) -> None:
    """Raise if this rig had sessions of animals with a trainer state: a store without any may not be connected.

    :param place: the store that has none, as `AnimalStore.place`.
    :param removed: animals that were removed from it.
    :raises AnimalError: it had one.
    """
    if (session := _last_seen(home, experiment, removed=removed)) and session.animal_state:
        state = session.animal_state.trainer_state
        raise AnimalError(
            f"There is no animal in {place}, but {session.subject} was at {state.stage} of {state.curriculum} in "
            f"session {session.name} of this rig.",
            hint,
        )


def _last_seen(
    home: Home,
    experiment: str | None,
    subject: str | None = None,
    *,
    removed: Collection[str] = (),
) -> "SessionContext | None":
    """The newest session of this rig in which an animal, or this one, had a trainer state."""
    for record in reversed(home.journal.sessions(subject=subject, last=_LOOKED_AT)):
        # A context that was damaged says nothing, and stops nobody.
        with suppress(LauncherError):
            is_one = record.subject not in removed and home.has(record)
            context = home.journal.context(record.name) if is_one else None
            if context and context.animal_state and context.session.experiment == experiment:
                return context
    return None


def subjects_seen(home: Home) -> set[str]:
    """The animals that had a session on this rig."""
    seen = set[str]()
    for record in reversed(home.journal.sessions()):
        # One session of each is enough.
        if record.subject not in seen and record.state not in NOT_RUN and home.has(record):
            seen.add(record.subject)
    return seen
