"""The built-in plugin by which the pinned curriculum decides, and nothing else."""

import json
import logging
import os
from pathlib import Path

import pytest
from contexts import MONDAY, a_session
from repositories import make_task_with_submodule

from aind_launcher.curriculum.environments import list_environments
from aind_launcher.curriculum.plugin import IsolatedCurriculum
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.session import Repository, SessionContext
from aind_launcher.model.suggestion import Provenance

STATE = json.dumps(
    {
        "curriculum": {"name": "counting", "version": "1.0.0", "pkg_location": "my_curricula"},
        "stage": {"name": "first", "task": {"name": "counting"}},
        "is_on_curriculum": True,
        "active_policies": [],
    }
)


@pytest.fixture
def curricula(tmp_path: Path) -> IsolatedCurriculum:
    return IsolatedCurriculum(IsolatedCurriculum.Settings(cache_directory=tmp_path / "cache"))


@pytest.fixture
def session(tmp_path: Path) -> SessionContext:
    """The session of an animal on the one curriculum of a task repository."""
    repository = make_task_with_submodule(tmp_path)
    state = AnimalState(trainer_state=TrainerStateText(text=STATE), session_name="before", date=MONDAY)
    session = a_session(tmp_path, animal_state=state, repository=Repository(path=repository, commit="0123456789abcdef"))
    session.paths.trainer_state.parent.mkdir(parents=True)
    session.paths.trainer_state.write_text(STATE, encoding="utf-8")
    return session


def test_what_was_checked_before_the_session_decides_after_it(
    curricula: IsolatedCurriculum, session: SessionContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (check,) = curricula.pre_session(session)
    suggestion = curricula.curriculum_suggest(session)

    assert check.outcome == "passed"
    assert suggestion.provenance is not None
    assert suggestion.provenance.commit[:10] in check.message
    (environment,) = list_environments(curricula.settings.cache_directory)
    assert check.message.endswith(", unlocked)")
    assert suggestion.provenance.locked is environment.locked is False
    assert suggestion.provenance.packages_digest == environment.packages_digest
    assert suggestion.metrics == {"sessions": 1}
    # The DSL's version is for developers.
    assert "DSL" not in check.message
    assert [record.levelname for record in caplog.records if "has the DSL" in record.message] == ["DEBUG"]


def test_a_provenance_of_an_older_launcher_is_read_and_claims_nothing_of_a_lock() -> None:
    older = {"source": "mine", "commit": "0123", "environment": "key", "python": "3.11", "duration": 1.0}
    provenance = Provenance.model_validate(older | {"launcher_version": "0.0.9"})

    assert (provenance.locked, provenance.packages_digest, provenance.options) == (None, None, None)


@pytest.fixture
def code(curricula: IsolatedCurriculum, session: SessionContext) -> Path:
    """The curriculum's code in its environment, as it was checked before the session."""
    (check,) = curricula.pre_session(session)
    assert check.outcome == "passed"
    return next(curricula.settings.cache_directory.rglob("site-packages/my_curricula/__init__.py"))


def test_code_that_was_changed_after_a_check_is_built_again_by_the_next(
    curricula: IsolatedCurriculum, session: SessionContext, code: Path
) -> None:
    reviewed = code.read_text("utf-8")
    code.write_text(reviewed.replace("def decide", "syntax error"), encoding="utf-8")
    (check,) = curricula.pre_session(session)

    assert check.outcome == "passed"
    assert code.read_text("utf-8") == reviewed
    assert curricula.curriculum_suggest(session).trainer_state.stage == "first"


def test_a_command_of_its_own_is_given_the_name_of_the_animals_curriculum(
    tmp_path: Path, session: SessionContext
) -> None:
    files = ["--data-directory", "{data_directory}", "--input-trainer-state", "{trainer_state}"]
    own = {"contract": ["curriculum", "run", *files, "--curriculum", "{curriculum}"]}
    curricula = IsolatedCurriculum(
        IsolatedCurriculum.Settings.model_validate(
            {"cache_directory": tmp_path / "cache", "sources": {"curricula": own}}
        )
    )
    assert curricula.curriculum_suggest(session).trainer_state.curriculum == "counting"


@pytest.mark.integration
@pytest.mark.parametrize("program", ["on-the-path", "./decide.sh"])
@pytest.mark.parametrize("place", ["contract", "version"])
def test_a_program_that_is_not_pinned_is_refused_before_the_session(
    tmp_path: Path, session: SessionContext, monkeypatch: pytest.MonkeyPatch, program: str, place: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "on-the-path").touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    of_source = {"contract": [program]} if place == "contract" else {"commands": {place: [program]}}
    settings = {"cache_directory": tmp_path / "cache", "sources": {"curricula": of_source}}
    (check,) = IsolatedCurriculum(IsolatedCurriculum.Settings.model_validate(settings)).pre_session(session)

    assert (check.outcome, program in check.message) == ("failed", True)
    assert "nor in its pinned source" in check.message


def test_the_options_with_which_it_decided_stand_in_the_provenance(tmp_path: Path, session: SessionContext) -> None:
    # The short form of an option that this curriculum has.
    of_source = {"options": {"curricul": "any"}}
    settings = {"cache_directory": tmp_path / "cache", "sources": {"curricula": of_source}}
    curricula = IsolatedCurriculum(IsolatedCurriculum.Settings.model_validate(settings))
    provenance = curricula.curriculum_suggest(session).provenance

    assert provenance is not None
    assert provenance.options == of_source["options"]
    assert Provenance.model_validate_json(provenance.model_dump_json()) == provenance
