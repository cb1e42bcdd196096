"""Rigs as processes of their own, each with its own clock, which work on one library and may die at any moment."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# With which a rig ends that dies as it was told.
DEATH = 9


@dataclass
class Rig:
    """One process, which is started again where it died."""

    name: str
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def ask(self, task: dict[str, Any]) -> None:
        """Let it begin; it is at work when this returns."""
        if self.process is not None and self.process.poll() is not None:
            self.stop()
        if self.process is None:
            program = [sys.executable, str(Path(__file__).with_name("rig_worker.py"))]
            self.process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
            assert self._line() == "ready\n"
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"rig": self.name, **task}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any] | None:
        """What it answers; None where it was killed as it was told."""
        line = self._line()
        assert self.process
        answer: dict[str, Any] = json.loads(line) if line else {"died": self.process.wait()}
        if "died" not in answer:
            return answer
        assert answer["died"] == DEATH, f"{self.name} ended with {answer['died']}"
        return None

    def do(self, task: dict[str, Any]) -> dict[str, Any] | None:
        self.ask(task)
        return self.answer()

    def stop(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.process = None

    def _line(self) -> str:
        assert self.process
        assert self.process.stdout
        return self.process.stdout.readline()


@contextmanager
def rigs(*names: str) -> Iterator[tuple[Rig, ...]]:
    started = tuple(Rig(name) for name in names)
    try:
        yield started
    finally:
        for rig in started:
            rig.stop()
