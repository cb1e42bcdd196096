"""A small cohort on real code; `python3 noxfile.py cohort` runs the large one."""

from datetime import timedelta
from pathlib import Path

import pytest
from cohort.__main__ import simulated
from cohort.audit import audit
from cohort.plan import drawn

pytestmark = [pytest.mark.integration, pytest.mark.posix_only("kills process groups, and unplugs a library by links")]


def test_what_the_launcher_says_is_what_happened(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, rigs=3, animals=4, days=2, seed=1)
    assert not simulation.keeper.differences, "\n".join(map(str, simulation.keeper.differences))
    assert len(list(simulation.keeper.book.sessions())) >= 6


def test_what_did_not_happen_is_found(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, rigs=1, animals=1, days=1, seed=1)
    assert not simulation.keeper.differences
    (rig,), (subject,) = simulation.rigs, simulation.keeper.book.animals
    sessions = rig.library.folder(subject) / "sessions"
    max(sessions.iterdir()).unlink()
    (day,) = drawn(rigs=1, animals=1, days=1, seed=1)
    audit(simulation, day.evening + timedelta(hours=2))
    assert {"register", "last session"} <= {difference.what for difference in simulation.keeper.differences}
