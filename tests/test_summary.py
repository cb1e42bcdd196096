"""The summary after an acquisition that did not end well says what came of its data, and advises what helps."""

import json
from itertools import product

import pytest
from task_repositories import laboratory

from aind_launcher.cli.outcome import print_outcome
from aind_launcher.lifecycle.operator import Operator
from aind_launcher.lifecycle.resume import ResumeOptions
from aind_launcher.testing import SUBJECT, TaskRepositoryForTests, ladder_state

PLUGINS = """
    from datetime import UTC, datetime
    from aind_launcher import Acquisition, hookimpl
    from aind_launcher.testing import Ladder

    class Ends:
        @hookimpl
        def run_session(self, session):
            now = datetime.now(UTC)
            return Acquisition(outcome=session.session.notes, start=now, end=now, message="the camera broke")

    class Decides(Ladder):
        @hookimpl
        def curriculum_suggest(self, session):
            return super().curriculum_suggest(session) if session.is_on_curriculum else None
"""


class Answers(Operator):
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def ask(self, question, answers, default):
        return self.answer


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> TaskRepositoryForTests:
    names = {"ends": "Ends", "ladder": "Decides"}
    disabled = 'disable = ["isolated-curriculum", "acquisition", "instant-rig"]'
    return laboratory(tmp_path_factory.mktemp("summary"), PLUGINS, disabled, names)


def put_back(lab: TaskRepositoryForTests, *, on_curriculum: bool = True) -> None:
    state = json.loads(ladder_state("rung1").text) | {"is_on_curriculum": on_curriculum}
    (lab.subjects / SUBJECT / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


ADVICE = "Its data was kept; `aind-launch resume {name} --score` lets the curriculum decide on it."
DISCARDED = "Its data was discarded: it stays where it is, and no curriculum decides on it."
NOBODY = "Its data was kept; no curriculum decided on it."
# What the operator chose, and how it is with the curriculum, in the order of `CURRICULA`.
CURRICULA = ("decides", "fails", "does not apply")
SUMMARIES = {
    "score": (
        "The curriculum decided on its data: rung1 -> rung2.",
        "The curriculum was asked about its data and gave no answer.",
        NOBODY,
    ),
    "keep": (ADVICE, ADVICE, NOBODY),
    "discard": (DISCARDED, DISCARDED, DISCARDED),
}


@pytest.mark.parametrize(
    ("acquired", "chosen", "curriculum"), [*product(("failed", "interrupted"), SUMMARIES, CURRICULA)]
)
def test_it_says_what_came_of_the_data(
    lab: TaskRepositoryForTests, capsys: pytest.CaptureFixture[str], acquired: str, chosen: str, curriculum: str
) -> None:
    put_back(lab, on_curriculum=curriculum != "does not apply")
    if curriculum == "fails":
        lab.break_curriculum()
    try:
        outcome = lab.run(operator=Answers(chosen), notes=acquired)
    finally:
        if curriculum == "fails":
            lab.repair_curriculum()
    print_outcome(outcome, None, as_json=False)
    shown = capsys.readouterr().out
    name = outcome.session.name
    every = {summary for summaries in SUMMARIES.values() for summary in summaries}
    said = [summary for summary in every if f"  {summary.format(name=name)}\n" in shown]
    assert said == [SUMMARIES[chosen][CURRICULA.index(curriculum)]]
    assert (f"Finish with `aind-launch resume {name}`." in shown) == (chosen == "score" and curriculum == "fails")


def test_it_does_not_advise_to_score_what_has_left(
    lab: TaskRepositoryForTests, capsys: pytest.CaptureFixture[str]
) -> None:
    put_back(lab)
    outcome = lab.run(operator=Answers("keep"), notes="failed")
    outcome.session.folder.rename(lab.root / "moved")
    print_outcome(outcome, None, as_json=False)
    shown = capsys.readouterr().out
    assert "The session's folder is gone" in shown
    assert "--score" not in shown


def test_its_advice_is_followed(lab: TaskRepositoryForTests, capsys: pytest.CaptureFixture[str]) -> None:
    put_back(lab)
    kept = lab.run(operator=Answers("keep"), notes="interrupted")
    resumed = lab.resume(kept.session.name, ResumeOptions(score=True))
    print_outcome(resumed, None, as_json=False)
    assert "The curriculum decided on its data: rung1 -> rung2." in capsys.readouterr().out
