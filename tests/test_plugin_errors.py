"""Whatever a plugin raises or declares, the session takes its road."""

import pytest

from aind_launcher.errors import PluginError
from aind_launcher.testing import TaskRepositoryForTests

PLUGINS = """
import asyncio
from aind_launcher import StepSkipped, TransientError, hookimpl


class Elsewhere:
    @hookimpl(tryfirst=True)
    def run_session(self):
        raise StepSkipped("not my rig")


class Shaky:
    @hookimpl(tryfirst=True)
    def run_session(self, session):
        with (session.repository.path.parent / "runs").open("a") as file:
            file.write("x")
        raise TransientError("the rig is busy")


class Cancelled:
    @hookimpl
    def post_session(self):
        raise asyncio.CancelledError


class Declares:
    transient_errors = ConnectionError

    @hookimpl
    def post_session(self):
        pass
"""


@pytest.fixture
def repository(task_repository: TaskRepositoryForTests) -> TaskRepositoryForTests:
    task_repository.write("mine.py", PLUGINS)
    return task_repository


def test_an_acquisition_is_never_tried_twice(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"shaky": "mine:Shaky"})
    assert repository.run().state == "failed"
    assert (repository.root / "runs").read_text() == "x"


def test_a_rig_that_is_not_there_leaves_the_acquisition_to_the_next(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"elsewhere": "mine:Elsewhere"})
    assert repository.run().state == "completed"


def test_a_plugin_may_raise_whatever_there_is(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"cancelled": "mine:Cancelled"})
    outcome = repository.run()
    assert (outcome.state, repository.stage()) == ("incomplete", "rung2")


def test_transient_errors_that_are_no_tuple_refuse_the_session(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"declares": "mine:Declares"})
    with pytest.raises(PluginError, match="is not a tuple of exception types"):
        repository.run()
