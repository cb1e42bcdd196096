"""Values that pass from step to step: nobody changes them, nor the lists and dictionaries in them."""

from collections.abc import Mapping
from typing import Any, NoReturn, Self

from pydantic import BaseModel, model_validator

from aind_launcher.errors import nearest


def _refuse(self: object, *arguments: object, **named: object) -> NoReturn:
    raise TypeError(
        "This cannot be changed: other plugins and the session's record have it, too. Change a copy.deepcopy() of it; "
        "prepare_session may return it, as in inputs.model_copy(update={'rig': changed})."
    )


class FrozenDict(dict[Any, Any]):
    """A dictionary that refuses to be changed. Copies are plain dictionaries."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[type, tuple[object]]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses to be changed. Copies are plain lists."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = extend = insert = _refuse
    pop = remove = clear = sort = reverse = _refuse

    def __reduce__(self) -> tuple[type, tuple[object]]:
        return list, (list(self),)


def frozen(value: Any) -> Any:
    """`value` with all lists and dictionaries in it replaced by ones that refuse to be changed."""
    # A trainer state has thousands of parts: what is frozen already is not looked through again.
    if isinstance(value, dict):
        done = type(value) is FrozenDict
        return value if done else FrozenDict({key: frozen(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return value if type(value) is FrozenList else FrozenList([frozen(inner) for inner in value])
    # A named tuple is made in another way; there is none in JSON data.
    return tuple([frozen(inner) for inner in value]) if type(value) is tuple else value


class Value(BaseModel, frozen=True):
    """A pydantic model that cannot be changed, and in which nothing can be."""

    @model_validator(mode="after")
    def _frozen(self) -> Self:
        self._freeze()
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; nothing is validated.

        :raises TypeError: there is no such field.
        """
        fields = {*type(self).model_fields, *(self.model_extra or ())}
        for name in update or ():
            if name not in fields:
                hint = nearest(name, fields) or f"Its fields: {', '.join(sorted(fields))}."
                raise TypeError(f"{type(self).__name__} has no field {name!r}. {hint}")
        copied = super().model_copy(update=update, deep=deep)
        # Properties that were computed from what is another field's value now.
        for name in vars(copied).keys() - fields:
            del vars(copied)[name]
        copied._freeze()
        return copied

    def _freeze(self) -> None:
        vars(self).update({name: frozen(value) for name, value in vars(self).items()})
        if self.model_extra is not None:
            object.__setattr__(self, "__pydantic_extra__", frozen(self.model_extra))
