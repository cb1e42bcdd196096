"""`aind-launch --help` against `clabe --help`, in one run."""

import sysconfig
from pathlib import Path

from timing import command, compare

scripts = Path(sysconfig.get_path("scripts"))
compare(
    "--help",
    [
        ("aind-launch --help", command(scripts / "aind-launch", "--help")),
        ("clabe --help", command(scripts / "clabe", "--help")),
    ],
    runs=15,
    aim="a tenth",
)
