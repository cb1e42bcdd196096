"""The animal that tests of the library enrol, and where it stands."""

from datetime import datetime
from pathlib import Path

from contexts import suggestion

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.animal import AnimalState

ANIMAL = "123456"


def standing(library: Library, subject: str = ANIMAL) -> AnimalState:
    state = library.read(subject).state
    assert state is not None
    return state


def stage(library: Library, subject: str = ANIMAL) -> str | None:
    return standing(library, subject).trainer_state.stage


def folder_of(library: Library, subject: str = ANIMAL) -> Path:
    return library.root / library.experiment / "Subjects" / subject


def decide(library: Library, to: str, session: str, date: datetime, ran_with: AnimalState | None = None) -> str:
    return library.record(ANIMAL, suggestion(to, {"session": session}), session, date, ran_with).outcome
