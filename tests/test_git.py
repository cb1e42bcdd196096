"""git as this project uses it, tried on real repositories."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import add_submodule, commit, make_repository, run_git, write

from aind_launcher.errors import Refused, SourceError
from aind_launcher.system.git import (
    changes,
    commit_of,
    describe_repository,
    few,
    git,
    git_environment,
    is_ignored,
    remote_url,
    toplevel,
    without_credentials,
)
from aind_launcher.system.programs import spellings


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "my repository", {"README.md": "Hello\n", "code/a.py": "", ".gitignore": "*.log\n"}
    )


def test_a_fresh_repository_is_clean_and_described_by_its_root(repository: Path) -> None:
    described = describe_repository(repository / "code")

    assert described.path == repository.resolve()
    assert described.commit == run_git("rev-parse", "HEAD", cwd=repository)
    assert described.clean
    assert described.url is None


def test_modified_deleted_staged_and_untracked_files_are_changes_and_ignored_ones_are_not(repository: Path) -> None:
    write(repository, {"README.md": "Bye\n", "new file é.txt": "", "x.log": "", "staged.txt": ""})
    (repository / "code" / "a.py").unlink()
    run_git("add", "staged.txt", cwd=repository)

    assert changes(repository) == ("README.md", "code/a.py", "new file é.txt", "staged.txt")
    assert changes(repository, ["code"]) == ("code/a.py",)
    assert not describe_repository(repository).clean


def test_a_renamed_file_is_two_changes(repository: Path) -> None:
    run_git("mv", "README.md", "READ ME.md", cwd=repository)

    assert changes(repository) == ("READ ME.md", "README.md")


def test_a_pattern_in_a_path_is_no_pattern(repository: Path) -> None:
    write(repository, {"code/[a].py": "", "code/b.py": ""})

    assert changes(repository, ["code/[a].py"]) == ("code/[a].py",)


def test_a_submodule_at_another_commit_is_a_change_whatever_the_configuration_ignores(
    repository: Path, tmp_path: Path
) -> None:
    submodule = add_submodule(repository, make_repository(tmp_path / "origin", {"a": ""}), "sub")
    run_git("config", "diff.ignoreSubmodules", "all", cwd=repository)
    assert describe_repository(repository).clean

    commit(submodule, {"a": "changed"})

    assert changes(repository) == ("sub",)


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    run_git("init", "--quiet", cwd=tmp_path)

    assert commit_of(tmp_path) is None
    assert describe_repository(tmp_path).commit is None


def test_a_folder_outside_any_repository_is_refused_with_a_mend(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not in a git repository") as caught:
        toplevel(tmp_path)

    assert caught.value.hint is not None
    assert "git init" in caught.value.hint


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no folder .*nowhere"):
        git("status", cwd=tmp_path / "nowhere")


def test_a_git_in_the_repository_is_not_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in spellings("git", sys.platform):
        (repository / name).write_text("not a program")
        (repository / name).chmod(0o755)
    monkeypatch.chdir(repository)
    assert len(changes(repository)) == len(spellings("git", sys.platform))


def test_without_git_the_operator_is_told_to_install_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository / "code"))

    with pytest.raises(Refused, match="git was not found") as caught:
        git("status", cwd=repository)

    assert caught.value.hint == "Install git and open a new terminal."


def test_a_repository_of_another_account_is_refused_with_gits_own_command(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(SourceError, match="git does not trust") as caught:
        describe_repository(repository)

    assert caught.value.hint is not None
    assert "git config --global --add safe.directory" in caught.value.hint
    assert str(repository.name) in caught.value.hint


def test_gits_own_last_line_is_the_reason(repository: Path) -> None:
    with pytest.raises(Refused, match=r"^`git checkout` failed in .*: error: pathspec 'nonsense' did not match"):
        git("checkout", "nonsense", cwd=repository)


def test_a_call_from_a_hook_of_another_repository_is_not_led_astray(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_repository(tmp_path / "other", {"x": ""})
    expected = commit_of(repository)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))

    assert commit_of(repository) == expected
    assert changes(repository) == ()


def test_what_configures_git_is_kept() -> None:
    given_variables = {"GIT_SSL_CAINFO": "x", "git_dir": "y", "PATH": "z", "GIT_CONFIG_COUNT": "1"}

    assert git_environment(given_variables) == {"GIT_SSL_CAINFO": "x", "PATH": "z", "GIT_CONFIG_COUNT": "1"}


def test_the_url_is_that_of_origin_or_else_of_the_first_remote(repository: Path) -> None:
    run_git("remote", "add", "fork", "https://example.org/fork.git", cwd=repository)
    run_git("remote", "add", "other", "https://example.org/other.git", cwd=repository)
    assert remote_url(repository) == "https://example.org/fork.git"

    run_git("remote", "add", "origin", "https://me:secret@example.org/task.git", cwd=repository)
    assert describe_repository(repository).url == "https://example.org/task.git"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://token@example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://user:pass@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("https://example.org/a.git?private_token=x", "https://example.org/a.git"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("ssh://git:pass@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        (r"C:\Users\me\a b", r"C:\Users\me\a b"),
        ("../curricula.git", "../curricula.git"),
        ("file:///srv/a.git", "file:///srv/a.git"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@given(st.text(min_size=1), st.sampled_from(["https", "http", "ssh", "git+ssh", "ftp"]))
def test_no_password_survives(noise: str, scheme: str) -> None:
    assert "s3cret" not in without_credentials(f"{scheme}://user:s3cret@example.org/{noise}")


def test_what_git_ignores_need_not_be_there(repository: Path) -> None:
    write(repository, {".gitignore": "/data/\n"})

    assert is_ignored(repository, repository / "data" / "session")
    assert not is_ignored(repository, repository / "other" / "session")


def test_only_a_few_paths_are_named() -> None:
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
