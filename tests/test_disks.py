"""A disk that is full or read-only from any write on: the session ends well, and can be finished afterwards."""

import pytest
from contexts import folder_for_everybody
from programs import Misfortune
from trials import Trial, Trials, trials_in

PARTS = 4


@pytest.mark.posix_only("Windows has no limit of file sizes and no other login for one process alone")
@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("disk", ("full", "read-only"))
def test_whenever_a_disk_cannot_be_written_the_session_ends_well(disk: Misfortune, part: int) -> None:
    # The administrator may write anything, and plays somebody else here.
    with folder_for_everybody() as folder, trials_in(folder) as trials:
        _meet(trials, disk, part)


def _meet(trials: Trials, disk: Misfortune, part: int) -> None:
    writes = trials.new().run(at=0).writes
    instants = [n for n, name in enumerate(writes, 1) if name.startswith("before")]
    assert len(instants) > 40
    for number in instants[part::PARTS]:
        trial = trials.new()
        ended = trial.run(at=number, happens=disk, within=trial.root)
        for path in (trial.root, *trial.root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        how = f"{disk} {writes[number - 1]}: exit code {ended.code}"
        print(how)
        assert ended.code in (0, 1, 3, 4), how + ended.err
        assert "does not know" not in ended.err, ended.err
        _finish(trial, ended.code)


def _finish(trial: Trial, code: int) -> None:
    """Correct the disk and resume: everything takes effect once, and nothing is left."""
    trial.assert_whole()
    resumed = trial.call("resume", "--all", "--unattended")
    if "waits for a decision" in resumed.err:
        (waiting,) = trial.sessions
        resumed = trial.call("resume", waiting.name, "--acquisition-complete")
    if "hand-off-again" in resumed.err:
        (waiting,) = trial.sessions
        resumed = trial.call("resume", waiting.name, "--hand-off-again")
    assert resumed.code == 0, resumed.err
    assert trial.call("resume", "--all", "--dry-run").out == "Nothing is left undone.\n"
    trial.assert_whole()
    made = [key for key, _ in trial.server.made if key.startswith(f"{trial.subject}_")]
    assert len(made) == len(set(made))
    if code == 3:
        assert made == []
        assert trial.run().code == 0
    # An acquisition that failed was only kept, unless the journal could not be told so.
    assert trial.stage == "rung2" or code == 4
