"""How times and JSON data are said to people."""

from datetime import datetime
from typing import Any

# Characters of what a step returned, and of metrics; a table is to be read.
_WIDEST = 300
# Days after which a date says more than how many days ago it was.
_LONG_AGO = 14


def when(moment: datetime, now: datetime) -> str:
    """A moment as people say it, by this machine's clock: *yesterday 14:02*, *3 days ago*, or its date."""
    then = moment.astimezone()
    days = (now.astimezone().date() - then.date()).days
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'} {then:%H:%M}"
    return f"{days} days ago" if 1 < days < _LONG_AGO else to_the_minute(moment)


def to_the_minute(moment: datetime) -> str:
    """A moment by this machine's clock."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def duration(minutes: float) -> str:
    """How long something took."""
    return f"{minutes:.0f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"


def ago(seconds: float) -> str:
    """How long ago something was, in the largest unit that it fills."""
    for length, unit in ((24 * 3600, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def in_short(value: Any) -> str:
    """JSON data in a few words; ``--json`` has all of it."""
    if isinstance(value, dict):
        text = ", ".join(_named(name, part) for name, part in value.items() if part is not None and name != "text")
    elif isinstance(value, list):
        text = ", ".join(f"{part['name']} {part['outcome']}" if _is_check(part) else str(part) for part in value)
    else:
        text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _named(name: str, value: Any) -> str:
    return name if isinstance(value, dict | list) else f"{name} {in_short(value)}"


def _is_check(value: Any) -> bool:
    return isinstance(value, dict) and {"name", "outcome"} <= value.keys()
