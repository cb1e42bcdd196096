"""The answer in an output: the last JSON object with certain keys, whatever stands before, between and after it.

Libraries print. So the output is read as noise in which JSON objects lie, in one pass over its bytes: time is
linear in its length and memory does not grow with it, also for 200 MB of ``{`` or of log lines.

An object counts where it stands for itself. One that lies inside a larger well-formed object (a log line that
quotes an answer) is a part of that object and does not count; one inside an object that never ends well does.
"""

import re
from dataclasses import dataclass
from mmap import mmap
from typing import Final

Output = bytes | mmap
Span = tuple[int, int]

# Deeper than json.loads follows in its stock configuration is no answer.
_DEEPEST: Final = 512
_BRACE: Final = ord("{")

# All repetitions of more than one byte are atomic groups: nothing backtracks, and the possessive form (``*+``) of
# a group overruns in Python 3.11.0 to 3.11.4. They are bounded since the matcher remembers each repetition.
_SPACE: Final = rb"[ \t\n\r]*+"
_PLAIN: Final = rb"[\x20\x21\x23-\x5b\x5d-\x7f]*+"
_ESCAPED: Final = (
    rb'(?:\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4}|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]'
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})"
)
_STRING: Final = rb'"(?>(?:%b%b){0,1048576})%b"' % (_PLAIN, _ESCAPED, _PLAIN)
_NUMBER: Final = rb"-?+(?:0|[1-9]\d*+)(?>(?:\.\d++)?)(?>(?:[eE][-+]?+\d++)?)"
# What Python's json takes for a value, NaN and the infinities included.
_SCALAR: Final = rb"(?:%b|%b|true|false|null|NaN|-?+Infinity)" % (_STRING, _NUMBER)


@dataclass(slots=True)
class _Frame:
    """An object or array that is open at the place that is being read.

    :param before: the answer when it was opened; so it stays if this turns out well-formed and no answer itself.
    :param step: what may come next; `rest` from the first member on.
    """

    start: int
    before: Span | None
    step: re.Pattern[bytes]
    rest: re.Pattern[bytes]
    has_first: bool = False
    has_second: bool = False


class LastObject:
    """Finds the last object that has two keys at its own top level.

    :param first: the key that is less likely to occur in noise.
    """

    def __init__(self, first: str, second: str) -> None:
        self._first, second_key = (b'"%b"' % re.escape(key.encode("ascii")) for key in (first, second))
        # Flat: with scalars only. Most log lines are, and most of an answer's leaves, and each is one match.
        flat_member = rb"(?!%b)%b%b:%b%b%b" % (self._first, _STRING, _SPACE, _SPACE, _SCALAR, _SPACE)
        flat_item = rb"%b%b" % (_SCALAR, _SPACE)
        flat_object = rb"\{%b\}" % _listed(flat_member)
        flat_array = rb"\[%b\]" % _listed(flat_item)
        value = rb"(?:%b|%b|%b)" % (_SCALAR, flat_object, flat_array)
        key = rb"(?:(?P<first>%b)|(?P<second>%b)|%b)" % (self._first, second_key, _STRING)
        member = rb"%b%b:%b(?:%b|(?P<open>[{[]))" % (key, _SPACE, _SPACE, value)
        # How an object and an array go on: at their beginning, and after a member.
        self._object = (
            re.compile(rb"%b(?:(?P<close>\})|%b)" % (_SPACE, member)),
            re.compile(rb"%b(?:(?P<close>\})|,%b%b)" % (_SPACE, _SPACE, member)),
        )
        self._array = (
            re.compile(rb"%b(?:(?P<close>\])|%b|(?P<open>[{[]))" % (_SPACE, value)),
            re.compile(
                rb"%b(?:(?P<close>\])|(?>(?:,%b%b%b){1,1000})|,%b(?P<open>[{[]))"
                % (_SPACE, _SPACE, value, _SPACE, _SPACE)
            ),
        )
        self._begin = re.compile(rb"\{(?=%b%b%b:)" % (_SPACE, _STRING, _SPACE))
        self._flat = re.compile(flat_object)

    def find(self, output: Output) -> Span | None:
        """Where the object begins and ends; None where there is none.

        Its bytes are valid UTF-8 and valid JSON as Python's `json` understands it.
        """
        last_chance = output.rfind(self._first)
        answer: Span | None = None
        position = 0
        while (begin := self._begin.search(output, position)) and begin.start() < last_chance:
            if flat := self._flat.match(output, begin.start()):
                position = flat.end()
            else:
                answer, position = self._read(output, begin.start(), answer)
        return answer

    def _read(self, output: Output, start: int, answer: Span | None) -> tuple[Span | None, int]:
        """Read the object at `start`: the answer after it, and where to go on.

        Where it is not well-formed it was noise, and what lies in it may still be an answer. The search then goes
        on before the last thing that was read, since a quotation mark in noise swaps what is in a string and what is
        between two: in ``{"note": "{"trainer_state": …`` the string ``"{"`` hides where the answer begins.
        """
        frames = [_Frame(start, answer, *self._object)]
        previous = here = start + 1
        while frames and (step := frames[-1].step.match(output, here)):
            frame = frames[-1]
            frame.step = frame.rest
            previous, here = here, step.end()
            kind = step.lastgroup
            if kind is None:
                continue
            if kind == "close":
                frames.pop()
                if output[frame.start] == _BRACE:
                    answer = (frame.start, here) if frame.has_first and frame.has_second else frame.before
                continue
            if output[frame.start] == _BRACE:
                frame.has_first |= step["first"] is not None
                frame.has_second |= step["second"] is not None
            if kind == "open":
                if len(frames) == _DEEPEST:
                    break
                inside = self._object if output[here - 1] == _BRACE else self._array
                frames.append(_Frame(here - 1, answer, *inside))
        return answer, previous if frames else here


def _listed(member: bytes) -> bytes:
    """Up to a thousand of `member` with commas between them; more are read one by one."""
    return rb"%b(?>(?:%b(?>(?:,%b%b){0,1000}))?)" % (_SPACE, member, _SPACE, member)
