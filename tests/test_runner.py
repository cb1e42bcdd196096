"""A run of a curriculum: every way in which it can end, each with its own error, and nothing left running."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answer import NOISE, last_answer_tried_everywhere

from aind_launcher.curriculum.contract import read_suggestion
from aind_launcher.curriculum.runner import ask, how_it_ended, last_lines, run_curriculum
from aind_launcher.errors import CurriculumError, CurriculumFailed, CurriculumTimedOut, NoAnswer
from aind_launcher.model.suggestion import CurriculumSuggestion

REAL = sorted(Path(__file__).with_name("data").joinpath("suggestions").glob("*.json"))

ANSWER = '{"trainer_state": {"curriculum": {"name": "A"}, "stage": {"name": "a"}}, "metrics": {"x": 1}}'
INDENTED_ANSWER = json.dumps(json.loads(ANSWER), indent=2)


class Curriculum:
    """Python code in the place of a curriculum."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = folder / "Logs" / "launcher"
        self.stdout, self.stderr = self.kept / "curriculum.stdout.txt", self.kept / "curriculum.stderr.txt"

    def __call__(self, code: str, **how: Any) -> CurriculumSuggestion:
        return run_curriculum([sys.executable, "-c", code], self.folder, self.kept, **how)

    def ask(self, code: str, *arguments: str, **how: Any) -> str:
        return ask([sys.executable, "-c", code, *arguments], self.folder, **how)


@pytest.fixture
def curriculum(tmp_path: Path) -> Curriculum:
    return Curriculum(tmp_path)


class TestACurriculumThatAnswers:
    def test_is_heard_among_its_libraries(self, curriculum: Curriculum) -> None:
        code = f"print('loading', {{1: 2}}); print({ANSWER!r}); print('bye {{'); print('warned', file=sys.stderr)"
        suggestion = curriculum(f"import sys; {code}")
        assert suggestion.text == ANSWER
        assert suggestion.provenance is None
        assert curriculum.stdout.read_text().splitlines() == ["loading {1: 2}", ANSWER, "bye {"]
        assert curriculum.stderr.read_text().splitlines() == ["warned"]

    @pytest.mark.not_in_wine("Wine reads nothing more of a file once it was at its end")
    def test_is_shown_while_it_runs(self, curriculum: Curriculum) -> None:
        shown: list[tuple[str, str]] = []
        curriculum(f"print('half way'); print({ANSWER!r})", on_line=lambda *line: shown.append(line))
        assert shown == [("stdout", "half way"), ("stdout", ANSWER)]

    def test_hears_nothing_of_the_launchers_environment(
        self, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MUTE_SUGGESTION", "1")
        code = f"import os; 'MUTE_SUGGESTION' in os.environ or print({ANSWER!r})"
        assert curriculum(code).text == ANSWER

    def test_keeps_the_output_of_each_attempt(self, curriculum: Curriculum) -> None:
        for attempt in (1, 2, 3):
            with pytest.raises(NoAnswer):
                curriculum(f"print('attempt {attempt}')")
        kept = {path.name: path.read_text().strip() for path in curriculum.kept.glob("*.stdout.txt")}
        assert kept == {
            "curriculum.stdout.txt": "attempt 1",
            "curriculum-2.stdout.txt": "attempt 2",
            "curriculum-3.stdout.txt": "attempt 3",
        }
        assert len(list(curriculum.kept.glob("*.stderr.txt"))) == 3


class TestACurriculumThatFails:
    def test_is_told_with_its_exception_and_where_its_output_is(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumFailed) as failed:
            curriculum(f"print({ANSWER!r}); open('no/such/data.json')")
        assert "ended with exit code 1: FileNotFoundError:" in failed.value.message
        assert "no/such/data.json" in failed.value.message
        assert "Traceback" not in failed.value.message
        assert str(curriculum.stdout) in str(failed.value)
        assert "Traceback" in curriculum.stderr.read_text()

    def test_is_told_with_its_last_lines(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumFailed, match=r"exit code 3: line 5\nline 6\nline 7\nline 8\nline 9"):
            curriculum("import sys; [print('line', n, file=sys.stderr) for n in range(10)]; sys.exit(3)")

    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    def test_with_a_traceback_is_told_by_its_exception(self, line_end: str) -> None:
        stderr = "noise\nTraceback (most recent call last):\n  File 'a.py'\n    open('x')\n    ^^^^^^^^^\nOSError: x\n"
        assert last_lines(stderr.replace("\n", line_end)) == ["OSError: x"]

    def test_is_told_where_it_says_nothing(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumFailed, match="exit code 3, and wrote nothing to stderr"):
            curriculum("raise SystemExit(3)")

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGABRT", "SIGSEGV", "SIGKILL"])
    def test_by_a_signal_is_told_by_its_name(self, curriculum: Curriculum, name: str) -> None:
        # Windows has no signals between processes: there a signal to oneself is an exit code.
        known = hasattr(signal, name) and os.name != "nt"
        with pytest.raises(CurriculumFailed, match=f"was ended by {name}" if known else "exit code|crashed"):
            curriculum(f"import os, signal; os.kill(os.getpid(), getattr(signal, {name!r}, 15))")

    def test_to_stop_printing_is_ended(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumFailed, match=r"printed more than 0\.5 MiB and was ended"):
            curriculum("while True: print('x' * 1000)", output_limit=1 << 19)

    @pytest.mark.integration
    def test_to_end_in_time_is_ended_with_all_that_it_started(self, curriculum: Curriculum) -> None:
        code = (
            "import subprocess, sys, time\n"
            "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
            "print(subprocess.Popen(sleep, start_new_session=True).pid)\n"
            "print('still counting', file=sys.stderr)\n"
            "time.sleep(60)\n"
        )
        with pytest.raises(CurriculumTimedOut, match=r"within 3 seconds and was ended: still counting"):
            curriculum(code, timeout=3)
        grandchild = int(curriculum.stdout.read_text())
        assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE

    @pytest.mark.parametrize("code", ["pass", "print('fine')", "print('{')", "print('{\"trainer_state\": {')"])
    def test_to_answer_is_no_answer(self, curriculum: Curriculum, code: str) -> None:
        with pytest.raises(NoAnswer, match=r"ended well but printed.*curriculum\.stdout\.txt"):
            curriculum(code)

    @pytest.mark.parametrize(
        ("state", "why"),
        [
            ({"curriculum": [], "stage": {"name": "a"}}, "its 'curriculum' is neither null nor has a name"),
            ({"curriculum": {"name": "A"}, "stage": {"name": 3}}, "its 'stage' is neither null nor has a name"),
            (
                {"curriculum": {"name": "A"}, "stage": {"name": "a"}, "is_on_curriculum": "maybe"},
                "its 'is_on_curriculum' is neither true nor false",
            ),
        ],
    )
    def test_to_answer_what_would_take_the_animal_off_its_curriculum_by_mistake_is_no_answer(
        self, curriculum: Curriculum, state: dict[str, Any], why: str
    ) -> None:
        answer = json.dumps({"trainer_state": state, "metrics": {}})
        with pytest.raises(NoAnswer, match=why):
            curriculum(f"print({answer!r})")

    def test_to_leave_its_output_is_no_answer(self, curriculum: Curriculum) -> None:
        # Windows keeps what is open.
        with pytest.raises(NoAnswer):
            curriculum(f"import os; os.name == 'nt' or os.remove({str(curriculum.stdout)!r})")


class TestAnEnvironmentThatIsNotWhole:
    @pytest.mark.parametrize("verb", ["run", "list"])
    def test_is_mended_by_sync(self, curriculum: Curriculum, verb: str) -> None:
        gone = str(curriculum.folder / "environment" / "bin" / "curriculum")
        with pytest.raises(CurriculumError, match=r"does not exist.*aind-launch curricula sync"):
            if verb == "run":
                run_curriculum([gone, "run"], curriculum.folder, curriculum.kept)
            else:
                ask([gone, "list"], curriculum.folder)

    def test_is_told_from_a_clone_that_is_gone(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumError, match=r"clone does not exist.*aind-launch curricula sync"):
            run_curriculum([sys.executable, "-c", ""], curriculum.folder / "clone", curriculum.kept)


class TestAShortQuestion:
    def test_is_answered_with_what_was_printed(self, curriculum: Curriculum) -> None:
        assert curriculum.ask("import sys; print('1.3.2'); print('noise', file=sys.stderr)").strip() == "1.3.2"
        assert not curriculum.kept.exists()

    def test_that_fails_names_the_command(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumFailed, match=r"init --stage nope' ended with exit code 1: ValueError: Unknown"):
            curriculum.ask("raise ValueError('Unknown stage: nope')", "init", "--stage", "nope")

    def test_that_hangs_is_ended(self, curriculum: Curriculum) -> None:
        with pytest.raises(CurriculumTimedOut, match=r"did not end within 0\.2 seconds"):
            curriculum.ask("import time; time.sleep(60)", timeout=0.2)


def test_the_end_of_a_program_is_put_in_words() -> None:
    assert how_it_ended(2, "linux") == "ended with exit code 2"
    assert how_it_ended(-9, "linux") == "was ended by SIGKILL" if os.name != "nt" else "was ended by signal 9"
    assert how_it_ended(-63, "linux") == "was ended by signal 63"
    assert how_it_ended(0xC0000005, "win32") == "crashed (0xC0000005)"
    assert how_it_ended(1, "win32") == "ended with exit code 1"


@pytest.mark.parametrize(
    ("stderr", "lines"),
    [
        ("", []),
        ("a\n\nb\n", ["a", "b"]),
        (
            "Traceback (most recent call last):\n  File 1\nKeyError: 1\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            "Traceback (most recent call last):\n  File 2\n    ^^^\nValueError: two\n  in detail\n",
            ["ValueError: two", "  in detail"],
        ),
        ("a\nTraceback (most recent call last):\n  File 1\n", ["  File 1"]),
    ],
)
def test_what_stderr_says_last_is_the_exception(stderr: str, lines: list[str]) -> None:
    assert last_lines(stderr) == lines


MALFORMED = [b'{"trainer_state": null, "metrics": 1}', b'{"trainer_state": {"stage": 1}, "metrics": 1}\n']
PIECES = [*NOISE, *MALFORMED, ANSWER.encode(), INDENTED_ANSWER.encode(), ANSWER.encode()[:-5], REAL[0].read_bytes()]


@pytest.mark.integration
@settings(max_examples=600)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=10))
def test_whatever_is_printed_there_is_an_answer_or_the_designed_error(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("printed")
    printed = b"".join(pieces)
    (folder / "payload").write_bytes(printed)
    code = "import os; os.write(1, open('payload', 'rb').read())"
    answer = last_answer_tried_everywhere(printed)
    text = answer.decode() if answer else None
    try:
        suggestion = run_curriculum([sys.executable, "-I", "-S", "-c", code], folder, folder / "kept")
    except NoAnswer:
        state = json.loads(text)["trainer_state"] if text else None
        assert not isinstance(state, dict) or not {"curriculum", "stage"} <= state.keys()
    else:
        assert suggestion.text == text
        assert json.loads(suggestion.trainer_state.text) == json.loads(text or "")["trainer_state"]
    assert (folder / "kept" / "curriculum.stdout.txt").read_bytes() == printed
    shutil.rmtree(folder)


@pytest.mark.parametrize("real", REAL, ids=lambda path: path.stem)
def test_a_real_answer_arrives_byte_for_byte(curriculum: Curriculum, real: Path) -> None:
    code = f"import sys, pathlib; sys.stdout.buffer.write(pathlib.Path({str(real)!r}).read_bytes())"
    assert curriculum(code).text.encode() == real.read_bytes().strip()
    assert read_suggestion(curriculum.stdout) == read_suggestion(real)
