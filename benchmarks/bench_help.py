"""Every `--help`, and every command that only reads, against `clabe --help`, each pair in one run."""

import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from timing import command, compare

HELP = ["--help", "run --help", "sessions list --help", "curricula --help", "demo --help"]
READ = ["today", "sessions list", "animals list", "plugins list", "config show", "env list", "curricula list"]
SETTINGS = """
[tool.aind-launcher]
data-directory = "data"
state-directory = "state"
plugin.local-store.library = "library"
plugin.isolated-curriculum.cache-directory = "cache"
"""

scripts = Path(sysconfig.get_path("scripts"))
# Plugins of others cost what they cost; variables need a library of their own.
environment = {name: value for name, value in os.environ.items() if not name.startswith("AIND_LAUNCHER_")}

with tempfile.TemporaryDirectory() as temporary:
    task = Path(temporary)
    (task / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", task], check=True)
    for title, commands, aim in (("--help", HELP, "a tenth"), ("what only reads", READ, "a quarter")):
        for arguments in commands:
            compare(
                title,
                [
                    (
                        f"aind-launch {arguments}",
                        command(scripts / "aind-launch", *arguments.split(), cwd=task, env=environment),
                    ),
                    ("clabe --help", command(scripts / "clabe", "--help", env=environment)),
                ],
                runs=9,
                aim=aim,
            )
