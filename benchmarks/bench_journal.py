"""One step in the journal: recorded as running, then as done, each on disk before it returns."""

import tempfile
from pathlib import Path

from timing import compare

from aind_launcher.journal.journal import Journal, StepId

with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder, "journal.sqlite")) as journal:
    journal.keep_session("1_a", "1", Path(folder), Path(folder), "{}")
    numbers = iter(range(1_000_000))

    def step() -> None:
        """A step with a result of the size that real ones have."""
        identity = StepId("1_a", "post_session", "slims", str(next(numbers)))
        journal.end_step(identity, journal.begin_step(identity), "done", result={"record": 1, "note": "x" * 500})

    compare("a journal step", [("begin_step and end_step", step)], runs=500, aim="under 5 ms")
