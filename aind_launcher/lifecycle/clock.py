"""Whether this machine's clock may be right: what happened already cannot lie in the future."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from aind_launcher.journal.journal import Journal
from aind_launcher.model.session import Check

# The network's time sets a clock back by seconds, and a share's clock is not this one; sessions are hours apart.
TOLERANCE: Final = timedelta(minutes=5)


def clock_check(
    journal: Journal, now: datetime, known: Sequence[tuple[str, datetime]] = (), *, running: str | None = None
) -> Check | None:
    """A warning where the clock is before what happened already.

    Of the journal's sessions the one that was entered last counts, whatever its date: a session that ran with a clock
    that was wrong is forgotten as soon as another has run.

    :param known: what else is over by now, such as the animal's newest decision, each with its time.
    :param running: the session that runs now.
    """
    last = journal.last_entered(besides=running)
    sessions = [(f"session {last.name}", max(last.started, last.ended or last.started))] if last else []
    what, moment = max([*sessions, *known], key=lambda each: each[1], default=("", now))
    if moment <= now + TOLERANCE:
        return None
    message = f"This machine's clock says {_said(now)}, but {what} was at {_said(moment)}."
    hint = "Set the clock: sessions are named and listed by it. If that time was wrong, go on."
    return Check.warning("clock", message, hint)


def _said(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
