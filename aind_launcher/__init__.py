"""The launcher of a behaviour experiment: one chain from choosing the animal to handing off its data.

A plugin author needs `hookimpl` and the values named here. They are imported on first use, so that
``import aind_launcher`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aind_launcher.errors import HandedOff, LauncherError, StepSkipped, TransientError
    from aind_launcher.hookspecs import hookimpl
    from aind_launcher.model.animal import AnimalState, StateRecord, TrainerStateText
    from aind_launcher.model.session import Acquisition, Check, Inputs, Session, SessionContext
    from aind_launcher.model.suggestion import CurriculumSuggestion

__all__ = [
    "Acquisition",
    "AnimalState",
    "Check",
    "CurriculumSuggestion",
    "HandedOff",
    "Inputs",
    "LauncherError",
    "Session",
    "SessionContext",
    "StateRecord",
    "StepSkipped",
    "TrainerStateText",
    "TransientError",
    "__version__",
    "hookimpl",
]

__version__ = "0.1.0"

_HOMES = {
    "Acquisition": "model.session",
    "AnimalState": "model.animal",
    "Check": "model.session",
    "CurriculumSuggestion": "model.suggestion",
    "HandedOff": "errors",
    "Inputs": "model.session",
    "LauncherError": "errors",
    "Session": "model.session",
    "SessionContext": "model.session",
    "StateRecord": "model.animal",
    "StepSkipped": "errors",
    "TrainerStateText": "model.animal",
    "TransientError": "errors",
    "hookimpl": "hookspecs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"aind_launcher.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
