"""git as this project uses it, tried on real repositories."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import add_submodule, commit, make_repository, run_git, write

from aind_launcher.errors import Refused, SourceError
from aind_launcher.model.names import few
from aind_launcher.system.git import (
    FROM_A_PATH,
    changes,
    commit_of,
    describe_repository,
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


def name_programs(repository: Path, filtered_by: str) -> Path:
    """Let the configuration of `repository` name a program wherever it may, and return the file that it writes.

    :param filtered_by: the filter of ``README.md``, which gets other content of the same length.
    """
    ran = Path(run_git("rev-parse", "--absolute-git-dir", cwd=repository)) / "ran"
    program = ran.parent / "program"
    program.write_text(f"#!/bin/sh\necho run >> '{ran.as_posix()}'\ncat\n", encoding="utf-8", newline="\n")
    program.chmod(0o755)
    included = {"filter.in=cluded.clean": "", "filter.in=cluded.process": "", "filter.in=cluded.required": "true"}
    named = {
        "core.fsmonitor": "",
        "core.sshCommand": "",
        "core.gitProxy": "",
        "core.pager": "",
        "core.alternateRefsCommand": "",
        "diff.external": "",
        "diff.own.textconv": "",
        "diff.own.command": "",
        "alias.status": "!",
        "uploadpack.packObjectsHook": "",
        "filter.own.clean": "",
        "filter.own.smudge": "",
    }
    (ran.parent / "included").write_text("", encoding="utf-8")
    for file, values in (("included", included), ("config", named)):
        for key, value in values.items():
            text = value if value == "true" else f'{value}"{program.as_posix()}"'
            run_git("config", "--file", str(ran.parent / file), key, text, cwd=repository)
    for name in ("post-index-change", "post-checkout", "reference-transaction"):
        write(ran.parent / "hooks", {name: program.read_text(encoding="utf-8")})
        (ran.parent / "hooks" / name).chmod(0o755)
    run_git("config", "include.path", "included", cwd=repository)
    run_git("config", "core.hooksPath", (ran.parent / "hooks").as_posix(), cwd=repository)
    attributes = f"README.md filter={filtered_by} diff=own\n"
    (ran.parent / "info").mkdir(exist_ok=True)
    (ran.parent / "info" / "attributes").write_text(attributes, encoding="utf-8")
    readme = repository / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").swapcase(), encoding="utf-8")
    return ran


@pytest.mark.parametrize(
    ("nested", "filtered_by"),
    [(False, "own"), (False, "in=cluded"), (True, "own")],
    ids=["a repository", "what it includes", "a submodule of its submodule"],
)
def test_no_program_that_a_checkouts_own_configuration_names_is_run(
    repository: Path, tmp_path: Path, nested: bool, filtered_by: str
) -> None:
    inner = repository
    if nested:
        middle = make_repository(tmp_path / "middle", {"m": ""})
        add_submodule(middle, make_repository(tmp_path / "inner", {"README.md": "Hello\n"}), "inner")
        add_submodule(repository, middle, "middle")
        run_git("submodule", "--quiet", "update", "--init", "--recursive", cwd=repository)
        inner = repository / "middle" / "inner"
    ran = name_programs(inner, filtered_by)

    assert changes(repository) == (("middle",) if nested else ("README.md",))
    describe_repository(repository)
    git("clone", "--quiet", "--", str(inner), "clone", cwd=tmp_path, environment=FROM_A_PATH)
    is_ignored(inner, inner / "x")
    assert not ran.exists()


def test_filters_of_the_account_are_run_as_its_working_trees_need_them(repository: Path, tmp_path: Path) -> None:
    kept = run_git("config", "--global", "--includes", "--list", cwd=tmp_path)
    try:
        # As git-lfs does, it puts something else into the repository than into the working tree.
        run_git("config", "--global", "filter.account.clean", "tr a-z A-Z", cwd=tmp_path)
        commit(repository, {".gitattributes": "*.big filter=account\n", "a.big": "large\n"})
        run_git("config", "filter.account.clean", "no-such-program", cwd=repository)
        write(repository, {"a.big": "large\n"})

        assert changes(repository) == ()
    finally:
        run_git("config", "--global", "--remove-section", "filter.account", cwd=tmp_path)
    assert run_git("config", "--global", "--includes", "--list", cwd=tmp_path) == kept


def test_nothing_is_fetched_by_what_a_checkouts_own_configuration_names(tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "origin", {"code/a.py": "1\n"})
    run_git("clone", "--quiet", "--filter=blob:none", origin.as_uri(), "partial", cwd=tmp_path)
    partial, ran = tmp_path / "partial", tmp_path / "ran"
    tree = run_git("rev-parse", "HEAD:code", cwd=partial)
    program = write(tmp_path, {"program": f"#!/bin/sh\ntouch '{ran.as_posix()}'\n"}) / "program"
    program.chmod(0o755)
    run_git("config", "remote.origin.uploadpack", program.as_posix(), cwd=partial)
    for pack in (partial / ".git" / "objects" / "pack").iterdir():
        pack.chmod(0o644)
        pack.unlink()

    for asked in (["ls-tree", "-r", tree], ["cat-file", "-p", tree], ["status"]):
        with pytest.raises(Refused):
            git(*asked, cwd=partial)
    assert not ran.exists()


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
    misleading = {"git_dir": "y", "GIT_LITERAL_PATHSPECS": "1", "GIT_ICASE_PATHSPECS": "1"}
    given_variables = {"GIT_SSL_CAINFO": "x", "PATH": "z", "GIT_CONFIG_COUNT": "1", **misleading}

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
