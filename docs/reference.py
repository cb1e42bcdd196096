"""Writes what the code says of hooks, values and fixtures into the pages: signatures and docstrings as Markdown.

`python3 noxfile.py docs` runs it. A page says where, between ``<!-- reference: NAME NAME -->`` and
``<!-- end of reference -->``; there ``*`` is all that `aind_launcher` exports and no page names, and ``list`` names all
that stands on the page. The rest of a page is written by hand.
"""

import dataclasses
import inspect
import os
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel
from pydantic_core import PydanticUndefined

import aind_launcher
from aind_launcher import SessionPaths, hookspecs, testing

DOCS = Path(__file__).resolve().parent
MARKED = re.compile(r"(<!-- reference: (.+?) -->\n).*?(<!-- end of reference -->)", re.S)
WIDTH = 120
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "aind_launcher_spec")}


def pages() -> dict[Path, str]:
    """Every page with a mark, as it must be."""
    before = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
    named = {page: " ".join(names for _, names, _ in MARKED.findall(text)).split() for page, text in before.items()}
    told = {name for names in named.values() for name in names}
    rest = [name for name in aind_launcher.__all__ if name not in told]
    on_page = {
        page: [name for word in words for name in (rest if word == "*" else [word]) if name != "list"]
        for page, words in named.items()
        if words
    }
    homes = {name: page for page, names in on_page.items() for name in names}

    def page_as_it_must_be(page: Path) -> str:
        def block(mark: re.Match[str]) -> str:
            names = [name for word in mark[2].split() for name in (rest if word == "*" else [word])]
            if names == ["list"]:
                parts = [Writer(page, homes).overview(on_page[page])]
            else:
                parts = [Writer(page, homes, name).described() for name in names]
            return f"{mark[1]}\n" + "\n\n".join("\n".join(part).strip() for part in parts) + f"\n\n{mark[3]}"

        return MARKED.sub(block, before[page])

    return {page: page_as_it_must_be(page) for page in on_page}


@dataclasses.dataclass(frozen=True)
class Doc:
    """A docstring: its paragraphs, and what its fields (``:param name:``) say."""

    paragraphs: tuple[str, ...]
    fields: Mapping[str, str]

    @classmethod
    def of(cls, thing: Any) -> "Doc":
        # A class without a docstring would have the one of its base.
        text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
        return cls.read(inspect.cleandoc(text or ""))

    @classmethod
    def read(cls, text: str) -> "Doc":
        text = text.replace("``", "`")
        head, *rest = re.split(r"^:(\w+(?: [\w, ]+)?):", text, flags=re.M)
        fields = dict(zip(rest[::2], (" ".join(part.split()) for part in rest[1::2]), strict=True))
        return cls(tuple(" ".join(part.split()) for part in head.strip().split("\n\n") if part.strip()), fields)

    def of_argument(self, name: str) -> str:
        return self.fields.get(f"param {name}", "")


class Writer:
    """Describes one name on one page, with a link at the first mention of each other name."""

    def __init__(self, page: Path, homes: Mapping[str, Path], own: str = "") -> None:
        self._page, self._homes, self._own = page, homes, own
        self._linked = {own}

    def overview(self, names: list[str]) -> list[str]:
        """Each of the names with its first sentence."""
        heads = ((f"[`{name}`]({self._address(name)})", _first_sentence(_doc_of(name))) for name in names)
        return [line for head, text in heads for line in _wrapped(f"-\0{head}: {text}", "  ")]

    def described(self) -> list[str]:
        """All that there is to say of the name."""
        name, thing = self._own, _found(self._own)
        if name in HOOKS:
            return self._hook(name, thing)
        if inspect.isclass(thing) and issubclass(thing, Exception):
            return self._error(name, thing)
        lines = [f"### `{name}`", ""]
        if inspect.isclass(thing):
            return lines + self._prose(_doc_of(name)) + self._members(thing)
        if not isinstance(thing, types.FunctionType):
            return lines + self._prose(_doc_of(name))
        return [*lines, *_code(_signature(thing, name)), *self._prose(_doc_of(name)), *self._bullets(_details(thing))]

    def _hook(self, name: str, hook: Callable[..., Any]) -> list[str]:
        doc = Doc.of(hook)
        signature = _signature(hook, name)
        used = [other for other in self._homes if re.search(rf"\b{other}\b", signature) and other != name]
        lines = _code(signature)
        if used:
            lines += ["Types: " + ", ".join(f"[{other}]({self._address(other)})" for other in used), ""]
        lines += [*self._prose(doc), "**Arguments:**", "", *self._bullets(_arguments(hook)), ""]
        for title, field in (("Returns", "return"), ("An exception", "raises Exception"), ("Called again", "again")):
            lines += [*self._wrapped(f"**{title}:** {doc.fields.get(field, '')}"), ""]
        return lines[:-1]

    def _error(self, name: str, kind: type[Exception]) -> list[str]:
        base = next((base.__name__ for base in kind.__mro__[1:] if base.__name__ in self._homes), None)
        lines = [f"### `{name}`", "", *_code(_signature(kind, name)), *self._prose(_doc_of(name))]
        if base and "__init__" not in vars(kind):
            return [*lines, *self._wrapped(f"Its arguments are those of `{base}`.")]
        return lines + self._bullets(_arguments(kind))

    def _members(self, kind: type) -> list[str]:
        lines = []
        for shown, text, arguments in _members(kind):
            lines += self._bullet(shown, text)
            lines += [line for argument in arguments for line in self._bullet(*argument, indent="  ")]
        return lines

    def _bullets(self, described: Iterable[tuple[str, str]]) -> list[str]:
        return [line for shown, text in described for line in self._bullet(shown, text)]

    def _prose(self, doc: Doc) -> list[str]:
        return [line for paragraph in doc.paragraphs for line in [*self._wrapped(paragraph), ""]]

    def _bullet(self, shown: str, text: str, indent: str = "") -> list[str]:
        whole = self._with_links(text)
        return _wrapped(f"{indent}-\0{shown}: {whole}" if whole else f"{indent}-\0{shown}", f"{indent}  ")

    def _wrapped(self, text: str) -> list[str]:
        return _wrapped(self._with_links(text))

    def _with_links(self, text: str) -> str:
        def link(code: re.Match[str]) -> str:
            name = code[1]
            if name not in self._homes or name in self._linked:
                return code[0]
            self._linked.add(name)
            return f"[{code[0]}]({self._address(name)})"

        return re.sub(r"`(\w+)`", link, text)

    def _address(self, name: str) -> str:
        home = self._homes[name]
        file = "" if home == self._page else Path(os.path.relpath(home, self._page.parent)).as_posix()
        return file if name in HOOKS else f"{file}#{name.lower()}"


def _found(name: str) -> Any:
    if name in HOOKS:
        return HOOKS[name]
    return getattr(aind_launcher if name in aind_launcher.__all__ else testing, name)


def _doc_of(name: str) -> Doc:
    thing = _found(name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return Doc.of(thing)
    # A plain value has a comment above it.
    home = aind_launcher._HOMES.get(name, "aind_launcher" if name in aind_launcher.__all__ else testing.__name__)
    source = inspect.getsource(import_module(home))
    comment = re.search(rf"((?:^# .*\n)+){name}\b.* = ", source, re.M)
    return Doc.read(re.sub(r"^# ", "", comment[1], flags=re.M) if comment else "")


def _first_sentence(doc: Doc) -> str:
    return re.split(r"(?<=[.?]) (?=[A-Z*`])", doc.paragraphs[0])[0] if doc.paragraphs else ""


# A member of a class: how it is written, what it is, and its arguments in the same way.
Member = tuple[str, str, list[tuple[str, str]]]


def _members(kind: type) -> Iterator[Member]:
    """The fields, properties and methods of a class, those of its bases first."""
    ours = [base for base in reversed(kind.__mro__) if base.__module__.startswith("aind_launcher")]
    told = {name: text for base in ours for name, text in Doc.of(base).fields.items()}
    for name, annotation, default in _fields(kind):
        yield f"`{name}: {_type(annotation)}{default}`", told.get(f"param {name}", ""), []
    if kind is SessionPaths:
        for name, path in vars(SessionPaths(Path())).items():
            yield f"`{name}`", f"`{path.as_posix()}`, {told[f'param {name}']}", []
    for name, member in {name: member for base in ours for name, member in vars(base).items()}.items():
        if hasattr(BaseModel, name) or (name.startswith("_") and name != "__call__"):
            continue  # what pydantic says of its own, or nobody calls
        if isinstance(member, property | cached_property):
            getter: Any = member.fget if isinstance(member, property) else member.func
            returns = _type(inspect.signature(getter).return_annotation)
            yield f"`{name}: {returns}`", " ".join(Doc.of(getter).paragraphs), []
        elif isinstance(member, types.FunctionType | classmethod):
            method = getattr(kind, name)
            details = [detail for detail in _details(method) if detail[1]]
            yield f"`{_signature(method, name)}`", " ".join(Doc.of(method).paragraphs), details


def _details(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """What there is to say of a function's arguments, its answer and its errors."""
    yield from _arguments(function)
    for field, text in Doc.of(function).fields.items():
        kind, _, name = field.partition(" ")
        if kind in ("return", "raises"):
            yield f"raises `{name}`" if name else "returns", text


def _fields(kind: type) -> Iterator[tuple[str, Any, str]]:
    """Name, type and default of each field."""
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if field.default_factory:
                yield name, field.annotation, f" = {field.default_factory.__name__}()"
            else:
                yield name, field.annotation, _default(field.default)
    elif dataclasses.is_dataclass(kind):
        for one in dataclasses.fields(kind):
            yield one.name, one.type, _default(one.default)


def _default(value: Any) -> str:
    if isinstance(value, type) and value is not dataclasses.MISSING:
        return f" = {_type(value)}"
    return "" if value in (PydanticUndefined, dataclasses.MISSING) else _quoted(f" = {value!r}")


def _arguments(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """Each argument as it is written, and what it is."""
    doc = Doc.of(function)
    for name, parameter in _bare(function).parameters.items():
        yield f"`{_quoted(str(parameter))}`", doc.of_argument(name)


class _Text:
    """A type or a default that a signature shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _bare(function: Callable[..., Any]) -> inspect.Signature:
    """The signature as a caller sees it."""
    whole = inspect.signature(function)
    empty = inspect.Signature.empty

    def shown(annotation: Any) -> Any:
        return annotation if annotation is empty else _Text(_type(annotation))

    bare = [
        one.replace(
            annotation=shown(one.annotation),
            # A default that is a class would be shown as its `repr`.
            default=shown(one.default) if isinstance(one.default, type) else one.default,
        )
        for one in whole.parameters.values()
        if one.name != "self"
    ]
    returns = empty if inspect.isclass(function) else shown(whole.return_annotation)
    return whole.replace(parameters=bare, return_annotation=returns)


def _signature(function: Callable[..., Any], name: str) -> str:
    return _quoted(f"{name}{_bare(function)}")


def _type(annotation: Any) -> str:
    """A type as one writes it."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, str):
        return annotation
    if annotation in (None, type(None)):
        return "None"
    if annotation is AwareDatetime:
        return "datetime"
    if annotation is ...:
        return "..."
    if isinstance(annotation, list):
        return f"[{', '.join(map(_type, annotation))}]"
    if origin is Annotated:
        return _type(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type, inner))
    if origin is Literal:
        return _quoted(f"Literal[{', '.join(map(repr, inner))}]")
    name = getattr(origin or annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(_type, inner))}]" if inner else str(name)


def _quoted(text: str) -> str:
    """With the quotation marks of this project's code."""
    return text.replace("'", '"')


def _code(text: str) -> list[str]:
    return ["```python", text, "```", ""]


def _wrapped(text: str, indent: str = "") -> list[str]:
    """`text` in lines, none of which breaks in the middle of code."""
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(whole, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8", newline="\n")
