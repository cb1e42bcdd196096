"""Text that cannot steer the terminal that shows it: curricula, tasks and plugins may say anything."""

import re

# Control characters but tab and line feed, and those that turn the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` with another character in the place of each that would steer a terminal."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(json_text: str) -> str:
    """JSON that means the same, with an escape in the place of each character that would steer a terminal."""
    # One that JSON allows outside of its strings.
    lines = json_text.replace("\r\n", "\n").replace("\r", "\n")
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", lines)
