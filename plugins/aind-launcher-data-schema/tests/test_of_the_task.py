"""What is the task's own in acquisition.json stays: a file of another subject, and values of the metrics' names."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWER, epoch, suggested, written_by_the_task

from aind_launcher import CurriculumSuggestion, LauncherError, SessionContext, write_whole
from aind_launcher_data_schema import plugin
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings as Settings

PLUGIN = DataSchema(Settings())


def parameters(path: Path) -> dict[str, Any]:
    [told] = json.loads(path.read_text(encoding="utf-8"))["stimulus_epochs"]
    kept: dict[str, Any] = told["performance_metrics"]["output_parameters"]
    return kept


def with_metrics(**metrics: Any) -> CurriculumSuggestion:
    return suggested(json.dumps({**json.loads(ANSWER), "metrics": metrics}))


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("with_curriculum", [False, True])
def test_a_file_of_another_subject_is_refused_and_stays(
    session: SessionContext, suggestion: CurriculumSuggestion, create: bool, with_curriculum: bool
) -> None:
    path = written_by_the_task(session)
    data = {**json.loads(path.read_text(encoding="utf-8")), "subject_id": "654321"}
    path.write_text(json.dumps(data), encoding="utf-8")
    before = path.read_bytes()
    if not with_curriculum:
        session = session.model_copy(update={"animal_state": None})

    with pytest.raises(LauncherError, match="is of subject 654321, not of 123456") as refused:
        DataSchema(Settings(create=create)).post_session(session, suggestion if with_curriculum else None)

    assert str(path) in refused.value.message
    assert refused.value.hint
    assert path.read_bytes() == before


def test_a_value_of_the_task_is_kept_beside_the_metric_of_its_name(session: SessionContext) -> None:
    path = written_by_the_task(session, epoch(session, str((session.task or {})["name"])))

    kept = PLUGIN.post_session(session, with_metrics(licks=3999, d_prime=1.5))

    assert parameters(path) == {"task_licks": 4021, "licks": 3999, "d_prime": 1.5}
    assert kept["kept_beside"] == ["task_licks"]


def test_a_second_answer_leaves_the_value_of_the_task(session: SessionContext) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, with_metrics(licks=3999))
    PLUGIN.post_session(session, with_metrics(licks=4000))
    kept = PLUGIN.post_session(session, with_metrics(licks=4000))

    assert parameters(path) == {"task_licks": 4021, "licks": 4000}
    assert kept["written"] is False


def test_a_metric_of_an_earlier_answer_is_no_value_of_the_task(session: SessionContext) -> None:
    path = written_by_the_task(session)

    PLUGIN.post_session(session, with_metrics(d_prime=1.5))
    PLUGIN.post_session(session, with_metrics(d_prime=1.6, hits=2))
    kept = PLUGIN.post_session(session, with_metrics(d_prime=1.7, hits=3))

    assert parameters(path) == {"licks": 4021, "d_prime": 1.7, "hits": 3}
    assert kept["kept_beside"] == []


def test_what_the_task_writes_after_an_answer_is_its_own(session: SessionContext) -> None:
    path = written_by_the_task(session)
    PLUGIN.post_session(session, with_metrics(licks=3999))
    written_by_the_task(session)

    PLUGIN.post_session(session, with_metrics(licks=4000))

    assert parameters(path) == {"task_licks": 4021, "licks": 4000}


def test_a_write_that_was_cut_off_loses_no_value_of_the_task(
    session: SessionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written_by_the_task(session)

    def cut_off(target: Path, text: str) -> None:
        if target == path:
            raise OSError("the power failed")
        write_whole(target, text)

    with monkeypatch.context() as patched:
        patched.setattr(plugin, "write_whole", cut_off)
        with pytest.raises(OSError, match="the power failed"):
            PLUGIN.post_session(session, with_metrics(licks=3999))
    PLUGIN.post_session(session, with_metrics(licks=4000))

    assert parameters(path) == {"task_licks": 4021, "licks": 4000}


def test_the_same_value_is_no_other(session: SessionContext) -> None:
    path = written_by_the_task(session)

    kept = PLUGIN.post_session(session, with_metrics(licks=4021))

    assert parameters(path) == {"licks": 4021}
    assert kept["kept_beside"] == []
