"""Whatever a plugin raises or declares, the session takes its road."""

import re

import pytest
from command_line import call

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


class Somebody(Operator):
    attended = True


OWN = "RuntimeError: it raised KeyboardInterrupt, though nobody pressed Ctrl-C"


def line(head: str) -> str:
    """Where the class that begins with `head` raises its error."""
    return f"mine.py:{PLUGINS.splitlines().index(head) + 4}"


@pytest.mark.usefixtures("interrupts_held")
def test_what_a_plugin_raises_after_the_acquisition_is_not_the_operator(
    repository: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {"ends": "Ends", "window": "EndsAWindow", "exits": "Exits", "store": "EndsAStore", "sees": "Sees"}
    repository.configure(plugins={name: f"mine:{target}" for name, target in plugins.items()})
    outcome = repository.run(operator=Somebody())
    steps = repository.steps(outcome.session.name)
    errors = {plugin: step.error for (hook, plugin), step in steps.items() if hook == "post_session"}
    assert errors == {
        "ends": f"{OWN} ({line('class Ends:')})",
        "window": f"{OWN} ({line('class Ends:')})",
        "exits": f"SystemExit: 3 ({line('class Exits:')})",
    }
    assert (outcome.state, steps["transfer_session", "sees"].state) == ("incomplete", "done")
    assert f"The animals' store cannot be asked: {OWN.partition(': ')[2]}" in caplog.messages


@pytest.mark.usefixtures("interrupts_held")
def test_an_acquisition_that_raises_what_ctrl_c_raises_has_failed(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"ends": "mine:EndsTheRun"})
    outcome = repository.run()
    assert outcome.session.acquisition
    assert (outcome.state, outcome.session.acquisition.message) == ("failed", f"{OWN} ({line('class EndsTheRun:')})")


@pytest.mark.usefixtures("interrupts_held")
def test_a_check_that_raises_what_ctrl_c_raises_has_failed(repository: TaskRepositoryForTests) -> None:
    repository.configure(plugins={"ends": "mine:EndsEarly"})
    with pytest.raises(Refused, match=re.escape(OWN)):
        repository.run()


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


RETURNS = """
from aind_launcher import hookimpl


class Prepares:
    @hookimpl
    def prepare_session(self, inputs):
        return inputs.model_copy(update=UPDATE)


class Notes:
    @hookimpl
    def post_session(self):
        return {"weight": {"port": object()}}
"""


@pytest.mark.parametrize(
    ("update", "sentence"),
    [
        (
            '{"rig": 5}',
            "Inputs from prepare_session, which is not valid: rig: it must be a table, not 5.",
        ),
        ('{"task_from": "me"}', "not valid: task_from: it must be"),
        ('{"rig": {"p": 1, "o": object(), 3: 4}}', "be stored: rig.o is of type object, which JSON cannot hold."),
        ('{"rig": {"name": "\\ud800"}}', "be stored: rig.name is a text that UTF-8 cannot hold."),
        ('{"rig": {"k": {(1, object()): 2}}}', "be stored: rig.k is nested too deeply, or has a key that JSON"),
    ],
)
def test_what_prepare_session_returns_and_is_wrong_is_named(
    task_repository: TaskRepositoryForTests, update: str, sentence: str
) -> None:
    task_repository.write("returns.py", RETURNS.replace("UPDATE", update))
    task_repository.configure("", plugins={"prepares": "returns:Prepares"})
    ended = call("run", "--subject", "123456", "--unattended", "--experimenter", "me", cwd=task_repository.path)
    assert (ended.code, "Plugin prepares could not prepare the session. " in ended.err) == (3, True), ended.err
    assert sentence in " ".join(ended.err.split())


def test_a_result_that_cannot_be_stored_is_named_by_its_key(
    task_repository: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture
) -> None:
    task_repository.write("returns.py", RETURNS)
    task_repository.configure("", plugins={"notes": "returns:Notes"})
    assert task_repository.run().state == "completed"
    assert "weight.port is of type object, which JSON cannot hold" in caplog.text
