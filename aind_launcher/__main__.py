"""``python -m aind_launcher``: the same as the command `aind-launch`."""

import os
import sys

if __name__ == "__main__":
    # Python looks for modules in the current folder first, which is here the task repository: see `own_modules`.
    if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - pathlib would be looked for there
        del sys.path[0]

    from aind_launcher.cli import main

    main()
