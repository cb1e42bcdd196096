"""The launcher with a clock that somebody set: `shifted.py 2030-01-07T09:00:00+00:00 run --subject 123456`.

Files get the machine's time, as those on a share get their server's.
"""

import sys
import time
from datetime import datetime, timedelta

from aind_launcher.model import clock

_SET_TO = datetime.fromisoformat(sys.argv.pop(1))
_SINCE = time.monotonic()

# All modules take `now` from here, and are imported after this one.
clock.now = lambda: _SET_TO + timedelta(seconds=time.monotonic() - _SINCE)

if __name__ == "__main__":
    from aind_launcher.cli import main

    main()
