"""What pydantic finds wrong with a value, in the words of this program."""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, from_json, to_jsonable_python

from aind_launcher.model.json_text import TOO_DEEP
from aind_launcher.model.names import brief

# How many keys a place may have that somebody still finds.
_DEEP: Final = 6
_MUST_BE: Final = {
    **dict.fromkeys(("string_type", "string_unicode"), "a text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table"),
    **dict.fromkeys(("byte_size", "byte_size_unit"), "a size, such as 20 GB"),
    **dict.fromkeys(("literal_error", "enum"), "{expected}"),
    "path_type": "a path",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}
_IS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    **dict.fromkeys(("recursion_loop", "recursion_depth_exceeded"), TOO_DEEP),
}


def in_words(problem: ErrorDetails, *, with_value: bool = True) -> str:
    """What is wrong, as the end of a sentence about `problem`'s place: *it must be a number, not "soon"*.

    :param with_value: say what stands there, if it is short.
    """
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        # What a validator of the model raised says it in its own words.
        return str(context["error"]).rstrip(".")
    if kind in _IS:
        return f"it {_IS[kind]}"
    if kind == "too_short" and context["min_length"] == 1:
        return "it must not be empty"
    what = _MUST_BE.get(kind, "").format(**context)
    said = f"it must be {what}" if what else problem["msg"].replace("Input should be", "it must be").rstrip(".")
    value = problem["input"]
    is_short = with_value and (value is None or isinstance(value, str | int | float))
    return f"{said}, not {brief(json.dumps(value, ensure_ascii=False))}" if is_short else said


def key_of(problem: ErrorDetails) -> str:
    """The place of `problem`, dotted as in a file; "" for the whole."""
    return ".".join(str(part) for part in problem["loc"] if part != "[key]")


def first_wrong(error: ValidationError) -> str:
    """The first that is wrong, with its place, and how much else is."""
    problems = error.errors(include_url=False)
    place = brief(key_of(problems[0]))
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place}: {in_words(problems[0])}{more}" if place else f"{in_words(problems[0])}{more}"


def said(error: BaseException) -> str:
    """What an error says, of any kind; pydantic's own would say it over several lines, with an address."""
    return f"{error.title} is not valid: {first_wrong(error)}" if isinstance(error, ValidationError) else str(error)


def unstorable_part(value: object, place: str = "") -> str:
    """Where in `value` what JSON cannot hold begins, and what it is: *rig.camera is an object*."""
    if place.count(".") > _DEEP:
        return f"{place} is {described(value)} that is nested too deeply"
    whole = vars(value) if isinstance(value, BaseModel) else value
    parts = whole.items() if isinstance(whole, Mapping) else enumerate(whole) if isinstance(whole, list | tuple) else ()
    for key, part in parts:
        try:
            from_json(json.dumps(to_jsonable_python(part, inf_nan_mode="constants")))
        except (PydanticSerializationError, ValueError, RecursionError):
            return unstorable_part(part, f"{place}.{key}" if place else f"{key}")
    what = "a text that is not UTF-8" if isinstance(value, str) else described(value)
    return f"{place or 'it'} is {what}"


def described(value: object) -> str:
    """What kind of value it is, with its article."""
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
