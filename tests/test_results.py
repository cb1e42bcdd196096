"""`session.results` has what earlier steps returned: all of them, of every hook, in a run and in a resume."""

import json
from pathlib import Path
from typing import Any

from task_repositories import laboratory

from aind_launcher.journal.journal import Journal
from aind_launcher.testing import TaskRepositoryForTests

WITNESSES = """
    import json
    from aind_launcher import Check, StateRecord, hookimpl

    class Witness:
        def seen(self, hook, session):
            name = type(self).__name__.lower()
            line = json.dumps({"hook": hook, "plugin": name, "results": session.results})
            with (session.repository.path.parent / "seen.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\\n")
            return f"{name} in {hook}"

        @hookimpl
        def load_animal_state(self, session):
            self.seen("load_animal_state", session)

        @hookimpl
        def prepare_session(self, session, inputs):
            self.seen("prepare_session", session)
            return inputs.model_copy(update={"task": {"by": type(self).__name__}})

        @hookimpl
        def pre_session(self, session):
            return Check(name=self.seen("pre_session", session), outcome="passed")

        @hookimpl
        def run_session(self, session):
            self.seen("run_session", session)

        @hookimpl
        def curriculum_suggest(self, session):
            self.seen("curriculum_suggest", session)

        @hookimpl
        def record_state(self, session):
            return StateRecord(outcome="applied", because=self.seen("record_state", session))

        @hookimpl
        def post_session(self, session):
            return self.seen("post_session", session)

        @hookimpl
        def transfer_session(self, session):
            return self.seen("transfer_session", session)

        @hookimpl
        def session_finished(self, session):
            return self.seen("session_finished", session)

    class Amos(Witness): pass
    class Zoe(Witness): pass
"""


def returned_before(lab: TaskRepositoryForTests, session: str) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """For each step the results of all that ended well before it began, by what the journal says."""
    earlier: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    with Journal.open(lab.journal) as journal:
        steps = journal.steps(session)
    for step in steps:
        results: dict[str, dict[str, Any]] = {}
        for other in steps[: steps.index(step)]:
            if other.state == "done" and other.result is not None:
                results.setdefault(other.id.hook, {})[other.id.plugin] = other.result
        earlier[step.id.hook, step.id.plugin] = results
    return earlier


def seen(lab: TaskRepositoryForTests) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """What each step saw when it was last called; a result of None is as good as none."""
    lines = [json.loads(line) for line in (lab.root / "seen.jsonl").read_text("utf-8").splitlines()]
    (lab.root / "seen.jsonl").unlink()
    return {
        (line["hook"], line["plugin"]): {
            hook: known
            for hook, results in line["results"].items()
            if (known := {plugin: result for plugin, result in results.items() if result is not None})
        }
        for line in lines
    }


def test_every_step_sees_what_all_steps_before_it_returned(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, WITNESSES, names={"amos": "Amos", "zoe": "Zoe"})
    lab.break_curriculum()
    outcome = lab.run()
    in_run, told = seen(lab), returned_before(lab, outcome.session.name)
    assert len({hook for hook, _ in in_run}) == 8
    assert {step: results for step, results in in_run.items() if results != told[step]} == {}

    lab.repair_curriculum()
    lab.resume(outcome.session.name)
    in_resume, told = seen(lab), returned_before(lab, outcome.session.name)
    assert {hook for hook, _ in in_resume} >= {"record_state", "post_session"}
    assert {step: results for step, results in in_resume.items() if results != told[step]} == {}
