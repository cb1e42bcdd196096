"""Faults of the operating system: libraries in C that are compiled and preloaded (LD_PRELOAD)."""

import shutil
import subprocess
from pathlib import Path

FAULTS = Path(__file__).parent / "faults"


def compiled(name: str, folder: Path) -> Path:
    """The library of `faults/<name>.c`, made in `folder`."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise AssertionError("Faults cannot be injected without a C compiler: apt-get install gcc libc6-dev.")
    library = folder / f"{name}.so"
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", str(library), str(FAULTS / f"{name}.c"), "-ldl"], check=True)
    return library
