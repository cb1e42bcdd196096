"""What a plugin does to values that it is given reaches neither others nor the record, and its author is told."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from task_repositories import laboratory

from aind_launcher import AnimalState, Inputs, Session, now
from aind_launcher.journal.journal import Journal
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.testing import ladder_state

# Finds all lists and dictionaries that can be reached from what a hook is given, and tries everything on each.
HOSTILE = """
    import json
    from pydantic import BaseModel
    from pydantic_core import to_jsonable_python
    from aind_launcher import AnimalState, hookimpl, now
    from aind_launcher.testing import ladder_state

    ATTEMPTS = {
        dict: {
            "d[k] = v": lambda d: d.__setitem__("hostile", 1), "del d[k]": lambda d: d.__delitem__(next(iter(d), "")),
            "d.update": lambda d: d.update(hostile=1), "d |= e": lambda d: d.__ior__({"hostile": 1}),
            "d.pop": lambda d: d.pop("hostile", None), "d.popitem": lambda d: d.popitem(),
            "d.clear": lambda d: d.clear(), "d.setdefault": lambda d: d.setdefault("hostile", 1),
        },
        list: {
            "l[i] = v": lambda l: l.__setitem__(slice(0), ["hostile"]), "del l[i]": lambda l: l.__delitem__(slice(9)),
            "l.append": lambda l: l.append("hostile"), "l.extend": lambda l: l.extend(["hostile"]),
            "l += m": lambda l: l.__iadd__(["hostile"]), "l *= n": lambda l: l.__imul__(2),
            "l.insert": lambda l: l.insert(0, "hostile"), "l.pop": lambda l: l.pop(), "l.clear": lambda l: l.clear(),
            "l.remove": lambda l: l.remove(l[0] if l else ""), "l.sort": lambda l: l.sort(key=str),
            "l.reverse": lambda l: l.reverse(),
        },
    }

    def reachable(value, path):
        if isinstance(value, BaseModel):
            names = [n for n in dir(value) if not n.startswith("_") and n not in dir(BaseModel)] + ["model_extra"]
            for name in names:
                if not callable(inner := getattr(value, name)):
                    yield from reachable(inner, f"{path}.{name}")
        elif isinstance(value, (dict, list, tuple)):
            if not isinstance(value, tuple):
                yield value, path
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in list(inside):
                yield from reachable(inner, f"{path}[{key}]")

    class Hostile:
        def try_all(self, session, **given):
            log = session.repository.path.parent / "hostile.jsonl"
            everything = {"session": session, **given}
            for value, path in [found for name, each in everything.items() for found in reachable(each, name)]:
                for attempt, function in ATTEMPTS[dict if isinstance(value, dict) else list].items():
                    before = to_jsonable_python(everything)
                    try:
                        function(value)
                        told = None
                    except TypeError as error:
                        told = str(error)
                    same = to_jsonable_python(everything) == before
                    with log.open("a") as file:
                        file.write(json.dumps([path, attempt, same, told]) + "\\n")

        @hookimpl(tryfirst=True)
        def load_animal_state(self, session):
            self.try_all(session)
            # With metrics, and later than what the library has.
            return AnimalState(trainer_state=ladder_state("rung1"), metrics={"licks": [1, {"left": 2}]}, date=now())

        @hookimpl(tryfirst=True)
        def prepare_session(self, session, inputs):
            self.try_all(session, inputs=inputs)

        @hookimpl(tryfirst=True)
        def pre_session(self, session):
            self.try_all(session)

        @hookimpl(tryfirst=True)
        def begin_session(self, session, known):
            self.try_all(session, known=known)

        @hookimpl(tryfirst=True)
        def run_session(self, session, environment):
            self.try_all(session, environment=environment)

        @hookimpl(tryfirst=True)
        def curriculum_suggest(self, session):
            self.try_all(session)

        @hookimpl(tryfirst=True)
        def record_state(self, session, suggestion):
            self.try_all(session, suggestion=suggestion)

        @hookimpl(tryfirst=True)
        def post_session(self, session, suggestion):
            self.try_all(session, suggestion=suggestion)
            return {"of": ["hostile"]}

        @hookimpl(tryfirst=True)
        def transfer_session(self, session, suggestion):
            self.try_all(session, suggestion=suggestion)

        @hookimpl
        def session_finished(self, session):
            self.try_all(session)
"""


def test_nothing_that_a_plugin_is_given_can_be_changed(tmp_path: Path) -> None:
    rig = tmp_path / "rig.json"
    rig.write_text(json.dumps({"cameras": [{"exposure": 1}]}), encoding="utf-8")
    lab = laboratory(tmp_path, HOSTILE, f"rig = {json.dumps(str(rig))}", {"hostile": "Hostile"})
    lab.run(experimenter=("me",))  # so that the next one has entries in the register
    (lab.root / "hostile.jsonl").unlink()
    outcome = lab.run(experimenter=("me",))
    assert outcome.state == "completed"
    tried = [json.loads(line) for line in (lab.root / "hostile.jsonl").read_text("utf-8").splitlines()]
    places = {path for path, *_ in tried}
    for place in (
        "session.rig[cameras][0]",
        "session.session.experimenter",
        "session.animal_state.metrics",
        "session.results[load_animal_state][hostile][metrics][licks][1]",
        "session.animal_state.trainer_state.document[stage]",
        "session.results[post_session][hostile][of]",
        "session.animal_entries[0].model_extra",
        "inputs.rig[cameras]",
        "suggestion.metrics",
        "environment",
    ):
        assert place in places
    assert [attempt for attempt in tried if not attempt[2]] == []
    # Whatever did not raise would have changed nothing, and told the author nothing.
    assert {(path, attempt) for path, attempt, _, told in tried if "copy.deepcopy" not in (told or "")} == set()
    with Journal.open(lab.journal) as journal:
        kept = journal.context(outcome.session.name)
    assert kept == outcome.session.model_copy(update={"results": {}})
    assert (kept.rig, kept.session.experimenter) == ({"cameras": [{"exposure": 1}]}, ["me"])


@pytest.mark.parametrize("plain", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301 - our own
def test_a_copy_can_be_changed(plain: Any) -> None:
    given = Inputs(rig={"cameras": [{"exposure": 1}]})
    rig: Any = plain(given.rig)
    rig["cameras"][0]["exposure"] = 2
    changed = given.model_copy(update={"rig": rig})
    assert (changed.rig, given.rig) == ({"cameras": [{"exposure": 2}]}, {"cameras": [{"exposure": 1}]})
    assert changed.rig
    with pytest.raises(TypeError, match="copy.deepcopy"):
        changed.rig["cameras"].append({})
    assert json.dumps(changed.rig) == changed.model_dump_json(include={"rig"})[7:-1].replace(":", ": ")


def test_what_is_copied_deeply_is_whole_and_frozen_again() -> None:
    given = Session(subject="1", experimenter=["me"], newer={"field": [1]})
    copied = given.model_copy(deep=True)
    assert copied == given
    assert copied.model_extra
    inside: tuple[Any, ...] = (copied.experimenter, copied.model_extra["newer"]["field"])
    for inner in inside:
        with pytest.raises(TypeError):
            inner.append(2)


def test_a_field_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="Inputs has no field 'rigg'. Did you mean 'rig'?"):
        Inputs().model_copy(update={"rigg": {}})
    # Also where fields of a newer schema are kept.
    session = Session(subject="1", newer=1)
    with pytest.raises(TypeError, match="Session has no field 'note'. Did you mean 'notes'?"):
        session.model_copy(update={"note": "x"})
    assert session.model_copy(update={"newer": 2}).model_extra == {"newer": 2}


def test_a_copy_with_another_text_reads_that_text() -> None:
    state = ladder_state("rung1")
    assert state.document["stage"]["name"] == "rung1"
    moved = state.model_copy(update={"text": ladder_state("rung2").text})
    assert (moved.stage, moved.digest) == ("rung2", ladder_state("rung2").digest)
    suggestion = CurriculumSuggestion(text='{"metrics": {"a": [1]}}', trainer_state=moved)
    assert suggestion.metrics == {"a": [1]}
    assert AnimalState(trainer_state=TrainerStateText(text="{}"), date=now()).metrics is None
