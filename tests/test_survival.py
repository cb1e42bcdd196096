"""A launcher that is killed at any instant loses nothing and does nothing twice."""

import json
import os
import random
from collections.abc import Iterator

import pytest
from command_line import KILL
from trials import Trial, Trials, trials_in

# Each starts programs, and some build environments.
pytestmark = pytest.mark.integration

INSTANTS = 200
# The same instants in every run; in parts, so that several processes can share the work.
PARTS = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Made once: to start what forks the programs takes longer than most of the tests."""
    with trials_in(tmp_path_factory.mktemp("trials")) as opened:
        yield opened


@pytest.fixture
def trials(world: Trials) -> Trials:
    world.server.before_answer = lambda key, process: None
    return world


def test_without_a_kill_a_session_does_everything_once(trials: Trials) -> None:
    trial = trials.new()
    ended = trial.run(at=0)
    assert ended.code == 0, ended.err
    # Each step is written before and after it, and each write is an instant to be killed at.
    assert "after journal INSERT post_session push done" in ended.writes
    assert len(ended.writes) > 80
    trial.assert_finished()


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_a_write_a_session_is_finished_by_resume(trials: Trials, part: int) -> None:
    writes = trials.new().run(at=0).writes
    reached = set()
    for number in range(1 + part, len(writes) + 1, PARTS):
        trial = trials.new()
        ended = trial.run(at=number)
        assert ended.killed, writes[number - 1]
        print(f"killed {writes[number - 1]}")
        reached.add(trial.finish())
    assert reached >= {"before the acquisition", "resumed"}


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_instant_a_session_is_finished_by_resume(trials: Trials, part: int) -> None:
    duration = min(trials.new().timed_run() for _ in range(3))
    chance = random.Random(part)  # noqa: S311
    for _ in range(INSTANTS // PARTS):
        trial = trials.new()
        instant = chance.random() * duration
        trial.run(kill_after=instant)
        print(f"killed after {instant:.4f} s of {duration:.4f} s: {trial.finish()}")


@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_a_resume_that_is_killed_at_a_write_is_finished_by_the_next(trials: Trials, part: int) -> None:
    template = trials.new()
    names = template.run(at=0).writes
    early = 1 + next(n for n, name in enumerate(names) if "before" in name and "collect_inputs" in name)

    def cut_off() -> Trial:
        trial = trials.new()
        assert trial.run(at=early).killed
        return trial

    writes = cut_off().call("resume", "--all", at=0).writes
    assert len(writes) > 50
    for number in range(1 + part, len(writes) + 1, PARTS):
        trial = cut_off()
        assert trial.call("resume", "--all", at=number).killed
        print(f"killed {writes[number - 1]}")
        trial.finish()


@pytest.mark.integration
def test_who_dies_between_an_effect_and_its_answer_does_not_make_it_again(trials: Trials) -> None:
    reference = trials.new()
    reference.run()
    effects = list(trials.server.counts(reference.sessions[0].name))
    assert len(effects) == 5
    for effect in effects:
        trial = trials.new()

        def die(key: str, process: int, effect: str = effect) -> None:
            if key.endswith(effect):
                os.kill(process, KILL)
                raise ConnectionAbortedError

        trial.server.before_answer = die
        assert trial.run().killed
        assert trial.server.counts(trial.sessions[0].name)[effect] == 1
        trial.server.before_answer = lambda key, process: None
        trial.finish()


@pytest.mark.integration
def test_an_answer_that_is_lost_is_asked_for_again(trials: Trials) -> None:
    trial = trials.new()
    lost: list[str] = []

    def lose(key: str, process: int) -> None:
        if key not in lost and "run_session" not in key:
            lost.append(key)
            raise ConnectionAbortedError

    trial.server.before_answer = lose
    ended = trial.run()
    assert ended.code == 1
    assert len(lost) == 4
    trial.finish()


def test_a_lost_journal_is_rebuilt_from_the_sessions_folder(trials: Trials) -> None:
    trial = trials.new()
    assert trial.run().code == 0
    (session,) = trial.sessions
    before = json.loads(trial.call("sessions", "show", session.name, "--json").out)
    for file in (trial.root / "state").glob("journal.sqlite*"):
        file.unlink()
    assert trial.call("sessions", "import", str(session.folder)).code == 0
    (imported,) = trial.sessions
    assert (imported.state, imported.started.isoformat(timespec="seconds")) == (
        "incomplete",
        session.started.isoformat(timespec="seconds"),
    )
    after = json.loads(trial.call("sessions", "show", session.name, "--json").out)
    # All but what came after the folder was sealed; of the sealing it knows that it was done.
    sealed = [step["hook"] for step in before["steps"]].index("seal_folder")
    assert after["steps"][:sealed] == before["steps"][:sealed]
    assert [(step["hook"], step["state"]) for step in after["steps"][sealed:]] == [("seal_folder", "done")]
    plan = json.loads(trial.call("resume", session.name, "--dry-run", "--json").out)
    assert [(line["hook"], line["plugin"]) for line in plan] == [
        ("transfer_session", "notes"),
        ("transfer_session", "push"),
        ("session_finished", "local-store"),
    ]
    assert trial.call("resume", session.name).code == 0
    trial.assert_finished()


def test_a_session_of_which_the_journal_knows_is_not_imported_again(trials: Trials) -> None:
    trial = trials.new()
    trial.run()
    (session,) = trial.sessions
    again = trial.call("sessions", "import", str(session.folder))
    assert (again.code, "has session" in again.err) == (2, True)


def test_a_dry_run_says_what_a_resume_would_do_and_does_nothing(trials: Trials) -> None:
    trial = trials.new()
    names = trial.run(at=0).writes
    cut_off = trials.new()
    cut_off.run(at=1 + next(n for n, name in enumerate(names) if "before" in name and "post_session notes" in name))
    files = {path: path.read_bytes() for path in cut_off.root.rglob("*.json*")}
    (session,) = cut_off.sessions
    dry = cut_off.call("resume", "--all", "--dry-run", "--json")
    assert [(line["session"], line["hook"], line["plugin"], line["why"]) for line in json.loads(dry.out)] == [
        (session.name, "post_session", "notes", "has not run"),
        (session.name, "post_session", "push", "has not run"),
        (session.name, "seal_folder", "launcher", "has not run"),
        (session.name, "transfer_session", "notes", "has not run"),
        (session.name, "transfer_session", "push", "has not run"),
        (session.name, "session_finished", "local-store", "has not run"),
    ]
    assert cut_off.sessions == (session,)
    assert {path: path.read_bytes() for path in files} == files
    cut_off.finish()


def test_the_next_run_says_what_is_unfinished_and_does_not_wait_for_it(trials: Trials) -> None:
    trial = trials.new()
    names = trial.run(at=0).writes
    trial = trials.new()
    trial.run(at=1 + next(n for n, name in enumerate(names) if "before" in name and "record_state local-store" in name))
    (left,) = trial.sessions
    following = trial.run()
    assert following.code == 0
    assert f"{left.name}: the launcher ended" in following.err
    assert "aind-launch resume --all" in following.err
    # The later session decided; what the earlier one decides now changes nothing.
    assert trial.call("resume", "--all").code == 0
    (superseded,) = trial.root.rglob("*_superseded_*.json")
    assert json.loads(superseded.read_text("utf-8"))["session_name"] == left.name
    assert {record.state for record in trial.sessions} == {"completed"}
