"""The plugin as the launcher finds it: by its entry point, with settings from its files and the environment."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MONDAY, SUBJECT, session_of, state_text, suggested

from aind_launcher import AnimalState, SessionContext, SettingsError
from aind_launcher.testing import TaskRepositoryForTests, plugins_of
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings
from aind_launcher_slims.wire_double import SlimsDouble


def loaded(repository: Path, section: str) -> tuple[Any, Any]:
    pyproject = f"[tool.aind-launcher]\n[tool.aind-launcher.plugin.slims]\n{section}"
    (repository / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    plugins = plugins_of(repository)
    return plugins, next(plugin for plugin in plugins.all if plugin.name == "slims")


def test_it_is_found_configured_and_called(slims: SlimsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__SLIMS__TIMEOUT", "5")
    plugins, plugin = loaded(tmp_path, "record-without-suggestion = false\n")
    assert plugin.error is None and isinstance(plugin.object, Slims)
    assert plugin.candidate.distribution == "aind-launcher-slims"
    assert (plugin.object.settings.timeout, plugin.object.settings.record_without_suggestion) == (5, False)
    assert {"load_animal_state", "pre_session", "post_session"} <= set(plugin.hooks)
    (call,) = [call for call in plugins.calls("post_session") if call.plugin is plugin]
    pushed = call(session=session_of(MONDAY), suggestion=suggested("next"))
    assert pushed.model_dump() == {"outcome": "applied", "record": slims.records()[0]["cnvn_pk"], "because": None}


def test_the_password_of_the_environment_is_among_the_secrets_to_hide(slims: SlimsDouble, tmp_path: Path) -> None:
    plugins, _ = loaded(tmp_path, "")
    assert slims.password in plugins.secrets()


def test_without_an_address_no_session_starts(tmp_path: Path) -> None:
    _, plugin = loaded(tmp_path, "")
    assert isinstance(plugin.error, SettingsError)
    assert "plugin.slims.url" in str(plugin.error) and "SLIMS_URL" in str(plugin.error)


def test_an_unknown_setting_names_the_one_that_was_meant(slims: SlimsDouble, tmp_path: Path) -> None:
    _, plugin = loaded(tmp_path, "time-out = 5\n")
    assert isinstance(plugin.error, SettingsError) and "timeout" in str(plugin.error)


# Decides in the place of a curriculum, and knows the animal while SLIMS is down.
LABORATORY = f"""
from datetime import UTC, datetime
from aind_launcher import Acquisition, AnimalState, CurriculumSuggestion, TrainerStateText, hookimpl

STATES = {{name: TrainerStateText(text=text) for name, text in {[(n, state_text(n)) for n in ("one", "two")]!r}}}

@hookimpl
def load_animal_state(session):
    return AnimalState(trainer_state=STATES["one"], date=datetime(2025, 1, 1, tzinfo=UTC))

@hookimpl(tryfirst=True)
def run_session(session):
    now = datetime.now(UTC)
    return Acquisition(outcome="completed", start=now, end=now)

@hookimpl(tryfirst=True)
def curriculum_suggest(session):
    state = STATES["two"]
    return CurriculumSuggestion(text='{{"trainer_state": %s, "metrics": {{"n": 3}}}}' % state.text, trainer_state=state)
"""


def task_repository(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """A repository with the laboratory in it; what it returns calls the launcher there."""
    repository = tmp_path / "task repository"
    repository.mkdir()
    (repository / "laboratory.py").write_text(LABORATORY, encoding="utf-8")
    (repository / "pyproject.toml").write_text(
        "[tool.aind-launcher]\n"
        'data-directory = "../data"\nstate-directory = "../state"\nretry-pauses = []\n'
        'disable = ["acquisition", "isolated-curriculum", "local-store"]\n'
        'plugins = { laboratory = "laboratory" }\n',
        encoding="utf-8",
    )
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "task"]):
        subprocess.run([*git, *command], cwd=repository, check=True)

    def launch(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-c", "from aind_launcher.cli import main; main()", *arguments]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, encoding="utf-8", check=False)
        return done.returncode, done.stdout + done.stderr

    return launch


@pytest.mark.integration
def test_a_session_that_ran_while_slims_was_down_is_recorded_once_by_resume(slims: SlimsDouble, tmp_path: Path) -> None:
    launch = task_repository(tmp_path)
    slims.stop()
    code, said = launch("run", "--subject", SUBJECT)
    assert code == 1, said
    assert "cannot be reached" in said
    slims.start()
    slims.fault(cut="after commit", method="PUT", nth=1)
    assert launch("resume", "--all")[0] == 1
    code, said = launch("resume", "--all")
    assert code == 0, said
    assert launch("resume", "--all")[0] == 0
    (record,) = slims.records()
    assert record["cnvn_cf_taskStage"] == "two" and record["cnvn_cf_stageIsOnCurriculum"] is True
    trainer_state = next(a for a in slims.attachments(record["cnvn_pk"]) if a.name == "TrainerState")
    assert trainer_state.content == state_text("two").encode()
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not any(slims.password.encode() in content for content in kept)


@pytest.fixture
def rig(slims: SlimsDouble, task_repository: TaskRepositoryForTests) -> TaskRepositoryForTests:
    """A rig whose sessions are kept in a library and in SLIMS."""
    return task_repository


def in_slims(session: SessionContext) -> AnimalState | None:
    return Slims(SlimsSettings()).load_animal_state(session)


def test_where_the_library_was_restored_from_a_copy_the_animal_goes_on_from_where_slims_has_it(
    rig: TaskRepositoryForTests,
) -> None:
    library = rig.root / "library"
    rig.run()
    shutil.copytree(library, rig.root / "copy")
    lost = rig.run().session
    shutil.rmtree(library)
    (rig.root / "copy").rename(library)
    assert rig.stage() == "rung2"
    session = rig.run().session
    assert session.animal_state and session.animal_state.trainer_state.stage == "rung3"
    assert session.ticket and lost.ticket and session.ticket.register_id != lost.ticket.register_id
    state = in_slims(session)
    assert state and (state.trainer_state.stage, state.ticket, rig.stage()) == ("rung4", session.ticket, "rung4")


def test_library_and_slims_agree_where_a_session_that_slims_missed_is_resumed_after_a_later_one(
    slims: SlimsDouble, rig: TaskRepositoryForTests
) -> None:
    slims.stop()
    missed = rig.run().session
    slims.start()
    session = rig.run().session
    assert rig.resume(missed.name).state == "completed"
    state = in_slims(session)
    assert state and (state.trainer_state.stage, state.session_name) == ("rung3", session.name)
    pushed = rig.steps(missed.name)["post_session", "slims"].result
    assert isinstance(pushed, dict) and pushed["outcome"] == "superseded"


@pytest.mark.integration
def test_an_account_that_slims_quotes_in_an_error_is_neither_shown_nor_kept(slims: SlimsDouble, tmp_path: Path) -> None:
    launch = task_repository(tmp_path)
    slims.fault(echoes=True, method="PUT")
    code, said = launch("run", "--subject", SUBJECT)
    assert code == 1 and "refused a request to ContentEvent (400): Invalid request. Authorization: Basic" in said
    sent = slims.exchanges[-1].authorization
    assert sent == "Basic " + base64.b64encode(f"{slims.username}:{slims.password}".encode()).decode()
    # Without the padding, which may be written in another way.
    account = sent.removeprefix("Basic ").rstrip("=")
    kept = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"session.json", "log.jsonl"} <= kept.keys() and any(b"Invalid request" in text for text in kept.values())
    for secret in (slims.password, account):
        assert secret not in said
        assert [name for name, content in kept.items() if secret.encode() in content] == []
