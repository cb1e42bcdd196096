"""The answer in an output: the last object with both keys, for any noise, in three times its memory."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aind_launcher.curriculum.answer import Output, last_object


def find(output: bytes) -> bytes | None:
    text = last_object(Output(output, "latin-1"), "trainer_state", "metrics")
    return None if text is None else text.encode("utf-8")


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


def last_answer_tried_everywhere(output: bytes) -> bytes | None:
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
            found = output[here:end]
        here = end
    return found


outputs = st.lists(st.sampled_from([*NOISE, ANSWER, INDENTED, NESTED, BARE]) | st.binary(max_size=5), max_size=25)


@pytest.mark.integration
@settings(max_examples=3000)
@given(outputs)
@example([ANSWER, b"\n", INDENTED])
@example([b'{"note": "', ANSWER])
@example([b'{"a": {"b": [', ANSWER, b"}"])
@example([b'{"x": [', ANSWER, b"]"])
@example([b'{"x": {"y": ', ANSWER, b"}, !"])
def test_it_is_what_trying_at_every_brace_finds(pieces: list[bytes]) -> None:
    output = b"".join(pieces)
    assert find(output) == last_answer_tried_everywhere(output)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(NOISE), max_size=12), st.sampled_from([ANSWER, INDENTED, NESTED, BARE]))
def test_an_answer_on_the_last_lines_is_found_after_any_noise_that_ends_its_line(
    noise: list[bytes], answer: bytes
) -> None:
    # A comma before the line's end would make the answer a part of a list.
    output = b"".join(noise) + b"!\n" + answer + b"\r\n"
    assert find(output) == answer


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
    assert find(before + ANSWER + after) == ANSWER


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
        b'{"metrics": 1, "trainer_state": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
)
def test_no_answer_is_found_in(output: bytes) -> None:
    assert find(output) is None


def test_long_texts_and_lists_are_read_whole() -> None:
    document = {
        "trainer_state": {"note": '\n\u00e9"' * 50_000},
        "metrics": [[1, "a"], {"b": 2}] * 5_000,
        "more": [1] * 5_000,
    }
    for text in (json.dumps(document), json.dumps(document, indent=1, ensure_ascii=False)):
        assert find(text.encode()) == text.encode()


def test_other_keys_make_another_search() -> None:
    output = Output(b'{"curriculum": null, "stage": null} ' + ANSWER, "latin-1")
    assert last_object(output, "curriculum", "stage") == '{"curriculum": null, "stage": null}'


STATE = b'{"curriculum": {"name": "A"}, "stage": null}'
# What is repeated, before the answer and in its metrics.
LARGE = {
    "text": (b"the quick brown fox\n", b""),
    "braces": (b"{", b""),
    "half keys": (b'{"', b""),
    "spaces": (b" ", b""),
    "log lines": (b'{"level": "info", "context": {"a": {"b": [1, [2, 3]]}}, "n": 12}\n', b""),
    "lines that are almost JSON": (b'{"it\'s": None, "path": PosixPath("/data"), "session": "of an animal"}\n', b""),
    "a picture": (b"", b'"%b"' % (b"QUJD" * 15_000_000)),
    "numbers": (b"", b"[%b0]" % (b"0.123456, " * 6_000_000)),
    "integers": (b"", b"[%b0]" % (b"1234567, " * 6_600_000)),
    "trials": (b"", b"[%b0]" % (b'{"trial": 12, "side": "left", "hit": true}, ' * 1_400_000)),
}
READ = """
import sys
from pathlib import Path
from aind_launcher.curriculum.contract import read_suggestion
path = Path(sys.argv[1])
if sys.platform == "linux":
    import resource
    most = 3 * path.stat().st_size + 100_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
answer = read_suggestion(path)
print(answer.version, answer.digest, len(answer.metrics_text))
"""


@pytest.mark.integration
@pytest.mark.parametrize("kind", LARGE)
def test_an_output_of_60_mb_needs_three_times_its_size(kind: str, tmp_path: Path) -> None:
    noise, metrics = LARGE[kind]
    output = tmp_path / "stdout.txt"
    answer = b'{"trainer_state": %b, "metrics": %b, "version": "1.2"}' % (STATE, metrics or b"[]")
    output.write_bytes(noise * (60_000_000 // max(len(noise), 1)) + b"\n" + answer + b"\n")
    # Where the kernel can limit a process's memory, it does.
    read = subprocess.run([sys.executable, "-c", READ, output], capture_output=True, text=True)
    output.unlink()
    digest = hashlib.sha256(answer).hexdigest()[:16]
    assert read.stdout.split() == ["1.2", digest, str(len(metrics or b"[]"))], read.stderr
