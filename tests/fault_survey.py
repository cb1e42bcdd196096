"""Sessions that meet every fault at every file operation, several at once: `python3 noxfile.py faults`."""

import argparse
import itertools
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Queue

from fault_invariants import broken_promises
from faulty_sessions import KINDS, FaultySessions, faulty_sessions

CALLS = ("run", "resume")


@dataclass(frozen=True)
class Case:
    """One fault: what happens, at which file operation, of which call."""

    kind: str
    at: int
    of: str

    def __str__(self) -> str:
        return f"--kind {self.kind} --at {self.at} --of {self.of}"


@dataclass(frozen=True)
class Result:
    """What became of a case.

    :param operation: the one that was hit.
    :param story: every call, its exit code and what it said, for whoever looks into it.
    """

    case: Case
    operation: str
    code: int
    broken: tuple[str, ...]
    story: str

    @property
    def outcome(self) -> str:
        code = "killed" if self.code < 0 else f"exit {self.code}"
        return f"{code}{', broken' if self.broken else ''}"

    def __str__(self) -> str:
        lines = [f"{self.case}  ({self.operation}; {self.outcome})", *(f"    {problem}" for problem in self.broken)]
        return "\n".join(lines)


def every_case(sessions: FaultySessions) -> list[Case]:
    return [
        Case(kind, number, of)
        for of in CALLS
        for number, operation in enumerate(sessions.operations(of), 1)
        for kind, fault in KINDS.items()
        if fault.can_meet(operation)
    ]


def met(sessions: FaultySessions, case: Case) -> Result:
    """Let a session meet a fault, and see what becomes of it."""
    session, ended = sessions.start(case.of, at=case.at, kind=KINDS[case.kind])
    if len(ended.writes) < case.at:
        raise IndexError(f"{case}: there were {len(ended.writes)} file operations.")
    broken = tuple(map(_named, broken_promises(session, ended)))
    story = "\n".join(f"$ {command} -> {call.code}\n{call.out}{call.err}" for command, call in session.calls)
    shutil.rmtree(session.root)
    return Result(case, _named(ended.writes[case.at - 1]), ended.code, broken, story)


def _named(operation: str) -> str:
    """Without what is another in every session: `rename data/SESSION/behavior/metrics.json`."""
    short = re.sub(r"/[^\s']*/trial \d+/", "", operation)
    short = re.sub(r"\d{4}_\d{4}-\d\d-\d\dT\d{6}Z", "SESSION", short)
    short = re.sub(r"\d{4}-\d\d-\d\dT\d{6}\.\d+Z", "DATE", short)
    return re.sub(r"\.\w{8}\.part|(?<=aind-launch-)\w{8}\.by-aind-launch", ".part", short)


def survey(cases: Sequence[Case], at_once: int) -> Iterator[Result]:
    """Every case, several at once, each thread with a program and a task repository of its own."""
    with ExitStack() as opened, ThreadPoolExecutor(at_once) as pool:
        free: Queue[FaultySessions] = Queue()
        for _ in range(at_once):
            free.put(opened.enter_context(faulty_sessions()))

        def meet(case: Case) -> Result:
            sessions = free.get()
            try:
                return met(sessions, case)
            finally:
                free.put(sessions)

        yield from pool.map(meet, cases)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--at", type=int)
    parser.add_argument("--of", choices=CALLS)
    parser.add_argument("--sample", type=int, help="so many cases, by chance")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CONFIG_DIRS": home, "PYTHONHASHSEED": "0"}
        with faulty_sessions() as sessions:
            cases = every_case(sessions)
        given = {name: value for name in ("kind", "at", "of") if (value := getattr(wish, name)) is not None}
        cases = [case for case in cases if all(getattr(case, name) == value for name, value in given.items())]
        if wish.sample:
            cases = random.Random(wish.seed).sample(cases, wish.sample)  # noqa: S311
        print(f"{len(cases)} cases, seed {wish.seed}", flush=True)
        results = []
        for result in survey(cases, os.cpu_count() or 1):
            results.append(result)
            if result.broken:
                print(result, flush=True)
            if len(cases) == 1:
                print(result.story)
    for (kind, outcome), count in sorted(Counter((r.case.kind, r.outcome) for r in results).items()):
        print(f"{kind:14}{outcome:18}{count:6}")
    broken = [result for result in results if result.broken]
    for problem, count in Counter(itertools.chain.from_iterable(r.broken for r in broken)).most_common():
        print(f"{count:6}  {problem}")
    print(f"{len(broken)} of {len(results)} cases broke a promise.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
