"""The `data-schema` plugin: its hooks. Nothing heavy is imported before one of them runs."""

import json
import logging
from contextlib import suppress
from typing import Any

from pydantic import JsonValue

import aind_launcher
from aind_launcher import (
    Check,
    CurriculumSuggestion,
    HandedOff,
    LauncherError,
    SessionContext,
    StepSkipped,
    write_whole,
)
from aind_launcher_data_schema.settings import DataSchemaSettings

logger = logging.getLogger(__name__)


class DataSchema:
    """Completes `acquisition.json` after the suggestion and before any hand-off."""

    Settings = DataSchemaSettings

    def __init__(self, settings: DataSchemaSettings) -> None:
        self._settings = settings

    @aind_launcher.hookimpl
    def check_rig(self) -> Check:
        """Which aind-data-schema works here, and what holds it if that is not the newest line."""
        from aind_launcher_data_schema import versions

        try:
            installed = versions.installed()
            if installed.partition(".")[0] != "2":
                return _failed(f"aind-data-schema {installed} is installed; this plugin writes schema version 2.")
            from aind_launcher_data_schema import document, minimal  # noqa: F401 - loads the real models
        except ImportError as error:
            return _failed(f"aind-data-schema cannot be imported: {error}.")
        held = ""
        if holders := versions.holders(installed):
            held = (
                f"; newer ones are kept away by {', '.join(holders)}, so what they add to acquisition.json is kept, "
                "but not checked"
            )
        return Check.passed(
            "data-schema", f"aind-data-schema {installed}, schema version {document.INSTALLED} and older{held}"
        )

    @aind_launcher.hookimpl
    def pre_session(self, session: SessionContext) -> Check:
        """Whether aind-data-schema works here and, where a file may have to be made, that it will be valid.

        It costs nothing that is not paid anyway: this process needs the models after the session.
        """
        check = self.check_rig()
        if check.outcome == "passed" and self._settings.create:
            from aind_launcher_data_schema import document, minimal

            try:
                document.require_valid(
                    _text(minimal.acquisition(session, self._settings)), "A minimal acquisition.json"
                )
            except LauncherError as error:
                return Check(name="data-schema", outcome="failed", message=error.message, hint=error.hint)
        return check

    @aind_launcher.hookimpl(tryfirst=True)
    def post_session(self, session: SessionContext, suggestion: CurriculumSuggestion | None) -> dict[str, JsonValue]:
        """Write metrics, stage and curriculum into the file. Running it again changes nothing.

        :raises HandedOff: the file would change, but the folder was handed off.
        :raises StepSkipped: there is no file, or nothing to add to it.
        :raises LauncherError: the file or what would become of it is not valid, or it is of another subject; it stays
            as it was.
        """
        path = session.folder / self._settings.path
        if not session.folder.is_dir():
            raise LauncherError(f"The session's folder {session.folder} is gone.", "Bring it back and resume.")
        if not path.is_file() and not self._settings.create:
            raise StepSkipped(
                f"There is no {self._settings.path} in {session.folder}; a minimal one is made where "
                "plugin.data-schema.create is on."
            )
        from aind_launcher_data_schema import document, minimal
        from aind_launcher_data_schema.facts import Facts

        created = not path.is_file()
        before = (
            document.parsed(_text(minimal.acquisition(session, self._settings)), "The minimal acquisition.json")
            if created
            else document.read(path)
        )
        # The schema wants a text there; a file that is not valid was refused above.
        if (subject := before.data["subject_id"]) != session.subject:
            raise LauncherError(
                f"{path} is of subject {subject}, not of {session.subject}, so it stays as it is.",
                f"Put that of the session in its place, or delete it, then `aind-launch resume {session.name}`.",
            )
        facts = Facts.of(session, suggestion, self._settings.training_protocol_name)
        if not created and facts.nothing:
            raise StepSkipped(f"No curriculum decided over {session.name}, so {path.name} has nothing to gain.")
        # What becomes the task's own `task_NAME` is what no earlier answer wrote.
        record = session.staging / "data-schema" / "metrics.json"
        written: document.Written = {}
        with suppress(FileNotFoundError, ValueError):
            written = json.loads(record.read_bytes())
        names = self._settings.stimulus_names
        after, additions = document.enriched(before, facts, names, str(path), written)
        if created or after != before.data:
            text = _text(after)
            document.require_valid(text, f"{path} with the metrics and the curriculum added", before.unchecked)
            if session.handed_off:
                raise HandedOff(
                    f"{path} has yet to get the metrics and the curriculum of {session.name}.", session.name
                )
            # First, so that a cut between the two leaves no metric that looks like the task's.
            write_whole(record, json.dumps(additions.written))
            write_whole(path, text)
        return {
            "path": str(path),
            "written": created or after != before.data,
            "created": created,
            "epochs": list(additions.epochs),
            "curriculum": additions.curriculum,
            "kept_beside": list(additions.kept_beside),
            "unchecked": [*sorted(before.unchecked)],
        }


def _failed(message: str) -> Check:
    return Check(
        name="data-schema",
        outcome="failed",
        message=message,
        hint="Install aind-launcher-data-schema again, with what it needs.",
    )


def _text(data: dict[str, Any]) -> str:
    # Three spaces, as aind-data-schema itself writes it: a diff then shows only what was added.
    return json.dumps(data, indent=3, ensure_ascii=False) + "\n"
