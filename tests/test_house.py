"""The house itself: what pyproject.toml promises is there, and imports point downwards only."""

import ast
import importlib
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import aind_launcher

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ROOT / "aind_launcher"
# What lies in the folders of the demo are templates of another repository.
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.parent == PACKAGE / "demo" or PACKAGE / "demo" not in path.parents
}


def imports(module: str) -> set[str]:
    """The package's modules that `module` imports when it runs, at its top or inside a function."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = MODULES[module].name == "__init__.py"
    found = set()
    for node in _outside_of_type_checking(tree):
        if isinstance(node, ast.Import):
            found |= {_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            found |= {_module(f"{node.module}.{alias.name}") for alias in node.names}
    return {other for other in found if other and not (inside and other == module)}


def _outside_of_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_of_type_checking(child)


def _module(dotted: str) -> str | None:
    """The module of this package that provides `dotted`: itself, or the one it is an attribute of."""
    return dotted if dotted in MODULES else (parent if (parent := dotted.rpartition(".")[0]) in MODULES else None)


def layer(module: str) -> str:
    """The file or folder of the package's top level that a module belongs to."""
    return [*module.split("."), ""][1]


GRAPH = {module: imports(module) for module in MODULES}


def without_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


def test_no_import_goes_round_in_a_circle_between_files_or_between_folders() -> None:
    # The package's own __init__ imports on demand; everything in it may ask it for the version.
    assert imports("aind_launcher") == set()
    without_circle(GRAPH)
    folders: dict[str, set[str]] = {}
    for module, imported in GRAPH.items():
        others = {layer(other) for other in imported if layer(other)} - {layer(module)}
        folders.setdefault(layer(module), set()).update(others)
    without_circle(folders)


# From the lowest to the highest; what stands in one line does not import each other.
STOREYS = (
    ("", "errors"),
    ("model",),
    ("system",),
    ("settings", "journal", "hookspecs", "own_modules"),
    ("implementations", "candidates"),
    ("plugins",),
    ("lifecycle", "curriculum", "builtin", "board"),
    ("demo", "testing"),
    ("cli",),
    ("__main__",),
)


def test_every_wing_has_its_storey() -> None:
    assert {layer(module) for module in MODULES} == {wing for storey in STOREYS for wing in storey}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_from_below(module: str) -> None:
    floor = next(number for number, storey in enumerate(STOREYS) if layer(module) in storey)
    below = {wing for storey in STOREYS[:floor] for wing in storey}
    assert {layer(other) for other in GRAPH[module]} <= below | {layer(module)}


def test_a_command_imports_no_other_command() -> None:
    commands = {m for m, path in MODULES.items() if layer(m) == "cli" and "\ndef command(" in path.read_text("utf-8")}
    assert commands
    assert {module: GRAPH[module] & commands - {module} for module in commands} == {m: set() for m in commands}


def test_the_core_knows_none_of_the_plugins_beside_it() -> None:
    told = {
        path
        for path in MODULES.values()
        if re.search(r"^\s*(import|from) aind_launcher_", path.read_text("utf-8"), re.M)
    }
    assert not told


@pytest.mark.parametrize("group", ["aind_launcher", "console_scripts"])
def test_every_entry_point_leads_somewhere(group: str) -> None:
    promised = PROJECT["entry-points"][group] if group == "aind_launcher" else PROJECT["scripts"]
    for name, target in promised.items():
        module, _, attribute = target.partition(":")
        found = importlib.import_module(module)
        assert not attribute or hasattr(found, attribute), f"{name} = {target}"


def test_the_installed_version_is_the_one_of_the_package_and_of_the_changelog() -> None:
    assert importlib.metadata.version("aind-launcher") == aind_launcher.__version__
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert aind_launcher.__version__ in versions


def test_what_the_package_exports_is_there() -> None:
    assert {name for name in aind_launcher.__all__ if getattr(aind_launcher, name) is None} == set()


def test_ci_and_readme_call_only_sessions_that_exist() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {
        node.name: ast.get_docstring(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any("nox.session" in ast.unparse(d) for d in node.decorator_list)
    }
    assert all(sessions.values())
    for file in (".ci/run", "README.md", ".github/workflows/ci.yml"):
        calls = re.findall(r"noxfile\.py ([a-z ]+)", (ROOT / file).read_text(encoding="utf-8"))
        assert calls and set(" ".join(calls).split()) <= sessions.keys(), file


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda file: file.stem)
def test_a_plugin_of_ours_imports_what_is_public_to_everybody_and_nothing_else(file: Path) -> None:
    doors = {"aind_launcher"} if "src" in file.parts else {"aind_launcher", "aind_launcher.testing"}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module for module in modules if module.partition(".")[0] == "aind_launcher"} <= doors


LONGEST = 400
# Each of these is being shortened at the moment, and leaves this set when it is short.
STILL_LONGER = {"tests/test_environments.py", "aind_launcher/lifecycle/run.py"}


@pytest.mark.parametrize("folder", ["aind_launcher", "tests", "plugins", "benchmarks"])
def test_no_file_is_longer_than_a_reader_can_keep_in_mind(folder: str) -> None:
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / folder).rglob("*.py")}
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in files.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST and name not in STILL_LONGER} == {}


def test_texts_for_people_have_one_way_out_beside_the_screen_and_both_make_them_harmless() -> None:
    ways = re.compile(r"\b(?:click\.(?:echo|secho|style)|(?<![\w.])print|Console)\(")
    out = {path.name for path in (PACKAGE / "cli").glob("*.py") if ways.search(path.read_text(encoding="utf-8"))}
    assert out == {"printing.py"}
