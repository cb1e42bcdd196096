"""What `--since` means."""

from datetime import UTC, datetime, time, timedelta

from aind_launcher.errors import UsageError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAYS = {"today": 0, "yesterday": 1}


def moment(text: str, now: datetime) -> datetime:
    """The moment that a user gave as a date, as *today* or *yesterday*, or as an age such as ``7d``.

    A date without a zone, and days, are those of this machine's clock.

    :raises UsageError: it is none of these.
    """
    try:
        if text in _DAYS:
            day = now.astimezone().date() - timedelta(days=_DAYS[text])
            return datetime.combine(day, time.min).astimezone(UTC)
        if text[:-1].isdecimal() and text[-1] in _UNITS:
            return now - int(text[:-1]) * _UNITS[text[-1]]
        return datetime.fromisoformat(text).astimezone(UTC)
    except (OverflowError, OSError):  # Windows has no local time before 1970
        raise UsageError(f"--since {text} is before all time.", "Leave it out to list all sessions.") from None
    except ValueError:
        hint = "Write today, yesterday, 2026-01-31, 7d or 12h."
        raise UsageError(f"--since {text} is neither a date nor an age.", hint) from None
