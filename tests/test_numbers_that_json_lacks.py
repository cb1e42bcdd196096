"""A curriculum may answer with NaN and infinities: its answer stays as it is, and all JSON of the launcher is valid."""

import json
from pathlib import Path
from typing import Any

import pytest
from aind_behavior_curriculum import Metrics
from command_line import call
from task_repositories import laboratory

from aind_launcher.model.session import SessionPaths

# As `json.dumps` writes them.
METRICS = '{"rate": NaN,  "best": [-Infinity, Infinity, 1.50], "note": "NaN, \\" NaN", "sessions": 1}'
ODD = f"""
    from aind_launcher import CurriculumSuggestion, hookimpl
    from aind_launcher.testing import ladder_state

    class Odd:
        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            state = ladder_state("rung2")
            text = f'{{{{"trainer_state": {{state.text}}, "metrics": %s}}}}' % {METRICS!r}
            return CurriculumSuggestion(text=text, trainer_state=state)
"""


def strict(text: str | bytes) -> Any:
    """`text` as a program reads it that takes JSON alone."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON: {text!r}")

    return json.loads(text, parse_constant=refuse)


def test_what_json_lacks_is_null_in_every_file_and_answer_of_the_launcher(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, ODD, names={"odd": "Odd"})
    first, second = (strict(call("run", "-s", "123456", "--json", cwd=lab.path).out) for _ in range(2))
    paths, after = (SessionPaths(Path(outcome["folder"])) for outcome in (first, second))
    expected = {"rate": None, "best": [None, None, 1.5], "note": 'NaN, " NaN', "sessions": 1}
    assert f'"metrics": {METRICS}' in paths.suggestion.read_text(encoding="utf-8")
    # All else stays as the curriculum wrote it.
    assert '"rate": null,  "best": [null, null, 1.50]' in paths.metrics.read_text(encoding="utf-8")
    assert strict(paths.metrics.read_bytes()) == strict(after.previous_metrics.read_bytes()) == expected
    assert first["metrics"] == expected
    assert strict((after.launcher / "session.json").read_bytes())["context"]["animal_state"]["metrics"] == expected
    for command in (["sessions", "show"], ["animals", "show", "123456"], ["today"], ["resume", first["session"]]):
        ended = call(*command, "--json", cwd=lab.path)
        assert ended.code == 0, ended.err
        strict(ended.out)


def test_the_operator_hears_of_what_json_lacks(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, ODD, names={"odd": "Odd"})
    said = " ".join(call("run", "-s", "123456", cwd=lab.path).err.split())
    assert "metrics have numbers that JSON lacks (NaN or infinite)" in said
    assert "previous_metrics.json" in said


class Rates(Metrics):
    """The metrics of a curriculum, as `aind-behavior-curriculum` has them."""

    rate: float | None = None
    sessions: int = 0


def test_a_curriculum_on_the_dsl_reads_what_it_would_have_written(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, ODD, names={"odd": "Odd"})
    lab.run()
    previous = lab.run().session.paths.previous_metrics.read_bytes()
    assert Rates.model_validate_json(previous).rate is None
    assert strict(Rates(rate=float("nan"), sessions=1).model_dump_json()) == {"rate": None, "sessions": 1}
