"""Many writers of one animal, and sudden ends: the library stays whole."""

import itertools
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contexts import MONDAY, suggestion, trainer_state
from libraries import ANIMAL, begin, decide, folder_of, stage, standing

from aind_launcher.builtin.local_store.folder import HISTORY
from aind_launcher.builtin.local_store.history import HistoryEntry
from aind_launcher.builtin.local_store.library import Library

WRITER = textwrap.dedent(
    """
    import os, sys
    from datetime import datetime, timedelta
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from contexts import MONDAY, suggestion
    from libraries import begin
    from aind_launcher.builtin.local_store.library import Library
    from aind_launcher.errors import BeginAgain

    library, name, count, fatal = Library(Path(sys.argv[2]), "odours"), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    events = 0

    def die(event, arguments):
        # Every touch of a file is one place to die at.
        global events
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "os.scandir"):
            events += 1
            if events == fatal:
                os._exit(9)

    print("ready", flush=True)
    sys.stdin.readline()
    sys.addaudithook(die)
    for number in range(count):
        session = f"{name}-{number}"
        answer = suggestion(("first", "second", "third")[number % 3], {"session": session, "noise": "x" * 5000})
        date, ticket = MONDAY + timedelta(minutes=number), None
        while ticket is None:
            try:
                ticket = begin(library, session, date, name)
            except BeginAgain:
                # The other rig has moved the animal since.
                continue
        library.record("123456", answer, session, date, None, ticket)
    """
)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "a library", "odours")


def writer(library: Library, name: str, count: int, fatal: int = 0) -> subprocess.Popen[str]:
    arguments = [Path(__file__).parent, library.root, name, count, fatal]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start(*writers: subprocess.Popen[str]) -> None:
    for each in writers:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    for each in writers:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()


def parts_left(library: Library) -> Iterator[Path]:
    return folder_of(library).rglob("*.part")


@pytest.mark.integration
def test_two_rigs_that_write_one_animal_at_once_lose_nothing_and_never_leave_half_a_file(library: Library) -> None:
    library.record(ANIMAL, suggestion("first"), "before", MONDAY - timedelta(days=1), None)
    rigs = [writer(library, name, 60) for name in ("west", "east")]
    start(*rigs)
    states: set[str | None] = set()
    while any(rig.poll() is None for rig in rigs):
        # A third one, which only looks, without a lock.
        states.add(stage(library))
    assert [rig.wait() for rig in rigs] == [0, 0]
    for rig in rigs:
        rig.communicate()
    assert states <= {"first", "second", "third"}
    history = [entry for entry in library.history(ANIMAL) if entry.kind == "suggestion"]
    sessions = [f"{name}-{number}" for name in ("west", "east") for number in range(60)]
    assert sorted(entry.session_name or "" for entry in history) == sorted([*sessions, "before"])
    # Compare and set: no rig overwrites what came later.
    ticketed = [entry for entry in sorted(history, key=lambda entry: entry.recorded) if entry.ticket]
    applied = [entry.ticket.number for entry in ticketed if not entry.superseded]
    assert applied == sorted(set(applied))
    assert standing(library).ticket.number == max(entry.ticket.number for entry in ticketed)
    assert not list(parts_left(library))


@pytest.mark.integration
def test_a_writer_that_ends_at_any_touch_of_a_file_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    for fatal in itertools.count(1):
        library = Library(tmp_path / f"library {fatal}", "odours")
        old = MONDAY - timedelta(days=1)
        library.record(ANIMAL, suggestion("third", "old"), "before", old, None)
        rig = writer(library, "monday", 1, fatal)
        start(rig)
        rig.communicate()
        assert rig.returncode in (0, 9)
        assert standing(library).session_name in ("before", "monday-0")
        assert standing(library).metrics is not None
        assert all(entry.metrics for entry in library.history(ANIMAL))
        # What is recorded again completes it, once.
        answer = suggestion("first", {"session": "monday-0", "noise": "x" * 5000})
        library.record(ANIMAL, answer, "monday-0", MONDAY, None, begin(library, "monday-0", rig="monday"))
        assert (stage(library), standing(library).session_name) == ("first", "monday-0")
        decided = [entry.session_name for entry in library.history(ANIMAL) if entry.kind == "suggestion"]
        assert decided == ["before", "monday-0"]
        (entry,) = (entry for entry in library.register(ANIMAL).entries if entry.kind == "session")
        assert entry.decision.outcome == "applied"
        if rig.returncode == 0:
            break
    assert fatal > 8


@pytest.mark.integration
def test_a_writer_that_is_killed_at_any_moment_leaves_the_old_state_or_the_new_one(library: Library) -> None:
    library.record(ANIMAL, suggestion("first", "old"), "before", MONDAY - timedelta(days=1), None)
    chance = random.Random(1)  # noqa: S311 (it picks moments)
    for round_ in range(20):
        rig = writer(library, f"round-{round_}", 10_000)
        start(rig)
        with pytest.raises(subprocess.TimeoutExpired):
            rig.wait(timeout=chance.uniform(0, 0.1))
        rig.kill()
        rig.communicate()
        assert stage(library) in ("first", "second", "third")
        assert standing(library).metrics is not None
        for path in (folder_of(library) / HISTORY).glob("*.json"):
            HistoryEntry.model_validate_json(path.read_bytes())
    # The lock of the dead is free.
    library.move(ANIMAL, trainer_state("first"), reason="the end", by="me")
    assert stage(library) == "first"
    assert standing(library).date > datetime(2026, 1, 1, tzinfo=UTC)


def test_a_decision_over_a_state_that_its_session_did_not_run_with_says_so(library: Library) -> None:
    library.enroll(ANIMAL, trainer_state("first"), by="me")
    began_with = standing(library)
    one, two = begin(library, "one"), begin(library, "two", rig="another")
    assert decide(library, "second", "one", MONDAY, began_with, one) == "applied"
    recorded = library.record(ANIMAL, suggestion("third"), "two", MONDAY, began_with, two)
    reason = "the session ran with first, which session one replaced by second meanwhile"
    assert (recorded.outcome, recorded.because) == ("applied", reason)
    *_, first, last = library.history(ANIMAL)
    assert (first.reason, last.reason) == (None, reason)
    assert library.record(ANIMAL, suggestion("third"), "two", MONDAY, began_with, two).outcome == "unchanged"
    decisions = [entry.decision for entry in library.register(ANIMAL).sessions]
    assert [decision and (decision.outcome, decision.because) for decision in decisions] == [
        ("applied", None),
        ("applied", reason),
    ]
    # What is decided again is not said to have replaced its own first answer.
    again = library.record(ANIMAL, suggestion("second"), "two", MONDAY, began_with, two)
    assert (again.outcome, again.because) == ("applied", None)
