"""What the programs that the launcher starts inherit of its environment variables."""

import logging
import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from aind_launcher.system.redaction import Redactor

logger = logging.getLogger(__name__)

_FOR_ALL: Final = re.compile(
    r"""PATH | HOME | USER | LOGNAME | TMPDIR | TEMP | TMP | LANG | LANGUAGE | LC_\w+ | TZ
    | SYSTEMROOT | SYSTEMDRIVE | WINDIR | COMSPEC | PATHEXT | OS | COMPUTERNAME | PUBLIC
    | USERNAME | USERPROFILE | HOMEDRIVE | HOMEPATH | APPDATA | LOCALAPPDATA | PROGRAMDATA | ALLUSERSPROFILE
    | (COMMON)?PROGRAMFILES(\(X86\))? | (COMMON)?PROGRAMW6432 | NUMBER_OF_PROCESSORS | PROCESSOR_ARCHITECTURE""",
    re.VERBOSE,
)
_CREDENTIAL: Final = re.compile(
    r"(AIND_LAUNCHER|SLIMS)_|.*(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY)"
)


def curriculum_environment(environ: Mapping[str, str], platform: str) -> dict[str, str]:
    """What a curriculum inherits: what a program needs to run at all, nothing that could sway its decision.

    The curricula's command lines read any setting from the environment, so all else stays out: credentials, the
    launcher's own Python variables and its virtual environment, which also leaves PATH.
    """
    # Windows' names have no case; elsewhere "Path" is not PATH.
    by_name = {name.upper() if platform == "win32" else name: name for name in environ}
    kept = {name: environ[name] for plain, name in by_name.items() if _FOR_ALL.fullmatch(plain)}
    if {"VIRTUAL_ENV", "PATH"} <= by_name.keys():
        search = by_name["PATH"]
        kept[search] = _without(kept[search], environ[by_name["VIRTUAL_ENV"]], platform)
    # Unbuffered, because a killed program loses its buffer; seeded, because the order of sets can change the answer.
    return kept | {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}


def acquisition_environment(environ: Mapping[str, str], redact: Redactor) -> dict[str, str]:
    """What the acquisition inherits: everything but what may be a credential, and the launcher's PYTHONHOME.

    :param redact: knows the secrets; a variable that has one is left out, whatever it is called. What every program
        needs is kept in any case: the name of a user in a path may be a password too.
    """
    kept = {name: x for name, x in environ.items() if not is_credential(name) and name.upper() != "PYTHONHOME"}
    secret = [name for name, x in kept.items() if not _FOR_ALL.fullmatch(name.upper()) and redact(x) != x]
    if secret:
        logger.info("The acquisition does not get %s, because a secret is in it.", ", ".join(sorted(secret)))
    return {name: value for name, value in kept.items() if name not in secret}


def tool_environment(environ: Mapping[str, str], *own: str) -> dict[str, str]:
    """What a tool of the launcher inherits, and with it every program that it starts: no credential of others.

    :param own: what the names of its own variables begin with, in capitals.
    """
    return {name: x for name, x in environ.items() if not is_credential(name) or name.upper().startswith(own)}


def is_credential(name: str) -> bool:
    """Whether a variable of this name may have a credential as its value."""
    return _CREDENTIAL.match(name.upper()) is not None


def _without(path: str, environment: str, platform: str) -> str:
    """The search path `path` without the scripts of a virtual environment."""
    pure, separator, scripts = (PureWindowsPath, ";", "Scripts") if platform == "win32" else (PurePosixPath, ":", "bin")
    return separator.join(part for part in path.split(separator) if pure(part) != pure(environment, scripts))
