"""Programs for Windows, called on Linux through Wine."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

# Of this machine's Python, display and Wine; what is made here has its own.
_FOREIGN = re.compile("PYTHON(?!WARNINGS$)|VIRTUAL_ENV|DISPLAY$|UV_CACHE_DIR$|WINE|NOX_|TEMP$|TMP")


def windows_path(path: PurePath) -> str:
    """A path of this machine as Windows programs see it: Wine has it on drive Z."""
    return "Z:" + str(path).replace("/", "\\")


@dataclass(frozen=True)
class Wine:
    """A Windows: its drive C and its registry lie in `prefix`.

    :param path: folders in which its programs find others.
    :param temporary: its folder for temporary files.
    """

    prefix: Path
    path: tuple[Path, ...] = ()
    temporary: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables for what is called."""
        own = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
        own |= {"WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all", **self.variables}
        own |= {"WINEPATH": ";".join(windows_path(folder) for folder in self.path)}
        if self.temporary:
            self.temporary.mkdir(parents=True, exist_ok=True)
            own |= {name: windows_path(self.temporary) for name in ("TEMP", "TMP")}
        return own

    def call(self, program: Path | str, *arguments: str, folder: Path | None = None, quiet: bool = False) -> int:
        """Run a program, pass on what it prints, and return its exit code.

        Wine gives a console program usable handles only where its input is the null device and its outputs are a pipe.

        :param quiet: print nothing.
        """
        process = subprocess.Popen(
            ["wine", program, *arguments],
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout
        reader = threading.Thread(target=_pass_on, args=(process.stdout.fileno(), quiet), daemon=True)
        reader.start()
        try:
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        # What the program left running has the pipe open still, and is not waited for.
        reader.join(timeout=5)
        return code

    def end(self) -> None:
        """End all that still runs in this Windows."""
        subprocess.run(["wineserver", "--kill"], env=self.environment(), check=False)


def _pass_on(pipe: int, quiet: bool) -> None:
    # As it comes, since progress is shown before the line ends.
    while part := os.read(pipe, 65536):
        if not quiet:
            sys.stdout.buffer.write(part.replace(b"\r\n", b"\n"))
            sys.stdout.buffer.flush()
