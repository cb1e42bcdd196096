"""Sessions of the real program in which one file operation goes wrong, and what an operator then does as advised."""

import errno
import functools
import hashlib
import inspect
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from command_line import Ended
from preloaded import compiled
from programs import Programs, programs
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests

NOTHING_LEFT = "Nothing is left undone.\n"
# Calls of `resume --all` until nothing may be left.
ATTEMPTS = 6


@dataclass(frozen=True)
class Kind:
    """What happens at a file operation.

    :param problem: the errno it fails with; 0 ends the process as power that fails would.
    :param lasts: the operations that follow fail, too.
    :param halves: only where something is written: the first half of it is.
    """

    problem: int
    lasts: bool = False
    halves: bool = False

    def can_meet(self, operation: str) -> bool:
        """Whether `operation` is one that this can happen to."""
        verb = operation.split()[0]
        if self.halves:
            return verb == "write"
        return not (self.problem == errno.ENOSPC and not self.lasts and verb == "unlink")


KINDS = {
    "kill": Kind(0),
    "half-written": Kind(0, halves=True),
    "enospc": Kind(errno.ENOSPC),
    "full": Kind(errno.ENOSPC, lasts=True),
    "half-full": Kind(errno.ENOSPC, lasts=True, halves=True),
    "eio": Kind(errno.EIO),
    "broken": Kind(errno.EIO, lasts=True),
}

# Acquisition, curriculum, subscriber and transfer in one; what was done stands in a file that no fault reaches.
PLUGINS = dedent('''
    import hashlib
    import json
    import os
    from datetime import UTC, datetime
    from pathlib import Path
    from types import SimpleNamespace as Made

    from pydantic import BaseModel

    from aind_launcher import Acquisition, hookimpl
    from aind_launcher.curriculum import installed
    from aind_launcher.testing import ladder_state

    class Witness:
        class Settings(BaseModel):
            ledger: Path = Path("unused")

        def __init__(self, settings):
            self.ledger = settings.ledger

        def tell(self, what, session, **more):
            with self.ledger.open("a", encoding="utf-8") as ledger:
                print(json.dumps({"what": what, "session": session.name, **more}), file=ledger)

        def count(self, what):
            lines = self.ledger.read_text("utf-8").splitlines() if self.ledger.exists() else []
            return sum(json.loads(line)["what"] == what for line in lines)

        @hookimpl(tryfirst=True)
        def run_session(self, session):
            """An acquisition is a process of its own, which no fault meets."""
            start = datetime.now(UTC)
            self.tell("acquired", session)
            child = os.fork()
            if child == 0:
                try:
                    (session.folder / "behavior" / "trials.txt").write_text("20 trials")
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            return Acquisition(outcome="completed", start=start, end=datetime.now(UTC), exit_code=0)

        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            """As isolated curricula are asked, but for the environment; whoever asks twice gets another answer."""
            self.tell("asked", session)
            answer = self.ledger.with_suffix(".answer")
            metrics = {"metrics": {"asked": self.count("asked")}, "version": "1.0.0", "dsl_version": "0.0.1"}
            answer.write_text(json.dumps({"trainer_state": ladder_state("rung2").document, **metrics}))
            return installed.Installed(
                source=Made(name="ladder"),
                pin=Made(url=None, dirty=False),
                environment=Made(
                    source_folder=answer.parent, commit="0" * 40, key="none", python_version="3.11", locked=True,
                    packages_digest="0" * 64
                ),
                commands=Made(run=lambda *_: ["cat", answer], settings=Made(options={})),
                limits=Made(timeout=60, answer_timeout=60, output_limit=1_000_000),
            ).suggest(session)

        @hookimpl
        def post_session(self, session, suggestion):
            self.tell("pushed", session, decision=suggestion.text if suggestion else None)

        @hookimpl
        def transfer_session(self, session):
            self.tell("handed off", session, number=session.hand_off, files=files_of(session.folder))
''')


def files_of(folder: Path) -> dict[str, str]:
    """The digest of each file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class FaultySession:
    """An animal's session below a folder of its own.

    :ivar calls: every call of the program, and how it ended.
    """

    laboratory: TaskRepositoryForTests
    programs: Programs
    root: Path
    subject: str
    calls: list[tuple[str, Ended]] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.root.with_suffix(".ledger")

    @property
    def animal(self) -> Path:
        return self.root / "library" / "climbing" / "Subjects" / self.subject

    def folder(self, session: str) -> Path:
        return self.root / "data" / session

    def told(self, what: str) -> list[dict[str, Any]]:
        lines = self.ledger.read_text("utf-8").splitlines() if self.ledger.exists() else []
        return [line for line in map(json.loads, lines) if line["what"] == what]

    def call(self, *arguments: str, at: int = 0, kind: Kind = KINDS["kill"]) -> Ended:
        """Call the program; `kind` happens at its operation number `at`, if that is not 0."""
        places = {
            "data-directory": self.root / "data",
            "state-directory": self.root / "state",
            "plugin.local-store.library": self.root / "library",
            "plugin.witness.ledger": self.ledger,
        }
        settings = [part for name, place in places.items() for part in ("--set", f"{name}={place}")]
        injected = (str(self.root), at, kind.problem, int(kind.lasts), int(kind.halves))
        ended = self.programs.call(self.laboratory.path, *arguments, *settings, injected=injected)
        self.calls.append((" ".join(arguments), ended))
        return ended

    def run(self, **fault: Any) -> Ended:
        return self.call("run", "--subject", self.subject, **fault)

    def resume(self, **fault: Any) -> Ended:
        return self.call("resume", "--all", "--unattended", **fault)

    def states(self) -> dict[str, str]:
        """How each session stands that the program knows."""
        listed = self.call("sessions", "list", "--json")
        return {line["session"]: line["state"] for line in json.loads(listed.out or "[]")}

    def follow_advice(self, ended: Ended) -> None:
        """What an operator does after the disk was corrected: resume, and what messages say, until nothing is left.

        :param ended: the call that the fault met.
        """
        advice = advised(ended, self.root / "data")
        for _ in range(ATTEMPTS):
            ended = self.resume()
            advice |= advised(ended, self.root / "data")
            if not advice and ended.out == NOTHING_LEFT:
                return
            following: dict[str, list[str]] = {}
            for command in advice.values():
                following |= advised(self.call(*command), self.root / "data")
            advice = {name: command for name, command in following.items() if name not in advice}


def advised(ended: Ended, data: Path) -> dict[str, list[str]]:
    """The commands that a call's messages name, but for the plain resume that comes anyway."""
    found = re.findall(r"`aind-launch (resume [^`]* --[^`]*|sessions import [^`]*)`", ended.out + ended.err)
    commands = {text: shlex.split(text) for text in found if "--all" not in text and "--score" not in text}
    # Where one message names two ways, the one that loses nothing.
    commands = {text: words for text, words in commands.items() if "--hand-off-as-it-is" not in text}
    for text in [text for text in commands if text.endswith("FOLDER")]:
        del commands[text]
        commands |= {f"{text} {folder}": ["sessions", "import", str(folder)] for folder in sorted(data.glob("[!.]*"))}
    return commands


class FaultySessions:
    """Makes sessions, each with an animal on its first rung."""

    def __init__(self, root: Path, opened: Programs) -> None:
        self._root, self._programs = root, opened
        plugins = f"{PLUGINS}\n\n{inspect.getsource(files_of)}"
        self._laboratory = laboratory(root / "template", plugins, 'rig = "rig.json"', {"witness": "Witness"})
        self._laboratory.write("rig.json", '{"rig_name": "box 1"}')
        self._laboratory.commit()
        self._made = 0

    def new(self, of: str) -> FaultySession:
        """A session that is to be met by a fault in its `run`, or in the `resume` of one that was cut off."""
        self._made += 1
        root, subject = self._root / f"trial {self._made}", str(1000 + self._made)
        made = FaultySession(self._laboratory, self._programs, root, subject)
        made.animal.mkdir(parents=True)
        shutil.copy(self._laboratory.subjects / "123456" / "trainer_state.json", made.animal)
        if of == "resume":
            made.run(at=self._first_after_the_acquisition)
        return made

    def start(self, of: str, **fault: Any) -> tuple[FaultySession, Ended]:
        """A new session, and how the call ended that the fault met."""
        session = self.new(of)
        return session, session.run(**fault) if of == "run" else session.resume(**fault)

    @functools.cached_property
    def _first_after_the_acquisition(self) -> int:
        operations = self.start("run")[1].writes
        return 1 + next(n for n, name in enumerate(operations) if "data/" in name and "session_input.json" in name)

    def operations(self, of: str) -> tuple[str, ...]:
        """The file operations of a call that nothing befalls."""
        return self.start(of)[1].writes


@contextmanager
def faulty_sessions() -> Iterator[FaultySessions]:
    # No fault is real, so a disk in memory will do: each sync costs nothing there.
    memory = "/dev/shm"  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as folder:
        root = Path(folder)
        with programs(root / "scratch", compiled("inject", root)) as opened:
            yield FaultySessions(root, opened)
