"""A program that stands for a rig: it works on one animal of a library as it is told, line by line, by its own clock.

It dies at the file operation that it is told, which is a fork's death where the system can fork.
"""

import json
import os
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from aind_launcher.model import clock

TIME = {"now": clock.now()}
clock.now = lambda: TIME["now"]  # before anything else takes it

import filelock  # noqa: E402
from contexts import a_session, suggestion, trainer_state  # noqa: E402
from libraries import ANIMAL  # noqa: E402
from rig_processes import DEATH  # noqa: E402

from aind_launcher.builtin.local_store import history, register  # noqa: E402
from aind_launcher.builtin.local_store.folder import AnimalFolder  # noqa: E402
from aind_launcher.builtin.local_store.history import HistoryEntry  # noqa: E402
from aind_launcher.builtin.local_store.library import Library  # noqa: E402
from aind_launcher.errors import BeginAgain  # noqa: E402
from aind_launcher.model.animal import AnimalState, TrainerStateText  # noqa: E402
from aind_launcher.model.register import NO_TICKET, RegisterEntry, Ticket  # noqa: E402
from aind_launcher.model.session import SessionContext  # noqa: E402
from aind_launcher.system.files import write_whole  # noqa: E402

# Every touch of a file is one place to die at.
BY_TICKET = AnimalState.yields_to
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.listdir", "os.scandir", "os.link")


# The file operations of a task so far, and the one in front of which this process ends; 0 for none.
LIFE = {"operations": 0, "fatal": 0}


def die(event: str, arguments: object) -> None:
    """End this process in front of the file operation that it was told; a hook can be added only once for all tasks."""
    if event in EVENTS:
        LIFE["operations"] += 1
        if LIFE["operations"] == LIFE["fatal"]:
            os._exit(DEATH)


sys.addaudithook(die)


def session_of(task: dict[str, Any]) -> SessionContext:
    ticket = Ticket.model_validate(task["ticket"]) if task.get("ticket") else None
    context = a_session(Path(task["library"]), ANIMAL, datetime.fromisoformat(task["date"]), rig_name=task["rig"])
    named = context.session.model_copy(update={"session_name": task["name"]})
    return context.model_copy(update={"session": named, "ticket": ticket})


def begin(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    loaded = library.read(ANIMAL).state
    known = [Ticket.model_validate(ticket) for ticket in task["known"]] + [loaded.ticket if loaded else None]
    try:
        ticket = library.begin(session_of(task), loaded, known)
    except BeginAgain as reason:
        return {"again": reason.message}
    return {"ticket": ticket.model_dump(), "loaded": loaded and loaded.model_dump(mode="json")}


def decide(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    session = session_of(task)
    began_with = AnimalState.model_validate(task["loaded"])
    answer = suggestion(task["stage"], {"session": session.name})
    date = session.session.date
    AnimalState.yields_to = _by_date(date) if task.get("by_date") else BY_TICKET  # type: ignore[method-assign]
    recorded = library.record(
        ANIMAL, answer, session.name, date, began_with, session.ticket, ran_with=began_with.trainer_state
    )
    return {"outcome": recorded.outcome}


def finish(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    library.finish(session_of(task), task["state"])
    return {}


def enroll(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    library.enroll(ANIMAL, trainer_state(task["stage"]), "somebody", replace=True)
    return {}


def move(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    library.move(ANIMAL, trainer_state(task["stage"]), "for the test", "somebody")
    return {}


def decide_as_before_tickets(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    """What a launcher did that knew no tickets: the later date decides, and the history has no number."""
    folder = AnimalFolder(library.folder(ANIMAL))
    answer, date = suggestion(task["stage"], {"session": task["name"]}), datetime.fromisoformat(task["date"])
    entry = HistoryEntry(
        kind="suggestion",
        date=date,
        session_name=task["name"],
        trainer_state=answer.trainer_state.text,
        metrics=answer.metrics,
        suggestion_digest=answer.digest,
    )
    with filelock.FileLock(folder.lock, mode=0o666):
        text = TrainerStateText.read_file(folder.state)
        known = [path for path in folder.history.glob("*.json") if f"_{text.digest[:12]}_" in path.name]
        newest = max((path for path in known if "_superseded_" not in path.name), default=None)
        stands = HistoryEntry.model_validate_json(newest.read_bytes()).date if newest else None
        if stands is None or stands < date:
            history.write(folder.history, entry)
            write_whole(folder.state, entry.trainer_state)
            return {"outcome": "applied"}
        late = entry.model_copy(update={"superseded": True, "reason": "the animal was put elsewhere, which is later"})
        history.write(folder.history, late)
        return {"outcome": "superseded"}


def allot(library: Library, task: dict[str, Any]) -> dict[str, Any]:
    """Take tickets of the register alone."""
    entry = RegisterEntry(ticket=NO_TICKET, kind="session", rig=task["rig"], began=clock.now())
    animal = AnimalFolder(library.folder(ANIMAL))
    entries = [entry.model_copy(update={"session_name": f"{task['name']}-{n}"}) for n in range(task["count"])]
    return {"tickets": [animal.register.allot(each).ticket.model_dump() for each in entries]}


def _by_date(of_session: datetime) -> Any:
    """The rule that stood before there were tickets."""

    def yields_to(self: AnimalState, session_name: str, ticket: Ticket | None, began_with: AnimalState | None) -> bool:
        same_session = self.session_name is not None and self.session_name == session_name
        return self.is_still(began_with) or same_session or self.date < of_session

    return yields_to


def without_hard_links() -> None:
    def refuse(*arguments: object) -> None:
        raise OSError("this file system has no hard links")

    os.link = refuse  # type: ignore[assignment]


def without_locks() -> None:
    @contextmanager
    def unlocked(*arguments: object, **options: object) -> Any:
        yield

    filelock.FileLock = unlocked  # type: ignore[assignment]


DEEDS = {deed.__name__: deed for deed in (begin, decide, finish, enroll, move, decide_as_before_tickets, allot)}


def work(task: dict[str, Any]) -> str:
    TIME["now"] = datetime.fromisoformat(task["clock"])
    if task.get("without_links"):
        without_hard_links()
    if task.get("without_locks"):
        without_locks()
    LIFE.update(operations=0, fatal=task.get("fatal", 0))
    return json.dumps(DEEDS[task["do"]](Library(Path(task["library"]), "odours"), task))


def main() -> None:
    register.at_once([].append, range(3))  # type: ignore[arg-type] # imports what it needs
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        if not hasattr(os, "fork"):
            print(work(task), flush=True)
        elif os.fork() == 0:
            print(work(task), flush=True)
            os._exit(0)
        else:
            _, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
            if code:
                print(json.dumps({"died": code}), flush=True)


if __name__ == "__main__":
    main()
