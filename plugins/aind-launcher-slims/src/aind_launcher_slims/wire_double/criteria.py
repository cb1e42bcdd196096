"""Criteria trees as the client sends them: which records match, and in which order they come."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

Values = Mapping[str, Any]


class BadRequest(Exception):
    """The request makes no sense; SLIMS answers such with 400 and an ``errorMessage``."""


def matches(criterion: Mapping[str, Any], values: Values) -> bool:
    """Whether a record fulfils a criterion: a junction of others, or one comparison of a field.

    :raises BadRequest: an operator or field is unknown, or a comparison has nothing to compare with. The client
        leaves out values that are false in Python (0, False, ""), so that such a comparison cannot be asked for.
    """
    operator = str(criterion.get("operator"))
    members = criterion.get("criteria")
    if members is not None:
        match operator:
            case "and":
                return all([matches(member, values) for member in members])
            case "or":
                return any([matches(member, values) for member in members])
            case "not":
                return not matches(members[0], values)
        raise BadRequest(f"Unknown junction: {operator}")
    if criterion.get("fieldName") == "isNaFilter":
        return _field(values, str(criterion.get("value"))) is None
    found = _field(values, str(criterion.get("fieldName")))
    if operator == "isNull":
        return found is None
    if operator == "notNull":
        return found is not None
    if operator == "betweenInclusive":
        low, high = _comparable(found, criterion["start"]), _comparable(found, criterion["end"])
        return found is not None and bool(low <= found <= high)
    if operator not in _COMPARISONS:
        raise BadRequest(f"Unknown operator: {operator}")
    if "value" not in criterion:
        raise BadRequest(f"No value to compare {criterion.get('fieldName')} with")
    return _COMPARISONS[operator](found, criterion["value"])


def ordered(records: Sequence[Values], sort: Sequence[str], start: int | None, end: int | None) -> list[Values]:
    """The rows from `start` up to, without, `end`, counted from 0; a field with a ``-`` before it sorts downwards."""
    rows = list(records)
    for key in reversed(sort):
        name = key.removeprefix("-")
        rows.sort(key=lambda values: _rank(_field(values, name)), reverse=key.startswith("-"))
    return rows[start or 0 : end]


def _field(values: Values, name: str) -> Any:
    if name not in values:
        raise BadRequest(f"Unknown field: {name}")
    return values[name]


def _rank(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _comparable(found: Any, wanted: Any) -> Any:
    """`wanted` as the field has it: dates are sent as ISO text and kept as milliseconds."""
    if isinstance(found, int | float) and isinstance(wanted, str):
        try:
            return float(wanted)
        except ValueError:
            try:
                return datetime.fromisoformat(wanted).timestamp() * 1000
            except ValueError:
                raise BadRequest(f"Not comparable: {wanted}") from None
    return wanted


def _text(compare: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, wanted: found is not None and compare(str(found).lower(), str(wanted).lower())


def _order(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, wanted: found is not None and compare(found, _comparable(found, wanted))


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda found, wanted: bool(found == _comparable(found, wanted)),
    "iEquals": _text(str.__eq__),
    "iNotEqual": _text(str.__ne__),
    "iStartsWith": _text(str.startswith),
    "iEndsWith": _text(str.endswith),
    "iContains": _text(str.__contains__),
    "inSet": lambda found, wanted: found in wanted,
    "notInSet": lambda found, wanted: found not in wanted,
    "lessThan": _order(lambda a, b: bool(a < b)),
    "greaterThan": _order(lambda a, b: bool(a > b)),
    "lessOrEqual": _order(lambda a, b: bool(a <= b)),
    "greaterOrEqual": _order(lambda a, b: bool(a >= b)),
}
