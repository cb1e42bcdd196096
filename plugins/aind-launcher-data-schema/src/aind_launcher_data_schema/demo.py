"""What `aind-launch demo --with-services` needs of this plugin: its settings; metadata needs no service."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aind_launcher import DemoService


@contextmanager
def service(folder: Path, subjects: Sequence[str]) -> Iterator[DemoService]:
    """No service, and settings for a task that writes no metadata of its own.

    Nothing arrives here: what the file has is told where it arrives, by the watchdog.
    """
    yield DemoService(settings={"create": True, "stimulus-modalities": ["Auditory"]}, arrived=tuple)
