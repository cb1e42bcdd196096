"""What a reader of the code and a first user found: each stays corrected."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aind_launcher.errors import PluginError, Refused
from aind_launcher.journal.journal import Journal
from aind_launcher.system.processes import MARKER
from aind_launcher.testing import TaskRepositoryForTests

PLUGIN = """
from pydantic import BaseModel, SecretStr
from aind_launcher import Acquisition, StepSkipped, TransientError, hookimpl
import asyncio


class Fails:
    @hookimpl
    def post_session(self, session):
        if not (session.repository.path.parent / "corrected").exists():
            raise RuntimeError("down")


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


class Secretive:
    class Settings(BaseModel):
        word: SecretStr

    def __init__(self, settings):
        self.word = settings.word.get_secret_value()

    @hookimpl
    def post_session(self):
        return {"record": 412345, "url": f"https://me:{self.word}@there"}
"""


@pytest.fixture
def repository(task_repository: TaskRepositoryForTests) -> TaskRepositoryForTests:
    task_repository.write("mine.py", PLUGIN)
    task_repository.commit()
    return task_repository


def blocked(repository: TaskRepositoryForTests, *names: str) -> subprocess.CompletedProcess[str]:
    """`resume --all`, with plugins left out of this call alone."""
    left_out = [part for name in names for part in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "aind_launcher", "resume", "--all", *left_out]
    return subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)


def test_what_a_plugin_has_to_do_waits_while_it_is_left_out(repository: TaskRepositoryForTests):
    repository.configure(plugins={"fails": "mine:Fails"})
    name = repository.run().session.name
    assert blocked(repository, "fails").returncode == 1
    (repository.root / "corrected").touch()
    assert blocked(repository).returncode == 0
    assert repository.steps(name)["post_session", "fails"].state == "done"


def test_an_answer_stands_also_where_its_plugin_is_left_out(repository: TaskRepositoryForTests):
    repository.configure(plugins={"fails": "mine:Fails"})
    name = repository.run().session.name
    blocked(repository, "ladder")
    with Journal.open(repository.journal) as journal:
        identities = {step.id.key for step in journal.steps(name) if step.id.hook == "post_session"}
    assert len(identities) == 1


def test_an_acquisition_is_never_tried_twice(repository: TaskRepositoryForTests):
    repository.configure(plugins={"shaky": "mine:Shaky"})
    assert repository.run().state == "failed"
    assert (repository.root / "runs").read_text() == "x"


def test_a_rig_that_is_not_there_leaves_the_acquisition_to_the_next(repository: TaskRepositoryForTests):
    repository.configure(plugins={"elsewhere": "mine:Elsewhere"})
    assert repository.run().state == "completed"


def test_a_plugin_may_raise_whatever_there_is(repository: TaskRepositoryForTests):
    repository.configure(plugins={"cancelled": "mine:Cancelled"})
    outcome = repository.run()
    assert (outcome.state, repository.stage()) == ("incomplete", "rung2")


def test_transient_errors_that_are_no_tuple_refuse_the_session(repository: TaskRepositoryForTests):
    repository.configure(plugins={"declares": "mine:Declares"})
    with pytest.raises(PluginError, match="is not a tuple of exception types"):
        repository.run()


@pytest.mark.parametrize("word", ["123", 'pä"ss'])
def test_secrets_are_hidden_text_by_text(repository: TaskRepositoryForTests, word: str):
    section = f"[tool.aind-launcher.plugin.secretive]\nword = {json.dumps(word)}"
    repository.configure(section, plugins={"secretive": "mine:Secretive"})
    outcome = repository.run()
    result = repository.steps(outcome.session.name)["post_session", "secretive"].result
    assert result == {"record": 412345, "url": "https://me:**********@there"}


def test_a_late_answer_is_sealed_into_a_folder_that_stays(repository: TaskRepositoryForTests):
    repository.break_curriculum()
    name = repository.run().session.name
    repository.mend_curriculum()
    outcome = repository.resume(name)
    record = json.loads((outcome.session.paths.launcher / "session.json").read_text())
    suggested = [step for step in record["steps"] if step["hook"] == "curriculum_suggest" and step["result"]]
    assert [step["state"] for step in suggested] == ["done"]


def test_a_task_that_outlived_its_launcher_keeps_the_next_session_away(repository: TaskRepositoryForTests):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    mark = f"0123 {int(gone.stdout)} {repository.state / 'sessions' / 'an-earlier-one'}"
    orphan = subprocess.Popen(
        [sys.executable, "-c", "print('here', flush=True); input()"],
        env={**os.environ, MARKER: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert orphan.stdout
        assert orphan.stdout.readline().strip() == b"here"
        with pytest.raises(Refused, match=rf"\(process {orphan.pid}\) of an earlier session still runs"):
            repository.run()
    finally:
        orphan.communicate(b"\n")
    assert repository.run().state == "completed"


def test_a_session_that_nobody_can_finish_is_closed(repository: TaskRepositoryForTests):
    repository.configure(plugins={"fails": "mine:Fails"})
    name = repository.run().session.name
    command = [sys.executable, "-m", "aind_launcher", "sessions", "close", name, "--reason", "the file is lost"]
    assert subprocess.run(command, cwd=repository.path, check=False).returncode == 0
    with Journal.open(repository.journal) as journal:
        record = journal.session(name)
    assert record
    assert record.state == "closed"
    assert str(record.message).endswith("the file is lost")
    assert "Nothing is left undone" in blocked(repository).stdout


def test_the_animal_is_not_put_into_a_library_that_lost_it(repository: TaskRepositoryForTests):
    repository.write(
        "mine.py",
        "from aind_launcher import hookimpl\nimport shutil\n\nclass Unmounts:\n    @hookimpl(tryfirst=True)\n"
        "    def curriculum_suggest(self, session):\n"
        "        shutil.rmtree(session.repository.path.parent / 'library' / 'climbing', ignore_errors=True)\n",
    )
    repository.configure(plugins={"unmounts": "mine:Unmounts"})
    outcome = repository.run()
    error = repository.steps(outcome.session.name)["record_state", "local-store"].error
    assert error
    assert "no longer in the library" in error
    assert not Path(repository.subjects, "123456", "trainer_state.json").exists()


def test_doctor_shows_a_plugin_that_answers_with_something_else(repository: TaskRepositoryForTests):
    repository.write(
        "mine.py",
        "from aind_launcher import hookimpl\n\nclass Chatty:\n    @hookimpl\n    def check_rig(self):\n"
        "        return ['all is well']\n",
    )
    repository.configure(plugins={"chatty": "mine:Chatty"})
    command = [sys.executable, "-m", "aind_launcher", "doctor"]
    ended = subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "chatty: It answered with a str where Checks are expected." in ended.stdout
