"""Whatever a plugin raises or declares, the session takes its road."""

import re

import pytest
from command_line import call

from aind_launcher.errors import PluginError, Refused
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.testing import TaskRepositoryForTests, forgetting_plugins_of, plugins_of

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


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ("suggestion=None, session=None, own=3", {"suggestion": 2, "session": 1, "own": 3}),
        ("*, session", {"session": 1}),
        ("session, *, suggestion=None", {"session": 1, "suggestion": 2}),
        ("**named", {"named": {"session": 1, "suggestion": 2}}),
        ("session, **named", {"session": 1, "named": {"suggestion": 2}}),
    ],
)
def test_each_argument_is_passed_by_its_name(
    task_repository: TaskRepositoryForTests, arguments: str, passed: dict[str, object]
) -> None:
    task_repository.write(
        "odd.py",
        f"""
        from aind_launcher import hookimpl
        class Odd:
            @hookimpl
            def post_session(self, {arguments}): return {{**vars(), "self": 0}}
        """,
    )
    task_repository.configure(plugins={"odd": "odd:Odd"})
    with forgetting_plugins_of(task_repository.path):
        plugins = plugins_of(task_repository.path)
        plugins.require_sound()
        (call,) = [call for call in plugins.calls("post_session") if call.plugin.name == "odd"]
        assert call(session=1, suggestion=2) == {"self": 0, **passed}


@pytest.mark.parametrize(
    ("update", "why"),
    [
        ('{"rig": 5}', "Inputs is not valid: rig: it must be a table, not 5"),
        ('{"rig": {"camera": {"place": Path("x"), "driver": object()}}}', "rig.camera.driver is an object"),
        ('{"rig": {"name": "\\udc80"}}', "rig.name is a text that is not UTF-8"),
    ],
)
def test_what_prepares_a_session_and_cannot_be_used_refuses_it(
    task_repository: TaskRepositoryForTests, update: str, why: str
) -> None:
    task_repository.write(
        "prepares.py",
        f"""
        from pathlib import Path
        from aind_launcher import hookimpl
        class Prepares:
            @hookimpl
            def prepare_session(self, inputs): return inputs.model_copy(update={update})
        """,
    )
    task_repository.configure(plugins={"prepares": "prepares:Prepares"})
    with pytest.raises(Refused) as refused:
        task_repository.run()
    assert refused.value.message.startswith("Plugin prepares could not prepare the session. ")
    assert f"from prepare_session that cannot be stored: {why}. Tell the plugin's author" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{"a": [1, {"b": object()}]}', "a.1.b is an object"),
        ("circle", "0.0.0.0.0.0.0.0 is a list that is nested too deeply"),
    ],
)
def test_a_result_that_cannot_be_stored_is_named_by_its_key(
    task_repository: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture, value: str, why: str
) -> None:
    task_repository.write(
        "returns.py",
        f"""
        from aind_launcher import hookimpl
        circle = []
        circle.append(circle)
        class Returns:
            @hookimpl
            def post_session(self): return {value}
        """,
    )
    task_repository.configure(plugins={"returns": "returns:Returns"})
    assert task_repository.run().state == "completed"
    assert f"post session (returns) returned what the journal cannot store: {why}." in caplog.messages


@pytest.mark.parametrize(
    ("body", "secrets", "warned"),
    [
        ("return 'hunter2'", {"hunter2"}, []),
        ("return ['hunter2']", {"hunter2"}, []),
        ("raise OSError('it is locked')", set(), ["The secrets of Vault cannot be asked for: OSError: it is locked"]),
    ],
)
def test_what_a_plugin_calls_its_secrets_is_hidden_whatever_its_type(
    task_repository: TaskRepositoryForTests,
    caplog: pytest.LogCaptureFixture,
    body: str,
    secrets: set[str],
    warned: list[str],
) -> None:
    task_repository.write(
        "vault.py",
        f"""
        from aind_launcher import hookimpl
        class Vault:
            def secrets(self): {body}
            @hookimpl
            def post_session(self): pass
        """,
    )
    task_repository.configure(plugins={"vault": "vault:Vault"})
    with forgetting_plugins_of(task_repository.path):
        assert plugins_of(task_repository.path).secrets() == secrets
    assert [record.message for record in caplog.records] == warned
    assert not any(record.exc_info for record in caplog.records)


def test_a_thread_that_fails_is_named_in_a_sentence(
    task_repository: TaskRepositoryForTests, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    task_repository.write(
        "threads.py",
        """
        from threading import Thread
        from aind_launcher import hookimpl
        def fails():
            raise OSError("the port is gone")
        class Threads:
            @hookimpl
            def post_session(self):
                thread = Thread(target=fails, daemon=False)
                thread.start()
                thread.join()
        """,
    )
    task_repository.configure(plugins={"threads": "threads:Threads"})
    assert task_repository.run().state == "completed"
    (sentence,) = [text for text in caplog.messages if "the port is gone" in text]
    assert sentence == "A thread has failed: OSError: the port is gone (threads.py:5)"
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("hook", ["pre_session", "prepare_session"])
def test_what_refuses_the_session_by_an_error_says_how_to_go_on_without_it(
    task_repository: TaskRepositoryForTests, hook: str
) -> None:
    task_repository.write(
        "breaks.py",
        f"""
        from aind_launcher import hookimpl
        class Breaks:
            @hookimpl
            def {hook}(self):
                return {{}}["camera"]
        """,
    )
    task_repository.configure(plugins={"breaks": "breaks:Breaks"})
    with pytest.raises(Refused, match=r"KeyError: 'camera' \(breaks.py:6\)") as refused:
        task_repository.run()
    assert "Correct the plugin, or leave it out for this session with `-p no:breaks`." in str(refused.value)
