"""Ctrl-C pressed twice at any instants of a session leaves a whole journal, and a session that resume finishes."""

import random
from pathlib import Path

import pytest
from trials import trials_in

PARTS, INTERRUPTED = 4, 80


@pytest.mark.posix_only("Windows cannot send Ctrl-C to one process alone")
@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_two_ctrl_c_at_any_instants_leave_a_whole_journal(tmp_path: Path, part: int) -> None:
    chance = random.Random(part)  # noqa: S311
    with trials_in(tmp_path) as trials:
        duration = min(trials.new().timed_run() for _ in range(3))
        for _ in range(INTERRUPTED // PARTS):
            trial = trials.new()
            pauses = chance.random() * duration, chance.random() ** 3 * 0.05
            interrupted = trial.run(interrupts=pauses)
            print(f"{pauses} of {duration}: {interrupted.code}")
            # Python itself says so of one that comes while it clears away, and goes on.
            assert interrupted.err.count("Traceback") == interrupted.err.count("Exception ignored in")
            assert "does not know" not in interrupted.err
            assert interrupted.code in (0, 1, 130)
            trial.assert_whole()
            resumed = trial.call("resume", "--all", "--unattended")
            if "waits for a decision" in resumed.err:
                # The second came before it was on disk how the acquisition had ended.
                resumed = trial.call("resume", "--all", "--acquisition-complete")
            assert resumed.code == 0, resumed.err
            trial.assert_whole()
            assert {record.state for record in trial.sessions} <= {"completed", "cancelled", "interrupted"}
            counts = [trial.server.counts(record.name) for record in trial.sessions]
            assert all(set(made.values()) <= {1} for made in counts), counts
            assert trial.call("resume", "--all", "--dry-run").out == "Nothing is left undone.\n"
