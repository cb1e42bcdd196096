"""The stages, and what leads from one to the next."""

from typing import Any

from aind_behavior_curriculum import (
    Curriculum,
    MetricsProvider,
    Policy,
    Stage,
    StageTransition,
    Task,
    TaskParameters,
    Trainer,
    create_curriculum,
    create_task,
)

from .. import __version__
from .metrics import LickMetrics, metrics_from_session


class ToneParameters(TaskParameters):
    """What the simulated task can be told."""

    trials: int
    tones: int
    octaves_apart: float
    response_window: float
    free_water: float


ToneTask: Any = create_task(name="tone_task", task_parameters=ToneParameters, version="1.0.0")


def stage(name: str, *policies: Policy[Any, Any], **parameters: Any) -> Stage[Any, Any]:
    return Stage(
        name=name,
        task=ToneTask(stage_name=name, task_parameters=ToneParameters(**parameters)),
        start_policies=list(policies),
        metrics_provider=MetricsProvider(metrics_from_session),
    )


# Policies: how the task changes while the animal stays at a stage.


def bring_tones_closer(metrics: LickMetrics, task: Task[Any]) -> Task[Any]:
    """Tones a third closer, not below half an octave, after a session in which it heard the difference."""
    if metrics.hit_rate >= 0.65:
        parameters = task.task_parameters
        parameters.octaves_apart = round(max(0.5, parameters.octaves_apart * 2 / 3), 3)
    return task


# Transitions: when the animal leaves a stage.


def licks_freely(metrics: LickMetrics) -> bool:
    return metrics.n_licks >= 100


def detects(metrics: LickMetrics) -> bool:
    return metrics.hit_rate >= 0.7 and metrics.sessions_at_stage >= 2


def discriminates(metrics: LickMetrics) -> bool:
    return metrics.hit_rate >= 0.7 and metrics.sessions_at_stage >= 2


def has_lost_it(metrics: LickMetrics) -> bool:
    return metrics.hit_rate < 0.35


habituation = stage("habituation", trials=120, tones=1, octaves_apart=2.0, response_window=3.0, free_water=0.8)
detection = stage("detection", trials=200, tones=1, octaves_apart=2.0, response_window=2.0, free_water=0.05)
discrimination = stage(
    "discrimination",
    Policy(bring_tones_closer),
    **{"trials": 240, "tones": 2, "octaves_apart": 2.0, "response_window": 1.5, "free_water": 0.0},
)
expert = stage("expert", trials=300, tones=2, octaves_apart=0.5, response_window=1.0, free_water=0.0)

model: type[Curriculum[Any]] = create_curriculum("lick_training", __version__, (ToneTask,), pkg_location=__package__)
CURRICULUM = model()
CURRICULUM.add_stage_transition(habituation, detection, StageTransition(licks_freely))
CURRICULUM.add_stage_transition(detection, discrimination, StageTransition(detects))
CURRICULUM.add_stage_transition(discrimination, expert, StageTransition(discriminates))
CURRICULUM.add_stage_transition(discrimination, detection, StageTransition(has_lost_it))
TRAINER: Trainer[Any] = Trainer(CURRICULUM)
