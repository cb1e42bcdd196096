"""The built-in store knows an animal before its session and records the decision after it."""

import json
from pathlib import Path
from typing import Any

import pytest
from contexts import MONDAY, TUESDAY, a_session, folder_for_everybody, read_only, suggestion, trainer_state
from pydantic import ValidationError
from task_repositories import laboratory

from aind_launcher.builtin.local_store.folder import TASK
from aind_launcher.builtin.local_store.plugin import LocalStore
from aind_launcher.errors import AnimalError, TransientError
from aind_launcher.model.animal import AnimalState
from aind_launcher.model.session import Check, Inputs, Session, SessionContext
from aind_launcher.testing import TaskRepositoryForTests

UNPLUGGED = """
    from aind_launcher import hookimpl

    class Unplugged:
        @hookimpl(tryfirst=True)
        def post_session(self, session):
            share = session.repository.path.parent / "mnt" / "share"
            if share.exists():
                share.rmdir()
"""


def a_store(folder: Path, **settings: Any) -> LocalStore:
    return LocalStore(LocalStore.Settings(**({"library": folder / "my library"} | settings)))


def test_an_unknown_animal_is_none_and_leaves_nothing_on_disk(tmp_path: Path) -> None:
    session = a_session(tmp_path)
    assert a_store(tmp_path).load_animal_state(session) is None
    assert a_store(tmp_path).prepare_session(session, Inputs()) is None
    assert list(tmp_path.iterdir()) == []


def loaded(store: LocalStore, session: SessionContext) -> SessionContext:
    """`session` with what the store says of its animal."""
    state = store.load_animal_state(session)
    said = state.model_dump(mode="json") if state else None
    return session.model_copy(update={"animal_state": state, "results": {"load_animal_state": {"local-store": said}}})


def test_what_one_session_decides_is_what_the_next_one_runs_with(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.library(None).enroll("123456", trainer_state("first"), by="me")
    monday = a_session(tmp_path)
    monday = loaded(store, monday)
    monday = monday.model_copy(update={"ticket": store.begin_session(monday, known=())})
    recorded = store.record_state(monday, suggestion("second", {"hits": 3}))
    assert recorded is not None
    assert recorded.outcome == "applied"
    assert store.load_animal_state(a_session(tmp_path, date=TUESDAY)) == AnimalState(
        trainer_state=suggestion("second").trainer_state,
        metrics={"hits": 3},
        session_name=monday.name,
        date=MONDAY,
        ticket=monday.ticket,
    )


def test_a_decision_that_comes_too_late_is_shown_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = a_store(tmp_path)
    store.record_state(a_session(tmp_path, date=TUESDAY), suggestion("third"))
    recorded = store.record_state(a_session(tmp_path), suggestion("second"))
    assert recorded is not None
    assert recorded.outcome == "superseded"
    assert "came too late" in caplog.text
    assert str(recorded.entry) in caplog.text


def test_a_state_that_somebody_edited_is_used_and_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = a_store(tmp_path)
    path = store.library(None).enroll("123456", trainer_state("first"), by="me").trainer_state
    path.write_text(trainer_state("third").text, encoding="utf-8")
    state = store.load_animal_state(a_session(tmp_path))
    assert state is not None
    assert state.trainer_state.stage == "third"
    assert "changed outside the launcher" in caplog.text


def test_an_animal_without_curriculum_brings_its_own_task_unless_it_has_one_already(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    folder = store.library(None).folder("123456")
    folder.mkdir(parents=True)
    (folder / TASK).write_text('{"name": "Habituation"}', encoding="utf-8")
    session = a_session(tmp_path)
    assert store.load_animal_state(session) is None
    rig = {"rig_name": "west"}
    assert store.prepare_session(session, Inputs(rig=rig)) == Inputs(
        rig=rig, task={"name": "Habituation"}, task_from="animal"
    )
    assert store.prepare_session(session, Inputs(task={"name": "Climb"})) is None


@pytest.mark.parametrize(
    ("setting", "of_session", "expected"),
    [(None, None, "default"), (None, "odours", "odours"), ("sounds", "odours", "sounds")],
)
def test_animals_are_kept_by_experiment(
    tmp_path: Path, setting: str | None, of_session: str | None, expected: str
) -> None:
    session = a_session(tmp_path)
    named = Session(subject="123456", date=MONDAY, experiment=of_session)
    a_store(tmp_path, experiment=setting).record_state(
        session.model_copy(update={"session": named}), suggestion("first")
    )
    assert (tmp_path / "my library" / expected / "Subjects" / "123456" / "trainer_state.json").is_file()


def test_without_a_setting_the_first_session_works_all_the_same(tmp_path: Path) -> None:
    store = a_store(tmp_path, library=None)
    recorded = store.record_state(a_session(tmp_path), suggestion("first"))
    assert recorded is not None
    assert tmp_path not in recorded.trainer_state.parents
    assert store.load_animal_state(a_session(tmp_path)) is not None


def checked(store: LocalStore, folder: Path, subject: str = "123456") -> Check | None:
    session = a_session(folder, subject=subject)
    return store.pre_session(session.model_copy(update={"animal_state": store.load_animal_state(session)}))


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_the_checks_find_a_library_that_could_not_record_the_decision() -> None:
    with folder_for_everybody() as folder:
        store = a_store(folder)
        store.library(None).enroll("123456", trainer_state("first"), by="me")
        good = checked(store, folder)
        with read_only(folder):
            bad = checked(store, folder)
            with pytest.raises(TransientError):
                store.record_state(a_session(folder), suggestion("second"))
            rig = store.check_rig()
    assert good is not None
    assert good.outcome == "passed"
    for check in (bad, rig):
        assert check is not None
        assert check.outcome == "failed"
        assert "right to write" in (check.hint or "")


def test_an_animal_on_which_no_curriculum_decides_needs_no_library_to_write(tmp_path: Path) -> None:
    assert checked(a_store(tmp_path), tmp_path) is None


def test_the_doctor_warns_where_animals_are_kept_for_one_login_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    check = LocalStore(LocalStore.Settings()).check_rig()
    assert check.outcome == "warning"
    assert "belongs to this login" in check.message
    assert "plugin.local-store.library" in (check.hint or "")
    assert a_store(tmp_path, library=tmp_path).check_rig().outcome == "passed"


def test_a_share_that_is_not_connected_is_found_by_the_doctor_and_refuses_the_session(tmp_path: Path) -> None:
    store = a_store(tmp_path, library=tmp_path / "share" / "library")
    with pytest.raises(AnimalError, match="is not there"):
        store.check_rig()
    with pytest.raises(AnimalError, match="Connect its drive or share"):
        store.load_animal_state(a_session(tmp_path))
    with pytest.raises(AnimalError, match="Connect its drive or share"):
        store.animal_store(None)
    with pytest.raises(AnimalError, match="Connect its drive or share"):
        store.record_state(a_session(tmp_path), suggestion("first"))
    assert not (tmp_path / "share").exists()


def test_every_setting_is_described_and_an_unknown_one_refused() -> None:
    assert all(field.description for field in LocalStore.Settings.model_fields.values())
    with pytest.raises(ValidationError):
        LocalStore.Settings.model_validate({"libary": "x"})


def test_the_animal_is_not_put_into_a_library_that_lost_it(task_repository: TaskRepositoryForTests) -> None:
    task_repository.write(
        "mine.py",
        "from aind_launcher import hookimpl\nimport shutil\n\nclass Unmounts:\n    @hookimpl(tryfirst=True)\n"
        "    def curriculum_suggest(self, session):\n"
        "        shutil.rmtree(session.repository.path.parent / 'library' / 'climbing', ignore_errors=True)\n",
    )
    task_repository.configure(plugins={"unmounts": "mine:Unmounts"})
    outcome = task_repository.run()
    error = task_repository.steps(outcome.session.name)["record_state", "local-store"].error
    assert error
    assert "no longer in the library" in error
    assert not Path(task_repository.subjects, "123456", "trainer_state.json").exists()


@pytest.mark.parametrize("gone", ["from the start", "at the end"])
def test_a_session_that_needs_no_library_ends_well_without_it(tmp_path: Path, gone: str) -> None:
    no_curriculum = 'disable = ["isolated-curriculum", "acquisition", "ladder"]'
    lab = laboratory(tmp_path, UNPLUGGED, no_curriculum, {"unplugged": "Unplugged"})
    task = lab.root / "task.json"
    task.write_text('{"name": "Climb"}', encoding="utf-8")
    text = (lab.path / "pyproject.toml").read_text("utf-8")
    share = lab.root / "mnt" / "share"
    moved = text.replace(json.dumps(str(lab.root / "library")), json.dumps(str(share / "library")))
    (lab.path / "pyproject.toml").write_text(moved, encoding="utf-8")
    lab.commit()
    if gone == "at the end":
        share.mkdir(parents=True)
    outcome = lab.run("999999", task_file=task)
    assert not share.exists()
    assert (outcome.state, outcome.session.ticket) == ("completed", None)
    steps = lab.steps(outcome.session.name)
    assert {hook: steps[hook, "local-store"].state for hook in ("begin_session", "session_finished")} == {
        "begin_session": "done",
        "session_finished": "done",
    }
