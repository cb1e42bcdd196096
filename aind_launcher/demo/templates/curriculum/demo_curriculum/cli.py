"""The command line by which a launcher asks: `curriculum run|list|init|version|dsl-version`."""

import argparse
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import aind_behavior_curriculum as dsl
from pydantic import BaseModel, SerializeAsAny

from . import __path__ as folders
from . import __version__


class Suggestion(BaseModel):
    """The answer of `run`, one JSON object on stdout."""

    trainer_state: SerializeAsAny[dsl.TrainerState[Any]]
    metrics: SerializeAsAny[dsl.Metrics]
    version: str = __version__
    dsl_version: str = dsl.__version__


def main() -> None:
    parser = argparse.ArgumentParser(prog="curriculum")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="what should the animal do after this session?")
    run.add_argument("--data-directory", type=Path, required=True)
    run.add_argument("--input-trainer-state", type=Path, required=True)
    run.add_argument("--curriculum", choices=curricula(), help="instead of the one that the trainer state names")
    init = commands.add_parser("init", help="the trainer state with which an animal starts")
    init.add_argument("--curriculum", choices=curricula(), required=True)
    init.add_argument("--stage")
    commands.add_parser("list", help="the curricula of this package")
    commands.add_parser("version", help="the version of this package")
    commands.add_parser("dsl-version", help="the version of aind-behavior-curriculum")
    arguments = parser.parse_args()
    match arguments.command:
        case "run":
            name = arguments.curriculum or named_in(arguments.input_trainer_state)
            print(suggestion(trainer(name), arguments.data_directory, arguments.input_trainer_state).model_dump_json())
        case "init":
            print(enrolment(trainer(arguments.curriculum), arguments.stage).model_dump_json())
        case "list":
            print("Available curricula:", *curricula(), sep="\n - ")
        case "version":
            print(__version__)
        case "dsl-version":
            print(dsl.__version__)


def curricula() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(folders) if module.ispkg]


def trainer(name: str) -> dsl.Trainer[Any]:
    return importlib.import_module(f"{__package__}.{name}").TRAINER


def named_in(trainer_state: Path) -> str:
    text = trainer_state.read_text(encoding="utf-8")
    state = dsl.TrainerState[dsl.Curriculum[Any]].model_validate_json(text)
    if state.curriculum is None:
        raise SystemExit("The trainer state has no curriculum.")
    name = state.curriculum.pkg_location.removeprefix(f"{__package__}.")
    if name not in curricula():
        raise SystemExit(f"Unknown curriculum {name}; there are: {', '.join(curricula())}.")
    return name


def suggestion(trainer: dsl.Trainer[Any], data_directory: Path, trainer_state: Path) -> Suggestion:
    state = trainer.trainer_state_model.model_validate_json(trainer_state.read_text(encoding="utf-8"))
    if state.stage is None or state.stage.metrics_provider is None:
        raise SystemExit("The trainer state has no stage that could be scored.")
    metrics = state.stage.metrics_provider(data_directory)
    return Suggestion(trainer_state=trainer.evaluate(state, metrics), metrics=metrics)


def enrolment(trainer: dsl.Trainer[Any], stage: str | None) -> dsl.TrainerState[Any]:
    if stage is None:
        return trainer.create_enrollment()
    stages = {known.name: known for known in trainer.curriculum.see_stages()}
    if stage not in stages:
        raise SystemExit(f"Unknown stage {stage}; there are: {', '.join(stages)}.")
    chosen = stages[stage]
    return trainer.create_trainer_state(stage=chosen, active_policies=chosen.start_policies)


if __name__ == "__main__":
    main()
