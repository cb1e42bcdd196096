"""Whatever a plugin raises or declares, the session takes its road."""

import re

import pytest

from aind_launcher.errors import PluginError, Refused
from aind_launcher.lifecycle.operator import Operator
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


class Ends:
    @hookimpl
    def post_session(self):
        raise KeyboardInterrupt


class EndsAWindow(Ends):
    interactive = True


class EndsEarly:
    @hookimpl
    def pre_session(self):
        raise KeyboardInterrupt


class EndsTheRun:
    @hookimpl(tryfirst=True)
    def run_session(self):
        raise KeyboardInterrupt


class EndsAStore:
    @hookimpl
    def animal_store(self):
        raise KeyboardInterrupt


class Exits:
    @hookimpl
    def post_session(self):
        raise SystemExit(3)


class Sees:
    @hookimpl
    def transfer_session(self):
        return "seen"


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


class Somebody(Operator):
    attended = True


OWN = "It raised KeyboardInterrupt(), though nobody pressed Ctrl-C. Tell the plugin's author."


@pytest.mark.usefixtures("interrupts_held")
def test_what_a_plugin_raises_after_the_acquisition_is_not_the_operator(
    repository: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {"ends": "Ends", "window": "EndsAWindow", "exits": "Exits", "store": "EndsAStore", "sees": "Sees"}
    repository.configure(plugins={name: f"mine:{target}" for name, target in plugins.items()})
    outcome = repository.run(operator=Somebody())
    steps = repository.steps(outcome.session.name)
    errors = {plugin: step.error for (hook, plugin), step in steps.items() if hook == "post_session"}
    assert errors == {"ends": OWN, "window": OWN, "exits": "It raised SystemExit(3). Tell the plugin's author."}
    assert (outcome.state, steps["transfer_session", "sees"].state) == ("incomplete", "done")
    assert f"The animals' store cannot be asked: {OWN}" in caplog.messages


@pytest.mark.usefixtures("interrupts_held")
def test_an_acquisition_that_raises_what_ctrl_c_raises_has_failed(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"ends": "mine:EndsTheRun"})
    outcome = repository.run()
    assert outcome.session.acquisition
    assert (outcome.state, outcome.session.acquisition.message) == ("failed", OWN)


@pytest.mark.usefixtures("interrupts_held")
def test_a_check_that_raises_what_ctrl_c_raises_has_failed(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"ends": "mine:EndsEarly"})
    with pytest.raises(Refused, match=re.escape(OWN)):
        repository.run()


def test_transient_errors_that_are_no_tuple_refuse_the_session(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"declares": "mine:Declares"})
    with pytest.raises(PluginError, match="is not a tuple of exception types"):
        repository.run()
