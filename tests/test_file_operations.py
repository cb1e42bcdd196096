"""A sample of the faults that `python3 noxfile.py faults` injects at every file operation of a session."""

import random

import pytest
from fault_survey import every_case, met
from faulty_sessions import faulty_sessions

SAMPLE = 60
SEED = 1
# So that several processes can share the work.
PARTS = 4


@pytest.mark.posix_only("Windows cannot preload the library that lets operations fail")
@pytest.mark.integration
def test_the_injector_sees_every_operation_of_the_program_and_of_sqlite() -> None:
    with faulty_sessions() as sessions:
        operations = sessions.operations("run")
        assert len(operations) == len(sessions.operations("run"))
    seen = {(line.split()[0], line.rpartition(".")[2]) for line in operations}
    assert seen >= {("open", "part"), ("write", "part"), ("sync", "part"), ("rename", "json"), ("chmod", "part")}
    assert seen >= {("write", "sqlite-wal"), ("sync", "sqlite-wal"), ("unlink", "sqlite-wal")}


@pytest.mark.posix_only("Windows cannot preload the library that lets operations fail")
@pytest.mark.integration
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_to_a_file_operation_nothing_is_lost_or_done_twice(part: int) -> None:
    with faulty_sessions() as sessions:
        cases = random.Random(SEED).sample(every_case(sessions), SAMPLE)  # noqa: S311
        results = [met(sessions, case) for case in cases[part::PARTS]]
    print(f"seed {SEED}", *results, sep="\n")
    broken = [str(result) for result in results if result.broken]
    assert not broken, "\n".join([*broken, "One alone: python3 noxfile.py faults -- --kind ... --at ... --of ..."])
