"""The plugin `slims`: its hooks. What they do with SLIMS is imported when the first of them is called."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aind_launcher import LauncherError, StepSkipped, TransientError, hookimpl
from aind_launcher_slims.settings import SlimsSettings, find_credentials

if TYPE_CHECKING:
    from pydantic import SecretStr

    from aind_launcher import AnimalState, Check, CurriculumSuggestion, SessionContext
    from aind_launcher_slims.connection import Connection
    from aind_launcher_slims.push import Pushed

logger = logging.getLogger(__name__)


class Slims:
    """Asks SLIMS where an animal stands and records its sessions there."""

    Settings = SlimsSettings

    def __init__(self, settings: SlimsSettings) -> None:
        self.settings = settings
        self._connected: Connection | None = None

    def secrets(self) -> "tuple[SecretStr, ...]":
        """What the launcher hides: the password, also where no setting has it, and the forms in which it is sent."""
        try:
            return find_credentials(self.settings).secrets
        except LauncherError:
            # Whoever needs it says what is missing.
            return ()

    @hookimpl
    def load_animal_state(self, session: "SessionContext") -> "AnimalState | None":
        """The animal's latest decision in SLIMS, its metrics, and the session it came from."""
        connection = self._connection()
        from aind_launcher_slims.connection import UnknownAnimal
        from aind_launcher_slims.history import History

        try:
            history = History.of(connection, connection.animal(session.subject))
        except UnknownAnimal:
            return None
        latest = history.latest()
        return history.state(latest) if latest else None

    @hookimpl
    def pre_session(self, session: "SessionContext") -> "list[Check]":
        """Whether the session could be recorded, and whether SLIMS agrees on where the animal stands."""
        with _as_check("SLIMS") as checks:
            connection = self._connection()
            from aind_launcher_slims.checks import session_checks

            checks += session_checks(connection, session, self._instrument(session))
        return checks

    @hookimpl
    def check_rig(self) -> "list[Check]":
        """Whether SLIMS answers, takes the credentials, and knows this rig's instrument."""
        with _as_check("SLIMS") as checks:
            connection = self._connection()
            from aind_launcher_slims.checks import rig_checks

            checks += rig_checks(connection, self.settings.instrument)
        return checks

    @hookimpl
    def post_session(self, session: "SessionContext", suggestion: "CurriculumSuggestion | None") -> "Pushed":
        """One record of the session in SLIMS, with the suggestion where there is one."""
        if suggestion is None and not self.settings.record_without_suggestion:
            raise StepSkipped("no curriculum decided over this session, and record-without-suggestion is off")
        connection = self._connection()
        from aind_launcher_slims.push import Push

        push = Push(connection, session, self._instrument(session))
        pushed = push.with_suggestion(suggestion) if suggestion else push.without_suggestion()
        if pushed.outcome == "superseded":
            reason = pushed.because or "the animal was further already"
            logger.warning("The decision on session %s came too late for SLIMS: %s.", session.name, reason)
        return pushed

    def _connection(self) -> "Connection":
        """The same for all steps, because it remembers whether SLIMS answers."""
        if self._connected is None:
            with _untouched_logging():
                from aind_launcher_slims.connection import Connection
            self._connected = Connection(self.settings)
        return self._connected

    def _instrument(self, session: "SessionContext") -> str | None:
        named = (session.rig or {}).get("rig_name")
        return self.settings.instrument or (named if isinstance(named, str) and named else None)


@contextmanager
def _untouched_logging() -> Iterator[None]:
    """Import the client without what it does to everybody's log: it sends the whole root logger to stderr."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _as_check(name: str) -> "Iterator[list[Check]]":
    """Collect checks; an error among them becomes one. A SLIMS that is down stops no session."""
    from aind_launcher import Check

    checks: list[Check] = []
    try:
        yield checks
    except TransientError as error:
        hint = "The session can run all the same; `aind-launch resume` records it in SLIMS later."
        checks.append(Check(name=name, outcome="warning", message=error.message, hint=hint))
    except LauncherError as error:
        checks.append(Check(name=name, outcome="failed", message=error.message, hint=error.hint))
