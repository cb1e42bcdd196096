"""The built-ins have no privileges: a laboratory replaces store and curricula, and every command works."""

import json
import re
from pathlib import Path

import pytest
from command_line import call
from task_repositories import laboratory

from aind_launcher.testing import TaskRepositoryForTests, ladder_state

PLUGINS = '''
    """A laboratory's own: animals in one JSON file, and a curriculum that needs no environment."""

    import json
    from datetime import UTC, datetime
    from pathlib import Path

    from aind_launcher import (
        AnimalError, AnimalRecord, BuiltEnvironment, BuiltSource, Check, CurriculumSuggestion, Decision, SourceStatus,
        StateRecord, StoredAnimal, hookimpl
    )
    from aind_launcher.testing import Ladder, ladder_state

    class Register:
        def __init__(self, file):
            self.file = file
            self.place = f"the register {file}"

        def subjects(self):
            return sorted(self.decisions())

        def animals(self):
            return [self.read(subject) for subject in self.subjects()]

        def read(self, subject):
            history = self.history(subject)
            return StoredAnimal(subject, "climbing", state=history[-1].state if history else None)

        def history(self, subject):
            return [Decision.model_validate(decision) for decision in self.decisions().get(subject, [])]

        def register(self, subject, last=20):
            state = self.read(subject).state
            return AnimalRecord(subject, state.trainer_state if state else None)

        def overview(self):
            return [self.register(subject) for subject in sorted(self.decisions())]

        def rigs(self):
            return []

        def report(self, status):
            """Nobody asks for rigs here."""

        def finish(self, session, state):
            """Sessions are not kept."""

        def refuse_known(self, subject):
            if self.history(subject):
                raise AnimalError(f"{subject} is in the register.", "Strike it out.")

        def enroll(self, subject, trainer_state, by, *, replace=False):
            replace or self.refuse_known(subject)
            self.add(subject, kind="enrolled", trainer_state=trainer_state, by=by)

        def move(self, subject, trainer_state, reason, by, restored=None):
            self.add(subject, kind="moved", trainer_state=trainer_state, reason=reason, by=by)

        def decisions(self):
            return json.loads(self.file.read_text("utf-8")) if self.file.exists() else {}

        def add(self, subject, trainer_state, **facts):
            decision = Decision(date=datetime.now(UTC), trainer_state=trainer_state.text, **facts)
            all = self.decisions()
            all.setdefault(subject, []).append(decision.model_dump(mode="json"))
            self.file.write_text(json.dumps(all), "utf-8")

    class Store:
        @hookimpl
        def animal_store(self, repository, experiment):
            return Register(repository.parent / "register.json")

        @hookimpl
        def load_animal_state(self, session):
            return self.animal_store(session.repository.path, None).read(session.subject).state

        @hookimpl
        def record_state(self, session, suggestion):
            store = self.animal_store(session.repository.path, None)
            facts = {"session_name": session.name, "metrics": suggestion.metrics}
            store.add(session.subject, kind="suggestion", trainer_state=suggestion.trainer_state, **facts)
            return StateRecord(outcome="applied")

        @hookimpl
        def check_rig(self, repository):
            return Check(name="register", outcome="passed")

    class Sources:
        def names(self):
            return ["steps"]

        def passed_over(self):
            return []

        def status(self):
            return [SourceStatus(name="steps", kind="built in", path=".", built=True, curricula=("Ladder",))]

        def build(self, name, *, check, allow_dirty, progress):
            return BuiltSource(commit="0123456789abcdef", environment="none", python_version="3")

        def first_state(self, curriculum, stage, *, source, allow_dirty, progress):
            return ladder_state(stage or "rung1")

        def verify(self, trainer_state, *, allow_dirty, progress):
            """Every animal climbs here."""

        def suggest(self, folder, trainer_state, *, source, allow_dirty, progress):
            state = ladder_state("rung9")
            return CurriculumSuggestion(text=f"from {folder.name}", trainer_state=state)

        def environments(self):
            now = datetime.now(UTC)
            one = {"key": "none", "folder": Path.home(), "source": "steps", "commit": "0123456789abcdef"}
            return [BuiltEnvironment(**one, python_version="3", used=now, pinned=True)]

        def prune(self, older_than):
            return []

    class Curricula(Ladder):
        @hookimpl
        def curriculum_sources(self, repository):
            return Sources()

        @hookimpl
        def check_rig(self, repository):
            return Check(name="steps", outcome="passed")
'''
NAMES = {"register": "Store", "steps": "Curricula"}
REPLACED = 'disable = ["acquisition", "isolated-curriculum", "ladder", "local-store"]'


@pytest.fixture
def lab(tmp_path: Path) -> TaskRepositoryForTests:
    return laboratory(tmp_path, PLUGINS, REPLACED, NAMES)


def done(lab: TaskRepositoryForTests, *arguments: str) -> str:
    ended = call(*arguments, cwd=lab.path)
    assert (ended.code, ended.err) == (0, ""), ended
    return ended.out


def enroll(lab: TaskRepositoryForTests) -> str:
    return done(lab, "curricula", "enroll", "7", "--curriculum", "Ladder", "--by", "me")


def move(lab: TaskRepositoryForTests, reason: str, *where: str) -> str:
    return done(lab, "animals", "move", "7", *where, "--reason", reason, "--by", "me")


def stage(lab: TaskRepositoryForTests) -> str:
    (animal,) = json.loads(done(lab, "animals", "list", "--json"))
    return str(animal["stage"])


def test_animals_are_enrolled_listed_shown_and_moved(lab: TaskRepositoryForTests) -> None:
    assert "No animal in the register " in done(lab, "animals", "list")
    assert enroll(lab) == "Animal 7 is enrolled: stage rung1 of Ladder 1.0.0.\n"
    assert stage(lab) == "rung1"
    assert re.search(r"^7 +unknown +rung1$", done(lab, "today"), re.MULTILINE)
    again = call("curricula", "enroll", "7", "--curriculum", "Ladder", cwd=lab.path)
    assert (again.code, "7 is in the register." in again.err) == (3, True)
    move(lab, "climbs well", "--curriculum", "Ladder", "--stage", "rung5")
    file = lab.root / "state.json"
    file.write_text(ladder_state("rung5").text, encoding="utf-8")
    move(lab, "surgery", "--off-curriculum")
    assert move(lab, "healed", "--to", str(file)) == "Animal 7: rung5 -> stage rung5 of Ladder.\n"
    shown = done(lab, "animals", "show", "7")
    assert re.findall(r"(enrolled|moved) +(rung\d)(?: .off curriculum.)? +me(?: +(.+))?", shown) == [
        ("enrolled", "rung1", ""),
        ("moved", "rung5", "climbs well"),
        ("moved", "rung5", "surgery"),
        ("moved", "rung5", "healed"),
    ]
    unknown = call("animals", "show", "8", cwd=lab.path)
    assert (unknown.code, "Animal 8 is not in the register " in unknown.err) == (3, True)


def test_curricula_and_environments_are_listed_and_asked(lab: TaskRepositoryForTests) -> None:
    assert re.search(r"^steps +\. +clean +yes +Ladder$", done(lab, "curricula", "list"), re.MULTILINE)
    assert done(lab, "curricula", "sync") == "steps: built at 0123456789 in none (Python 3)\n"
    assert done(lab, "curricula", "check", "steps").startswith("steps: built at 0123456789")
    state = lab.subjects / "123456" / "trainer_state.json"
    assert done(lab, "curricula", "run", str(lab.root), "--trainer-state", str(state)) == f"from {lab.root.name}\n"
    (environment,) = json.loads(done(lab, "env", "list", "--json"))
    assert (environment["source"], environment["pinned"]) == ("steps", True)
    assert done(lab, "env", "prune") == "Nothing to remove.\n"


def test_the_doctor_asks_those_that_took_their_places(lab: TaskRepositoryForTests) -> None:
    checks = {check["name"]: check["outcome"] for check in json.loads(done(lab, "doctor", "--json"))}
    assert (checks["register"], checks["steps"]) == ("passed", "passed")
    assert not {"library", "curriculum"} & checks.keys()


def test_a_session_runs_and_is_resumed(lab: TaskRepositoryForTests) -> None:
    enroll(lab)
    lab.break_curriculum()
    assert call("run", "--subject", "7", cwd=lab.path).code == 1
    assert stage(lab) == "rung1"
    lab.repair_curriculum()
    assert call("resume", "--all", cwd=lab.path).code == 0
    assert stage(lab) == "rung2"


def test_without_a_plugin_in_its_place_a_command_says_which_one_is_missing(lab: TaskRepositoryForTests) -> None:
    for command, missing in (("animals", "No plugin keeps animals."), ("curricula", "No plugin builds and asks")):
        ended = call(command, "list", "-p", "no:register", "-p", "no:steps", cwd=lab.path)
        assert (ended.code, missing in ended.err) == (2, True), ended


def test_a_command_imports_no_plugin_after_the_one_that_answers(lab: TaskRepositoryForTests) -> None:
    lab.write("later.py", f"open({str(lab.root / 'imported')!r}, 'w')")
    lab.configure(REPLACED, {**{name: f"more:{target}" for name, target in NAMES.items()}, "zebra": "later"})
    done(lab, "animals", "list")
    assert not (lab.root / "imported").exists()


def test_a_store_that_breaks_is_named(lab: TaskRepositoryForTests) -> None:
    lab.write(
        "more.py", "from aind_launcher import hookimpl\n@hookimpl\ndef animal_store():\n    raise OSError('no disk')"
    )
    lab.configure(REPLACED, {"register": "more"})
    ended = call("animals", "list", cwd=lab.path)
    assert ended.code == 2
    assert "Plugin register (this repository) failed in animal_store: OSError: no disk (more.py:" in ended.err


def test_what_a_plugin_leaves_in_the_output_folder_leaves_with_the_data(lab: TaskRepositoryForTests) -> None:
    camera = """
        from aind_launcher import CurriculumSuggestion, hookimpl
        from aind_launcher.testing import InstantRig, Ladder

        class Camera(InstantRig):
            @hookimpl
            def run_session(self, session):
                (session.staging / "output").mkdir()
                (session.staging / "output" / "camera.log").write_text("9 frames dropped", "utf-8")
                return super().run_session(session)

            @hookimpl
            def transfer_session(self, session):
                return "sent"

        class Late(Ladder):
            @hookimpl
            def curriculum_suggest(self, session):
                answer = super().curriculum_suggest(session)
                session.output_folder.mkdir(exist_ok=True)
                (session.output_folder / "why.txt").write_text("it climbed", "utf-8")
                return answer
    """
    lab.write("camera.py", camera)
    disable = REPLACED.replace('"ladder"', '"ladder", "instant-rig"')
    lab.configure(disable, {"camera": "camera:Camera", "late": "camera:Late", "register": "more:Store"})
    file = lab.root / "state.json"
    file.write_text(ladder_state("rung1").text, encoding="utf-8")
    move(lab, "new here", "--to", str(file))
    lab.break_curriculum()
    outcome = lab.run("7")
    kept = outcome.session.paths.launcher
    assert (kept / "camera.log").read_text("utf-8") == "9 frames dropped"
    lab.repair_curriculum()
    lab.resume(outcome.session.name)
    assert not (kept / "why.txt").exists()
    assert call("resume", outcome.session.name, "--hand-off-again", cwd=lab.path).code == 0
    assert (kept / "why.txt").read_text("utf-8") == "it climbed"
