"""Two logins at one machine: one lock for both, and a state directory that their group can share."""

import json
import os
import re
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from accounts import CAN_PLAY_ACCOUNTS, GROUP, Account, for_the_group, two_accounts, without_state_directory
from filelock import FileLock, Timeout
from task_repositories import laboratory

from aind_launcher.errors import Refused
from aind_launcher.journal.file import begun_substitute
from aind_launcher.journal.journal import Journal
from aind_launcher.model.clock import now
from aind_launcher.system import rig
from aind_launcher.system.files import copy_whole, make_folder, share, shared_mode
from aind_launcher.system.processes import Program, run_child
from aind_launcher.testing import TaskRepositoryForTests

WAITS = """
    from aind_launcher import hookimpl

    class Waits:
        @hookimpl
        def post_session(self, session):
            if (session.repository.path / "wait-is-broken").exists():
                print("waiting", flush=True)
                input()
            return "done"
"""


def test_without_a_setting_a_posix_machine_has_one_lock_whoever_logs_in() -> None:
    default, shared = rig.machine_directory("state", "linux", {}), [Path("/run/lock"), Path("/tmp")]  # noqa: S108
    assert rig.lock_directory(default, "linux", {}, shared) == Path("/run/lock/aind-launcher")
    assert rig.lock_directory(default, "darwin", {}, shared[1:]) == Path("/tmp/aind-launcher")  # noqa: S108


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_state_directory_that_belongs_to_no_login_has_its_lock_in_itself(platform: str, tmp_path: Path) -> None:
    default, shared = rig.machine_directory("state", "linux", {}), [Path("/run/lock")]
    assert rig.lock_directory(tmp_path, platform, {}, shared) == tmp_path
    of_windows = rig.machine_directory("state", "win32", {})
    assert rig.lock_directory(of_windows, "win32", {}, shared) == of_windows
    assert rig.lock_directory(default, "linux", {}, []) == default


def status(mode: int, group: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 1000, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("found", "above", "mode"),
    [
        (status(0o100644), status(0o042775), 0o664),
        (status(0o100600), status(0o042770), 0o660),
        (status(0o042755), status(0o042775), 0o2775),
        (status(0o100644), status(0o040755), 0o644),
        (status(0o100644), status(0o041777), 0o644),
        (status(0o100644), status(0o040775, group=2000), 0o644),
    ],
)
def test_what_is_made_may_be_changed_by_the_group_that_may_change_its_folder(
    found: os.stat_result, above: os.stat_result, mode: int
) -> None:
    assert shared_mode(found, above, "linux") == mode
    assert shared_mode(found, above, "win32") == stat.S_IMODE(found.st_mode)


@pytest.mark.posix_only("Windows has no modes")
def test_a_folder_that_a_group_shares_hands_that_on(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    before = os.umask(0o077)
    try:
        for top in ("shared", "private"):
            make_folder(tmp_path / top / "one" / "two")
            (tmp_path / top / "one" / "two" / "file").touch()
            share(tmp_path / top / "one" / "two" / "file")
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) & 0o777 for path in tmp_path.rglob("*")}
    assert modes["shared/one"] == modes["shared/one/two"] == 0o770
    assert modes["shared/one/two/file"] == 0o660
    assert modes["private/one"] == modes["private/one/two"] == 0o700
    assert modes["private/one/two/file"] == 0o600


@pytest.mark.posix_only("Windows has no modes")
def test_journal_substitute_output_and_copies_are_the_groups_where_their_folder_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    before = os.umask(0o022)
    try:
        with Journal.open(tmp_path / "journal.sqlite"), closing(begun_substitute(tmp_path / "substitute.sqlite")):
            command, kept = [sys.executable, "-c", "print('done')"], tmp_path / "output"
            run_child(Program(command, tmp_path, dict(os.environ), kept / "stdout.txt", kept / "stderr.txt"))
            copy_whole(kept / "stdout.txt", tmp_path / "copy" / "stdout.txt")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    finally:
        os.umask(before)
    assert {"journal.sqlite-wal", "journal.sqlite-shm", "substitute.sqlite", "stderr.txt"} < set(modes)
    assert set(modes.values()) == {0o664}


@pytest.mark.posix_only("on Windows the default state directory belongs to the machine")
def test_a_link_in_the_place_of_the_machines_lock_is_refused_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock").chmod(0o1777)
    (tmp_path / "of somebody").mkdir(mode=0o700)
    (tmp_path / "lock" / "aind-launcher").symlink_to(tmp_path / "of somebody")
    monkeypatch.setattr(rig, "SHARED_FOLDERS", (tmp_path / "lock",))
    default = rig.machine_directory("state", sys.platform, {})
    with pytest.raises(Refused, match="cannot be taken: Not a directory"), rig.rig_lock(default):
        pytest.fail("it was followed")
    assert stat.S_IMODE((tmp_path / "of somebody").stat().st_mode) == 0o700
    assert not list((tmp_path / "of somebody").iterdir())


@pytest.mark.posix_only("on Windows the default state directory belongs to the machine")
def test_an_older_launcher_that_holds_the_lock_in_the_state_directory_is_seen_and_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock").chmod(0o1777)
    monkeypatch.setattr(rig, "SHARED_FOLDERS", (tmp_path / "lock",))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    default = rig.machine_directory("state", sys.platform, {})
    default.mkdir()
    older = FileLock(default / "rig.lock")
    with rig.rig_lock(default), pytest.raises(Timeout):
        older.acquire(timeout=0)
    note = {"session": "77_of-an-older-one", "since": now().isoformat(), "process": os.getpid(), "login": "ana"}
    (default / "rig.json").write_text(json.dumps(note), encoding="utf-8")
    busy = pytest.raises(Refused, match=rf"busy: session 77_of-an-older-one since .* \(process {os.getpid()}, ana\)")
    with older, busy, rig.rig_lock(default):
        pytest.fail("two hold the rig")
    # The machine's own lock was given back.
    (default / "rig.json").unlink()
    with rig.rig_lock(default):
        assert rig.session_in_progress(default) is None


def waiting(account: Account, lab: TaskRepositoryForTests) -> "subprocess.Popen[str]":
    """A launcher of `account` that is in its post-session step."""
    (lab.path / "wait-is-broken").touch()
    process = account.start("run", "--subject", "123456", cwd=lab.path)
    assert process.stdout
    assert process.stdout.readline() == "waiting\n", process.communicate()[1]
    (lab.path / "wait-is-broken").unlink()
    return process


def shared_lab(root: Path) -> TaskRepositoryForTests:
    """A laboratory whose data and library both logins may write."""
    for name in ("data", "library"):
        for_the_group(root / name)
    for_the_group(root / "library" / "climbing")
    lab = laboratory(root, WAITS, names={"waits": "Waits"})
    for folder in (lab.subjects, lab.subjects / "123456"):
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
    return lab


if CAN_PLAY_ACCOUNTS:

    @pytest.mark.integration
    def test_with_default_settings_two_logins_of_one_machine_have_one_lock() -> None:
        with two_accounts() as (root, first, second):
            lab = shared_lab(root)
            without_state_directory(lab)
            # What a launcher leaves behind that is killed keeps no other login from holding the rig.
            for holder, other, answer in ((first, second, None), (second, first, "\n")):
                process = waiting(holder, lab)
                refused = other.call("run", "--subject", "123456", cwd=lab.path)
                assert refused.code == 3, refused.err
                busy = (
                    rf"This rig is busy: session 123456_\S+ since .* \(process {process.pid}, login-{holder.number}\)"
                )
                assert re.search(busy, " ".join(refused.err.split()))
                if answer is None:
                    process.kill()
                process.communicate(answer)
            assert process.returncode == 0
            assert stat.S_IMODE((root / "lock" / "aind-launcher").stat().st_mode) == 0o777

    @pytest.mark.integration
    @pytest.mark.parametrize("end", ["fails", "is killed"])
    def test_two_logins_of_a_group_take_turns_with_one_state_directory(end: str) -> None:
        with two_accounts() as (root, first, second):
            lab = shared_lab(root)
            for_the_group(lab.state)
            if end == "fails":
                lab.break_curriculum()
                assert first.call("run", "--subject", "123456", cwd=lab.path).code == 1
                lab.repair_curriculum()
            else:
                process = waiting(first, lab)
                process.kill()
                process.communicate()
            resumed = second.call("resume", "--all", cwd=lab.path)
            assert resumed.code == 0, resumed.err
            for account in (second, first):
                ran = account.call("run", "--subject", "123456", cwd=lab.path)
                warnings = [line for line in ran.err.splitlines() if "warning" in line and "ran today" not in line]
                assert (ran.code, warnings) == (0, []), ran.err
            assert lab.stage() == "rung4"
            with Journal.open(lab.journal) as journal:
                assert [record.state for record in journal.sessions()] == ["completed"] * 3
            owners = {path.stat().st_uid for path in lab.state.rglob("*")}
            assert owners == {first.number, second.number}
            private = [path for path in lab.state.rglob("*") if path.is_dir() and not path.stat().st_mode & 0o020]
            assert private == []

    @pytest.mark.integration
    def test_a_state_directory_of_one_login_stays_its_own() -> None:
        with two_accounts() as (root, first, _):
            lab = shared_lab(root)
            without_state_directory(lab)
            assert first.call("run", "--subject", "123456", cwd=lab.path).code == 0
            made = list((first.home / ".local" / "state" / "aind-launcher").rglob("*"))
            assert len(made) > 5
            assert [path for path in made if path.stat().st_mode & 0o022] == []
