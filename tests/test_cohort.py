"""A small cohort on real code; `python3 noxfile.py cohort` runs the large one."""

from datetime import timedelta
from pathlib import Path

import pytest
from cohort.__main__ import simulated
from cohort.audit import audit
from cohort.plan import drawn
from cohort.today import compare_today

pytestmark = [pytest.mark.integration, pytest.mark.posix_only("kills process groups, and unplugs a library by links")]


def test_what_the_launcher_says_is_what_happened(tmp_path: Path) -> None:
    # Of this seed much goes wrong in two days.
    keeper = simulated(tmp_path, rigs=3, animals=5, days=2, seed=3045).keeper
    assert not keeper.differences, "\n".join(map(str, keeper.differences))
    happened = {"sessions incomplete", "kills in the acquisition", "resumes", "animals on two rigs at once"}
    assert {*happened, "decisions superseded", "sessions refused, the library unplugged"} <= keeper.counts.keys()


def test_what_did_not_happen_is_found(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, rigs=2, animals=1, days=1, seed=1)
    assert not simulation.keeper.differences
    (rig, _), (subject,) = simulation.rigs, simulation.keeper.book.animals
    sessions = rig.library.folder(subject) / "sessions"
    max(sessions.iterdir()).unlink()
    (day,) = drawn(rigs=2, animals=1, days=1, seed=1)
    audit(simulation, day.evening + timedelta(hours=2))
    compare_today(simulation, day.evening + timedelta(hours=2))
    found = {difference.what for difference in simulation.keeper.differences}
    assert {"register", "last session", "last session by today"} <= found
