"""The pages for plugin authors say what the code says, and need no build to be read."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import aind_launcher
from aind_launcher import hookspecs, testing

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES: dict[Path, str] = runpy.run_path(str(DOCS / "reference.py"))["pages"]()
HOOKS = [name for name, hook in vars(hookspecs).items() if hasattr(hook, "aind_launcher_spec")]


def headings(page: str) -> list[str]:
    return re.findall(r"^### `(\w+)`$", (DOCS / page).read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_the_code_says(page: Path) -> None:
    is_current = page.read_text(encoding="utf-8") == PAGES[page]
    assert is_current, f"docs/{page.relative_to(DOCS)} is not what the code says. Run: python3 noxfile.py docs"


def test_all_that_is_exported_is_on_the_page_of_it() -> None:
    assert sorted(headings("api.md")) == sorted(aind_launcher.__all__)
    assert sorted(headings("testing.md")) == sorted(testing.__all__)


def test_every_hook_has_its_page_and_its_row_in_the_order_of_a_session() -> None:
    assert {page.stem for page in (DOCS / "hooks").glob("*.md")} == {*HOOKS, "index"}
    assert {page.stem for page in PAGES if page.parent.name == "hooks"} == {*HOOKS}
    rows = re.findall(r"^\| \[`(\w+)`\]\(\1\.md\)", (DOCS / "hooks" / "index.md").read_text(encoding="utf-8"), re.M)
    assert rows == HOOKS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_field_argument_and_method_has_its_meaning(page: Path) -> None:
    bullets = r"^ *- `[^`]+`:?$(?!\n +[^ -])"
    answers = r"^\*\*(?!Arguments).+:\*\* *$"
    empty = r"^### .+\n\n+(?=###)"
    assert re.findall(f"{bullets}|{answers}|{empty}", PAGES[page], re.M) == []


# What they hold is said where they stand.
SAID_THERE = {"ExitCode", "Plugins", "StepId"}


def test_every_class_of_ours_in_a_signature_is_described() -> None:
    ours = {
        name
        for module, content in sys.modules.items()
        if module.startswith("aind_launcher")
        for name, thing in vars(content).items()
        if isinstance(thing, type) and thing.__module__.startswith("aind_launcher")
    }
    generated = "".join(re.findall(r"<!-- reference: .*?<!-- end of reference -->", "".join(PAGES.values()), re.S))
    # Of a bullet and, in a block of code, of a hook or a function.
    signatures = re.findall(r"^ *- `(.+?)`|^```python\n(.+)$", generated, re.M)
    named = {word for signature in signatures for word in re.findall(r"\b[A-Z]\w+", "".join(signature))} & ours
    assert "SessionContext" in named
    assert named - {*headings("api.md"), *headings("testing.md")} - SAID_THERE == set()


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_readable_without_a_build(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "{eval-rst}" not in text
    assert not re.search(r"\[\]\(", text), "a link without a text is invisible on a forge"


def linked(page: Path) -> set[Path]:
    """The pages that a page has links to."""
    found = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return {(page.parent / link).resolve() for link in found}


@pytest.mark.parametrize("first", ["docs/index.md", "README.md"])
def test_a_stranger_finds_every_page_and_no_link_is_dead(first: str) -> None:
    found: set[Path] = set()
    new = {DOCS.parent / first}
    while new:
        found |= new
        assert [page for page in new if not page.is_file()] == []
        new = {page for known in new for page in linked(known)} - found
    assert {*DOCS.rglob("*.md")} - found - {DOCS / "index.md"} == set()
