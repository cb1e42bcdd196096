"""What the service could not carry out: manifests that still wait, and what its log says of them.

The service leaves the manifest of a failed job where it is, and tries it again only when it is started anew.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aind_launcher import Check
from aind_launcher_watchdog.handover import manifest_name

# A manifest may be scheduled for the same time tomorrow.
OVERDUE: Final = 25 * 60 * 60
# Bytes of the log's end that are read; the service never begins it anew.
TAIL: Final = 16 * 2**20
# Sessions that are named; the rest is counted.
NAMED: Final = 3
LONGEST_REASON: Final = 300
# What the service tells of an error beside its kind, in the order in which a reader wants it.
_DETAILS: Final = (
    "File",
    "Missing data",
    "Missing schema",
    "Response",
    "Message",
    "Rsync Return Code",
    "Robocopy Return Code",
    "Robocopy Error Details",
)
# How it says that it could not read a manifest, which has no event.
UNREADABLE: Final = "Error loading manifest"


def checks(flag: Path, log: Path | None) -> Iterator[Check]:
    """A warning for the sessions whose jobs failed, and one for those that wait too long, where there are any."""
    now = time.time()
    try:
        waiting = {path.stem: now - path.stat().st_mtime for path in sorted(flag.glob("*manifest*.y*ml"))}
    except OSError:
        # The check of the directory itself says what is wrong.
        return
    failed = failures(log, waiting) if log and waiting else {}
    if failed:
        reasons = [f"{_session(stem)} ({reason})" for stem, reason in failed.items()]
        yield Check.warning(
            "watchdog manifests",
            f"The watchdog service could not carry out {_sessions(len(failed))}, which wait{_s(failed)} in {flag}: "
            f"{_listed(reasons)}.",
            "Correct what it names, then restart the service: it tries again what waits.",
        )
    if old := [_session(stem) for stem, age in waiting.items() if age > OVERDUE and stem not in failed]:
        yield Check.warning(
            "watchdog manifests",
            f"{_sessions(len(old))} wait{_s(old)} in {flag} for more than a day: {_listed(old)}.",
            "See the service's log for what failed, and restart it to try again.",
        )


def failures(log: Path, waiting: Iterable[str]) -> dict[str, str]:
    """Why the last attempt failed, by the manifest's name; those that did not fail, or are not told of, are left out.

    :param log: the service's, in JSON lines.
    :param waiting: manifests, without the ending of their file's name.
    """
    marks = {stem: _session(stem) for stem in waiting}
    attempts: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for record in _records(log, tuple(marks.values())):
        stem = _manifest_of(record, marks)
        if stem is None:
            continue
        told = attempts.setdefault(stem, [])
        unreadable = str(record.get("message")).startswith(UNREADABLE)
        if "Error" in record or unreadable:
            told.append(_reason(record))
        event = record.get("event_type")
        if unreadable or (event == "stage_failure" and told):
            # What went wrong first is the cause of what the service says last.
            failed[stem] = told[0]
        elif event in ("stage_start", "stage_complete"):
            attempts[stem] = []
            failed.pop(stem, None)
    return {stem: failed[stem] for stem in marks if stem in failed}


def _records(log: Path, marks: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The lines at the log's end that name one of `marks`, oldest first; what is no JSON object is passed over."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            for raw in stream:
                line = raw.decode("utf-8", "replace")
                if any(mark in line for mark in marks):
                    try:
                        record = json.loads(line)
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(record, dict):
                        yield record
    except OSError:
        # It may be the service's alone; then the manifests that wait for long are all that can be told.
        return


def _manifest_of(record: Mapping[str, Any], marks: Mapping[str, str]) -> str | None:
    tags = record.get("msg")
    if not isinstance(tags, dict):
        # What it says of a manifest that it could not read ends with the path.
        name: object = Path(str(record.get("message")).replace("\\", "/")).stem
    else:
        name = tags.get("name")
        told = tags.get("extra_identifying_info")
        if isinstance(told, dict) and isinstance(told.get("session_name"), str):
            number = told.get("hand_off")
            name = Path(manifest_name(told["session_name"], number if isinstance(number, int) else 0)).stem
    return next((stem for stem, mark in marks.items() if name in (stem, mark)), None)


def _reason(record: Mapping[str, Any]) -> str:
    parts = [str(record.get("Error") or UNREADABLE)]
    for name in _DETAILS:
        if value := record.get(name):
            parts.append(f"{name} {' '.join(str(value).split())}")
    if exception := record.get("exc_info"):
        # Its type, what it says, and the traceback; or all of it in one text.
        lines = str(exception[1]).splitlines()[:1] if isinstance(exception, list) else str(exception).splitlines()[-1:]
        parts.extend(lines)
    reason = ", ".join(parts)
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


def _session(stem: str) -> str:
    """The session of a manifest, as far as its name tells it."""
    return stem.removeprefix("manifest_").partition("_again")[0]


def _sessions(number: int) -> str:
    return f"{number} session{'' if number == 1 else 's'}"


def _s(some: Mapping[str, str] | Sequence[str]) -> str:
    return "s" if len(some) == 1 else ""


def _listed(some: Sequence[str]) -> str:
    more = f", and {len(some) - NAMED} more" if len(some) > NAMED else ""
    return f"{'; '.join(some[:NAMED])}{more}"
