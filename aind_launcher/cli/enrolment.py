"""Enrolling an animal from a task repository, for the commands that do."""

from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.errors import AnimalError
from aind_launcher.model.names import checked_name
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
    if not replace:
        store.refuse_known(subject)
        _refuse_seen(repository, subject, store.place)
    terminal = Terminal()
    with terminal.working(f"asking {curriculum} for its first state"):
        state = repository.curriculum_sources().first_state(
            curriculum, stage, source=source, allow_dirty=allow_dirty, progress=terminal.say
        )
    store.enroll(subject, state, by=by or login(), replace=replace)
    return f"stage {state.stage} of {state.curriculum} {state.curriculum_version or ''}".rstrip()


def _refuse_seen(repository: TaskRepository, subject: str, place: str) -> None:
    """Raise if the animal had a trainer state in a session of this rig: its store may not be connected.

    :raises AnimalError: one did.
    """
    with repository.journal() as journal:
        for record in reversed(journal.sessions(subject=subject)):
            if record.repository == repository.path:
                context = journal.context(record.name)
                state = context.animal_state
                if state is not None and context.session.experiment == repository.settings.experiment:
                    raise AnimalError(
                        f"Animal {subject} was at {state.trainer_state.stage} of {state.trainer_state.curriculum} in "
                        f"session {record.name}, but {place} does not know it.",
                        "Connect the library's drive or share; to start the animal over, add --replace.",
                    )
