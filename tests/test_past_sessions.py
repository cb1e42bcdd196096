"""A session's folder is decided on as a copy: nothing of it changes, and large files are not copied."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from refusals import contents

from aind_launcher.cli import past_session
from aind_launcher.cli.past_session import PastSession
from aind_launcher.errors import Refused, UsageError
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.suggestion import CurriculumSuggestion
from aind_launcher.testing import ladder_state


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PastSession:
    folder = tmp_path / "7_2026-01-31T170000Z"
    (folder / "behavior").mkdir(parents=True)
    (folder / "behavior" / "trainer_state.json").write_text(ladder_state("rung1").text, encoding="utf-8")
    (folder / "video.avi").write_bytes(b"v" * 2000)
    monkeypatch.setattr(past_session, "_LARGE", 2000)
    return PastSession.find(folder)


def answer(stage: str = "rung2", **more: object) -> CurriculumSuggestion:
    state = ladder_state(stage)
    document = {"trainer_state": state.document, "metrics": {"climbed": float("nan")}, **more}
    return CurriculumSuggestion(text=json.dumps(document), trainer_state=state)


def record(session: PastSession, text: str) -> None:
    (session.behavior / "Logs").mkdir(exist_ok=True)
    (session.behavior / "Logs" / "suggestion.json").write_text(text, encoding="utf-8")


@pytest.mark.posix_only("only administrators of Windows make links")
def test_a_curriculum_gets_a_copy_with_links_to_what_is_large(session: PastSession) -> None:
    before = contents(session.folder)
    seen: list[Path] = []

    def ask(copy: Path, state: Path) -> CurriculumSuggestion:
        seen.extend(path for path in copy.rglob("*") if path.is_symlink())
        assert TrainerStateText.read_file(state).stage == "rung1"
        assert (copy / "video.avi").read_bytes() == b"v" * 2000
        state.write_text("changed", encoding="utf-8")
        (copy / "new.txt").touch()
        return answer()

    assert session.decide(ask).trainer_state.stage == "rung2"
    assert [path.name for path in seen] == ["video.avi"]
    assert contents(session.folder) == before


@pytest.mark.posix_only("only administrators of Windows make links")
def test_a_curriculum_that_writes_through_such_a_link_is_told(session: PastSession) -> None:
    def ask(copy: Path, state: Path) -> CurriculumSuggestion:
        (copy / "video.avi").write_bytes(b"w")
        return answer()

    with pytest.raises(Refused, match=r"Files of 7_2026-01-31T170000Z changed .*: video\.avi\."):
        session.decide(ask)


@pytest.mark.parametrize(
    ("then", "differences"),
    [
        (answer().text, ()),
        (answer(version="0.1", dsl_version="0.2").text, ()),
        (answer("rung3").text, ("stage",)),
        (answer().text.replace("NaN", "1"), ("metrics",)),
        (
            answer().text.replace("Climb", "Fall").replace('"active_policies": []', '"active_policies": ["p"]'),
            ("task", "policies"),
        ),
        (answer().text.replace('"version": "1.0.0"', '"version": "0.9"'), ()),
        ("{", ("all, as the record cannot be read",)),
        ('{"metrics": 1, "trainer_state": 1}', ("all, as the record cannot be read",)),
        ('{"metrics": 1, "trainer_state": {"stage": "x"}}', ("all, as the record cannot be read",)),
    ],
)
def test_an_answer_is_compared_with_the_record_part_by_part(
    session: PastSession, then: str, differences: tuple[str, ...]
) -> None:
    assert session.differences(answer()) is None
    record(session, then)
    assert session.differences(answer()) == differences


def test_a_session_without_a_curriculum_is_refused(session: PastSession) -> None:
    file = session.behavior / "trainer_state.json"
    off = {**ladder_state("rung1").document, "is_on_curriculum": False}
    file.write_text(json.dumps(off), encoding="utf-8")
    with pytest.raises(UsageError, match="was off its curriculum"):
        _ = session.trainer_state
    file.unlink()
    with pytest.raises(UsageError, match="There is no trainer state"):
        PastSession.find(session.folder)


def no_answer(copy: Path, state: Path) -> CurriculumSuggestion:
    raise AssertionError("nothing is asked of a folder that cannot be copied")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_is_named_and_has_nothing_to_do_with_disks(session: PastSession) -> None:
    os.mkfifo(session.behavior / "events")
    with pytest.raises(Refused, match=r"behavior/events: it is no regular file\.") as refused:
        session.decide(no_answer)
    assert refused.value.hint == "Give a copy of the session's folder without it."


@pytest.mark.posix_only("only administrators of Windows make links")
def test_links_that_lead_back_are_named_where_they_are(session: PastSession) -> None:
    (session.behavior / "up").symlink_to(session.folder, target_is_directory=True)
    with pytest.raises(Refused, match=r"cannot be copied: \S+[/\\]up: it leads back to a folder above it\."):
        session.decide(no_answer)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "Free the disk of the temporary"), (errno.EIO, "Give a copy of the session's folder without it")],
)
def test_only_a_full_disk_is_a_matter_of_disks(
    session: PastSession, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source))

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(Refused, match=os.strerror(number)) as refused:
        session.decide(no_answer)
    assert hint in (refused.value.hint or "")
