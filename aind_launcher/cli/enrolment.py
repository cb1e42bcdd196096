"""Enrolling an animal from a task repository, for the commands that do."""

from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.lifecycle.inputs import refuse_seen
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
        with repository.journal() as journal:
            hint = "Connect the library's drive or share; to start the animal over, add --replace."
            refuse_seen(journal, subject, repository.path, repository.settings.experiment, store.place, hint)
    terminal = Terminal()
    with terminal.working(f"asking {curriculum} for its first state"):
        state = repository.curriculum_sources().first_state(
            curriculum, stage, source=source, allow_dirty=allow_dirty, progress=terminal.say
        )
    store.enroll(subject, state, by=by or login(), replace=replace)
    return f"stage {state.stage} of {state.curriculum} {state.curriculum_version or ''}".rstrip()
