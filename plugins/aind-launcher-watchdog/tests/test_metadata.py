"""Which metadata files go along: those that a pattern names, and none of another subject."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME, Make

from aind_launcher import SessionContext
from aind_launcher_watchdog.plugin import Watchdog
from aind_launcher_watchdog.real_service import RealService


def put(session: SessionContext, name: str, content: Any) -> Path:
    path = session.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_metadata_of_any_name_arrives_beside_the_data(
    session: SessionContext, plugin: Watchdog, service: RealService, destination: Path
) -> None:
    for name in ("acquisition_fip.json", "model.json", "session.json"):
        put(session, name, {"a": 1})
    (session.folder / "notes.txt").write_bytes(b"")
    put(session, ".hidden.json", {})

    kept = plugin.transfer_session(session)
    service.start()
    service.finish_a_job()

    expected = ["acquisition_fip.json", "instrument.json", "model.json", "session.json"]
    assert kept["schemas"] == expected
    assert kept["left_out"] == ["notes.txt"]
    assert sorted(path.name for path in (destination / NAME).iterdir() if path.is_file()) == expected


def test_patterns_of_the_settings_choose_and_a_file_that_two_of_them_name_goes_once(
    session: SessionContext, make: Make
) -> None:
    for name in ("a.json", "b.json", "more/c.json", "more/d.txt", "[x].json"):
        put(session, name, {})

    kept = Watchdog(make(schemas=["a.json", "a*", "more/*.json", "[x].json", "gone.json"])).transfer_session(session)

    assert kept["schemas"] == ["[x].json", "a.json", "c.json"]
    assert kept["left_out"] == ["b.json", "instrument.json", "more"]


@pytest.mark.parametrize("pattern", ["/etc/*.json", "../*.json", "a/../../b.json", ""])
def test_a_pattern_names_files_inside_the_session_s_folder(make: Make, pattern: str) -> None:
    with pytest.raises(ValueError, match="inside the session's folder"):
        make(schemas=[pattern])


@pytest.mark.parametrize("name", ["acquisition.json", "data_description.json"])
def test_metadata_of_another_subject_stays_here_and_the_data_leaves(
    session: SessionContext,
    plugin: Watchdog,
    service: RealService,
    destination: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    foreign = put(session, name, {"subject_id": "654321", "schema_version": "2.0.0"})
    before = foreign.read_bytes()

    kept = plugin.transfer_session(session)
    service.start()
    service.finish_a_job()

    assert f"{foreign} is of subject 654321, not of 123456" in caplog.text
    assert "--hand-off-again" in caplog.text
    assert (kept["schemas"], kept["foreign"]) == (["instrument.json"], [name])
    assert foreign.read_bytes() == before
    assert not (destination / NAME / name).exists()
    assert (destination / NAME / "behavior" / "trainer_state.json").is_file()


@pytest.mark.parametrize(
    "content", [b'{"subject_id": "123456"}', b'{"subject_id": 123456}', b"[1]", b"{", b"\xff", b'{"subject_id": null}']
)
def test_what_names_no_other_subject_goes_along(session: SessionContext, plugin: Watchdog, content: bytes) -> None:
    (session.folder / "acquisition.json").write_bytes(content)

    kept = plugin.transfer_session(session)

    assert (kept["schemas"], kept["foreign"]) == (["acquisition.json", "instrument.json"], [])
