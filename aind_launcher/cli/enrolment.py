"""Enrolling an animal from a task repository, for the commands that do."""

from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.errors import Refused
from aind_launcher.lifecycle.seen import refuse_seen, refuse_unplugged, subjects_seen
from aind_launcher.model.names import brief, checked_name, names_like
from aind_launcher.model.store import removed_from
from aind_launcher.system.rig import login


def enroll_animal(
    repository: TaskRepository,
    subject: str,
    curriculum: str,
    stage: str | None = None,
    *,
    source: str | None = None,
    by: str | None = None,
    replace: bool = False,
    allow_dirty: bool = False,
) -> str:
    """Enrol an animal in its store.

    :param by: who enrols it; else the login.
    :return: where it starts, for people.
    """
    checked_name("subject", subject)
    store = repository.animal_store()
    terminal = Terminal()
    if not replace:
        store.refuse_known(subject)
        known, removed = {*store.subjects()}, removed_from(store)
        experiment = repository.settings.experiment
        with repository.journal() as journal:
            hint = "Connect the library's drive or share; to start the animal over, add --replace."
            if subject not in removed:
                refuse_seen(journal, subject, repository.path, experiment, store.place, hint)
            if not known:
                hint = "Connect the library's drive or share; to begin a new library, add --replace."
                refuse_unplugged(journal, repository.path, experiment, store.place, hint, removed=removed)
            known |= subjects_seen(journal, repository.path).difference(removed)
        _ask_about(terminal, subject, names_like(subject, known, only_looks=True))
    with terminal.working(f"asking {curriculum} for its first state"):
        state = repository.curriculum_sources().first_state(
            curriculum, stage, source=source, allow_dirty=allow_dirty, progress=terminal.say
        )
    store.enroll(subject, state, by=by or login(), replace=replace)
    return f"stage {brief(state.stage)} of {state.curriculum_in_words}"


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
