"""What can be known of SLIMS before an animal is on the rig."""

from aind_launcher import AnimalError, AnimalState, Check, SessionContext
from aind_launcher_slims.connection import Connection
from aind_launcher_slims.history import History


def session_checks(connection: Connection, session: SessionContext, instrument: str | None) -> list[Check]:
    """Whether SLIMS answers and has the animal, the instrument and the experimenters, and agrees on its state.

    :raises LauncherError: the session cannot be recorded.
    """
    animal = connection.animal(session.subject)
    checks = [Check(name="SLIMS", outcome="passed", message=f"{connection.url} has {session.subject}")]
    checks.append(_agreement(session, History.of(connection, animal)))
    return checks + _known(connection, instrument, session.session.experimenter)


def rig_checks(connection: Connection, instrument: str | None) -> list[Check]:
    """What does not depend on an animal: the address, the credentials, the instrument."""
    # Asked for any name: an instrument that is not there is an answer too.
    connection.instruments(instrument or "any")
    return [Check(name="SLIMS", outcome="passed", message=connection.url), *_known(connection, instrument, [])]


def _known(connection: Connection, instrument: str | None, experimenters: list[str]) -> list[Check]:
    found = connection.instruments(instrument) if instrument else []
    missing = [f"instrument {instrument}"] if instrument and not found else []
    trainers = connection.trainers(experimenters)
    missing += [f"user {name}" for name in experimenters if name not in trainers]
    warnings = [
        Check.warning(
            "SLIMS", f"SLIMS has no {what}; sessions are recorded without.", "Correct the name, or add it in SLIMS."
        )
        for what in missing
    ]
    if len(found) > 1:
        told = f"SLIMS has {len(found)} instruments {instrument}; sessions are recorded with the newest, record"
        warnings.append(Check.warning("SLIMS", f"{told} {found[0]}.", "Rename the others in SLIMS."))
    return warnings


def _agreement(session: SessionContext, history: History) -> Check:
    name = "animal in SLIMS"
    try:
        latest = history.latest()
        there = history.state(latest) if latest else None
    except AnimalError as error:
        return Check(name=name, outcome="warning", message=error.message, hint=error.hint)
    here = session.animal_state
    if there is None:
        return Check(name=name, outcome="passed", message=f"SLIMS has no trainer state of {session.subject} yet")
    if here is not None and here.trainer_state.digest == there.trainer_state.digest:
        return Check(name=name, outcome="passed", message=_standing(there))
    return Check(
        name=name,
        outcome="warning",
        message=f"The session runs with {_standing(here) if here else 'no trainer state'}, "
        f"but SLIMS has {_standing(there)}.",
        hint=f"If SLIMS is right, use `aind-launch animals move {session.subject}`; else go on: this session's "
        "decision corrects it.",
    )


def _standing(state: AnimalState) -> str:
    trainer_state = state.trainer_state
    curriculum = " ".join(part for part in (trainer_state.curriculum, trainer_state.curriculum_version) if part)
    origin = f"session {state.session_name}" if state.session_name else f"set on {state.date:%Y-%m-%d}"
    return f"stage {trainer_state.stage} of {curriculum or 'no curriculum'} ({origin})"
