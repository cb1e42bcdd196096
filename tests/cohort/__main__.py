"""A cohort of animals on many rigs, for days: `python3 noxfile.py cohort`."""

import argparse
import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from cohort.audit import audit
from cohort.plan import drawn
from cohort.simulation import Simulation
from cohort.today import compare_today


def simulated(folder: Path, rigs: int, animals: int, days: int, seed: int) -> Simulation:
    """Live through all days, and compare after each; says how far it is."""
    began = time.monotonic()
    simulation = Simulation(folder, rigs, animals)
    for day in drawn(rigs, animals, days, seed):
        if day.number == 0:
            simulation.enrol(day.at(7))
        before = len(simulation.keeper.differences)
        simulation.live(day)
        late = day.evening + timedelta(hours=2)
        audit(simulation, late)
        compare_today(simulation, late)
        for difference in simulation.keeper.differences[before:]:
            print(f"seed {seed}, {difference}", flush=True)
        sessions = sum(1 for _ in simulation.keeper.book.sessions())
        print(f"day {day.number + 1}: {sessions} sessions so far, {time.monotonic() - began:.0f} s", flush=True)
    return simulation


def main() -> int:
    parser = argparse.ArgumentParser(prog="cohort", description=__doc__)
    parser.add_argument("--rigs", type=int, default=12)
    parser.add_argument("--animals", type=int, default=60)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder", type=Path, help="keep all that is made there")
    wish = parser.parse_args()
    print(f"{wish.rigs} rigs, {wish.animals} animals, {wish.days} days, seed {wish.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cohort-") as made:
        folder = (wish.folder or Path(made)).resolve()
        simulation = simulated(folder, wish.rigs, wish.animals, wish.days, wish.seed)
    for what, count in sorted(simulation.keeper.counts.items()):
        print(f"{count:6}  {what}")
    print(f"{len(simulation.keeper.differences)} differences between the book and the launcher.")
    return 1 if simulation.keeper.differences else 0


if __name__ == "__main__":
    sys.exit(main())
