"""A session takes one road, whatever fails on the way."""

import json

import pytest
from task_repositories import laboratory

from aind_launcher.errors import AnimalError, PluginError, Refused
from aind_launcher.journal.journal import Journal

SUBSCRIBERS = """
    import json
    from aind_launcher import Check, StepSkipped, TransientError, hookimpl

    class Notes:
        @hookimpl
        def post_session(self, session, suggestion):
            stage = suggestion.trainer_state.stage if suggestion else None
            with (session.repository.path.parent / "notes.txt").open("a", encoding="utf-8") as file:
                file.write(f"post {session.name} {stage}\\n")
            return {"stage": stage}

        @hookimpl
        def transfer_session(self, session, suggestion):
            assert (session.folder / "behavior/Logs/launcher/log.jsonl").is_file()
            return {"earlier": session.results["post_session"]["notes"]}

        @hookimpl
        def session_finished(self, session, outcome):
            with (session.repository.path.parent / "notes.txt").open("a", encoding="utf-8") as file:
                file.write(f"finished {outcome}\\n")

    class Broken:
        @hookimpl
        def post_session(self, session):
            if (session.repository.path / "push-is-broken").exists():
                raise RuntimeError("no route to the database")
            return "pushed"

    class Flaky:
        tries = 0
        @hookimpl
        def post_session(self):
            Flaky.tries += 1
            if Flaky.tries < 3:
                raise TransientError("not now")
            return Flaky.tries

    class Quits:
        @hookimpl
        def post_session(self):
            raise SystemExit("goodbye")

    class Odd:
        @hookimpl
        def post_session(self):
            return object()

    class Careful:
        @hookimpl
        def pre_session(self, session):
            return Check(name="water", outcome="failed", message="The valve is open.", hint="Close it.")

    class Wrong:
        @hookimpl
        def curriculum_suggest(self, session):
            return {"stage": 3}
"""


def steps(lab, name):
    with Journal.open(lab.journal) as journal:
        return {(s.id.hook, s.id.plugin): s for s in journal.current_steps(name)}


def test_a_session_goes_from_the_animals_state_to_the_hand_off(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"notes": "Notes"})
    outcome = lab.run()
    assert (outcome.state, outcome.exit_code) == ("completed", 0)
    assert lab.stage() == "rung2"
    folder = outcome.session.folder
    assert json.loads((folder / "behavior/trainer_state.json").read_text())["stage"]["name"] == "rung1"
    assert json.loads((folder / "behavior/metrics.json").read_text()) == {"climbed": 1}
    assert (folder / "behavior/Logs/suggestion.json").read_text() == outcome.suggestion.text
    assert json.loads((folder / "behavior/Logs/tasklogic_input.json").read_text())["name"] == "Climb"
    assert json.loads((folder / "behavior/Logs/session_input.json").read_text())["subject"] == "123456"
    assert (tmp_path / "notes.txt").read_text().splitlines() == [
        f"post {outcome.session.name} rung2",
        "finished completed",
    ]
    assert steps(lab, outcome.session.name)["transfer_session", "notes"].result == {"earlier": {"stage": "rung2"}}


def test_the_next_session_finds_the_metrics_of_the_last(tmp_path):
    lab = laboratory(tmp_path)
    first = lab.run()
    second = lab.run()
    assert not first.session.paths.previous_metrics.exists()
    assert json.loads(second.session.paths.previous_metrics.read_text()) == {"climbed": 1}
    assert second.session.animal_state.session_name == first.session.name
    assert lab.stage() == "rung3"


def test_what_fails_in_one_step_stops_no_other_and_is_resumed_alone(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"notes": "Notes", "push": "Broken"})
    lab.write("push-is-broken", "")
    outcome = lab.run()
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    assert lab.stage() == "rung2"
    recorded = steps(lab, outcome.session.name)
    assert recorded["post_session", "push"].error == "RuntimeError: no route to the database (more.py:27)"
    assert recorded["transfer_session", "notes"].state == "done"
    (lab.path / "push-is-broken").unlink()
    resumed = lab.resume(outcome.session.name)
    assert (resumed.state, resumed.exit_code) == ("completed", 0)
    assert steps(lab, outcome.session.name)["post_session", "push"].attempt == 2
    posts = [line for line in (tmp_path / "notes.txt").read_text().splitlines() if line.startswith("post")]
    assert len(posts) == 1


def test_a_curriculum_that_fails_leaves_the_animal_and_lets_the_data_go(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"notes": "Notes"})
    lab.write("curriculum-is-broken", "")
    outcome = lab.run()
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    assert lab.stage() == "rung1"
    recorded = steps(lab, outcome.session.name)
    assert recorded["curriculum_suggest", "ladder"].error == "RuntimeError: the ladder is broken"
    assert recorded["transfer_session", "notes"].state == "done"


def test_a_late_answer_reaches_every_subscriber_but_not_the_folder_that_left(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"notes": "Notes"})
    lab.write("curriculum-is-broken", "")
    name = lab.run().session.name
    (lab.path / "curriculum-is-broken").unlink()
    folder = lab.data / name
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = lab.resume(name)
    assert outcome.state == "completed"
    assert lab.stage() == "rung2"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert (outcome.session.staging / "behavior/Logs/suggestion.json").read_text() == outcome.suggestion.text
    posts = [line for line in (tmp_path / "notes.txt").read_text().splitlines() if line.startswith("post")]
    assert posts == [f"post {name} None", f"post {name} rung2"]


def test_a_late_answer_of_an_earlier_session_is_superseded(tmp_path):
    lab = laboratory(tmp_path)
    lab.write("curriculum-is-broken", "")
    monday = lab.run().session.name
    (lab.path / "curriculum-is-broken").unlink()
    lab.run()
    lab.run()
    assert lab.stage() == "rung3"
    resumed = lab.resume(monday)
    assert resumed.state == "completed"
    assert lab.stage() == "rung3"
    assert steps(lab, monday)["record_state", "local-store"].result["outcome"] == "superseded"
    kept = [json.loads(path.read_text()) for path in (lab.subjects / "123456" / "history").glob("*superseded*")]
    assert [entry["session_name"] for entry in kept] == [monday]


def test_a_required_step_holds_the_hand_off_back_until_it_is_done(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, 'required-steps = ["push"]', names={"notes": "Notes", "push": "Broken"})
    lab.write("push-is-broken", "")
    outcome = lab.run()
    assert outcome.held == "push must be done before the hand-off"
    assert ("transfer_session", "notes") not in steps(lab, outcome.session.name)
    assert not (outcome.session.paths.launcher / "log.jsonl").exists()
    (lab.path / "push-is-broken").unlink()
    assert lab.resume(outcome.session.name).state == "completed"
    assert steps(lab, outcome.session.name)["transfer_session", "notes"].state == "done"


def test_what_fails_for_the_moment_is_tried_three_times(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"flaky": "Flaky"})
    outcome = lab.run()
    assert outcome.state == "completed"
    with Journal.open(lab.journal) as journal:
        tries = [s.state for s in journal.steps(outcome.session.name) if s.id.plugin == "flaky"]
    assert tries == ["failed", "failed", "done"]


def test_a_plugin_that_quits_or_returns_what_cannot_be_stored_stops_nothing(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"quits": "Quits", "odd": "Odd", "notes": "Notes"})
    outcome = lab.run()
    recorded = steps(lab, outcome.session.name)
    assert recorded["post_session", "quits"].error == "SystemExit: goodbye (more.py:42)"
    assert recorded["post_session", "odd"].state == "done"
    assert "object object" in recorded["post_session", "odd"].result["unstorable"]
    assert recorded["post_session", "notes"].state == "done"


def test_a_failed_check_refuses_the_session_and_nothing_was_changed(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"careful": "Careful"})
    with pytest.raises(Refused, match=r"water: The valve is open\. Close it\."):
        lab.run()
    assert not lab.data.exists()
    assert lab.stage() == "rung1"
    with Journal.open(lab.journal) as journal:
        (record,) = journal.sessions()
    assert (record.state, record.exit_code) == ("refused", 3)


def test_an_answer_of_the_wrong_type_fails_the_step_that_gave_it(tmp_path):
    lab = laboratory(
        tmp_path, SUBSCRIBERS, 'disable = ["ladder", "isolated-curriculum", "acquisition"]', names={"wrong": "Wrong"}
    )
    outcome = lab.run()
    error = steps(lab, outcome.session.name)["curriculum_suggest", "wrong"].error
    assert error.startswith("Plugin wrong returned a dict from curriculum_suggest, which answers with CurriculumSugg")
    assert lab.stage() == "rung1"


def test_an_unknown_animal_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(AnimalError, match=r"Animal 999 is unknown \(local-store\)\. Check the number, enrol it with"):
        laboratory(tmp_path).run("999")


def test_where_the_library_is_gone_nobody_is_told_to_enrol_the_animal_anew(tmp_path):
    lab = laboratory(tmp_path)
    lab.run()
    library = lab.subjects.parent.parent
    library.rename(library.with_name("unplugged"))
    with pytest.raises(AnimalError, match="was at rung1 of .* but local-store does not know it") as refused:
        lab.run()
    assert "Connect the library" in (refused.value.hint or "")


def test_a_state_that_is_not_json_is_refused_and_left_alone(tmp_path):
    lab = laboratory(tmp_path)
    path = lab.subjects / "123456" / "trainer_state.json"
    path.write_text("{oops")
    with pytest.raises(AnimalError, match=r"No store could say where animal 123456 stands.*is not JSON"):
        lab.run()
    assert path.read_text() == "{oops"


def test_an_own_task_runs_without_a_decision(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, 'disable = ["ladder", "acquisition"]', names={"notes": "Notes"})
    lab.write("habituation.json", '{"name": "Habituation", "task_parameters": {}}')
    lab.commit()
    outcome = lab.run(task_file=lab.path / "habituation.json")
    assert outcome.state == "completed"
    assert outcome.suggestion is None
    assert not outcome.session.paths.trainer_state.exists()
    assert json.loads(outcome.session.paths.task_input.read_text())["name"] == "Habituation"
    assert lab.stage() == "rung1"


def test_an_animal_without_curriculum_runs_its_own_task(tmp_path):
    lab = laboratory(tmp_path, settings='disable = ["ladder", "acquisition"]')
    place = lab.subjects / "777"
    place.mkdir()
    (place / "task.json").write_text('{"name": "Calibration", "task_parameters": {}}')
    outcome = lab.run("777")
    assert (outcome.state, outcome.session.task_source) == ("completed", "animal")
    assert json.loads(outcome.session.paths.task_input.read_text())["name"] == "Calibration"


def test_a_broken_plugin_refuses_before_anything_is_written(tmp_path):
    lab = laboratory(tmp_path, "import nothing_of_this_name", names={"more": "Any"})
    with pytest.raises(PluginError, match="cannot be imported"):
        lab.run()
    assert not lab.state.exists()


def test_secrets_reach_neither_log_nor_journal(tmp_path):
    leaky = """
        from pydantic import BaseModel, SecretStr
        from aind_launcher import hookimpl
        import logging

        class Leaky:
            class Settings(BaseModel):
                password: SecretStr

            def __init__(self, settings):
                self.word = settings.password.get_secret_value()

            @hookimpl
            def post_session(self, session):
                logging.getLogger("aind_launcher.leaky").warning("the password is %s", self.word)
                return {"password": self.word}

            @hookimpl
            def transfer_session(self):
                raise RuntimeError(f"https://me:{self.word}@host refused")
    """
    secret = "correct-horse"
    section = f'[tool.aind-launcher.plugin.leaky]\npassword = "{secret}"'
    lab = laboratory(tmp_path, leaky, section, names={"leaky": "Leaky"})
    outcome = lab.run()
    assert outcome.state == "incomplete"
    # Its own settings file aside, no file that the session left has it.
    files = [*lab.state.rglob("*"), *lab.data.rglob("*"), *lab.subjects.rglob("*")]
    leaks = [path for path in files if path.is_file() and secret.encode() in path.read_bytes()]
    assert leaks == []
    assert "**********" in (outcome.session.staging / "log.jsonl").read_text()


def test_every_line_of_the_log_says_session_and_step(tmp_path):
    lab = laboratory(tmp_path, SUBSCRIBERS, names={"push": "Broken"})
    lab.write("push-is-broken", "")
    outcome = lab.run()
    lines = [json.loads(line) for line in (outcome.session.staging / "log.jsonl").read_text().splitlines()]
    assert {line["session"] for line in lines} == {outcome.session.name}
    assert any("Traceback" in line.get("traceback", "") and "no route" in line["traceback"] for line in lines)
