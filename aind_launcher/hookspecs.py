"""Every hook, in the order in which a session meets them.

All but `run_session` may be called again for the same session, after a failure or a power cut: make them
idempotent. `check_rig` and those after it belong to no session. A hook may take fewer arguments than are
listed. The launcher calls each plugin on its own, as a step of its own in the journal, in pluggy's order
(``tryfirst``, ``trylast``); wrappers are refused. Each docstring also says what an exception does (``:raises:``) and
when the hook is called again (``:again:``); the pages of the hooks are made from them.

A step of any hook but `run_session` has a limit, the setting ``step-timeout``, and runs in a thread of its own. At its
limit, or at a Ctrl-C, KeyboardInterrupt is raised in it; if it does not end then, it is abandoned and has failed. What
else ends a program, as SystemExit, fails the step alone. `ask` asks the person at the rig, whose time does not count.
"""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from aind_launcher.model.animal import AnimalState, StateRecord
    from aind_launcher.model.register import Ticket
    from aind_launcher.model.session import Acquisition, Check, Inputs, SessionContext
    from aind_launcher.model.sources import CurriculumSources
    from aind_launcher.model.store import AnimalStore
    from aind_launcher.model.suggestion import CurriculumSuggestion

hookspec = pluggy.HookspecMarker("aind_launcher")
# Marks a function or method as a hook, as in ``@hookimpl``; with ``tryfirst=True`` it is called before other plugins',
# with ``trylast=True`` after them.
hookimpl = pluggy.HookimplMarker("aind_launcher")


@hookspec
def load_animal_state(session: "SessionContext") -> "AnimalState | None":
    """Called first: what does this store know of ``session.subject``?

    The newest state of all stores wins, by its ticket (see `begin_session`) or, where no state has one, by its date;
    disagreement is shown. Where a state without a ticket is the later decision of a session that the store with the
    tickets does not have, the operator says which is right.

    :param session: has the rig file as it is, and neither task nor animal state yet.
    :return: where the animal stands; None for an unknown animal.
    :raises Exception: a warning where another store answered; where none did, the session is refused.
    :again: after a `TransientError`.
    """


@hookspec
def prepare_session(session: "SessionContext", inputs: "Inputs") -> "Inputs | None":
    """Called before the checks, plugin after plugin: change what the acquisition is started with.

    Per-animal rig parameters belong here. Each plugin gets what the one before it returned.

    :param session: has the animal state.
    :param inputs: rig and task as JSON data.
    :return: a changed copy (``inputs.model_copy(update={"rig": changed})``, where ``changed`` is made from a
        ``copy.deepcopy``), or None to leave them as they are.
    :raises Exception: the session is refused.
    :again: after a `TransientError`.
    """


@hookspec
def pre_session(session: "SessionContext") -> "Check | Iterable[Check] | None":
    """Called before the animal is on the rig: is everything there that this session will need?

    One failed check refuses the session, after all were shown; a warning does not. Do long work here (build, connect),
    so that nothing is left to fail at the session's end.

    :param session: complete but for the acquisition; its folder does not exist yet.
    :return: one check, several, or None where there is nothing to say.
    :raises Exception: counts as a failed check.
    :again: after a `TransientError`.
    """


@hookspec
def begin_session(session: "SessionContext", known: "Sequence[Ticket]") -> "Ticket | None":
    """Called when all checks have passed and the operator has agreed: give the session its ticket.

    For stores of animals. The first plugin that answers gives the order of the animal's sessions; the others find the
    ticket in ``session.ticket`` and compare it. Read the animal's state once more, so that nobody else can change it
    meanwhile, and raise `BeginAgain` where it is no longer what `load_animal_state` said, or where another rig has a
    session of this name. The animal is waiting: without an answer within 20 seconds the session has no ticket. Its
    decision will then apply only if nobody moves the animal meanwhile.

    :param session: complete but for the acquisition; its folder does not exist yet.
    :param known: tickets of this animal that this rig knows of, from its journal and from what other stores said.
    :return: the session's ticket; None from a plugin that gives none.
    :raises Exception: the session goes on without a ticket; after `BeginAgain` it begins anew.
    :again: answer with the same ticket for the same session.
    """


@hookspec
def run_session(session: "SessionContext", environment: "Mapping[str, str]") -> "Acquisition | None":
    """Called once, for the acquisition itself; the first plugin that returns one has run it.

    :param session: its folder holds ``behavior/trainer_state.json`` and ``behavior/previous_metrics.json``
        where the animal has them; the inputs are staged in ``session.staging``.
    :param environment: the variables that a program may inherit: those of the launcher, without credentials and
        without any that has a secret of a plugin.
    :return: how the acquisition went; None leaves it to the next plugin.
    :raises Exception: counts as a failed acquisition; the data is kept and goes through the rest of the chain.
    :again: never for the same session.
    """


@hookspec
def missing_data(session: "SessionContext") -> "str | None":
    """Called by ``resume`` for an acquisition that nobody saw end and that the operator says is over: what is missing?

    Its launcher was killed, so no plugin could judge it. Look at ``session.folder``, and change nothing. All are asked.

    :param session: complete but for the acquisition.
    :return: what the data lacks, as the end of a sentence (*the folder has no video*); the acquisition then counts as
        failed. None where nothing is missing.
    :raises Exception: the session waits, and ``resume`` asks again.
    :again: until the acquisition has been judged; by ``resume --dry-run``, too.
    """


@hookspec
def curriculum_suggest(session: "SessionContext") -> "CurriculumSuggestion | None":
    """Called after the acquisition: what should the animal do next? The first plugin that answers wins.

    :param session: its folder is the sole input.
    :return: the curriculum's answer; None where no curriculum applies.
    :raises Exception: the step has failed and no other plugin is asked. The session goes on without a suggestion, and
        `aind-launch resume` asks again.
    :again: after a failure, until it has answered.
    """


@hookspec
def record_state(session: "SessionContext", suggestion: "CurriculumSuggestion") -> "StateRecord | None":
    """Called after the suggestion and before any `post_session`: let a store make it the animal's state.

    Only where a curriculum decided. A state must not become the animal's where a later session, or a person, put the
    animal elsewhere meanwhile (compare and set): answer *superseded* then, and why.

    :param session: complete, with its acquisition.
    :param suggestion: what the curriculum decided.
    :return: what became of the decision; None from a plugin that does not keep this animal.
    :raises Exception: this step alone has failed; `aind-launch resume` does it again.
    :again: after a failure.
    """


@hookspec
def post_session(session: "SessionContext", suggestion: "CurriculumSuggestion | None") -> Any:
    """Called after the animals' stores, for each plugin on its own: push, record, enrich.

    :param session: complete, with its acquisition.
    :param suggestion: None where no curriculum applied or it failed.
    :return: what the journal shall keep: JSON data or a pydantic model.
    :raises Exception: this step alone has failed; `aind-launch resume` does it again. Raise `TransientError` where a
        second try may succeed, and `StepSkipped` where there is nothing to do for this session.
    :again: after a failure; and when a resumed curriculum answers late, then with the answer.
    """


@hookspec
def transfer_session(session: "SessionContext", suggestion: "CurriculumSuggestion | None") -> Any:
    """Called when every post-session step has ended: hand the folder to a transfer service.

    Called also when the curriculum failed: the data must leave the rig. Nothing may be written into
    ``session.folder`` from here on.

    :param session: ``session.handed_off`` is True.
    :param suggestion: as for `post_session`.
    :return: what the journal shall keep, as for `post_session`.
    :raises Exception: this step alone has failed; `aind-launch resume` does it again.
    :again: after a failure, and after ``aind-launch resume --hand-off-again``.
    """


@hookspec
def session_finished(session: "SessionContext", outcome: str) -> None:
    """Called last: the session has ended, for good or until it is resumed.

    A session that has begun and ends before its acquisition is finished, too. Write into `session.folder` at
    ``post_session``: here its hand-off has begun.

    :param session: as it ended; without an acquisition where it did not come to one.
    :param outcome: *completed*, *incomplete* (a step failed), *failed* or *interrupted* (the acquisition
        was), or *discarded*; before the acquisition, *cancelled* or *refused*.
    :return: nothing.
    :raises Exception: is recorded and shown; the session has ended all the same.
    :again: after a failure, and when a resume ends the session in another way.
    """


@hookspec
def check_rig(repository: "Path", data_directory: "Path | None") -> "Check | Iterable[Check] | None":
    """Called by `aind-launch doctor`, outside any session: can this plugin do its work on this rig?

    Look at what does not depend on an animal: programs, services, credentials, folders. Change nothing.

    :param repository: the task repository.
    :param data_directory: where sessions are written; None where the settings do not say so yet.
    :return: one check, several, or None where there is nothing to say.
    :raises Exception: is shown as a failed check.
    :again: at every `aind-launch doctor`.
    """


@hookspec
def animal_store(repository: "Path", experiment: "str | None") -> "AnimalStore | None":
    """Called by `aind-launch animals`, `today` and `curricula enroll`: where are the animals kept that people look at?

    A session asks it, too, for what is to be seen before the start. The first plugin that answers is the store. For a
    command, plugins are asked by name, the task repository's own first, and neither ``tryfirst`` nor ``trylast``
    counts: those after the one that answers are not imported.

    :param repository: the task repository.
    :param experiment: as the settings say; None where they do not.
    :return: an object with the methods of `AnimalStore`; None from a plugin that keeps no animals.
    :raises Exception: ends the command; a session goes on without what it would have shown.
    :again: at every such command and session.
    """


@hookspec
def curriculum_sources(repository: "Path") -> "CurriculumSources | None":
    """Called by `aind-launch curricula` and `env`: which curricula are there, and who builds and asks them?

    The first plugin that answers is asked, in the order of `animal_store`.

    :param repository: the task repository.
    :return: an object with the methods of `CurriculumSources`; None from a plugin that runs no curricula.
    :raises Exception: ends the command.
    :again: at every such command.
    """
