"""Enrolling an animal from a task repository, for the commands that do."""

from aind_launcher.cli.task_repository import TaskRepository
from aind_launcher.cli.terminal import Terminal
from aind_launcher.curriculum.enrolment import first_state


def enroll_animal(
    repository: TaskRepository,
    subject: str,
    curriculum: str,
    stage: str | None = None,
    *,
    source: str | None = None,
    by: str,
    replace: bool = False,
    allow_dirty: bool = False,
) -> str:
    """Enrol an animal in the local store.

    :return: where it starts, for people.
    """
    store = repository.local_store()
    library = store.library(repository.path, repository.settings.experiment)
    if not replace:
        library.refuse_known(subject)
    terminal = Terminal()
    with terminal.working(f"asking {curriculum} for its first state"):
        state = first_state(
            repository.curricula(),
            repository.path,
            curriculum,
            stage,
            source=source,
            allow_dirty=allow_dirty,
            progress=terminal.say,
        )
    library.enroll(subject, state, by=by, replace=replace)
    return f"stage {state.stage} of {state.curriculum} {state.curriculum_version or ''}".rstrip()
