"""How a session's acquisition stands, by what the journal saw of it."""

from typing import Literal

from aind_launcher.journal import Journal, StepRecord
from aind_launcher.session import Acquisition
from aind_launcher.steps import INTERRUPTED, NOT_BEGUN, as_model


def acquisition_step(journal: Journal, session: str) -> StepRecord | None:
    """The step that ran, or was running, the acquisition; not those of plugins that left it to another."""
    steps = [step for step in journal.current_steps(session) if step.id.hook == "run_session"]
    begun = (step for step in steps if step.error != NOT_BEGUN)
    return next((step for step in begun if step.result is not None or step.state in ("running", "failed")), None)


def acquisition_of(journal: Journal, session: str) -> Acquisition | None:
    """How the acquisition ended; None where there was none, or where nobody saw it end."""
    step = acquisition_step(journal, session)
    if step is None or step.state == "running":
        return None
    if step.state == "done":
        return as_model(step, Acquisition)
    outcome: Literal["interrupted", "failed"] = "interrupted" if step.error == INTERRUPTED else "failed"
    return Acquisition(outcome=outcome, start=step.started, end=step.ended or step.started, message=step.error)
