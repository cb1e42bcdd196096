"""The launcher of a behaviour experiment: one chain from choosing the animal to handing off its data.

Everything that a plugin needs is named here, and imported on first use, so that ``import aind_launcher`` costs
nothing. Tests of plugins have `aind_launcher.testing`, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aind_launcher.demo.services import DemoService
    from aind_launcher.errors import (
        AnimalError,
        BeginAgain,
        HandedOff,
        LauncherError,
        Refused,
        SettingsError,
        StepSkipped,
        TransientError,
    )
    from aind_launcher.hookspecs import hookimpl
    from aind_launcher.model.animal import AnimalState, StateRecord, TrainerStateText
    from aind_launcher.model.clock import now
    from aind_launcher.model.names import checked_name
    from aind_launcher.model.question import ask
    from aind_launcher.model.register import EntryDecision, RegisterEntry, RigStatus, Ticket, UnfinishedSession
    from aind_launcher.model.session import (
        Acquisition,
        Check,
        Inputs,
        Repository,
        Session,
        SessionContext,
        SessionPaths,
    )
    from aind_launcher.model.sources import BuiltEnvironment, BuiltSource, CurriculumSources, SourceStatus
    from aind_launcher.model.store import AnimalRecord, AnimalStore, ArchivingStore, Decision, StoredAnimal
    from aind_launcher.model.suggestion import CurriculumSuggestion, Provenance
    from aind_launcher.settings.model import SettingsModel
    from aind_launcher.system.files import sync_folder, write_whole
    from aind_launcher.system.redaction import Redactor

__all__ = [
    "Acquisition",
    "AnimalError",
    "AnimalRecord",
    "AnimalState",
    "AnimalStore",
    "ArchivingStore",
    "BeginAgain",
    "BuiltEnvironment",
    "BuiltSource",
    "Check",
    "CurriculumSources",
    "CurriculumSuggestion",
    "Decision",
    "DemoService",
    "EntryDecision",
    "HandedOff",
    "Inputs",
    "LauncherError",
    "Provenance",
    "Redactor",
    "Refused",
    "RegisterEntry",
    "Repository",
    "RigStatus",
    "Session",
    "SessionContext",
    "SessionPaths",
    "SettingsError",
    "SettingsModel",
    "SourceStatus",
    "StateRecord",
    "StepSkipped",
    "StoredAnimal",
    "Ticket",
    "TrainerStateText",
    "TransientError",
    "UnfinishedSession",
    "__version__",
    "ask",
    "checked_name",
    "hookimpl",
    "now",
    "sync_folder",
    "write_whole",
]

# The version of aind-launcher.
__version__ = "0.1.0"

_HOMES = {
    name: f"aind_launcher.{home}"
    for home, names in {
        "demo.services": ("DemoService",),
        "errors": (
            "AnimalError",
            "BeginAgain",
            "HandedOff",
            "LauncherError",
            "Refused",
            "SettingsError",
            "StepSkipped",
            "TransientError",
        ),
        "hookspecs": ("hookimpl",),
        "model.animal": ("AnimalState", "StateRecord", "TrainerStateText"),
        "model.clock": ("now",),
        "model.question": ("ask",),
        "model.names": ("checked_name",),
        "model.register": ("EntryDecision", "RegisterEntry", "RigStatus", "Ticket", "UnfinishedSession"),
        "model.session": ("Acquisition", "Check", "Inputs", "Repository", "Session", "SessionContext", "SessionPaths"),
        "model.sources": ("BuiltEnvironment", "BuiltSource", "CurriculumSources", "SourceStatus"),
        "model.store": ("AnimalRecord", "AnimalStore", "ArchivingStore", "Decision", "StoredAnimal"),
        "model.suggestion": ("CurriculumSuggestion", "Provenance"),
        "settings.model": ("SettingsModel",),
        "system.files": ("sync_folder", "write_whole"),
        "system.redaction": ("Redactor",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
