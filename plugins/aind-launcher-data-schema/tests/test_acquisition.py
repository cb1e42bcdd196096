"""The plugin on acquisition.json as tasks write it, with the real aind-data-schema."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.acquisition import Acquisition
from conftest import ANSWER, COMMIT, PACKAGE, epoch, suggested, written_by_the_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_launcher import CurriculumSuggestion, HandedOff, LauncherError, SessionContext, SettingsError, StepSkipped
from aind_launcher.testing import plugins_of
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings as Settings

PLUGIN = DataSchema(Settings())
CREATING = DataSchema(Settings(create=True))


def loaded(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def test_the_epochs_get_the_metrics_the_stage_that_was_run_and_the_protocol(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)

    kept = PLUGIN.post_session(session, suggestion)

    [told] = Acquisition.model_validate_json(path.read_text(encoding="utf-8")).stimulus_epochs
    assert told.performance_metrics and told.performance_metrics.output_parameters
    metrics = told.performance_metrics.output_parameters.model_dump()
    assert metrics == {"licks": 4021, "metric1": 50.0, "metric2_history": [1.0, 2.0, 3.0]}
    assert told.performance_metrics.trials_total == 312
    assert (told.curriculum_status, told.training_protocol_name) == ("stage_a", "TemplateCurriculum")
    assert kept["written"] is True
    assert kept["epochs"] == [told.stimulus_name]


def test_the_data_stream_names_the_curriculum_s_code(session: SessionContext, suggestion: CurriculumSuggestion) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, suggestion)

    [stream] = Acquisition.model_validate_json(path.read_text(encoding="utf-8")).data_streams
    task, curriculum = stream.code
    assert task.name == "bonsai"
    assert (curriculum.url, curriculum.name) == ("https://example.org/curricula.git", PACKAGE)
    assert (curriculum.commit_hash, curriculum.version) == (COMMIT, "1.3.2")
    assert (curriculum.language, curriculum.language_version) == ("aind-behavior-curriculum", "0.0.42")
    assert curriculum.parameters is None


def test_everything_else_stays_as_the_task_wrote_it(session: SessionContext, suggestion: CurriculumSuggestion) -> None:
    path = written_by_the_task(session)
    before = {**loaded(path), "schema_version": "2.0.3"}
    path.write_text(json.dumps(before), encoding="utf-8")

    PLUGIN.post_session(session, suggestion)

    after = loaded(path)
    [told], [stream] = after["stimulus_epochs"], after["data_streams"]
    assert stream["code"].pop()["name"] == PACKAGE
    for metric in ("metric1", "metric2_history"):
        del told["performance_metrics"]["output_parameters"][metric]
    told |= {"curriculum_status": None, "training_protocol_name": None}
    assert after == before


def test_a_second_run_changes_no_byte_also_after_the_hand_off(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)
    PLUGIN.post_session(session, suggestion)
    once, when = path.read_bytes(), path.stat().st_mtime_ns

    kept = PLUGIN.post_session(session.model_copy(update={"handed_off": True}), suggestion)

    assert kept["written"] is False
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (once, when)


def test_a_change_after_the_hand_off_asks_for_another(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)
    before = path.read_bytes()

    with pytest.raises(HandedOff, match=f"resume {session.name} --hand-off-again"):
        PLUGIN.post_session(session.model_copy(update={"handed_off": True}), suggestion)

    assert path.read_bytes() == before


def test_without_a_suggestion_the_stage_is_told_and_a_late_answer_adds_the_rest(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, None)
    early = loaded(path)
    PLUGIN.post_session(session, suggestion)
    late = loaded(path)

    assert early["stimulus_epochs"][0]["curriculum_status"] == "stage_a"
    assert early["stimulus_epochs"][0]["performance_metrics"]["output_parameters"] == {"licks": 4021}
    assert [code["name"] for code in early["data_streams"][0]["code"]] == ["bonsai"]
    assert late["stimulus_epochs"][0]["performance_metrics"]["output_parameters"]["metric1"] == 50.0
    assert [code["name"] for code in late["data_streams"][0]["code"]] == ["bonsai", PACKAGE]


def test_a_curriculum_that_the_task_named_itself_is_completed_and_not_doubled(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)
    data = loaded(path)
    data["data_streams"][0]["code"].append({"object_type": "Code", "url": "unknown", "name": PACKAGE, "version": "1"})
    path.write_text(json.dumps(data), encoding="utf-8")

    PLUGIN.post_session(session, suggestion)

    _, curriculum = loaded(path)["data_streams"][0]["code"]
    assert (curriculum["url"], curriculum["version"]) == ("https://example.org/curricula.git", "1.3.2")


def test_uncommitted_changes_of_the_curriculum_are_told(session: SessionContext) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, suggested(ANSWER, dirty=True))

    assert loaded(path)["data_streams"][0]["code"][1]["parameters"] == {"uncommitted_changes": True}


def test_a_source_without_a_remote_is_found_where_the_task_repository_is(session: SessionContext) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, suggested(ANSWER, url=None))

    assert loaded(path)["data_streams"][0]["code"][1]["url"] == session.repository.url


def test_of_several_epochs_only_the_task_s_are_completed(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    task = str((session.task or {})["name"])
    path = written_by_the_task(session, epoch(session, "Spontaneous"), epoch(session, task.upper()))

    kept = PLUGIN.post_session(session, suggestion)

    spontaneous, told = loaded(path)["stimulus_epochs"]
    assert kept["epochs"] == [task.upper()]
    assert told["curriculum_status"] == "stage_a"
    assert spontaneous["curriculum_status"] is None
    assert spontaneous["performance_metrics"]["output_parameters"] == {"licks": 4021}


def test_epochs_of_another_name_are_found_by_the_setting_only(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session, epoch(session, "Spontaneous"), epoch(session, "Corridor"))
    before = path.read_bytes()

    with pytest.raises(LauncherError, match=r"'Spontaneous', 'Corridor'.*stimulus-names"):
        PLUGIN.post_session(session, suggestion)
    assert path.read_bytes() == before
    kept = DataSchema(Settings(stimulus_names=["Corridor"])).post_session(session, suggestion)

    assert kept["epochs"] == ["Corridor"]


def test_an_animal_without_curriculum_leaves_the_file_alone(session: SessionContext) -> None:
    path = written_by_the_task(session)
    before = path.read_bytes()

    with pytest.raises(StepSkipped, match="No curriculum decided"):
        PLUGIN.post_session(session.model_copy(update={"task_source": "file"}), None)

    assert path.read_bytes() == before


def test_an_acquisition_of_schema_version_1_is_refused_in_one_sentence(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    path = written_by_the_task(session)
    path.write_text(json.dumps({**loaded(path), "schema_version": "1.0.4"}), encoding="utf-8")
    before = path.read_bytes()

    with pytest.raises(LauncherError, match=r"is of schema version 1\.0\.4") as refused:
        PLUGIN.post_session(session, suggestion)

    assert refused.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("[]", "no schema_version"),
        ('{"schema_version": 2}', "no schema_version"),
        ('{"schema_version": "2.0.3"}', "is not valid: subject_id: Field required"),
    ],
)
def test_a_broken_file_is_named_and_stays(
    session: SessionContext, suggestion: CurriculumSuggestion, text: str, sentence: str
) -> None:
    path = session.folder / "acquisition.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(LauncherError, match=sentence) as refused:
        PLUGIN.post_session(session, suggestion)

    assert str(path) in refused.value.message
    assert path.read_text(encoding="utf-8") == text


def test_a_result_that_the_models_refuse_is_an_error_and_the_old_file_stays(session: SessionContext) -> None:
    path = written_by_the_task(session)
    before = path.read_bytes()

    with pytest.raises(LauncherError, match="with the metrics and the curriculum added is not valid.*commit_hash"):
        PLUGIN.post_session(session, suggested(ANSWER, commit="not a commit"))

    assert path.read_bytes() == before
    assert [file.name for file in session.folder.iterdir() if file.is_file()] == ["acquisition.json"]


words = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(metrics=json_values)
def test_any_metrics_arrive_complete_and_as_strict_json(session: SessionContext, metrics: Any) -> None:
    path = written_by_the_task(session)
    answer = json.dumps({**json.loads(ANSWER), "metrics": metrics})

    PLUGIN.post_session(session, suggested(answer))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)["stimulus_epochs"][0]
    arrived = told["performance_metrics"]["output_parameters"]
    expected = metrics if isinstance(metrics, dict) else {} if metrics is None else {"metrics": metrics}
    assert arrived == {"licks": 4021, **without_nan(expected)}


def without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if value in (float("inf"), float("-inf")) or value != value else value


def test_keys_that_a_document_database_dislikes_are_kept_and_logged(
    session: SessionContext, caplog: pytest.LogCaptureFixture
) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, suggested(json.dumps({**json.loads(ANSWER), "metrics": {"d.prime": 1.2}})))

    assert loaded(path)["stimulus_epochs"][0]["performance_metrics"]["output_parameters"]["d.prime"] == 1.2
    assert "MongoDB" in caplog.text


def test_without_a_file_the_step_is_skipped_and_says_how_one_is_made(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    with pytest.raises(StepSkipped, match=r"plugin\.data-schema\.create"):
        PLUGIN.post_session(session, suggestion)


def test_a_minimal_file_is_made_from_session_rig_and_times(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    assert session.acquisition

    kept = CREATING.post_session(session, suggestion)
    text = (session.folder / "acquisition.json").read_text(encoding="utf-8")
    again = CREATING.post_session(session, suggestion)

    made = Acquisition.model_validate_json(text)
    assert (made.subject_id, made.instrument_id, made.experimenters) == ("123456", "4A", ["a.person"])
    assert (made.acquisition_start_time, made.acquisition_end_time) == (session.session.date, session.acquisition.end)
    [stream], [told] = made.data_streams, made.stimulus_epochs
    assert [modality.abbreviation for modality in stream.modalities] == ["behavior", "behavior-videos"]
    assert [code.commit_hash for code in stream.code] == ["a" * 40, COMMIT]
    assert told.curriculum_status == "stage_a"
    assert told.performance_metrics.output_parameters.model_dump()["metric1"] == 50.0
    assert (kept["created"], again["created"], again["written"]) == (True, False, False)
    assert (session.folder / "acquisition.json").read_text(encoding="utf-8") == text


def test_a_minimal_file_is_made_for_an_animal_without_curriculum_too(session: SessionContext) -> None:
    CREATING.post_session(session.model_copy(update={"animal_state": None}), None)

    [told] = loaded(session.folder / "acquisition.json")["stimulus_epochs"]
    assert (told["curriculum_status"], told["performance_metrics"]) == (None, None)


def test_what_cannot_be_made_is_known_before_the_animal_is_on_the_rig(session: SessionContext) -> None:
    ahead = session.model_copy(update={"acquisition": None, "folder": session.folder / "not yet"})

    good = CREATING.pre_session(ahead)
    no_rig = CREATING.pre_session(ahead.model_copy(update={"rig": None}))
    bad_modality = DataSchema(Settings(create=True, stimulus_modalities=["Smell"])).pre_session(ahead)
    not_asked = PLUGIN.pre_session(ahead.model_copy(update={"rig": None}))

    assert (good.outcome, not_asked.outcome) == ("passed", "passed")
    assert PLUGIN.check_rig() == good
    assert (no_rig.outcome, no_rig.hint) == ("failed", "Set plugin.data-schema.instrument-id.")
    assert bad_modality.outcome == "failed"
    assert "stimulus_modalities" in bad_modality.message


def test_the_launcher_finds_the_plugin_its_settings_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.aind-launcher.plugin.data-schema]\nstimulus-names = ['A', 'B']\n", encoding="utf-8"
    )
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__DATA_SCHEMA__CREATE", "true")

    plugins = plugins_of(tmp_path)

    [plugin] = [plugin for plugin in plugins.all if plugin.name == "data-schema"]
    assert plugin.error is None
    assert plugin.hooks == ("pre_session", "post_session", "check_rig")
    assert plugin.settings
    assert plugin.settings.settings == Settings(stimulus_names=["A", "B"], create=True)
    assert plugins.calls("post_session")[0].plugin.name == "data-schema"


def test_a_path_outside_the_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.aind-launcher.plugin.data-schema]\npath = '../acquisition.json'\n", encoding="utf-8"
    )

    [error] = [plugin.error for plugin in plugins_of(tmp_path).all if plugin.name == "data-schema"]
    assert isinstance(error, SettingsError) and "must be a file inside the session's folder" in str(error)


def test_loading_the_plugin_imports_no_aind_data_schema() -> None:
    [point] = entry_points(group="aind_launcher", name="data-schema")
    program = (
        f"import sys, {point.module}; print([name for name in sys.modules if name.startswith('aind_data_schema')])"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)

    assert shown.stdout.strip() == "[]"
