"""Times whole commands and calls, in turn so that a machine whose speed drifts is fair to both."""

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def command(*argv: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Callable[[], object]:
    """A call that runs a command to its end, its output thrown away."""
    return lambda: subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True)


def compare(title: str, calls: Sequence[tuple[str, Callable[[], object]]], runs: int, aim: str) -> None:
    """Call each in turn `runs` times after one warm-up, and print min, median and max.

    The ratio is the median over the rounds of the first to each other, pair by pair.
    """
    for _, call in calls:
        call()
    rounds = [[seconds(call) for _, call in calls] for _ in range(runs)]
    print(f"\n{title} ({runs} runs each; aim: {aim})")
    for index, (name, _) in enumerate(calls):
        times = sorted(row[index] for row in rounds)
        ratio = statistics.median(row[0] / row[index] for row in rounds)
        print(
            f"  {name:<34} min {times[0] * 1e3:9.2f} ms  median {statistics.median(times) * 1e3:9.2f} ms"
            f"  max {times[-1] * 1e3:9.2f} ms" + (f"  first/this {ratio:.3f}" if index else "")
        )
