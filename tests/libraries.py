"""The animal that tests of the library enrol, and where it stands."""

from datetime import datetime
from pathlib import Path

from contexts import MONDAY, a_session, suggestion

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.register import Ticket

ANIMAL = "123456"


def standing(library: Library, subject: str = ANIMAL) -> AnimalState:
    state = library.read(subject).state
    assert state is not None
    return state


def stage(library: Library, subject: str = ANIMAL) -> str | None:
    return standing(library, subject).trainer_state.stage


def folder_of(library: Library, subject: str = ANIMAL) -> Path:
    return library.root / library.experiment / "Subjects" / subject


def begin(library: Library, session: str, date: datetime = MONDAY, rig: str = "rig") -> Ticket:
    """The ticket of a session that begins with the animal as it stands."""
    context = a_session(library.root, ANIMAL, date, rig_name=rig, animal_state=library.read(ANIMAL).state)
    named = context.session.model_copy(update={"session_name": session})
    return library.begin(context.model_copy(update={"session": named}), library.read(ANIMAL).state, ())


def decide(
    library: Library,
    to: str,
    session: str,
    date: datetime,
    began_with: AnimalState | None = None,
    ticket: Ticket | None = None,
) -> str:
    answer = suggestion(to, {"session": session})
    return library.record(ANIMAL, answer, session, date, began_with, ticket).outcome
