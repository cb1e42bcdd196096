"""The `watchdog` plugin: its hooks. Nothing heavy is imported before one of them runs."""

import logging
import sys
from collections.abc import Iterator

from pydantic import JsonValue

import aind_launcher
from aind_launcher import Check, SessionContext
from aind_launcher_watchdog.settings import WatchdogSettings

logger = logging.getLogger(__name__)


class Watchdog:
    """Hands each session's folder to aind-watchdog-service by one manifest."""

    Settings = WatchdogSettings

    def __init__(self, settings: WatchdogSettings) -> None:
        self._settings = settings

    @aind_launcher.hookimpl
    def check_rig(self) -> Iterator[Check]:
        """Whether data will find its way from this rig: destination, flag directory, service and project."""
        from aind_launcher_watchdog import checks

        return checks.of_rig(self._settings, sys.platform)

    @aind_launcher.hookimpl
    def pre_session(self, session: SessionContext) -> Iterator[Check]:
        """The same, and whether the service will take this session's manifest."""
        from aind_launcher_watchdog import checks

        return checks.of_session(session, self._settings, sys.platform)

    @aind_launcher.hookimpl
    def transfer_session(self, session: SessionContext) -> dict[str, JsonValue]:
        """Put the manifest into the flag directory, once for each hand-off; the folder is only read.

        :raises TransientError: the flag directory cannot be reached.
        :raises LauncherError: there is nothing to hand off, or the settings are wrong.
        """
        from aind_launcher_watchdog import checks, contents, manifest
        from aind_launcher_watchdog.handover import Handover
        from aind_launcher_watchdog.places import Places

        handover = Handover.of(session, Places.of(self._settings))
        state = handover.state()
        if state:
            logger.info("%s was handed over before: it is %s.", handover.name, state)
            return {"manifest": str(handover.manifest), "state": state}
        checks.require_absolute(self._settings.destination, sys.platform)
        found = contents.find(session, self._settings.extra_modalities, self._settings.schemas, sys.platform)
        for name in found.empty:
            logger.warning("The modality folder %s is empty; the rest is handed off without it.", session.folder / name)
        if found.left_out:
            logger.warning(
                "%s stay%s on this rig, being neither the folder of a modality nor metadata.",
                ", ".join(str(session.folder / name) for name in found.left_out),
                "s" if len(found.left_out) == 1 else "",
            )
        for path, subject in found.foreign.items():
            logger.warning(
                "%s is of subject %s, not of %s; it stays on this rig, and the rest is handed off without it. "
                "Correct it, then `aind-launch resume %s --hand-off-again`.",
                path,
                subject,
                session.subject,
                session.name,
            )
        made = manifest.manifest(session, self._settings, found, handover.former_folder())
        handover.place(manifest.text(made))
        return {
            "manifest": str(handover.manifest),
            "state": "placed",
            "destination": manifest.name_at_destination(made),
            "modalities": list(found.modalities),
            "schemas": [path.name for path in found.schemas],
            "empty": list(found.empty),
            "left_out": list(found.left_out),
            "foreign": [path.name for path in found.foreign],
        }
