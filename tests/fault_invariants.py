"""What must be true of a session whatever happened to its file operations: what is not is told in sentences."""

import hashlib
import itertools
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from command_line import KILL, Ended
from faulty_sessions import NOTHING_LEFT, FaultySession, files_of

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.session import SessionPaths


def broken_promises(session: FaultySession, ended: Ended) -> list[str]:
    """Look at a session after the call `ended` that a fault met, finish it as the messages advise, and look again."""
    found = [*_of_a_call("the call", ended)]
    if ended.code == 0:
        found += [f"0 was said, but {problem}" for problem in _not_finished(session)]
    found += _on_the_way(session, ended)
    if not session.told("acquired") and "completed" not in session.states().values():
        again = session.run()
        if again.code:
            found.append(f"run cannot be called again: {again.code}, {_last_line(again.err)}")
    found += [f"in the end {problem}" for problem in _not_finished(session)]
    return list(dict.fromkeys(found))


def _on_the_way(session: FaultySession, ended: Ended) -> Iterator[str]:
    begun = len(session.calls)
    session.follow_advice(ended)
    for command, call in session.calls[begun:]:
        yield from _of_a_call(command, call)
        # A session that resume brought back meanwhile is not imported, too.
        if call.code == 2 and "has session" not in call.err:
            yield f"{command} was advised and is refused: {_last_line(call.err)}"
    resumed = [call for command, call in session.calls[begun:] if command.startswith("resume --all")]
    if any(call.code == 0 and following.out != NOTHING_LEFT for call, following in itertools.pairwise(resumed)):
        yield "resume ended with 0 and left something undone"
    if any(call.code == 0 and "--hand-off-again" in call.err for call in resumed):
        yield "resume ended with 0 and without what a new hand-off is to bring"


def _of_a_call(what: str, ended: Ended) -> Iterator[str]:
    if raised := re.search(r"^Traceback \(most.*?\n(\S[^\n]*)", ended.err, re.S | re.M):
        yield f"{what} showed a traceback: {raised[1]}"
    if ended.code not in (0, 1, 2, 3, 4, -KILL):
        yield f"{what} ended with {ended.code}"


def _last_line(text: str) -> str:
    return " ".join((text.strip().splitlines() or [""])[-1].split())


def _not_finished(session: FaultySession) -> Iterator[str]:
    """What a session lacks of being completed: one decision, the whole folder, as it was handed off."""
    left = session.call("resume", "--all", "--dry-run")
    if (left.code, left.out) != (0, NOTHING_LEFT):
        yield f"something is left undone: {left.code}, {_last_line(left.out) or _last_line(left.err)}"
    states = session.states()
    finished = [name for name, state in states.items() if state == "completed"]
    if len(finished) != 1 or set(states.values()) - {"completed", "cancelled", "refused"}:
        yield f"the journal knows {', '.join(states.values()) or 'no session'}"
    acquired = {line["session"] for line in session.told("acquired")}
    if acquired - set(finished):
        yield "a session with data is not completed"
    for name in finished[:1]:
        yield from _missing(session, name)
        yield from _decided_otherwise(session, name)
        yield from _handed_off_otherwise(session, name)
    journal = session.root / "state" / "journal.sqlite"
    connection = sqlite3.connect(journal)
    if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
        yield "the journal is damaged"
    connection.close()


def _missing(session: FaultySession, name: str) -> Iterator[str]:
    paths = SessionPaths(session.folder(name))
    record = paths.launcher / "session.json"
    documents = [
        *(paths.trainer_state, paths.session_input, paths.rig_input, paths.task_input),
        *(paths.suggestion, paths.metrics, paths.launcher / "provenance.json", record),
    ]
    for path in documents:
        if problem := _unreadable(path):
            yield f"{path.name} {problem}"
    for path in (paths.launcher / "log.jsonl", paths.launcher / "curriculum.stdout.txt"):
        if not path.is_file():
            yield f"{path.name} is not in the folder"
    if list(paths.folder.rglob("*.part")):
        yield "the folder has a half-written file"
    if _unreadable(record):
        return
    steps = json.loads(record.read_text("utf-8"))["steps"]
    done = {step["hook"] for step in steps if step["state"] == "done"}
    if lacks := {"collect_inputs", "curriculum_suggest", "keep_suggestion", "post_session"} - done:
        yield f"session.json does not say that {', '.join(sorted(lacks))} was done"


def _unreadable(path: Path) -> str | None:
    try:
        json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return "is not in the folder"
    except ValueError:
        return "is half-written"
    return None


def _decided_otherwise(session: FaultySession, name: str) -> Iterator[str]:
    library = Library(session.root / "library", "climbing")
    history = [entry for entry in library.history(session.subject) if entry.session_name == name]
    if len(history) != 1:
        yield f"the history has {len(history)} decisions on the session"
    state = library.read(session.subject).state
    if state is None or state.trainer_state.stage != "rung2":
        yield "the animal was not moved"
    suggestion = SessionPaths(session.folder(name)).suggestion
    if suggestion.is_file() and history:
        text = suggestion.read_text("utf-8")
        if hashlib.sha256(text.encode()).hexdigest()[:16] != history[-1].suggestion_digest:
            yield "the folder has another decision than the history"
    pushed = {line["decision"] for line in session.told("pushed") if line["decision"]}
    if len(pushed) != 1:
        yield f"{len(pushed)} decisions were pushed"


def _handed_off_otherwise(session: FaultySession, name: str) -> Iterator[str]:
    hand_offs = session.told("handed off")
    if not hand_offs:
        yield "the folder was not handed off"
        return
    by_number: dict[int, list[dict[str, str]]] = {}
    for line in hand_offs:
        by_number.setdefault(line["number"], []).append(line["files"])
    if any(files != same[0] for same in by_number.values() for files in same):
        yield "another folder was handed off under the same number"
    before, now = hand_offs[-1]["files"], files_of(session.folder(name))
    if changed := sorted(name for name in before | now if before.get(name) != now.get(name)):
        yield f"{', '.join(changed)} was written after the hand-off"
