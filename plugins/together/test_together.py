"""All three plugins in one task repository: each session is recorded once, described, and handed off once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.acquisition import Acquisition
from conftest import SUBJECT, Laboratory, files

from aind_launcher.testing import plugins_of

pytestmark = pytest.mark.integration

NEWEST_METADATA = Path(__file__).parents[1] / "aind-launcher-data-schema" / "tests" / "data" / "acquisition-2.9.json"
PAGE = Path(__file__).parents[2] / "docs" / "services.md"


def test_the_settings_of_the_documented_example_are_good(tmp_path: Path) -> None:
    documented = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "pyproject.toml").write_text(documented, encoding="utf-8")

    plugins = plugins_of(tmp_path)

    plugins.require_sound()
    assert {"slims", "data-schema", "watchdog"} <= {plugin.name for plugin in plugins.all}


def test_one_run_records_the_session_and_sends_it_off_with_its_metrics_and_curriculum(laboratory: Laboratory) -> None:
    code, told = laboratory.run()

    assert code == 0
    session, folder = told["session"], Path(told["folder"])
    assert not [step for step in told["steps"] if step["state"] == "failed"]
    sent, times = files(folder), times_of(folder)
    assert_recorded_once(laboratory, session, folder)
    assert [path.name for path in laboratory.flag.iterdir()] == [f"manifest_{session}.yml"]

    laboratory.carry_out()

    assert (files(folder), times_of(folder)) == (sent, times)
    assert_arrived_once(laboratory, told, sent)


def test_a_session_that_slims_missed_is_recorded_when_it_is_back_and_handed_off_no_second_time(
    laboratory: Laboratory,
) -> None:
    laboratory.slims.stop()
    code, told = laboratory.run()

    assert code == 1
    failed = [step["plugin"] for step in told["steps"] if step["state"] == "failed"]
    assert failed == ["slims"]
    session, folder = told["session"], Path(told["folder"])
    assert laboratory.slims.records() == []
    sent, times = files(folder), times_of(folder)
    laboratory.carry_out()

    laboratory.slims.start()
    resumed = laboratory.launch("resume", "--all")
    again = laboratory.launch("resume", session)

    assert (resumed.returncode, again.returncode) == (0, 0), resumed.stderr + again.stderr
    assert_recorded_once(laboratory, session, folder)
    assert list(laboratory.flag.iterdir()) == []
    assert (files(folder), times_of(folder)) == (sent, times)
    assert_arrived_once(laboratory, told, sent)


def test_an_answer_that_comes_after_the_hand_off_completes_the_record_and_the_metadata_on_demand(
    laboratory: Laboratory,
) -> None:
    code, told = laboratory.run("--set", "plugin.isolated-curriculum.timeout=0.01")
    assert code == 1
    session, folder = told["session"], Path(told["folder"])
    [undecided] = laboratory.slims.records()
    assert undecided["cnvn_cf_stageIsOnCurriculum"] is False
    assert laboratory.slims.attachments(undecided["cnvn_pk"]) == []
    laboratory.carry_out()

    late = laboratory.launch("resume", session)

    assert late.returncode == 1
    assert "data-schema" in late.stderr and f"aind-launch resume {session} --hand-off-again" in late.stderr
    again = laboratory.launch("resume", session, "--hand-off-again")
    assert again.returncode == 0, again.stderr
    laboratory.carry_out()
    assert_recorded_once(laboratory, session, folder)
    assert len(list(laboratory.archive.iterdir())) == len(laboratory.transfers.requests) == 2
    [arrived] = laboratory.destination.iterdir()
    assert files(arrived) == files(folder)
    [epoch] = json.loads(files(arrived)["acquisition.json"])["stimulus_epochs"]
    assert epoch["performance_metrics"]["output_parameters"] == json.loads(files(folder)["behavior/metrics.json"])


def test_the_next_session_goes_on_from_what_slims_has_also_on_a_rig_that_never_saw_the_animal(
    laboratory: Laboratory,
) -> None:
    _, first = laboratory.run()
    (laboratory.root / "library").rename(laboratory.root / "library of another rig")

    code, second = laboratory.run()

    assert code == 0
    assert state_of(second, "trainer_state.json") == json.loads(suggestion_of(first))["trainer_state"]
    assert state_of(second, "previous_metrics.json") == first["metrics"]
    assert len(laboratory.slims.records()) == 2


def test_metadata_of_the_newest_version_is_completed_and_a_refused_upload_is_named_before_the_next_session(
    laboratory: Laboratory,
) -> None:
    # A task whose own environment has the newest aind-data-schema, which is not the one here.
    program = laboratory.repository / "task.py"
    copied = f"import shutil\nshutil.copy({str(NEWEST_METADATA)!r}, folder / 'acquisition.json')\n"
    program.write_text(program.read_text(encoding="utf-8") + copied, encoding="utf-8")
    configuration = {
        "flag_dir": str(laboratory.flag),
        "manifest_complete": str(laboratory.archive),
        "structured_log_file": str(laboratory.archive.with_name("service.log.jsonl")),
    }
    (laboratory.root / "config.yml").write_text(json.dumps(configuration), encoding="utf-8")
    laboratory.configure(f"""
        service-config = {json.dumps(str(laboratory.root / "config.yml"))}
        destination = {json.dumps(f"{laboratory.destination}/{{subject}}")}
        project-name = "Behavior Platform"
        transfer-endpoint = "{laboratory.transfers.endpoint}"
        service-process = ""
    """)
    laboratory.transfers.answer_with = 406

    code, told = laboratory.run()
    laboratory.carry_out()
    doctor = laboratory.launch("doctor")

    assert code == 0
    arrived = files(laboratory.destination / SUBJECT / told["session"])
    assert arrived == files(Path(told["folder"]))
    [epoch] = json.loads(arrived["acquisition.json"])["stimulus_epochs"]
    assert epoch["performance_metrics"]["output_parameters"] == {"licks": 4021, **told["metrics"]}
    assert "newer ones are kept away by aind-data-transfer-service" in doctor.stdout
    assert f"{told['session']} (Could not trigger aind-data-transfer-service, Response 406" in doctor.stdout


def test_doctor_shows_all_three(laboratory: Laboratory) -> None:
    ended = laboratory.launch("doctor", "--json")

    passed = [check["name"] for check in json.loads(ended.stdout) if check["outcome"] == "passed"]
    assert {"SLIMS", "data-schema", "watchdog destination", "watchdog flag directory", "watchdog project"} <= {*passed}
    assert ended.returncode == 0

    laboratory.slims.password = "another"
    said = laboratory.launch("doctor")
    assert said.returncode == 3
    assert "refuses the user name or password from SLIMS_USERNAME and SLIMS_PASSWORD" in said.stdout


def test_what_is_wrong_with_the_services_is_said_before_the_animal_is_on_the_rig(laboratory: Laboratory) -> None:
    laboratory.slims.add_animal(SUBJECT)
    flag = json.dumps(str(laboratory.flag))
    names = f'project-names-url = "{laboratory.transfers.project_names}"'
    laboratory.configure(f'flag-directory = {flag}\ndestination = "staging"\nproject-name = "Unheard of"\n{names}')

    ended = laboratory.launch("run", "--subject", SUBJECT)

    assert ended.returncode == 3
    assert f"2 animals with the barcode {SUBJECT}" in ended.stderr
    assert "The destination 'staging' is not an absolute path" in ended.stderr
    assert "'Unheard of' is not a project that" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(laboratory.data.iterdir()) == []


def test_the_demo_runs_against_services_of_its_own(laboratory: Laboratory) -> None:
    ended = laboratory.launch("demo", str(laboratory.root / "demo"), "--with-services", "--json")

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["missing"] == []
    assert told["arrived"]["slims"][0] == "7 behaviour sessions, 6 of them with a curriculum's suggestion"
    assert told["arrived"]["watchdog"][0].startswith("7 sessions arrived in ")
    assert told["arrived"]["watchdog"][1] == "7 uploads of behavior asked of the transfer service"
    assert "  stage expert of LickTraining" in told["arrived"]["watchdog"]
    assert "Session 5: slims cannot be reached." in ended.stderr
    assert "Session 5: completed" in ended.stderr


def assert_recorded_once(laboratory: Laboratory, session: str, folder: Path) -> None:
    [record] = laboratory.slims.records()
    assert f"session={session} " in record["cnvn_cf_notes"]
    assert record["cnvn_cf_stageIsOnCurriculum"] is True
    attached = {attachment.name: attachment.content for attachment in laboratory.slims.attachments(record["cnvn_pk"])}
    assert len(laboratory.slims.attachments(record["cnvn_pk"])) == 2
    suggested = json.loads((folder / "behavior" / "Logs" / "suggestion.json").read_text(encoding="utf-8"))
    assert json.loads(attached["TrainerState"]) == suggested["trainer_state"]
    assert json.loads(attached["Metrics"]) == suggested["metrics"]
    assert record["cnvn_cf_taskStage"] == suggested["trainer_state"]["stage"]["name"]


def assert_arrived_once(laboratory: Laboratory, told: dict[str, Any], sent: dict[str, bytes]) -> None:
    assert [path.name for path in laboratory.archive.iterdir()] == [f"manifest_{told['session']}.yml"]
    [request] = laboratory.transfers.requests
    [job] = request["upload_jobs"]
    assert [modality["abbreviation"] for modality in job["modalities"]] == ["behavior", "behavior-videos"]
    [arrived] = laboratory.destination.iterdir()
    assert files(arrived) == sent

    model = Acquisition.model_validate_json((arrived / "acquisition.json").read_text(encoding="utf-8"))
    [epoch], [stream] = model.stimulus_epochs, model.data_streams
    assert epoch.performance_metrics.output_parameters.model_dump() == told["metrics"]
    assert (epoch.curriculum_status, epoch.training_protocol_name) == ("stage_a", "TemplateCurriculum")
    curriculum = stream.code[-1]
    assert curriculum.name == "aind_behavior_vr_foraging_curricula.template"
    assert (curriculum.commit_hash, curriculum.url) == (told["provenance"]["commit"], told["provenance"]["url"])


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def suggestion_of(told: dict[str, Any]) -> str:
    return (Path(told["folder"]) / "behavior" / "Logs" / "suggestion.json").read_text(encoding="utf-8")


def state_of(told: dict[str, Any], name: str) -> Any:
    return json.loads((Path(told["folder"]) / "behavior" / name).read_text(encoding="utf-8"))
