"""A session's folder that was handed off: who writes into it is named, since a transfer service may drop its copy."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aind_launcher.errors import HandedOff, LauncherError
from aind_launcher.model.names import few
from aind_launcher.system.files import file_states

if TYPE_CHECKING:
    from aind_launcher.model.session import SessionContext

logger = logging.getLogger(__name__)

# What a new hand-off would not put right: the end comes after each, and a late answer counts all the same.
_WARNED: Final = ("curriculum_suggest", "session_finished")


@contextmanager
def left_alone(session: "SessionContext", hook: str, plugin: str) -> Iterator[None]:
    """While the context lasts, the step of `plugin` is to write nothing into a folder that was handed off.

    :raises HandedOff: the plugin wrote into it. Where the step failed anyway, or succeeds all the same, a warning says
        so.
    """
    if not session.handed_off or hook == "transfer_session":
        # The hand-off itself may leave its mark.
        yield
        return
    before = file_states(session.folder)
    try:
        yield
    except BaseException:
        if problem := _written(session, hook, plugin, before):
            logger.warning("%s", problem)
        raise
    if problem := _written(session, hook, plugin, before):
        if hook not in _WARNED:
            raise problem
        logger.warning("%s", problem)


def _written(
    session: "SessionContext", hook: str, plugin: str, before: dict[str, tuple[int, int]]
) -> LauncherError | None:
    """What was written since; files that are gone were taken by the transfer service."""
    written = sorted(path for path, state in file_states(session.folder).items() if before.get(path) != state)
    if not written:
        return None
    what = f"{few(written)} {'was' if len(written) == 1 else 'were'} written into {session.folder}"
    message = f"While plugin {plugin} ran, {what}, whose hand-off has begun."
    if hook == "session_finished":
        return LauncherError(message, "Tell the plugin's author to write at post_session.")
    return HandedOff(message, session.name)
