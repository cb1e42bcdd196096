"""git, as this project uses it: one way to call it, and what it says of a repository."""

import hashlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

from aind_launcher.errors import Refused, SourceError
from aind_launcher.model.session import Repository
from aind_launcher.system.inherited import tool_environment
from aind_launcher.system.programs import find_program

# What a hook or an alias leaves behind; each would point git at another repository than the one it is asked about.
_INHERITED = re.compile(
    r"""GIT_( \w+_PATHSPECS | ALTERNATE_OBJECT_DIRECTORIES | COMMON_DIR | CONFIG | CONFIG_PARAMETERS | DIR | GRAFT_FILE
    | IMPLICIT_WORK_TREE | INDEX_FILE | INTERNAL_SUPER_PREFIX | NAMESPACE | NO_REPLACE_OBJECTS | OBJECT_DIRECTORY
    | PREFIX | QUARANTINE_PATH | REPLACE_REF_BASE | SHALLOW_FILE | WORK_TREE )""",
    re.VERBOSE,
)
# The configuration of a checkout may name programs: one for each file that is compared, one that watches the files,
# one for each event, and some that fetch. It was never reviewed, so none of them is run.
_FILTER = re.compile(r"filter\..*\.(clean|smudge|process|required)", re.DOTALL)
_NO_PROGRAMS = {"core.fsmonitor": "false", "core.hooksPath": "/dev/null"}
# What `git` may be given to clone from a path; otherwise nothing is fetched from anywhere.
FROM_A_PATH: Final = {"GIT_ALLOW_PROTOCOL": "file"}
_NO_FETCHING = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
# Prefixes of the variables that git, ssh and the credential helpers of the usual servers read.
_OF_GIT = ("GIT_", "SSH_", "GCM_", "GH_", "GITHUB_", "GITLAB_")
_PIECE = 1 << 20
# How git's listings begin where a submodule is.
_SUBMODULE = "160000 "
_GONE = re.compile(r"not a git repository: (.+)")
_SAFE_DIRECTORY = re.compile(r"git config --global --add safe\.directory .+")


def git(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What ``git ARGUMENTS`` prints on stdout in the folder `cwd`, unchanged.

    :param environment: added to what git inherits.
    :raises SourceError: git distrusts the folder's owner, as it does on shared rigs.
    :raises Refused: git is not installed, or fails; the sentence is git's own last one.
    """
    exit_code, output, complaint = _run(arguments, cwd, environment or {})
    if exit_code:
        raise _failure(arguments, cwd, complaint)
    return output


def _asked(*arguments: str, cwd: Path) -> str | None:
    """What git prints, or None if it ends with exit code 1, which is how it answers no."""
    exit_code, output, complaint = _run(arguments, cwd, {})
    if exit_code not in (0, 1):
        raise _failure(arguments, cwd, complaint)
    return None if exit_code else output


def git_environment(environ: Mapping[str, str], *own: str) -> dict[str, str]:
    """`environ` without what ties git to another repository, and without credentials that are not git's.

    :param own: prefixes of further variables that are kept; see `tool_environment`.
    """
    kept = tool_environment(environ, *_OF_GIT, *own)
    return {name: value for name, value in kept.items() if not _INHERITED.fullmatch(name.upper())}


def version_in(said: str) -> tuple[int, int] | None:
    """The version that ``git --version`` says, or None where it is not understood."""
    found = re.search(r"\b(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def toplevel(folder: Path) -> Path:
    """The root of the working tree that `folder` lies in.

    :raises Refused: it lies in none.
    """
    return Path(git("rev-parse", "--show-toplevel", cwd=folder).rstrip("\r\n")).resolve()


def commit_of(repository: Path, revision: str = "HEAD") -> str | None:
    """The full hash of the commit that `revision` names, or None if there is no such commit."""
    answer = _asked("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}", cwd=repository)
    return answer.strip() if answer else None


def committed_at(repository: Path, commit: str, within: Sequence[str] = ()) -> datetime | None:
    """When `commit` was made, or the last one up to it that changed what is `within`; None where there is none.

    :param within: paths relative to the root.
    """
    command = "--literal-pathspecs rev-list --max-count=1 --timestamp"
    listed = git(*command.split(), commit, "--", *within, cwd=repository)
    return datetime.fromtimestamp(int(listed.split()[0]), UTC) if listed else None


def changes(repository: Path, within: Iterable[str] = ()) -> tuple[str, ...]:
    """The paths, relative to the root, in which the working tree differs from HEAD.

    Modified and deleted files, submodules that are modified or at another commit, and untracked files that are not
    ignored. A path that ends in ``/`` is a repository that git does not track.

    Filters that the account configures are run, since they made the files what they are (git-lfs); those that only the
    repository's own configuration names are not.

    :param within: paths relative to the root to look at; all by default.
    """
    within = tuple(within)
    # git itself would look into submodules with all that their configurations name.
    command = (
        "--literal-pathspecs status --porcelain=v1 -z --no-renames --untracked-files=all --ignore-submodules=dirty"
    )
    settings = _configured({**_NO_PROGRAMS, **_filters_of_the_account(repository)})
    listed = git(*command.split(), "--", *within, cwd=repository, environment=settings)
    found = {entry[3:] for entry in listed.split("\0") if entry}
    inside = (path for path in submodules(repository, within) if (repository / path / ".git").exists())
    return tuple(sorted(found.union(path for path in inside if path not in found and changes(repository / path))))


def submodules(repository: Path, within: Iterable[str] = ()) -> Iterator[str]:
    """The paths of all submodules, checked out or not, whether or not ``.gitmodules`` names them.

    :param within: as for `changes`.
    """
    for entry in git("--literal-pathspecs", "ls-files", "--stage", "-z", "--", *within, cwd=repository).split("\0"):
        description, _, path = entry.partition("\t")
        if description.startswith(_SUBMODULE):
            yield path


def overlooked(repository: Path, within: Iterable[str] = ()) -> Iterator[tuple[Path, str]]:
    """Each file in which git overlooks changes, and the command that ends this; in submodules, too.

    A sparse checkout leaves such files out; others are marked assume-unchanged or skip-worktree.

    :param within: as for `changes`.
    """
    there = f'git -C "{repository}"' if " " in str(repository) else f"git -C {repository}"
    sparse = _asked("config", "--type=bool", "core.sparseCheckout", cwd=repository) == "true\n"
    listed = git("--literal-pathspecs", "ls-files", "-v", "--stage", "-z", "--", *within, cwd=repository).split("\0")
    for description, _, path in (entry.partition("\t") for entry in listed if entry):
        shown, tag = f'"{path}"' if " " in path else path, description[0]
        if tag in "Ss":
            command = "sparse-checkout disable" if sparse else f"update-index --no-skip-worktree {shown}"
            yield repository / path, f"{there} {command}"
        elif tag.islower():
            yield repository / path, f"{there} update-index --no-assume-unchanged {shown}"
        if description[2:].startswith(_SUBMODULE) and (repository / path / ".git").exists():
            yield from overlooked(repository / path)


def _filters_of_the_account(repository: Path) -> dict[str, str]:
    """What each filter setting of the repository's own configuration is without that: the account's, or nothing."""
    listed = git("config", "--show-scope", "-z", "--list", cwd=repository).split("\0")
    own: dict[str, str] = {}
    account: dict[str, str] = {}
    for scope, entry in zip(listed[::2], listed[1::2], strict=False):
        key, _, value = entry.partition("\n")
        if _FILTER.fullmatch(key):
            (own if scope in ("local", "worktree") else account)[key] = value
    return {key: account.get(key, "") for key in own}


def verify(repository: Path, commit: str, within: Iterable[str] = ()) -> None:
    """Compare the objects of `commit` with their names, which are the hashes of what was committed.

    git itself does so only when it fetches over a connection. What was rewritten in the object store of a repository
    is read, and cloned from a path, as if it had been committed.

    :param within: paths relative to the root to look at, with the folders that they lie in; all by default.
    :raises SourceError: one is missing, damaged or rewritten.
    """
    listed = git("--literal-pathspecs", "ls-tree", "-r", "-t", "-z", commit, "--", *within, cwd=repository).split("\0")
    entries = [entry.partition("\t") for entry in listed if entry and not entry.startswith(_SUBMODULE)]
    named = [(commit, "."), (f"{commit}^{{tree}}", "."), *((about.split()[2], path) for about, _, path in entries)]
    program, environment = _git_program({})
    with tempfile.TemporaryFile() as asked:
        asked.write("".join(f"{name}\n" for name, _ in named).encode())
        asked.seek(0)
        with subprocess.Popen(
            [program, "cat-file", "--batch"],
            cwd=repository,
            env=environment,
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            answers = process.stdout or io.BytesIO()
            forged = next((path for _, path in named if not _is_sound(answers)), None)
            process.kill()
    if forged is not None:
        raise SourceError(
            f"git's copy of {forged!r} at {commit[:10]} in {repository} is damaged or not what was committed.",
            f'See `git -C "{repository}" fsck`, and clone that repository again.',
        )


def _is_sound(answers: IO[bytes]) -> bool:
    """Whether the next answer of ``git cat-file --batch`` is the object that its name is the hash of."""
    header = answers.readline().split()
    if len(header) != 3:
        # It is missing, or git ended because it cannot be read at all.
        return False
    name, kind, size = header
    digest = hashlib.new("sha1" if len(name) == 40 else "sha256", b"%b %b\0" % (kind, size), usedforsecurity=False)
    left = int(size)
    while left and (piece := answers.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    answers.readline()
    return digest.hexdigest().encode() == name


def is_ignored(repository: Path, path: Path) -> bool:
    """Whether git ignores what lies at `path`, which need not be there.

    :param path: without links, in the working tree of `repository`.
    """
    return _asked("check-ignore", "--quiet", "--", str(path), cwd=repository) is not None


def remote_url(repository: Path) -> str | None:
    """Where `repository` is fetched from: ``origin``, else its first remote, without credentials."""
    answer = _asked("config", "-z", "--get-regexp", r"^remote\..*\.url$", cwd=repository) or ""
    entries = [entry.partition("\n") for entry in answer.split("\0") if entry]
    urls = [url for key, _, url in entries if key == "remote.origin.url"] or [url for _, _, url in entries]
    return without_credentials(urls[0]) if urls else None


def without_credentials(url: str) -> str:
    """`url` as it may be recorded and shown: without password, token or query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    if "://" not in url or not parts.netloc:
        # A path, or ssh's short form host:path, which has no place for a password.
        return url
    user, _, host = parts.netloc.rpartition("@")
    # The user of ssh is part of the address; that of HTTP is often a token.
    kept = f"{user.partition(':')[0]}@{host}" if user and parts.scheme in ("ssh", "git+ssh") else host
    return urlunsplit((parts.scheme, kept, parts.path, "", ""))


def describe_repository(folder: Path) -> Repository:
    """The repository that `folder` lies in: root, URL, commit, and whether anything is uncommitted.

    :raises Refused: it lies in none, or git distrusts its owner.
    """
    root = toplevel(folder)
    return Repository(path=root, url=remote_url(root), commit=commit_of(root), clean=not changes(root))


def _configured(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that add `settings` to what git is configured with; they win, in every git that git starts."""
    given = os.environ.get("GIT_CONFIG_COUNT", "")
    number = int(given) if given.isdecimal() else 0
    variables = {"GIT_CONFIG_COUNT": str(number + len(settings))}
    for n, (key, value) in enumerate(settings.items(), start=number):
        variables |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
    return variables


def _git_program(added: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """git, and what it inherits with `added`."""
    own = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    environment = {**git_environment(os.environ), **own, **_NO_FETCHING, **_configured(_NO_PROGRAMS), **added}
    program = find_program("git", environment.get("PATH") or os.defpath)
    if program is None:
        raise Refused("git was not found on the PATH.", "Install git and open a new terminal.")
    return program, environment


def _run(arguments: Iterable[str], cwd: Path, added: Mapping[str, str]) -> tuple[int, str, str]:
    """The exit code of git and what it prints on stdout and stderr."""
    program, environment = _git_program(added)
    try:
        ended = subprocess.run(
            [program, *arguments], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        if not cwd.is_dir():
            raise Refused(f"There is no folder {cwd}.") from None
        raise Refused(f"{program} cannot be started: {error.strerror}.", "Install git anew.") from None
    # git prints paths as the bytes they are; on the platforms of rigs that is UTF-8.
    output, complaint = (printed.decode("utf-8", "surrogateescape") for printed in (ended.stdout, ended.stderr))
    return ended.returncode, output, complaint


def _failure(arguments: Iterable[str], cwd: Path, stderr: str) -> Refused:
    if trust := _SAFE_DIRECTORY.search(stderr):
        return SourceError(
            f"git does not trust {cwd}, because another account owns it.", f"Run `{trust.group().strip()}`."
        )
    if gone := _GONE.search(stderr):
        shown = f'git -C "{cwd.parent}" submodule update --init --recursive "{cwd.name}"'
        return SourceError(
            f"{cwd} has lost its git directory, {os.path.normpath(cwd / gone[1])}.",
            f"If it is a submodule, move the folder aside and run `{shown}`; otherwise clone it again.",
        )
    if "not a git repository" in stderr:
        return Refused(f"{cwd} is not in a git repository.", "Change to one, or make one with `git init`.")
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    complaints = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["it gave no reason"]
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    return Refused(f"`git {command}` failed in {cwd}: {complaints[-1].rstrip('.')}.")
