"""The metrics of a session, from nothing but its folder."""

import csv
import json
from pathlib import Path

from aind_behavior_curriculum import Metrics


class LickMetrics(Metrics):
    """What the transitions look at.

    `sessions_at_stage` counts scored sessions, this one included.
    """

    stage: str
    n_trials: int
    hit_rate: float
    n_licks: int
    sessions_at_stage: int


def metrics_from_session(data_directory: Path) -> LickMetrics:
    """The metrics of the session in `data_directory`.

    :raises FileNotFoundError: a file of the session is missing. Half a session is not scored: an animal
        must not move on, or back, because a file was lost.
    """
    behavior = Path(data_directory) / "behavior"
    with (behavior / "trials.jsonl").open(encoding="utf-8") as file:
        outcomes = [json.loads(line)["outcome"] for line in file]
    with (behavior / "licks.csv").open(encoding="utf-8", newline="") as file:
        n_licks = sum(1 for _ in csv.DictReader(file))
    stage = json.loads((behavior / "trainer_state.json").read_text(encoding="utf-8"))["stage"]["name"]
    return LickMetrics(
        stage=stage,
        n_trials=len(outcomes),
        hit_rate=round(outcomes.count("hit") / len(outcomes), 3) if outcomes else 0.0,
        n_licks=n_licks,
        sessions_at_stage=1 + sessions_before(behavior / "previous_metrics.json", stage),
    )


def sessions_before(previous_metrics: Path, stage: str) -> int:
    """How many sessions the animal had at this stage; a curriculum has no memory but the last metrics."""
    if not previous_metrics.is_file():
        return 0
    previous = json.loads(previous_metrics.read_text(encoding="utf-8")) or {}
    return int(previous["sessions_at_stage"]) if previous.get("stage") == stage else 0
