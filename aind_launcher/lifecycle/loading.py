"""Which state of its animal a session runs with, where several stores know the animal."""

import logging
from collections.abc import Container, Mapping
from functools import reduce

from aind_launcher.errors import AnimalError, Refused
from aind_launcher.lifecycle.launcher import Launcher
from aind_launcher.lifecycle.steps import with_result
from aind_launcher.lifecycle.stores import ask_store
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import SessionContext

logger = logging.getLogger(__name__)

_REFUSE = "refuse"


def with_animal_state(launcher: Launcher, session: SessionContext, *, needed: bool) -> SessionContext:
    """The session with the newest state that any store knows; disagreement is shown.

    :param needed: the session's task comes from that state.
    :raises AnimalError: no store answered.
    :raises Refused: the stores disagree, and nobody says which of them is right.
    """
    records = list(launcher.steps.each("load_animal_state", session))
    known = {r.id.plugin: AnimalState.model_validate(r.result) for r in records if r.result is not None}
    session = reduce(with_result, records, session)
    failed = [record for record in records if record.state == "failed"]
    if not known:
        if failed and needed:
            raise AnimalError(f"No store could say where animal {session.subject} stands.", failed[0].error)
        return session
    store = _newest(known, {call.plugin.name for call in launcher.plugins.calls("begin_session")})
    why = f"{store}: tickets, not dates, say what is later" if known[store].ticket else f"{store}, the newest"
    if needed and (disputing := _disputing(launcher, session.subject, known, store)):
        store = _chosen(launcher, session.subject, known, store, disputing)
        why = f"{store}, as the operator says"
    newest = known[store]
    for record in failed:
        logger.warning("going on with what %s knows, without %s", store, record.id.plugin)
    for other, state in known.items():
        if state.trainer_state.digest != newest.trainer_state.digest:
            logger.warning(
                "The stores disagree: %s has stage %s of %s, %s has stage %s of %s. Going on with %s.",
                *(other, state.trainer_state.stage, state.date.date()),
                *(store, newest.trainer_state.stage, newest.date.date(), why),
            )
    return session.model_copy(update={"animal_state": newest})


def _newest(known: Mapping[str, AnimalState], givers: Container[str]) -> str:
    """The store with the newest state: by tickets of one register where there are any, else by dates.

    :param givers: the stores that give tickets; their register comes before one that a store only keeps numbers of.
    """
    stores = sorted(known, key=lambda store: store not in givers)
    tickets = {store: ticket for store in stores if (ticket := known[store].ticket)}
    if not tickets:
        return max(known, key=lambda store: known[store].date)
    first = next(iter(tickets.values()))
    return max(
        (store for store, ticket in tickets.items() if ticket.register_id == first.register_id),
        key=lambda store: tickets[store].number,
    )


def _disputing(launcher: Launcher, subject: str, known: Mapping[str, AnimalState], store: str) -> str | None:
    """Another store that has a session's decision which `store` lacks, and which may be later than what `store` says.

    Such a session ran without a ticket, since the store that gives them was left out or could not be reached.
    """
    newest = known[store]
    if newest.ticket is None:
        return None
    later = {
        other: state.session_name
        for other, state in known.items()
        if state.ticket is None and state.session_name and state.date > newest.date and not state.is_still(newest)
    }
    if not later:
        return None
    history = ask_store(launcher, lambda animals: animals.history(subject)) or ()
    recorded = {decision.session_name for decision in history}
    return next((other for other, name in later.items() if name not in recorded), None)


def _chosen(launcher: Launcher, subject: str, known: Mapping[str, AnimalState], store: str, disputing: str) -> str:
    """The one of two stores that the operator says is right.

    :raises Refused: nobody says it.
    """

    def told(name: str) -> str:
        state = known[name]
        by = f"session {state.session_name}" if state.session_name else "a person or another tool"
        return f"stage {state.trainer_state.stage_in_words}, by {by} of {state.date:%Y-%m-%d %H:%M} UTC"

    question = (
        f"{disputing} has a decision on animal {subject} that {store} does not have, and without a ticket nothing says "
        "which is later. Where does the animal stand?"
    )
    answers = {store: told(store), disputing: told(disputing), _REFUSE: "do not start the session"}
    answer = launcher.operator.ask(question, answers, default=_REFUSE)
    if answer == _REFUSE:
        raise Refused(
            f"The stores disagree on animal {subject}: {store} has {told(store)}; {disputing} has {told(disputing)}.",
            f"Answer at the rig where it stands, or move it there with `aind-launch animals move {subject}`.",
        )
    return answer
