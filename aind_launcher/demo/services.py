"""The services around a rig that `aind-launch demo --with-services` runs against, brought by the plugins for them.

A plugin's distribution registers a factory in the entry-point group `aind_launcher.demo_services`, under its
plugin's name. The core so knows none of them.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from aind_launcher.errors import LauncherError, UsageError

GROUP: Final = "aind_launcher.demo_services"


@dataclass(frozen=True)
class DemoService:
    """A service that runs on this machine while the demo lasts.

    :param settings: the section of its plugin, so that the plugin finds it.
    :param arrived: waits for what is under way, then says line by line what the service has.
    :param down: a context in which the service cannot be reached; None for one that has no outage to show.
    """

    settings: Mapping[str, Any]
    arrived: Callable[[], Sequence[str]]
    down: Callable[[], AbstractContextManager[None]] | None = None


# Called with a folder of its own and the animals that are to be known.
Factory = Callable[[Path, Sequence[str]], AbstractContextManager[DemoService]]


@contextmanager
def running_services(folder: Path, subjects: Sequence[str]) -> Iterator[dict[str, DemoService]]:
    """Start the service of every installed plugin that brings one, by the plugin's name, and stop them at the end.

    :raises UsageError: no installed plugin brings one.
    :raises LauncherError: a service cannot be started.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not found:
        raise UsageError(
            "No installed plugin brings a service to try.",
            "In a checkout: pip install ./plugins/aind-launcher-slims ./plugins/aind-launcher-data-schema "
            '"./plugins/aind-launcher-watchdog[demo]". Or run the demo without --with-services.',
        )
    with _directly(), ExitStack() as stack:
        services = {}
        for point in found:
            place = folder / point.name
            place.mkdir(parents=True, exist_ok=True)
            try:
                factory: Factory = point.load()
                services[point.name] = stack.enter_context(factory(place, subjects))
            except LauncherError:
                raise
            except Exception as error:  # isolates the code of whoever brings the service
                distribution = point.dist.name if point.dist else point.name
                raise LauncherError(
                    f"The service for the plugin {point.name} cannot be started: {type(error).__name__}: {error}.",
                    f"Leave its distribution out, or install it with its extra 'demo': {distribution}[demo].",
                ) from error
        yield services


@contextmanager
def _directly() -> Iterator[None]:
    """Reach what runs on this machine without the proxy that it may have; the services' own processes too."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    others = before["no_proxy"] or before["NO_PROXY"]
    try:
        os.environ.update(dict.fromkeys(before, f"{others},127.0.0.1" if others else "127.0.0.1"))
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
