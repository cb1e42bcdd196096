"""Whatever a plugin raises or declares, the session takes its road."""

import pytest
from command_line import call

from aind_launcher.errors import PluginError, Refused
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


class Late:
    @hookimpl
    def post_session(self, session):
        return self.push(session.name)

    def push(self, name):
        return {}[name]


class Yes:
    @hookimpl
    def pre_session(self):
        return True

    @hookimpl
    def check_rig(self):
        raise SystemExit(len(self.rig))


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


def test_the_error_of_a_step_names_the_line_of_the_plugin(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"late": "mine:Late"})
    outcome = repository.run()
    (failed,) = [step for step in outcome.steps if step.state == "failed"]
    line = PLUGINS[: PLUGINS.index("{}[name]")].count("\n") + 1
    assert failed.error == f"KeyError: '{outcome.session.name}' (mine.py:{line})"


def test_a_check_that_is_true_is_named_as_that(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"yes": "mine:Yes"})
    with pytest.raises(Refused, match="answered with a bool where Checks are expected. .* one Check, several, or None"):
        repository.run()


def test_a_rig_check_that_breaks_names_its_line(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"yes": "mine:Yes"})
    printed = call("doctor", cwd=repository.path).out
    assert "AttributeError: 'Yes' object has no attribute 'rig' (mine.py:" in " ".join(printed.split())
