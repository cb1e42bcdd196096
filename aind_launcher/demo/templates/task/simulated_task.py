"""A task without a rig: a simulated animal that gets better from session to session.

Started by `aind-launch` as any acquisition is: it reads session, rig and task, and writes the session's data.
The same animal in the same session always does the same. Needs nothing but Python.
"""

import argparse
import csv
import json
import math
import os
import random
from pathlib import Path

# Set for one session of the demo: the file of licks never reaches the disk.
LOSES_LICKS = "SIMULATED_TASK_LOSES_LICKS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("session", "rig", "task", "folder"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    session, rig, task = (read(getattr(arguments, name)) for name in ("session", "rig", "task"))

    subject = session["subject"]
    experience = sessions_before(arguments.folder, subject)
    # Not a secret: the animal must do the same when the demo is repeated.
    chance = random.Random(f"{subject}/{experience}")
    parameters = task["task_parameters"]
    print(f"Animal {subject} on {rig['rig_name']}: session {experience + 1}, stage {task['stage_name']}.")

    trials, licks = run(parameters, experience, chance)
    write(arguments.folder / "behavior", trials, licks)

    hits = sum(trial["outcome"] == "hit" for trial in trials)
    print(f"{len(trials)} trials, {hits} hits, {len(licks)} licks.")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def sessions_before(folder: Path, subject: str) -> int:
    """How many sessions this animal has behind it."""
    others = (path for path in folder.parent.glob(f"{subject}_*") if path != folder)
    return sum((path / "behavior" / "trials.jsonl").is_file() for path in others)


def run(parameters: dict, experience: int, chance: random.Random) -> tuple[list[dict], list[tuple[float, str]]]:
    trials: list[dict] = []
    licks: list[tuple[float, str]] = []
    time = 0.0
    for number in range(parameters["trials"]):
        time += chance.uniform(4.0, 8.0)
        skill = 1 - math.exp(-0.3 * (experience + 0.5 * number / parameters["trials"]))
        sides = ("left", "right") if parameters["tones"] == 2 else ("left",)
        correct = chance.choice(sides)
        free = chance.random() < parameters["free_water"]
        # Whether it answers at all is motivation; where it answers, what it has learned and can hear.
        answers = chance.random() < (0.9 if free else 0.5 + 0.48 * skill)
        heard = 1.0 if len(sides) == 1 else 0.5 + 0.5 * math.tanh(1.2 * skill * parameters["octaves_apart"])
        right = chance.random() < heard
        side = correct if right else next(other for other in ("right", "left") if other != correct)
        outcome = "miss" if not answers else "hit" if right else "error"
        if answers:
            reaction = chance.uniform(0.15, parameters["response_window"])
            bout = chance.randint(3, 9) if outcome == "hit" else chance.randint(1, 2)
            licks += [(round(time + reaction + 0.14 * n, 3), side) for n in range(bout)]
        trials.append(
            {"trial": number, "time": round(time, 3), "tone": correct, "free_water": free, "outcome": outcome}
        )
    return trials, licks


def write(behavior: Path, trials: list[dict], licks: list[tuple[float, str]]) -> None:
    behavior.mkdir(parents=True, exist_ok=True)
    with (behavior / "trials.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(trial) + "\n" for trial in trials)
    if os.environ.get(LOSES_LICKS):
        print("The lickometer's file was lost.")
        return
    with (behavior / "licks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("time", "side"), *licks])


if __name__ == "__main__":
    main()
