"""What a launcher that was killed left behind of a session, by the journal of its rig.

Its journal is believed: each step stands there before it begins and after it ended. Where the kill fell within a step
that writes the library, the library itself is asked, and what it says of that session is not compared until a resume.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cohort.rig import Rig

MANY = "1000"


@dataclass(frozen=True)
class LeftBehind:
    """A session as it was found.

    :param began: whether it has a ticket.
    :param acquired: whether its acquisition was started.
    :param recorded: whether the decision on it reached the library.
    :param claim: how it stands in the register, where it was entered there again.
    :param doubtful: the kill fell within a step that writes the library.
    :param moment: when the kill was, for the table.
    """

    name: str
    state: str
    folder: Path
    began: bool
    acquired: bool
    recorded: bool
    claim: str | None
    doubtful: bool
    moment: str


def new_session(rig: Rig, subject: str, known: set[str], at: datetime) -> str | None:
    """The session of an animal that the journal has beside those that are known, if there is one."""
    listed = rig.listed("sessions", "list", "--subject", subject, "--last", MANY, at=at)
    new = [line["session"] for line in listed if line["session"] not in known and line["state"] != "refused"]
    return new[0] if new else None


def left_behind(rig: Rig, subject: str, name: str, at: datetime) -> LeftBehind:
    """How the journal has a session."""
    told = rig.listed("sessions", "show", name, at=at)
    # The last attempt at each step of the plugins that count here.
    steps = {step["hook"]: step for step in told["steps"] if step["plugin"] in ("local-store", "acquisition")}
    states = {hook: step["state"] for hook, step in steps.items()}
    began = states.get("begin_session") == "done" or (
        states.get("begin_session") == "running" and name in _registered(rig, subject)
    )
    recording = states.get("record_state")
    ended = states.get("session_finished") == "done"
    return LeftBehind(
        name=name,
        state=told["state"],
        folder=Path(told["folder"]),
        began=began,
        acquired="run_session" in states,
        recorded=recording == "done" or (recording == "running" and _has_reached(rig, subject, name)),
        claim=steps["session_finished"]["key"].partition("/")[0] if ended else None,
        doubtful="running" in (recording, states.get("session_finished")),
        moment=_moment(states),
    )


def _registered(rig: Rig, subject: str) -> set[str | None]:
    return {entry.session_name for entry in rig.library.register(subject, int(MANY)).entries}


def _has_reached(rig: Rig, subject: str, name: str) -> bool:
    """Whether a decision is the animal's, or stands in its history as one that came too late."""
    stands = rig.library.read(subject).state
    late = {entry.session_name for entry in rig.library.history(subject) if entry.superseded}
    return name in late or (stands is not None and stands.session_name == name)


def _moment(states: dict[str, Any]) -> str:
    if "run_session" not in states:
        return "before the acquisition"
    return "in the acquisition" if states["run_session"] == "running" else "after the acquisition"
