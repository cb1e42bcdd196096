"""All that developers and CI run, by name: ``python3 noxfile.py NAME [-- ARGUMENTS]``.

Needs Python 3.11 and git, nothing else: called as a program it makes itself a private environment with nox
and uv in it and goes on there. Under nox itself it is an ordinary noxfile.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever calls this may have an older one
    sys.exit(f"aind-launcher needs Python 3.11 or newer; this is {sys.version_info[0]}.{sys.version_info[1]}.")

import importlib.util
import shutil
import subprocess
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ("nox==2026.10.20", "uv>=0.7")


def private_python() -> Path:
    """The Python of an environment with nox in it, made on first use.

    Each attempt has a folder of its own and the marker that names it is put in place last: an interrupted
    attempt leaves nothing that is taken for whole, and two at once do not meet.
    """
    home = ROOT / ".nox" / ".bootstrap"
    marker = home / f"python{sys.version_info[0]}.{sys.version_info[1]}-{TOOLS[0]}.txt"
    inside = Path("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if marker.is_file():
        python = home / marker.read_text(encoding="utf-8") / inside
        if python.is_file():
            return python
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            f"{sys.executable} cannot make virtual environments, for it has no ensurepip. "
            "On Debian and Ubuntu: apt-get install python3-venv."
        )
    home.mkdir(parents=True, exist_ok=True)
    print(f"Making an environment with nox in {home}, this once.", file=sys.stderr)
    folder = Path(tempfile.mkdtemp(prefix="nox-", dir=home))
    try:
        venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
        subprocess.run([folder / inside, "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(f"The environment with nox could not be made; its command ended with {error.returncode}.")
    named = folder / "marker.txt"
    named.write_text(folder.name, encoding="utf-8")
    named.replace(marker)
    return folder / inside


def main(arguments: list[str]) -> int:
    """Run nox on this file in the private environment; its exit code."""
    if not arguments:
        arguments = ["--list"]
    elif not arguments[0].startswith("-"):
        arguments = ["--session", *arguments]
    return subprocess.call([private_python(), "-m", "nox", "--noxfile", __file__, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# From here on nox reads this file, in an environment that has it.
import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.error_on_missing_interpreters = True

PLUGINS = sorted(project.parent for project in ROOT.glob("plugins/*/pyproject.toml"))
PARALLEL = ("--numprocesses=logical", "--dist=worksteal")


def group(name: str, project: Path = ROOT) -> list[str]:
    """The requirements of a dependency group, if the project has it; what is in plugins/ is taken from there."""
    content = nox.project.load_toml(project / "pyproject.toml")
    if name not in content.get("dependency-groups", {}):
        return []
    here = {folder.name: folder for folder in PLUGINS}
    requirements = nox.project.dependency_groups(content, name)
    return [part for text in requirements for part in (editable(here[text]) if text in here else [text])]


def package_of(project: Path) -> Path:
    """The folder of a project's package, which is named after its distribution."""
    name = str(nox.project.load_toml(project / "pyproject.toml")["project"]["name"]).replace("-", "_")
    return next(folder for folder in (project / name, project / "src" / name) if folder.is_dir())


def editable(*projects: Path) -> list[str]:
    """Arguments that install these projects as they stand in the checkout, with all that is optional."""
    return [argument for project in projects for argument in ("--editable", f"{project}{extras(project)}")]


def extras(project: Path) -> str:
    """As in ``[demo,testing]``; empty for a project without extras."""
    names = nox.project.load_toml(project / "pyproject.toml")["project"].get("optional-dependencies", {})
    return f"[{','.join(names)}]" if names else ""


@nox.session
def tests(session: nox.Session) -> None:
    """Run the quick tests: all that are not marked integration."""
    session.install(*editable(ROOT), *group("tests"))
    session.run("pytest", *PARALLEL, "-m", "not integration", *session.posargs)


@nox.session
def integration(session: nox.Session) -> None:
    """Run the slow tests: real packages, built environments, whole sessions."""
    session.install(*editable(ROOT), *group("tests"))
    session.run("pytest", *PARALLEL, "-m", "integration", *session.posargs)


@nox.session(python="3.11")
def windows(session: nox.Session) -> None:
    """Run the quick tests and the demo in the real Windows Python, on Debian or Ubuntu; `-- --help` for choices."""
    if sys.platform != "linux":
        session.error("This is for Linux with Wine. On Windows itself: tests integration demo.")
    session.install("uv")
    session.run("python", "tests/windows/run.py", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Meet sessions with every fault at every file operation (Linux); `-- --kind eio --at 123 --of resume` for one."""
    session.install(*editable(ROOT), *group("tests"))
    session.run("python", "tests/fault_survey.py", *session.posargs)


@nox.session
def cohort(session: nox.Session) -> None:
    """Run animals on rigs for days and check every record (Linux); `-- --rigs 12 --animals 60 --days 10 --seed 1`."""
    session.install(*editable(ROOT), *group("tests"))
    session.run("python", "-m", "cohort", *session.posargs, env={"PYTHONPATH": str(ROOT / "tests")})


@nox.session
@nox.parametrize(
    "plugin",
    [folder.name for folder in PLUGINS] + [f"{folder.name} oldest" for folder in PLUGINS if group("oldest", folder)],
)
def plugins(session: nox.Session, plugin: str) -> None:
    """Run the tests of each distribution in plugins/, alone with the core in its own environment.

    One that names its *oldest* versions of a package is tested with those, too.
    """
    name, _, versions = plugin.partition(" ")
    folder = ROOT / "plugins" / name
    needs = [need for wanted in ("tests", versions) if wanted for need in group(wanted, folder)]
    session.install(*editable(ROOT, folder), *group("tests"), *needs)
    # Its own configuration of pytest holds, else the one here.
    session.run("pytest", str(folder / "tests"), *session.posargs)


@nox.session
def together(session: nox.Session) -> None:
    """Run the tests of all distributions in plugins/ together, in one task repository."""
    session.install(*editable(ROOT, *PLUGINS), *group("tests"))
    session.run("pytest", "plugins/together", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff; `-- --fix` corrects what can be corrected."""
    session.install(*group("lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *session.posargs, ".")
    session.run("ruff", "format", *([] if fix else ["--check", "--diff"]), ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict: package, tests, plugins and this file."""
    needs = [need for project in (ROOT, *PLUGINS) for name in ("lint", "tests") for need in group(name, project)]
    session.install(*editable(ROOT, *PLUGINS), *needs)
    session.run("mypy", "aind_launcher", "benchmarks", "docs/reference.py", "noxfile.py", *session.posargs)
    # A test says what it is by its name, and fails by itself where there is None; what it calls is checked.
    untyped = (
        "--allow-untyped-defs",
        "--allow-untyped-calls",
        "--allow-incomplete-defs",
        "--disable-error-code=union-attr",
    )
    session.run("mypy", *untyped, "tests", *session.posargs)
    # Each on its own: it may have a configuration, and a conftest.py of the same name.
    for folder in PLUGINS:
        with session.chdir(folder):
            session.run("mypy", "--strict", ".", *session.posargs)
    session.run("mypy", "plugins/together", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write what the code says into the pages, and build them into docs/_build/html; a warning is an error."""
    session.install(*editable(ROOT), *group("docs"))
    session.run("python", "docs/reference.py")
    session.run("sphinx-build", "-W", "--keep-going", "--builder=html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run `aind-launch demo` of this checkout, in a folder of nox's own; `-- DIR` for another."""
    services = PLUGINS if "--with-services" in session.posargs else []
    session.install(*editable(ROOT, *services))
    elsewhere = any(not argument.startswith("-") for argument in session.posargs)
    folder = [] if elsewhere else [str(Path(session.create_tmp(), "demo")), "--fresh"]
    session.run("aind-launch", "demo", *folder, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or those whose names follow `--`."""
    session.install(*editable(ROOT), *group("bench"))
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted(ROOT.glob("benchmarks/bench_*.py"))}
    for name in session.posargs or scripts:
        if name not in scripts:
            session.error(f"There is no benchmark {name!r}; there are: {', '.join(scripts) or 'none'}.")
        session.run("python", str(scripts[name]))


@nox.session
def build(session: nox.Session) -> None:
    """Build wheels of all distributions into dist/, check that nothing is missing, and start the installed one."""
    session.install("build", "hatchling")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for project in (ROOT, *PLUGINS):
        session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist", str(project), silent=True)
        package = package_of(project)
        (wheel,) = ROOT.glob(f"dist/{package.name}-*.whl")
        kept = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        missing = {path.relative_to(package.parent).as_posix() for path in kept} - set(
            zipfile.ZipFile(wheel).namelist()
        )
        if missing or package / "py.typed" not in kept:
            session.error(f"{wheel.name} lacks {', '.join(sorted(missing)) or 'py.typed'}.")
    wheels = [str(wheel) for wheel in ROOT.glob("dist/aind_launcher-*.whl")]
    session.install("--reinstall-package=aind-launcher", *wheels)
    session.run("aind-launch", "--version")
