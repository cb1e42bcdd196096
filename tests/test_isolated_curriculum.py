"""The built-in plugin by which the pinned curriculum decides, and nothing else."""

import json
from pathlib import Path

import pytest
from contexts import MONDAY, a_session
from repositories import CURRICULUM_CODE, curriculum_files, make_task_with_submodule

from aind_launcher.curriculum import installed
from aind_launcher.curriculum.plugin import IsolatedCurriculum
from aind_launcher.errors import CurriculumError
from aind_launcher.model.animal import AnimalState, TrainerStateText
from aind_launcher.model.session import Repository, SessionContext

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
    return make_session(tmp_path)


def make_session(tmp_path: Path, curriculum: dict[str, str] | None = None) -> SessionContext:
    """The session of an animal on the one curriculum of a task repository."""
    repository = make_task_with_submodule(tmp_path, curriculum)
    state = AnimalState(trainer_state=TrainerStateText(text=STATE), session_name="before", date=MONDAY)
    session = a_session(tmp_path, animal_state=state, repository=Repository(path=repository, commit="0123456789abcdef"))
    session.paths.trainer_state.parent.mkdir(parents=True)
    session.paths.trainer_state.write_text(STATE, encoding="utf-8")
    return session


def test_what_was_checked_before_the_session_decides_after_it(
    curricula: IsolatedCurriculum, session: SessionContext
) -> None:
    (check,) = curricula.pre_session(session)
    suggestion = curricula.curriculum_suggest(session)

    assert check.outcome == "passed"
    assert suggestion.provenance is not None
    assert suggestion.provenance.commit[:10] in check.message
    assert suggestion.metrics == {"sessions": 1}


@pytest.fixture
def code(curricula: IsolatedCurriculum, session: SessionContext) -> Path:
    """The curriculum's code in its environment, as it was checked before the session."""
    (check,) = curricula.pre_session(session)
    assert check.outcome == "passed"
    return next(curricula.settings.cache_directory.rglob("site-packages/my_curricula/__init__.py"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [(">= 3", ">= 0", "answered"), ("def decide", "syntax error", "did")],
    ids=["works", "fails"],
)
def test_code_that_was_changed_after_the_check_decides_nothing(
    curricula: IsolatedCurriculum, session: SessionContext, code: Path, old: str, new: str, said: str
) -> None:
    reviewed = code.read_text("utf-8")
    code.write_text(reviewed.replace(old, new), encoding="utf-8")
    told = rf"{said} does not count\. \S+__init__\.py in .* was changed after it was built\..*Resume the session"
    with pytest.raises(CurriculumError, match=told):
        curricula.curriculum_suggest(session)

    # What resuming does.
    assert curricula.curriculum_suggest(session).trainer_state.stage == "first"
    assert code.read_text("utf-8") == reviewed


def test_code_that_was_changed_while_it_decided_for_long_decides_nothing(
    curricula: IsolatedCurriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deciding = "def decide(session, state_file):\n"
    # Long after the comparison at the beginning.
    edits = CURRICULUM_CODE.replace(
        deciding, f"{deciding}    import time; time.sleep(1); pathlib.Path(__file__).touch()\n"
    )
    session = make_session(tmp_path, curriculum_files(code=edits))
    curricula.pre_session(session)
    monkeypatch.setattr(installed, "_LONG", 0.5)

    with pytest.raises(CurriculumError, match=r"answered does not count\. \S+__init__\.py in"):
        curricula.curriculum_suggest(session)


def test_a_curriculum_may_keep_files_beside_its_code(
    curricula: IsolatedCurriculum, session: SessionContext, code: Path
) -> None:
    code.with_name("tables.py").touch()
    assert curricula.curriculum_suggest(session).metrics == {"sessions": 1}
    assert code.with_name("tables.py").exists()
