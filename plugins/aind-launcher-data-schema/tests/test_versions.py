"""Files of older and newer versions of aind-data-schema than the installed one, and what is said of versions."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.acquisition import Acquisition
from conftest import PACKAGE

from aind_launcher import CurriculumSuggestion, LauncherError, SessionContext
from aind_launcher_data_schema import versions
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings as Settings

PLUGIN = DataSchema(Settings())
DATA = Path(__file__).parent / "data"
# As the oldest and the newest line that the plugin allows really wrote them.
WRITTEN = sorted(DATA.glob("acquisition-*.json"))


def put(session: SessionContext, data: dict[str, Any]) -> Path:
    path = session.folder / "acquisition.json"
    path.write_text(json.dumps(data, indent=3), encoding="utf-8")
    return path


def written_by(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


def of_the_future() -> dict[str, Any]:
    """A file with a field, a kind of device and a kind of stream that no version knows yet."""
    data = written_by(DATA / "acquisition-2.9.json")
    data |= {"schema_version": "2.99.0", "weather": {"rain": True}}
    data["stimulus_epochs"][0]["configurations"] = [{"object_type": "Scent config", "device_name": "S"}]
    data["data_streams"].append({"object_type": "Dream stream", "code": []})
    return data


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_a_file_of_either_line_is_completed_whichever_is_installed(
    session: SessionContext, suggestion: CurriculumSuggestion, file: Path
) -> None:
    before = written_by(file)
    path = put(session, before)

    PLUGIN.post_session(session, suggestion)

    after = written_by(path)
    [told], [stream] = after["stimulus_epochs"], after["data_streams"]
    assert told["performance_metrics"]["output_parameters"]["metric1"] == 50.0
    assert stream["code"][-1]["name"] == PACKAGE
    assert after.keys() == before.keys()


def test_what_only_a_newer_version_knows_stays_as_it_is_and_is_told(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    before = of_the_future()
    path = put(session, before)

    kept = PLUGIN.post_session(session, suggestion)
    again = PLUGIN.post_session(session, suggestion)

    after = written_by(path)
    assert (after["weather"], after["data_streams"][1]) == (before["weather"], before["data_streams"][1])
    assert after["stimulus_epochs"][0]["configurations"] == before["stimulus_epochs"][0]["configurations"]
    assert after["stimulus_epochs"][0]["curriculum_status"] == "stage_a"
    assert after["data_streams"][0]["code"][-1]["name"] == PACKAGE
    unchecked = kept["unchecked"]
    assert isinstance(unchecked, list)
    for place in ("weather", "stimulus_epochs.0.configurations.0", "data_streams.1"):
        assert place in unchecked
    assert again["written"] is False


def test_what_a_newer_file_lacks_or_has_wrong_is_an_error_that_names_both_versions(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    data = of_the_future()
    del data["stimulus_epochs"][0]["stimulus_name"]
    before = put(session, data).read_bytes()

    with pytest.raises(LauncherError, match=r"is not valid: stimulus_epochs\.0\.stimulus_name") as raised:
        PLUGIN.post_session(session, suggestion)

    installed = Acquisition.model_fields["schema_version"].default
    assert f"schema version 2.99.0; aind-data-schema {version('aind-data-schema')}" in raised.value.message
    assert installed in raised.value.message
    assert (session.folder / "acquisition.json").read_bytes() == before


def test_a_file_that_claims_to_be_no_newer_may_have_nothing_unknown(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    put(session, {**of_the_future(), "schema_version": "2.0.3"})

    with pytest.raises(LauncherError, match="is not valid"):
        PLUGIN.post_session(session, suggestion)


def test_a_result_that_is_wrong_is_refused_in_a_newer_file_too(
    session: SessionContext, suggestion: CurriculumSuggestion
) -> None:
    assert suggestion.provenance
    wrong = suggestion.model_copy(
        update={"provenance": suggestion.provenance.model_copy(update={"commit": "not a commit"})}
    )
    before = put(session, of_the_future()).read_bytes()

    with pytest.raises(LauncherError, match="with the metrics and the curriculum added is not valid.*commit_hash"):
        PLUGIN.post_session(session, wrong)

    assert (session.folder / "acquisition.json").read_bytes() == before


def test_doctor_and_the_session_say_which_version_is_installed_and_reads_what(session: SessionContext) -> None:
    check = PLUGIN.check_rig()

    assert check.outcome == "passed"
    installed = Acquisition.model_fields["schema_version"].default
    assert check.message.startswith(f"aind-data-schema {version('aind-data-schema')}, schema version {installed}")
    assert PLUGIN.pre_session(session) == check


@pytest.mark.parametrize(
    ("installed", "requirement", "held"),
    [
        ("2.8.1", "aind-data-schema-models<6.0,>=0.3.2", True),
        ("2.8.1", "aind-data-schema==2.8.1", True),
        ("2.8.1", 'aind-data-schema-models<6; extra == "dev"', False),
        ("2.8.1", "aind-data-schema-models>=5", False),
        ("2.8.1", "pydantic<2", False),
        ("2.9.2", "aind-data-schema<3", False),
    ],
)
def test_what_holds_an_older_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str, requirement: str, held: bool
) -> None:
    for name, told, needs in (
        ("aind-data-schema", installed, "aind-data-schema-models==5.7.3"),
        ("some-service", "2.0.2", requirement),
    ):
        folder = tmp_path / f"{name.replace('-', '_')}-{told}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {told}", f"Requires-Dist: {needs}", ""]
        (folder / "METADATA").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    assert versions.holders(installed) == (("some-service 2.0.2",) if held else ())
