"""A cohort of animals in a library, by the library's own methods, as their sessions would enter it."""

from datetime import datetime

from contexts import a_session, suggestion, trainer_state

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.register import RigStatus, UnfinishedSession


def enrol(library: Library, subject: str, stage: str = "first") -> None:
    library.enroll(subject, trainer_state(stage), by="me")


def a_day(
    library: Library,
    subject: str,
    state: str = "completed",
    *,
    date: datetime | None = None,
    rig: str = "box-1",
    to: str | TrainerStateText | None = None,
) -> str:
    """A session that begins and, unless it is *running*, ends as `state` says.

    :param to: the stage, or the whole state, that a curriculum decides for.
    :return: its name.
    """
    standing = library.read(subject).state
    session = a_session(library.root, subject, date or now(), rig_name=rig, animal_state=standing)
    ticket = library.begin(session, standing, ())
    if to:
        ran_with = standing.trainer_state if standing else None
        answer = suggestion(to, {"session": session.name})
        library.record(subject, answer, session.name, session.session.date, standing, ticket, ran_with=ran_with)
    if state != "running":
        library.finish(session.model_copy(update={"ticket": ticket}), state)
    return session.name


def report(library: Library, rig: str, *, running: str | None = None, unfinished: str | None = None) -> None:
    """What a rig reports of itself.

    :param unfinished: the name of a session.
    """
    left = [("SLIMS is down", name) for name in (unfinished,) if name]
    sessions = tuple(
        UnfinishedSession(session_name=name, subject=name.partition("_")[0], state="incomplete", message=why)
        for why, name in left
    )
    library.report(RigStatus(rig=rig, machine="a-machine", written=now(), running=running, unfinished=sessions))
