"""``python -m aind_launcher``: the same as the command `aind-launch`."""

from aind_launcher.cli import main

if __name__ == "__main__":
    main()
