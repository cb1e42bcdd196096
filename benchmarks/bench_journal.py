"""The journal: what a step costs, and what finding sessions costs as they become many."""

import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from timing import compare

from aind_launcher.journal.file import INSERT_SESSION, INSERT_STEP, connect
from aind_launcher.journal.journal import Journal
from aind_launcher.journal.records import UNFINISHED, StepId, StepRecord
from aind_launcher.lifecycle.record import find_unknown
from aind_launcher.model.clock import now

CONTEXT = "x" * 60_000
RESULTS = {
    "curriculum_suggest": {"text": "x" * 20_000},
    "keep_suggestion": {"decision": "detection -> discrimination by hit_rate_high"},
    "record_state": {"outcome": "applied"},
}


def fill(path: Path, known: int, wanted: int) -> None:
    """Add finished sessions of the size that real ones have, each with its folder, until there are `wanted`."""
    start = now() - timedelta(days=1000)
    entry = {"repository": str(path.parent), "folder": "", "state": "completed", "ended": None, "exit_code": 0}
    with closing(connect(path)) as connection, connection:
        for number in range(known, wanted):
            name = f"{number % 50}_2026-01-31T{number:06}Z"
            started = (start + timedelta(minutes=number)).isoformat(timespec="microseconds")
            row = {"name": name, "subject": str(number % 50), "started": started, "message": None, "context": CONTEXT}
            connection.execute(INSERT_SESSION, entry | row)
            for hook, result in RESULTS.items():
                step = StepRecord(StepId(name, hook, "a"), 1, "running", now()).ended_as("done", result=result)
                connection.execute(INSERT_STEP, step.as_row())
            (path.parent / "data" / name).mkdir(parents=True)


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    path = folder / "journal.sqlite"
    numbers = iter(range(1_000_000))
    known = 0
    for many in (100, 1_000, 10_000):
        fill(path, known, many)
        known = many

        def opened() -> None:
            Journal.open(path).close()

        with Journal.open(path) as journal:

            def decided() -> None:
                for record in journal.sessions(last=100):
                    journal.steps(record.name, "keep_suggestion", "record_state", "note")

            compare(
                f"{many} sessions",
                [
                    ("open and close", opened),
                    ("unfinished", lambda: journal.sessions(states=UNFINISHED)),
                    ("names", lambda: journal.names()),
                    ("the newest 100", lambda: journal.sessions(last=100)),
                    ("the newest 100, decisions and notes", decided),
                    ("one animal's", lambda: journal.sessions(subject="7", last=100)),
                    ("folders that the journal lacks", lambda: find_unknown(journal, folder / "data", folder)),
                ],
                runs=20,
                aim="at most 20 ms each",
            )

    with Journal.open(folder / "steps.sqlite") as journal:
        journal.keep_session("1_a", "1", folder, folder, "{}")

        def step() -> None:
            """A step with a result of the size that real ones have."""
            identity = StepId("1_a", "post_session", "slims", str(next(numbers)))
            journal.end_step(journal.begin_step(identity).ended_as("done", result={"record": 1, "note": "x" * 500}))

        compare("a journal step", [("begin_step and end_step", step)], runs=500, aim="under 5 ms")
