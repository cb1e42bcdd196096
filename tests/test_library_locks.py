"""The lock of an animal where it matters: left behind by the dead, and on file systems that have none."""

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from contexts import MONDAY, suggestion
from libraries import ANIMAL, folder_of, stage
from preloaded import compiled

from aind_launcher.builtin.local_store.folder import LOCK
from aind_launcher.builtin.local_store.library import Library
from aind_launcher.builtin.local_store.locks import means_no_locks

# Records a decision, then looks at the library as a session and the doctor do.
RIG = textwrap.dedent(
    """
    import json, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from contexts import TUESDAY, a_session, suggestion, trainer_state
    from libraries import begin
    from aind_launcher.builtin.local_store.library import Library
    from aind_launcher.builtin.local_store.plugin import LocalStore
    from aind_launcher.model.animal import AnimalState

    root = Path(sys.argv[2])
    library = Library(root, "odours", lock_timeout=0)
    ticket = begin(library, "tuesday")
    library.record("123456", suggestion("second"), "tuesday", TUESDAY, None, ticket)
    store = LocalStore(LocalStore.Settings(library=root, experiment="odours"))
    state = AnimalState(trainer_state=trainer_state("second"), date=TUESDAY)
    checks = store.pre_session(a_session(root, animal_state=state)), store.check_rig()
    print(json.dumps([check.model_dump() for check in checks]))
    """
)

# A lock file as older launchers left it, and one of a launcher that died on another machine.
LEFT_BEHIND = {"empty": "", "of another machine": "4711\nanother-rig\n"}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "a library", "odours")
    library.record(ANIMAL, suggestion("first"), "monday", MONDAY, None)
    return library


def rig(library: Library, environment: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The checks of a rig that has recorded a decision."""
    ended = subprocess.run(
        [sys.executable, "-c", RIG, str(Path(__file__).parent), str(library.root)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
    )
    assert ended.returncode == 0, ended.stderr
    assert "Warning" not in ended.stderr
    checks: list[dict[str, Any]] = json.loads(ended.stdout)
    return checks


@pytest.mark.posix_only("Windows has no preloaded libraries")
@pytest.mark.parametrize("left", LEFT_BEHIND)
@pytest.mark.parametrize("problem", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_a_file_system_has_no_locks_a_decision_is_recorded_and_every_check_says_so(
    library: Library, tmp_path: Path, problem: int, left: str
) -> None:
    (folder_of(library) / LOCK).write_text(LEFT_BEHIND[left], encoding="utf-8")
    without = {"LD_PRELOAD": str(compiled("no_locks", tmp_path)), "NO_LOCKS": str(problem)}
    for check in rig(library, without):
        assert check["outcome"] == "warning"
        assert "has no locks" in check["message"]
        assert "one rig at a time" in check["hint"]
    assert stage(library) == "second"
    assert not list(library.root.rglob(".aind-launch-*"))


@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_a_lock_file_that_was_left_behind_is_free_where_there_are_locks(library: Library, left: str) -> None:
    (folder_of(library) / LOCK).write_text(LEFT_BEHIND[left], encoding="utf-8")
    assert [check["outcome"] for check in rig(library)] == ["passed", "passed"]
    assert stage(library) == "second"
    assert not list(library.root.rglob(".aind-launch-*"))


def test_a_share_without_locks_is_known_by_what_windows_answers_too() -> None:
    refused = OSError(errno.EINVAL, "not supported")
    assert not means_no_locks(refused)
    refused.winerror = 50  # type: ignore[attr-defined, unused-ignore] # ERROR_NOT_SUPPORTED
    assert means_no_locks(refused)
    assert not means_no_locks(PermissionError(errno.EACCES, "held"))
