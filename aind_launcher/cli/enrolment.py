"""Enrolling an animal from a task repository, for the commands that do."""

from pathlib import Path

from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.errors import AnimalError, Refused, UsageError
from aind_launcher.lifecycle.seen import refuse_seen, refuse_unplugged, subjects_seen
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.names import brief, checked_name, names_like
from aind_launcher.model.store import removed_from, state_in
from aind_launcher.system.rig import login


def enroll_animal(
    repository: TaskRepository,
    subject: str,
    curriculum: str | None = None,
    stage: str | None = None,
    *,
    trainer_state: Path | None = None,
    source: str | None = None,
    by: str | None = None,
    replace: bool = False,
    allow_dirty: bool = False,
) -> str:
    """Enrol an animal in its store, in a state that its sessions can run with.

    :param curriculum: gives the animal's first state; or else
    :param trainer_state: a file with it.
    :param by: who enrols it; else the login.
    :return: where it starts, for people.
    """
    checked_name("subject", subject)
    given = _state_in(trainer_state) if trainer_state else None
    if (curriculum is None) == (given is None):
        raise UsageError(
            "Nothing says where the animal starts." if given is None else "The options contradict each other.",
            "Give one of --curriculum and --trainer-state.",
        )
    if given and (stage or source):
        raise UsageError("--trainer-state has the stage and names the curriculum.", "Leave out --stage and --source.")
    store = repository.animal_store()
    terminal = Terminal()
    if not replace:
        store.refuse_known(subject)
        known, removed = {*store.subjects()}, removed_from(store)
        experiment = repository.settings.experiment
        with repository.home() as home:
            hint = "Connect the library's drive or share; to start the animal over, add --replace."
            if subject not in removed:
                refuse_seen(home, subject, experiment, store.place, hint)
            if not known:
                hint = "Connect the library's drive or share; to begin a new library, add --replace."
                refuse_unplugged(home, experiment, store.place, hint, removed=removed)
            known |= subjects_seen(home).difference(removed)
        _ask_about(terminal, subject, names_like(subject, known, only_looks=True))
    sources = repository.curriculum_sources()
    state = given
    if state is None:
        with terminal.working(f"asking {curriculum} for its first state"):
            state = sources.first_state(
                curriculum or "", stage, source=source, allow_dirty=allow_dirty, progress=terminal.say
            )
    with terminal.working(f"trying {state.curriculum}"):
        sources.verify(state, allow_dirty=allow_dirty, progress=terminal.say)
    store.enroll(subject, state, by=by or login(), replace=replace)
    return f"stage {brief(state.stage)} of {state.curriculum_in_words}"


def _state_in(file: Path) -> TrainerStateText:
    """The trainer state in `file`, which an animal can start in.

    :raises AnimalError: no curriculum decides by it.
    """
    state = state_in(file).trainer_state
    if state.curriculum is None or state.stage is None:
        lacks = "stage" if state.curriculum else "curriculum"
        raise AnimalError(f"The trainer state in {file} names no {lacks}.", "Give a file that a curriculum wrote.")
    if not state.is_on_curriculum:
        raise AnimalError(
            f"The trainer state in {file} is that of an animal off its curriculum.",
            "Set is_on_curriculum to true in it, or give another.",
        )
    return state


def _ask_about(terminal: Terminal, subject: str, same: tuple[str, ...]) -> None:
    """Have a number confirmed that looks like another animal's; a warning where nobody can be asked.

    :raises Refused: it is not confirmed.
    """
    if not same:
        return
    terminal.say(f"{subject} looks like {', '.join(same)}, which is another animal.", "yellow")
    answers = {"yes": f"enrol {subject} as a new animal", "no": "change nothing"}
    if terminal.attended and terminal.ask("Is it really a new animal?", answers, default="no") == "no":
        raise Refused(f"Animal {subject} was not enrolled.", "Nothing was changed.")
