"""The answer in an output: the last object with both keys, for any noise, in linear time and bounded memory."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aind_launcher.curriculum.answer import LastObject, Span

ANSWERS = LastObject("trainer_state", "metrics")

ANSWER = b'{"trainer_state": {"curriculum": {"name": "A"}, "stage": null}, "metrics": {"x": [1, {"y": NaN}]}}'
INDENTED = b'{\r\n  "metrics": null,\r\n  "trainer_state": {\r\n    "note": "\xc3\xa9 \\"}{\\u00e9"\r\n  }\r\n}'
NESTED = b'{"trainer_state": {"trainer_state": {}, "metrics": 1}, "metrics": [-Infinity, 1.5e-3], "new": [[{}], []]}'
BARE = b'{"metrics": 1, "trainer_state": 2}'

NOISE = [
    *(rb"{ } [ ] : , 1 - NaN a \ [[".split()),
    *(b'" {" {"x": {"x":" {"a":{"b": {"trainer_state": {"metrics":{}, "metrics" "trainer_state"'.split()),
    *(b" \n \r\n \t \x00 \xef\xbb\xbf \xff \xed\xa0\x80 \xc3\xa9".split(b" ")),
    b'{"a": 1}',
    b'{"a": [1, {"b": {}}]}\n',
    b'{"level": "info", "message": "{\\"trainer_state\\": {}, \\"metrics\\": 1}"}\n',
    b'{"said": ' + ANSWER + b"}\n",
    b'{"trainer_state": {}}',
    b'{"y": [{"z": 1}, ',
    b', "metrics": 2}',
    b"2026-01-02 - package - INFO - reading {session}\n",
]


def last_answer_tried_everywhere(output: bytes) -> Span | None:
    """The definition, and slow: from each brace on, is there an object? Then it counts as a whole."""
    text, decoder, found, here = output.decode("latin-1"), json.JSONDecoder(), None, 0
    while (here := text.find("{", here)) >= 0:
        try:
            document, end = decoder.raw_decode(text, here)
            output[here:end].decode("utf-8")
        except (ValueError, RecursionError):
            here += 1
            continue
        if {"trainer_state", "metrics"} <= document.keys():
            found = (here, end)
        here = end
    return found


outputs = st.lists(st.sampled_from([*NOISE, ANSWER, INDENTED, NESTED, BARE]) | st.binary(max_size=5), max_size=25)


@settings(max_examples=3000)
@given(outputs)
@example([ANSWER, b"\n", INDENTED])
@example([b'{"note": "', ANSWER])
@example([b'{"a": {"b": [', ANSWER, b"}"])
@example([b'{"x": [', ANSWER, b"]"])
@example([b'{"x": {"y": ', ANSWER, b"}, !"])
def test_it_is_what_trying_at_every_brace_finds(pieces: list[bytes]) -> None:
    output = b"".join(pieces)
    assert ANSWERS.find(output) == last_answer_tried_everywhere(output)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(NOISE), max_size=12), st.sampled_from([ANSWER, INDENTED, NESTED, BARE]))
def test_an_answer_on_the_last_lines_is_found_after_any_noise_that_ends_its_line(
    noise: list[bytes], answer: bytes
) -> None:
    # A comma before the line's end would make the answer a part of a list.
    output = b"".join(noise) + b"!\n" + answer + b"\r\n"
    start, end = ANSWERS.find(output) or (0, 0)
    assert output[start:end] == answer


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"\xef\xbb\xbf", b"\r\n"),
        (b"progress 10% {", b"}"),
        (b'{"half": ', b""),
        (b'{"half": [[{"more": ', b"\n"),
        (b'say "', b'"'),
        (b'{"said": "it: ', b'", "and": 1}'),
        (b"{" * 999, b"}" * 999),
        (b'{"a":' * 2000, b""),
        (b"[" * 2000, b"]" * 2000),
        (b"\xff\xfe{\x00", b"\x80"),
        (BARE + b"\n", b'\n{"level": "info", "event": {"id": [1, 2]}}\n'),
        (b"", b'\n{"level": "info", "quoted": ' + BARE + b"}\n"),
        (b"", b'\n{"trainer_state": {"cut": '),
    ],
)
def test_an_answer_is_found_among(before: bytes, after: bytes) -> None:
    assert ANSWERS.find(before + ANSWER + after) == (len(before), len(before) + len(ANSWER))


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"{}",
        b'"trainer_state" "metrics"',
        b'{"trainer_state": {}}\n{"metrics": {}}',
        b'{"result": ' + ANSWER + b"}",
        b'{"text": "{\\"trainer_state\\": {}, \\"metrics\\": {}}"}',
        ANSWER[:-1],
        ANSWER.replace(b'"A"', b'"\xff"'),
        ANSWER.replace(b'"A"', b"'A'"),
        b'{"metrics": 1, "trainer_state": ' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}",
    ],
)
def test_no_answer_is_found_in(output: bytes) -> None:
    assert ANSWERS.find(output) is None


def test_long_texts_and_lists_are_read_whole() -> None:
    document = {
        "trainer_state": {"note": '\n\u00e9"' * 50_000},
        "metrics": [[1, "a"], {"b": 2}] * 5_000,
        "more": [1] * 5_000,
    }
    for text in (json.dumps(document), json.dumps(document, indent=1, ensure_ascii=False)):
        assert ANSWERS.find(text.encode()) == (0, len(text.encode()))


def test_other_keys_make_another_search() -> None:
    assert LastObject("curriculum", "stage").find(b'{"curriculum": null, "stage": null} ' + ANSWER) == (0, 35)


class Counting:
    """A pattern that counts how often it is tried and how many bytes it takes."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern, self.tries, self.bytes = pattern, 0, 0

    def match(self, output: bytes, here: int) -> Any:
        return self._counted(self.pattern.match(output, here))

    def search(self, output: bytes, here: int) -> Any:
        return self._counted(self.pattern.search(output, here))

    def _counted(self, match: re.Match[bytes] | None) -> Any:
        self.tries += 1
        self.bytes += match.end() - match.start() if match else 0
        return match


def work(output: bytes) -> tuple[int, int]:
    """Tries and bytes that it takes to read `output`."""
    answers = LastObject("trainer_state", "metrics")
    begin, flat = Counting(answers._begin), Counting(answers._flat)
    obj, array = ([Counting(step) for step in steps] for steps in (answers._object, answers._array))
    vars(answers).update(_begin=begin, _flat=flat, _object=tuple(obj), _array=tuple(array))
    assert answers.find(output) is not None
    counts = [begin, flat, *obj, *array]
    return sum(count.tries for count in counts), sum(count.bytes for count in counts)


MONOTONOUS = {
    "text": (b"", b"the quick brown fox\n"),
    "braces": (b"", b"{"),
    "half keys": (b"", b'{"'),
    "half objects": (b"", b'{"a":'),
    "half objects with members": (b"", b'{"a": 1, "b": {"c": 2, "d":'),
    "half lists": (b"", b'{"a":['),
    "half texts": (b"", b'{"a":"'),
    "half escapes": (b"", b'{"\\'),
    "log lines": (b"", b'{"level": "info", "message": "hello", "n": 12}\n'),
    "nested log lines": (b"", b'{"level": "info", "context": {"a": {"b": [1, [2, 3]]}}, "n": 12}\n'),
    "keys": (b"", b'"trainer_state"'),
    "half answers": (b"", b'{"trainer_state":'),
    "half answers of two keys": (b"", b'{"trainer_state":{"a":1},"metrics":'),
    "answers": (b"", BARE + b"\n"),
    "spaces": (b"{", b" "),
    "a list without end": (b'{"a": [', b"1, "),
    "an object without end": (b'{"a": {', b'"k": 1, '),
    "a text without end": (b'{"a": "', b"x"),
    "escapes without end": (b'{"a": "', b"\\n"),
    "quotation marks swapped": (b'{"a": ["x{",":["', b',",'),
    "lists of half objects": (b'{"a": ["x{",":["', b'{","'),
}


@pytest.mark.parametrize("noise", MONOTONOUS)
def test_twice_the_noise_is_twice_the_work(noise: str) -> None:
    beginning, repeated = MONOTONOUS[noise]
    once, twice = (
        work(beginning + repeated * (size // len(repeated)) + b"\n" + ANSWER + b"\n") for size in (50_000, 100_000)
    )
    assert twice[0] <= 2.2 * once[0] + 50
    assert twice[1] <= 2.2 * once[1] + 5_000
    assert twice[0] <= 100_000
    assert twice[1] <= 5 * 100_000


@settings(max_examples=300)
@given(st.lists(st.sampled_from(NOISE), min_size=1, max_size=6), st.lists(st.sampled_from(NOISE), max_size=4))
def test_no_noise_is_read_more_than_a_few_times(repeated: list[bytes], beginning: list[bytes]) -> None:
    noise = b"".join(beginning) + b"".join(repeated) * 300
    tries, read = work(noise + b"!\n" + ANSWER)
    assert tries <= 3 * len(noise) + 50
    assert read <= 5 * len(noise) + 500


MILLION = 1_000_000
# One of each way in which noise is read; the others take as long and say no more.
LARGE = (
    *("text", "braces", "half keys", "half objects", "log lines", "nested log lines", "keys", "spaces"),
    *("a list without end", "a text without end", "escapes without end", "quotation marks swapped"),
)
FIND = """
import mmap, sys
from aind_launcher.curriculum.answer import LastObject
if sys.platform == "linux":
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (200_000_000, 200_000_000))
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as output:
    print(*LastObject("trainer_state", "metrics").find(output))
"""


@pytest.fixture
def large_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "stdout.txt"
    yield path
    path.unlink()


@pytest.mark.integration
@pytest.mark.parametrize("noise", LARGE)
def test_200_mb_of_noise_need_no_memory(noise: str, large_file: Path) -> None:
    beginning, repeated = MONOTONOUS[noise]
    with large_file.open("wb") as file:
        file.write(beginning)
        for _ in range(200):
            file.write(repeated * (MILLION // len(repeated)))
        file.write(b"\n")
        start = file.tell()
        file.write(ANSWER)
    # Where the kernel can limit a process's memory, it does.
    found = subprocess.run([sys.executable, "-c", FIND, large_file], capture_output=True, text=True)
    assert found.stdout.split() == [str(start), str(start + len(ANSWER))], found.stderr
