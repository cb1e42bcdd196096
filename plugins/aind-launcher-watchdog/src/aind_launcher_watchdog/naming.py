"""What stands in braces in the settings, and what it becomes for a session; each value can be a part of a path."""

import re
from typing import Final

from aind_launcher import LauncherError, SessionContext, checked_name

# The name that the service itself would give the data: ``123456_2025-03-14_09-26-53``.
ASSET: Final = "asset"
WORDS: Final = ("session", "subject", "experimenter")


def require_known(text: str, *more: str) -> None:
    """Refuse words in braces that stand for nothing.

    :param more: those that `text` may hold beside `WORDS`.
    :raises ValueError: names the first, and those there are.
    """
    known = (*WORDS, *more)
    for word in re.findall(r"\{([^{}]*)\}", text):
        if word not in known:
            raise ValueError(f"{{{word}}} stands for nothing; there are {', '.join(f'{{{name}}}' for name in known)}")


def filled(text: str, session: SessionContext, **more: str) -> str:
    """`text` with the session's values in the place of the words in braces.

    :param more: values of further words.
    :raises LauncherError: the session has no experimenter, or one whose name cannot be a part of a path.
    """
    values = {"session": session.name, "subject": session.subject, **more}
    if "{experimenter}" in text:
        values["experimenter"] = _experimenter(session)
    for word, value in values.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _experimenter(session: SessionContext) -> str:
    people = session.session.experimenter
    if not people:
        raise LauncherError(
            f"The settings of plugin.watchdog name {{experimenter}}, but session {session.name} has no experimenter.",
            "Name one with --experimenter, or take {experimenter} out of the settings.",
        )
    # The name may have been typed; subject and session have been checked.
    return checked_name("experimenter", people[0])
