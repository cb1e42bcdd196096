"""The tests and the demo in the real Windows Python, on Debian or Ubuntu with Wine: `python3 noxfile.py windows`."""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import making
from wine import Wine, windows_path

ROOT = Path(__file__).resolve().parent.parent.parent
PARALLEL = ("--numprocesses=logical", "--dist=worksteal")
# Under load Wine answers a call with this now and then; as Python, uv and the launcher say it.
INTERNAL_ERROR = re.compile(r"(WinError|os error) 1359|\(Internal error\)")


@dataclass
class Report:
    """What a run of pytest left behind, by the names that pytest knows the tests by."""

    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    passed: int = 0

    def add(self, file: Path) -> None:
        """Add, or correct by what was run once more, what pytest wrote in the form of JUnit."""
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - pytest wrote it just now
            name = _name(case)
            bad = [found for kind in ("failure", "error") for found in case.findall(kind)]
            self.failed.pop(name, None)
            if bad:
                self.failed[name] = "\n".join(found.text or "" for found in bad)
            elif (skip := case.find("skipped")) is not None:
                self.skipped[name] = skip.get("message", "")
            else:
                self.passed += 1


def _name(case: ElementTree.Element) -> str:
    file = case.get("file", "").replace("\\", "/")
    module = file.removesuffix(".py").replace("/", ".")
    inside = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join([file, *inside.split("."), case.get("name", "")] if inside else [file, case.get("name", "")])


class Windows:
    """The Windows of this checkout: what all checkouts share, and a virtual environment of its own.

    All of it lies outside of the checkout, for tests need folders that are in no repository.
    """

    def __init__(self, kept: Path) -> None:
        digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
        self._own = own = kept / "checkouts" / f"{ROOT.name}-{digest}"
        self._kept = kept
        self._scripts = own / "venv" / "Scripts"
        self._wine = Wine(
            kept / "prefix",
            # As on a real machine: the environment that is active, and a Python that is installed.
            (self._scripts, kept / "git" / "bin", kept / "python"),
            own / "temp",
            # Compiled files beside the sources would name these by their paths on drive Z.
            {"UV_CACHE_DIR": windows_path(kept / "uv-cache"), "PYTHONPYCACHEPREFIX": windows_path(own / "pycache")},
        )

    def install(self) -> None:
        """Install the checkout and what its tests need, as nox does on Windows."""
        uv, python = self._kept / "python" / "uv.exe", windows_path(self._kept / "python" / "python.exe")
        venv = windows_path(self._scripts.parent)
        done = self._scripts.is_dir() or self._wine.call(uv, "venv", "--quiet", "--python", python, venv) == 0
        arguments = ("pip", "install", "--quiet", "--python", venv, "--editable", ".", "--group", "tests")
        if not done or self._wine.call(uv, *arguments, folder=ROOT):
            sys.exit("The environment of the tests could not be made.")

    def test(self, *arguments: str) -> Report:
        """Run pytest; what failed for Wine's internal error is run once more."""
        report = Report()
        self._pytest(report, *PARALLEL, *arguments)
        again = [name for name, text in report.failed.items() if INTERNAL_ERROR.search(text)]
        if again:
            print("\nOnce more, for Wine's internal error 1359:", *again, sep="\n  ", flush=True)
            self._pytest(report, *again)
        return report

    def _pytest(self, report: Report, *arguments: str) -> None:
        base, results = self._own / "pytest", self._own / "results.xml"
        shutil.rmtree(base, ignore_errors=True)
        results.unlink(missing_ok=True)
        base_option = f"--basetemp={windows_path(base)}"
        results_option = ("-o", "junit_family=xunit1", f"--junitxml={windows_path(results)}")
        options = ("-p", "no:cacheprovider", "-rfE", base_option, *results_option)
        try:
            code = self._wine.call(self._scripts / "python.exe", "-m", "pytest", *options, *arguments, folder=ROOT)
        finally:
            # What a test left behind would run on.
            self._wine.end()
        if not results.is_file():
            sys.exit(f"pytest ended with {code} and left no results.")
        report.add(results)
        if code not in (0, 1):
            report.failed["pytest"] = f"ended with {code}"

    def demo(self) -> bool:
        """Whether the demo ended well, once more where Wine's internal error came between."""
        for attempt in (1, 2):
            folder = self._own / "demo"
            arguments = ("demo", windows_path(folder), "--fresh")
            if self._wine.call(self._scripts / "aind-launch.exe", *arguments, folder=ROOT) == 0:
                return True
            told = (file.read_text("utf-8", "replace") for file in folder.glob("data/**/*.txt"))
            if attempt == 2 or not any(map(INTERNAL_ERROR.search, told)):
                break
            print("\nThe demo once more, for Wine's internal error 1359.", flush=True)
        return False


def _sum_up(reports: list[Report], demo: bool | None) -> int:
    """Print what could not run and why, then the result; the exit code."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    failed: list[str] = []
    for report in reports:
        failed += report.failed
        for name, reason in report.skipped.items():
            by_reason[reason].append(name)
    skipped = sum(len(names) for names in by_reason.values())
    print(f"\n{skipped} tests cannot run here{':' if skipped else '.'}")
    for reason, names in sorted(by_reason.items()):
        print(f"  {reason} ({len(names)})", *sorted(names), sep="\n    ")
    if failed:
        print("Failed:", *failed, sep="\n  ")
    if demo is not None:
        print(f"The demo {'ran whole' if demo else 'failed'}.")
    print(f"{sum(report.passed for report in reports)} passed, {len(failed)} failed, {skipped} skipped", flush=True)
    return 1 if failed or demo is False else 0


def _need(install: bool) -> None:
    """Install what is missing, or say how."""
    if not (missing := making.missing()):
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *making.APT_PACKAGES]
    if not install or os.geteuid() != 0 or not shutil.which("apt-get"):
        hint = "" if install else ", or, as root, call this with --install"
        sys.exit(f"Missing: {', '.join(missing)}. Install with: sudo {' '.join(command)}{hint}")
    subprocess.run(["apt-get", "update", "--quiet"], check=True)
    subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def main() -> int:
    parser = argparse.ArgumentParser(prog="noxfile.py windows --", description=__doc__, allow_abbrev=False)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument(
        "--folder",
        type=Path,
        default=cache / "aind-launcher-windows",
        help="where all that is made is kept for the next time (%(default)s)",
    )
    parser.add_argument("--install", action="store_true", help="install missing packages with apt-get, as root")
    parser.add_argument("--integration", action="store_true", help="also run the integration tests")
    options, given = parser.parse_known_args()

    _need(options.install)
    began = time.monotonic()
    kept = options.folder.resolve()
    kept.mkdir(parents=True, exist_ok=True)
    lock = (kept / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"Another run uses {kept}. Wait for its end, or take another folder with --folder.")
    making.make_all(kept)
    windows = Windows(kept)
    windows.install()
    size, seconds = making.size_of(kept) / 1e6, time.monotonic() - began
    print(f"Windows is ready after {seconds:.0f} s, in {kept} ({size:,.0f} MB).", flush=True)

    if given:  # pytest's own arguments: these tests and no others
        return _sum_up([windows.test(*given)], None)
    reports = [windows.test("-m", "not integration")]
    demo = windows.demo()
    if options.integration:
        reports.append(windows.test("-m", "integration"))
    return _sum_up(reports, demo)


if __name__ == "__main__":
    sys.exit(main())
