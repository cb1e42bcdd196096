"""What a session adds to its acquisition's metadata: metrics, stage, training protocol and the curriculum's code."""

import math
from dataclasses import dataclass

from pydantic import JsonValue

from aind_launcher import CurriculumSuggestion, SessionContext


@dataclass(frozen=True)
class CurriculumCode:
    """The code that decided, in the terms of aind-data-schema's `Code`.

    :param name: the module that defines the curriculum, which is what names it across versions.
    :param dirty: uncommitted changes were part of it, so that the commit alone does not say what ran.
    """

    name: str
    url: str
    commit: str
    version: str | None
    dsl_version: str | None
    dirty: bool


@dataclass(frozen=True)
class Facts:
    """What is known when the step runs; None is what is not, and is not written.

    :param task: the name of the task that was run.
    :param metrics: the metrics behind the suggestion, as an object.
    :param stage: the stage that was *run*, not the one that was suggested.
    """

    task: str | None = None
    metrics: dict[str, JsonValue] | None = None
    stage: str | None = None
    protocol: str | None = None
    code: CurriculumCode | None = None

    @classmethod
    def of(cls, session: SessionContext, suggestion: CurriculumSuggestion | None, protocol: str | None) -> "Facts":
        """The facts of this session.

        :param protocol: overrides the curriculum's name as the training protocol's.
        """
        state = session.animal_state.trainer_state if session.animal_state and session.is_on_curriculum else None
        return cls(
            task=task_name(session),
            metrics=_metrics(suggestion) if suggestion else None,
            stage=state.stage if state else None,
            protocol=(protocol or state.curriculum) if state else None,
            code=_code(session, suggestion) if suggestion else None,
        )

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to add."""
        return self.metrics is None and self.stage is None and self.protocol is None and self.code is None


def task_name(session: SessionContext) -> str | None:
    """The name of the task that was run, as in ``AindVrForaging``."""
    name = (session.task or {}).get("name")
    return name if isinstance(name, str) and name else None


def _metrics(suggestion: CurriculumSuggestion) -> dict[str, JsonValue] | None:
    metrics = _with_null_for_nan(suggestion.metrics)
    if metrics is None or isinstance(metrics, dict):
        return metrics
    # The schema has a place for an object only.
    return {"metrics": metrics}


def _with_null_for_nan(value: JsonValue) -> JsonValue:
    """NaN and infinities are no JSON; null is what aind-data-schema's own writer makes of them."""
    if isinstance(value, dict):
        return {key: _with_null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _code(session: SessionContext, suggestion: CurriculumSuggestion) -> CurriculumCode | None:
    provenance = suggestion.provenance
    if provenance is None:
        return None
    ran_with = session.animal_state.trainer_state if session.animal_state else None
    name = (ran_with.package if ran_with else None) or suggestion.trainer_state.package or provenance.source
    return CurriculumCode(
        name=name,
        # A source of the task repository's own tree without a remote is found where the repository is.
        url=provenance.url or session.repository.url or session.repository.path.as_uri(),
        commit=provenance.commit,
        version=suggestion.version or provenance.package_version,
        dsl_version=suggestion.dsl_version or provenance.dsl_version,
        dirty=provenance.dirty,
    )
