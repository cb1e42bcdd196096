"""A call of the command line is refused, and nothing has changed."""

import re
from collections.abc import Mapping
from pathlib import Path

from command_line import call

from aind_launcher.journal.journal import Journal

USAGE, REFUSED = 2, 3


def contents(*folders: Path) -> dict[str, bytes | None]:
    """Every file and folder in `folders` but what git and Python keep for themselves."""
    found = {}
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            if not {".git", "__pycache__"} & set(path.parts) and path.exists():
                found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


def sessions(journal: Path) -> list[tuple[str, int | None]]:
    """How the sessions of a journal ended; none where it was never opened."""
    if not journal.exists():
        return []
    with Journal.open(journal) as opened:
        return [(record.state, record.exit_code) for record in opened.sessions()]


def refuse(
    code: int,
    sentence: str,
    *arguments: str,
    cwd: Path,
    keeps: tuple[Path, ...] = (),
    journal: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Call the command line and see that it refuses with one clear sentence, and that nothing has changed.

    :param sentence: a pattern in the sentence and its hint.
    :param keeps: folders that stay as they are.
    """
    before = contents(*keeps)
    ended = call(*arguments, cwd=cwd, environment=environment)
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert "does not know" not in ended.err
    above, *said = re.split(r"^Error: ", ended.err, flags=re.MULTILINE)
    assert len(said) == 1, ended.err
    told, _, hint = said[0].partition("\n")
    assert re.search(sentence, " ".join(said[0].split())), ended.err
    assert hint.startswith("  ") or "--help" in above or ". " in told, "there is no hint"
    assert contents(*keeps) == before
    if journal:
        assert set(sessions(journal)) <= {("refused", code)}
