"""Is there room for a session, may it be written, and is the code what it says?"""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from command_line import call
from contexts import a_session, folder_for_everybody, read_only
from pydantic import ByteSize, ValidationError
from repositories import add_submodule, commit, make_repository, write

from aind_launcher.builtin.checks import Checks
from aind_launcher.curriculum.build import remove_tree
from aind_launcher.errors import Refused
from aind_launcher.model.session import Check, Repository, SessionContext
from aind_launcher.system.git import version_in
from aind_launcher.testing import TaskRepositoryForTests


def looked_at(session: SessionContext, **settings: Any) -> dict[str, Check]:
    made = Checks(Checks.Settings(minimum_free_space=settings.pop("minimum_free_space", 0), **settings))
    return {check.name: check for check in made.pre_session(session)}


def test_a_rig_in_order_passes_every_check(tmp_path: Path) -> None:
    session = a_session(tmp_path)
    session.folder.parent.mkdir()
    checks = looked_at(session, minimum_free_space="1 kB")
    assert set(checks) == {"disk space", "data directory", "task repository"}
    assert {check.outcome for check in checks.values()} == {"passed"}
    assert list(session.folder.parent.iterdir()) == []


def test_a_disk_with_too_little_room_refuses_the_session_and_says_how_much_there_is(tmp_path: Path) -> None:
    check = looked_at(a_session(tmp_path), minimum_free_space="900 PB")["disk space"]
    assert check.outcome == "failed"
    assert "Only " in check.message
    assert "a session needs 900.0PB" in check.message
    assert "minimum-free-space" in (check.hint or "")


@pytest.mark.parametrize(
    ("written", "bytes_meant"),
    [(50, 50e9), (0.1, 1e8), ("50", 50e9), ("200 GB", 200e9), ("500MB", 5e8), ("1 GiB", 1 << 30), (0, 0)],
)
def test_room_is_counted_in_gigabytes_unless_a_unit_is_given(written: Any, bytes_meant: float) -> None:
    settings = Checks.Settings(minimum_free_space=written)
    assert settings.minimum_free_space == bytes_meant
    assert Checks.Settings.model_validate_json(settings.model_dump_json()).minimum_free_space == pytest.approx(
        bytes_meant, rel=0.1
    )


@pytest.mark.parametrize("written", ["plenty", -1, "nan", None, []])
def test_room_that_is_no_size_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        Checks.Settings(minimum_free_space=written)


def test_a_data_directory_that_is_missing_is_pointed_out_and_not_made(tmp_path: Path) -> None:
    check = looked_at(a_session(tmp_path))["data directory"]
    assert check.outcome == "warning"
    assert "does not exist yet" in check.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_a_data_directory_that_is_read_only_refuses_the_session() -> None:
    with folder_for_everybody() as folder:
        session = a_session(folder)
        session.folder.parent.mkdir()
        with read_only(session.folder.parent):
            check = looked_at(session)["data directory"]
        assert check.outcome == "failed"
        assert str(session.folder.parent) in check.message
        assert "right to write" in (check.hint or "")


@pytest.mark.not_in_wine("Wine has no access rights of folders")
def test_a_data_directory_below_a_read_only_folder_refuses_the_session() -> None:
    with folder_for_everybody() as folder, read_only(folder):
        assert looked_at(a_session(folder))["data directory"].outcome == "failed"


def test_a_data_directory_that_is_a_file_refuses_the_session(tmp_path: Path) -> None:
    (tmp_path / "my data").write_text("not a folder", encoding="utf-8")
    check = looked_at(a_session(tmp_path))["data directory"]
    assert check.outcome == "failed"
    assert "my data" in check.message


@pytest.mark.parametrize(
    ("setting", "allow_dirty", "outcome"),
    [("fail", False, "failed"), ("fail", True, "warning"), ("warn", False, "warning"), ("off", False, None)],
)
@pytest.mark.parametrize("state", [{"commit": "0123456789ab", "clean": False}, {"commit": None}])
def test_code_that_is_not_committed_refuses_or_warns_as_the_settings_say(
    tmp_path: Path, setting: str, allow_dirty: bool, outcome: str | None, state: dict[str, Any]
) -> None:
    repository = make_repository(tmp_path / "my task", {"README.md": "Hello\n"})
    write(repository, {"README.md": "changed\n"})
    session = a_session(tmp_path, repository=Repository(path=repository, **state), allow_dirty_repo=allow_dirty)
    check = looked_at(session, clean_repository=setting).get("task repository")
    assert (check.outcome if check else None) == outcome
    if check and outcome == "failed":
        assert str(repository) in check.message
        assert "--allow-dirty" in (check.hint or "")


def test_the_doctor_looks_at_the_disk_where_there_is_a_data_directory(tmp_path: Path) -> None:
    made = Checks(Checks.Settings(minimum_free_space="900 PB"))
    outcomes = {check.name: check.outcome for check in made.check_rig(tmp_path, tmp_path)}
    assert outcomes == {"data directory": "passed", "disk space": "failed"}
    assert made.check_rig(tmp_path, None) == []


@pytest.mark.parametrize(("setting", "outcomes"), [("fail", ["failed"]), ("warn", ["warning"]), ("off", [])])
def test_the_doctor_says_of_uncommitted_changes_what_a_session_would(
    tmp_path: Path, setting: Literal["fail", "warn", "off"], outcomes: list[str]
) -> None:
    made = Checks(Checks.Settings(minimum_free_space=ByteSize(0), clean_repository=setting))
    repository = make_repository(tmp_path / "my task", {"README.md": "Hello\n"})
    assert made.check_rig(repository, None) == []
    write(repository, {f"{name}.txt": "new" for name in "abcde"})
    checks = made.check_rig(repository, None)
    assert [check.outcome for check in checks] == outcomes
    assert all("(a.txt, b.txt, c.txt and 2 more)" in check.message for check in checks)


def test_a_submodule_that_was_moved_is_put_back_and_nobody_is_told_to_commit_it(tmp_path: Path) -> None:
    made = Checks(Checks.Settings(minimum_free_space=ByteSize(0)))
    repository = make_repository(tmp_path / "task", {"README.md": "Hello\n"})
    submodule = add_submodule(repository, make_repository(tmp_path / "origin", {"a": ""}), "sub")
    commit(submodule, {"a": "moved\n"})
    (check,) = made.check_rig(repository, None)
    assert check.name == "submodules"
    assert check.outcome == "failed"
    assert "are not as it pins them (sub)" in check.message
    assert f"`git -C {repository} submodule update --init --recursive sub`" in (check.hint or "")
    assert "commit" not in (check.hint or "")
    remove_tree(submodule)
    assert made.check_rig(repository, None) == [check]

    write(repository, {"README.md": "changed\n"})
    files, submodules = made.check_rig(repository, None)
    assert "changes that are not committed (README.md)" in files.message
    assert submodules == check


def test_a_data_directory_in_the_repository_that_git_does_not_ignore_is_pointed_out(tmp_path: Path) -> None:
    made = Checks(Checks.Settings(minimum_free_space=ByteSize(0)))
    repository = make_repository(tmp_path / "my task", {"README.md": "Hello\n"})

    def pointed_out(data_directory: Path) -> list[Check]:
        return [check for check in made.check_rig(repository, data_directory) if check.name == "gitignore"]

    (check,) = pointed_out(repository / "my data")
    assert check.outcome == "warning"
    assert f"Add the line `/my data/` to {repository / '.gitignore'}" in (check.hint or "")
    session = a_session(repository, repository=Repository(path=repository, commit="0123456789ab"))
    assert check in made.pre_session(session)
    (at_the_root,) = pointed_out(repository)
    assert at_the_root.hint == "Choose a folder outside the repository."
    commit(repository, {".gitignore": "/my data/\n"})
    assert pointed_out(repository / "my data") == []
    assert pointed_out(tmp_path / "elsewhere") == []


@pytest.mark.not_in_wine("Wine 8 makes no symbolic links")
def test_a_data_directory_that_is_a_link_to_nothing_refuses_the_session(tmp_path: Path) -> None:
    (tmp_path / "my data").symlink_to(tmp_path / "gone", target_is_directory=True)
    check = looked_at(a_session(tmp_path))["data directory"]
    assert check.outcome == "failed"
    assert f"{tmp_path / 'my data'} is a link to a place that is not there." in check.message


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Checks.Settings.model_fields.values())


def test_doctor_shows_a_plugin_that_answers_with_something_else(task_repository: TaskRepositoryForTests) -> None:
    task_repository.write(
        "mine.py",
        "from aind_launcher import hookimpl\n\nclass Chatty:\n    @hookimpl\n    def check_rig(self):\n"
        "        return ['all is well']\n",
    )
    task_repository.configure(plugins={"chatty": "mine:Chatty"})
    ended = call("doctor", cwd=task_repository.path)
    assert ended.code == 3
    assert "chatty: It answered with a str where Checks are expected." in ended.out


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("git version 2.39.5", (2, 39)),
        ("git version 2.43.0.windows.1", (2, 43)),
        ("git version 2.30.1 (Apple Git-130)", (2, 30)),
        ("git, whatever", None),
    ],
)
def test_a_git_says_its_version_in_several_ways(said: str, version: tuple[int, int] | None) -> None:
    assert version_in(said) == version


@pytest.mark.posix_only("a program there is no script")
def test_a_git_that_is_too_old_refuses_the_session(
    task_repository: TaskRepositoryForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    real = shutil.which("git")
    old.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo git version 2.30.2\nexec {real} "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent), prepend=os.pathsep)
    with pytest.raises(Refused, match=r"git: This is git 2\.30, and 2\.31 is the oldest that runs no program"):
        task_repository.run()
    assert "Install a newer git" in call("doctor", cwd=task_repository.path).out
