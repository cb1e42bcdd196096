"""Building an environment: a private clone, a virtual environment, and what uv puts into it."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from aind_launcher.curriculum.pins import Pin
from aind_launcher.curriculum.project import COMMAND, LOCK, lock_folder, read_project
from aind_launcher.curriculum.sources import Source
from aind_launcher.curriculum.specification import EnvironmentSpec, satisfies
from aind_launcher.errors import EnvironmentBuildError, Refused
from aind_launcher.model.sources import Progress
from aind_launcher.system.git import FROM_A_PATH, changes, commit_of, git, git_environment, verify

# Each would make uv work on another environment than the one it is asked for, or choose what is built: of uv's own, all
# but those that say where packages and Pythons come from.
_MISLEADING = re.compile(
    r"""CONDA_DEFAULT_ENV | CONDA_PREFIX | VIRTUAL_ENV | PYTHONHOME | PYTHONPATH | __PYVENV_LAUNCHER__
    | UV_(?!(
        INDEX | INDEX_.* | DEFAULT_INDEX | EXTRA_INDEX_URL | NO_INDEX | FIND_LINKS | INSECURE_HOST
        | OFFLINE | HTTP_.* | REQUEST_TIMEOUT | CONCURRENT_.* | LOCK_TIMEOUT
        | CACHE_DIR | NO_CACHE | SYSTEM_CERTS | NATIVE_TLS | KEYRING_PROVIDER | CREDENTIALS_DIR
        | PYTHON_.* | MANAGED_PYTHON | NO_MANAGED_PYTHON | .*_MIRROR | .*_MIRROR_URL
    )\Z).*""",
    re.VERBOSE,
)
# The command line comes before the uv.toml of an account or of the machine.
_RESOLUTION = ("--resolution", "highest", "--prerelease", "if-necessary-or-explicit")
# What is built is what was committed, byte for byte: no filter (git-lfs) and no setting for line ends has a part in it.
_AS_COMMITTED = "* -filter -text -ident -working-tree-encoding\n"
# What means something in the patterns of a sparse checkout.
_SPECIAL = re.compile(r"[\\*?\[\] ]")
_SHOWN_OUTPUT = 400
# One line a package, and what is said of a Python that is there: too much for whoever waits, but in the log.
_FOR_THE_LOG = re.compile(r"\s*([+~-] |Using |Creating virtual|Activate with|Python \d)")
# What uv and git say where they reach nothing.
_UNREACHABLE = re.compile(
    r"error sending request|dns error|Failed to connect|Could not resolve host|network was disabled|timed out"
)
# The latter is how uv reports that a version manager (pyenv) lacks the version.
_NOT_FOUND = re.compile(r"No interpreter found|Failed to inspect Python interpreter from search path")
_NOT_FETCHED = re.compile(r"hint: A managed Python download is available .*?, but ([^,\n]*)")
_FRAME = re.compile(r"[\s│]*(error:|cause:|hint:|[\u00d7╰├]─?▶?)?\s*(.*)", re.DOTALL)


def build(spec: EnvironmentSpec, progress: Progress) -> None:
    """Build the source of `spec` as it is at its pin, with its uncommitted changes, in the empty folder of `spec`.

    The log beside the folder gets everything that the tools print.

    :raises EnvironmentBuildError: says what failed in one sentence.
    """
    source, environment, clone = spec.source, spec.folder / "venv", spec.folder / "source"
    with spec.log.open("w", encoding="utf-8") as output:
        uv = _Uv(spec, output, progress)
        progress(f"Cloning {source.name} at {(spec.pin.head or '')[:10]}")
        _clone(source, spec.pin, clone)
        python = sys.executable if satisfies(sys.version_info[:3], spec.python) else spec.python
        # uv finds it or, where it may, fetches it. Version managers answer by the folder that they are asked in, and
        # uv by its configuration there: in the clone, it is what was committed.
        uv.run("venv", "--no-project", "--python", python, str(environment), cwd=clone / source.inside)
        _install(uv, clone, environment)
    command = scripts_folder(environment, sys.platform) / executable(COMMAND, sys.platform)
    if not source.configured and not command.exists():
        raise EnvironmentBuildError(
            f"The environment of {source.name} was built, but has no command `{COMMAND}`.",
            "Give its pyproject.toml a [build-system], so that its scripts are installed.",
        )


def refresh_lock(folder: Path) -> None:
    """Write the ``uv.lock`` of the project in `folder` anew if it is not of this machine's package index.

    uv refuses a lock that names an index which is not configured. The versions stay where the index has them; where it
    is not reached, the lock stays.
    """
    own = ("--python", sys.executable, "--no-python-downloads")
    subprocess.run(
        [_program(), "lock", *own], cwd=folder, env=_environment(os.environ), capture_output=True, check=False
    )


def scripts_folder(environment: Path, platform: str) -> Path:
    """Where a virtual environment keeps its programs."""
    return environment / ("Scripts" if platform == "win32" else "bin")


def executable(name: str, platform: str) -> str:
    """The file name of the program `name`."""
    return f"{name}.exe" if platform == "win32" else name


def remove_tree(folder: Path) -> None:
    """Delete `folder`, read-only files (git's objects on Windows) included; nothing to delete is no error."""

    def make_writable(function: Callable[..., Any], path: str, problem: object) -> None:
        if not os.path.lexists(path):
            return
        Path(path).chmod(stat.S_IRWXU)
        function(path)

    if sys.version_info >= (3, 12):
        shutil.rmtree(folder, onexc=make_writable)
    else:
        shutil.rmtree(folder, onerror=make_writable)


def _clone(source: Source, pinned: Pin, target: Path) -> None:
    root = source.checkout
    try:
        _replicate(root, target, pinned.head or "HEAD", pinned.paths)
        for changed in pinned.changes:
            _copy_over(root / changed, target / changed)
        _refuse_links(source, target)
    except EnvironmentBuildError:
        raise
    except (Refused, OSError) as error:
        raise EnvironmentBuildError(f"The pinned commit of {source.name} cannot be cloned: {error}") from None


def _replicate(origin: Path, target: Path, commit: str, paths: Sequence[str] = ()) -> None:
    """Clone the repository at `origin` with its history, its tags and its submodules, without the network.

    :param paths: what its working tree shall hold, relative to the root; by default all, as it does with ".", which
        leaves submodules out unless they are named.
    """
    # No template of this account has a part in what is built. From a path, git links or copies the objects that are
    # there: nothing is fetched, also where the origin is a partial clone.
    sparse = bool(paths) and "." not in paths
    verify(origin, commit, paths if sparse else ())
    own = ("--no-checkout", "--template=", "-c", "core.longpaths=true", "-c", f"core.sparseCheckout={sparse}")
    git("clone", "--quiet", *own, "--", str(origin), str(target), cwd=target.parent, environment=FROM_A_PATH)
    information = target / ".git" / "info"
    information.mkdir(exist_ok=True)
    (information / "attributes").write_text(_AS_COMMITTED, encoding="utf-8")
    if sparse:
        patterns = "".join("/" + _SPECIAL.sub(r"\\\g<0>", path) + "\n" for path in paths)
        (information / "sparse-checkout").write_text(patterns, encoding="utf-8", newline="\n")
    git("checkout", "--quiet", "--detach", commit, cwd=target)
    for entry in git("ls-tree", "-r", "-z", commit, cwd=target).split("\0"):
        description, _, path = entry.partition("\t")
        wanted = not paths or any(path == x or path.startswith(f"{x}/") for x in paths)
        if description.startswith("160000") and wanted:
            _replicate(origin / path, target / path, description.split()[2])


def _refuse_links(source: Source, clone: Path) -> None:
    """Refuse a link to what the clone does not hold: nothing pins what lies there."""
    for folder, folders, files in os.walk(clone):
        for link in (x for name in (*folders, *files) if (x := Path(folder, name)).is_symlink()):
            if not link.exists() or not link.resolve().is_relative_to(clone.resolve()):
                raise EnvironmentBuildError(
                    f"The build of {source.name} follows the link {link.relative_to(clone).as_posix()} to "
                    f"{link.readlink().as_posix()}, which is not part of its pin.",
                    f"Commit the file itself in the place of the link. {_beside(source)}".strip(),
                )


def _beside(source: Source) -> str:
    """What helps where a build reads what lies beside the source's folder."""
    if source.kind == "submodule" or source.inside == ".":
        return ""
    return (
        f"Of what lies beside {source.relative}, the build sees only what `cache-keys` in [tool.uv] of its "
        'pyproject.toml lists, as in `cache-keys = [{ file = "../shared/limits.csv" }]`.'
    )


def _copy_over(origin: Path, target: Path) -> None:
    """Bring one changed path of the working tree into the clone: a file, a deletion, or a repository."""
    if target.is_dir() and not target.is_symlink():
        remove_tree(target)
    target.unlink(missing_ok=True)
    if (origin / ".git").exists():
        _replicate(origin, target, commit_of(origin) or "HEAD")
        for changed in changes(origin):
            _copy_over(origin / changed, target / changed)
    elif origin.is_symlink() or origin.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin, target, follow_symlinks=False)


def _install(uv: "_Uv", clone: Path, environment: Path) -> None:
    """Install the project: what its lock says, where there is a lock."""
    folder, extras = clone / uv.spec.source.inside, uv.spec.extras
    # Without it, and with a differing .python-version, uv would make another environment.
    python = ("--python", str(scripts_folder(environment, sys.platform) / executable("python", sys.platform)))
    # Bytecode that Python would write later could not be told from bytecode that somebody put there.
    compiled = "--compile-bytecode"
    project = read_project(folder)
    if uv.spec.as_of:
        dated = ("--exclude-newer", uv.spec.as_of.isoformat())
        itself = f".[{','.join(extras)}]" if extras else "."
        uv.run("pip", "install", compiled, *python, *dated, *_RESOLUTION, itself, cwd=folder)
        return
    root = lock_folder(project, clone) if project else folder
    member = ("--package", project.name) if project and project.name and root != folder else ()
    chosen = [part for extra in extras for part in ("--extra", extra)]
    locked = ("--locked", "--no-default-groups", "--no-editable", "--no-python-downloads")
    uv.run("sync", *locked, compiled, *python, *member, *chosen, cwd=root, UV_PROJECT_ENVIRONMENT=str(environment))


@dataclass(frozen=True)
class _Uv:
    """Runs uv for one build: its output goes to the log, line by line, and to whoever watches."""

    spec: EnvironmentSpec
    output: TextIO
    progress: Progress

    def run(self, *arguments: str, cwd: Path, **variables: str) -> None:
        """Run ``uv ARGUMENTS``.

        :raises EnvironmentBuildError: it fails.
        """
        command = [_program(), *arguments]
        print(f"$ {subprocess.list2cmdline(command)}", file=self.output, flush=True)
        lines: list[str] = []
        with subprocess.Popen(
            command,
            cwd=cwd,
            env={**_environment(os.environ), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                for line in process.stdout or ():
                    print(line, end="", file=self.output, flush=True)
                    if line.strip():
                        lines.append(line.rstrip())
                    if line.strip() and not _FOR_THE_LOG.match(line):
                        self.progress(line.strip())
            except BaseException:
                # Ctrl-C: nothing goes on writing into a folder that will be built again.
                process.kill()
                raise
        if process.returncode:
            raise (self.spec.python in arguments and self._no_python(lines)) or self._failure(lines)

    def _no_python(self, lines: Sequence[str]) -> EnvironmentBuildError | None:
        """The error where uv says that there is no such Python; None where it says anything else."""
        wanted, printed = self.spec.python, "\n".join(lines)
        install = f'Run `uv python install "{wanted}"`'
        if refused := _NOT_FETCHED.search(printed):
            reason = refused[1]
        elif _UNREACHABLE.search(printed):
            reason, install = "and what uv would fetch was not reached", f"{install} when this machine is connected"
        elif _NOT_FOUND.search(printed):
            reason = "and uv fetched none"
        else:
            return None
        if "'never'" in reason:
            install = "Install it, or let uv fetch it (UV_PYTHON_DOWNLOADS=automatic)"
        return EnvironmentBuildError(
            f"The environment of {self.spec.source.name} needs Python {wanted}, which is not on this machine "
            f"({reason}).",
            f"{install}, or choose another with the setting 'python'.",
        )

    def _failure(self, lines: Sequence[str]) -> EnvironmentBuildError:
        source, whole = self.spec.source.name, f"The whole output is in {self.spec.log}."
        if any("needs to be updated" in line and "lock" in line for line in lines):
            return EnvironmentBuildError(
                f"The lock file of {source} does not fit its pyproject.toml, or this machine's package index.",
                f"Run `uv lock` in the source and commit {LOCK}. {whole}",
            )
        if any(_UNREACHABLE.search(line) for line in lines):
            return EnvironmentBuildError(
                f"The environment of {source} cannot be built, for the package index or a repository was not reached: "
                f"{complaint(lines)}",
                "Run `aind-launch curricula sync` when this machine is connected; after that no network is needed. "
                f"{whole}",
            )
        told = _beside(self.spec.source) if any("Failed to build" in line for line in lines) else ""
        hint = f"{told} {whole}".strip()
        if self.spec.as_of and any("No solution found" in line for line in lines):
            hint = (
                f"{source} has no {LOCK}, so nothing newer than its commit of {self.spec.as_of:%Y-%m-%d} is installed. "
                f"Run `uv lock` in it and commit {LOCK}. {whole}"
            )
        return EnvironmentBuildError(f"The environment of {source} cannot be built: {complaint(lines)}", hint)


def complaint(lines: Sequence[str]) -> str:
    """What uv complains of, as one sentence: from its error on, without its frames and hints."""
    start = next((n for n, line in enumerate(lines) if re.match(r"\s*(error:|\u00d7)", line)), max(len(lines) - 1, 0))
    told: list[str] = []
    captured = None
    for line in lines[start:]:
        kind, bare = _FRAME.findall(line)[0]
        if kind == "hint:":
            break
        if bare.startswith(("[stderr]", "[stdout]")):
            captured = ""
        elif captured is not None:
            # The output of a build backend: of a traceback, only the last line says what is wrong.
            captured = bare or captured
        elif bare:
            told.append(f": {bare}" if kind and told else f" {bare}")
    told += [f": {captured}"] if captured else []
    sentence = "".join(told).strip() or "it gave no reason"
    return sentence[:_SHOWN_OUTPUT].rstrip(" .") + ("…" if len(sentence) > _SHOWN_OUTPUT else ".")


def _program() -> str:
    import uv

    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError:
        raise EnvironmentBuildError(
            "uv is not installed.", "Install the launcher again; uv is one of its dependencies."
        ) from None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What uv runs with: proxies, indexes, certificates and caches, but nothing that chooses what is built."""
    # The name and password of an index may stand in variables of its own; uv starts git for what lies in repositories.
    kept = git_environment(environ, "UV_INDEX_")
    kept = {name: value for name, value in kept.items() if not _MISLEADING.fullmatch(name.upper())}
    # Laboratories look into encrypted traffic with certificates of their own, which the machine's store has.
    trusted = {} if "SSL_CERT_FILE" in kept else {"UV_SYSTEM_CERTS": "true"}
    # A linked file is the one in uv's cache and in other environments: an edit in one would be an edit in all. A copy
    # costs nothing where the disk can clone; uv's mode "clone" makes links where it cannot.
    own = {"UV_LINK_MODE": "copy", "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "PYTHONUTF8": "1"}
    return {**trusted, **kept, **own}
