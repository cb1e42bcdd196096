"""Plugins are found in installed distributions and in the task repository, and a broken one never goes unseen."""

import shutil
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aind_launcher.candidates import find_plugins
from aind_launcher.errors import PluginError, SettingsError
from aind_launcher.plugins import Plugins, load_plugins
from aind_launcher.settings.layers import load_layers

SOUND = """
    from pydantic import BaseModel, ConfigDict, SecretStr
    from aind_launcher import hookimpl

    class Store:
        class Settings(BaseModel):
            model_config = ConfigDict(extra="forbid")
            url: str = "http://here"
            password: SecretStr = SecretStr("hidden-word")

        def __init__(self, settings):
            self.settings = settings

        @hookimpl
        def post_session(self, suggestion):
            return self.settings.url
"""


class Site:
    """A folder on the search path in which distributions are laid out as an installer does, and a task repository."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "site"
        self.folder.mkdir()
        self.repository = root / "repository"
        # The launcher's own plugins have tests of their own.
        self.block = tuple({point.name for point in entry_points(group="aind_launcher")})

    def install(self, distribution: str, name: str, target: str, source: str) -> None:
        """A module, and a dist-info with an entry point to it."""
        module = target.partition(":")[0]
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = self.folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[aind_launcher]\n{name} = {target}\n")

    def __call__(self, settings: str = "", also_block: tuple[str, ...] = ()) -> Plugins:
        """Load the plugins of a task repository with these settings."""
        self.repository.mkdir(exist_ok=True)
        (self.repository / "pyproject.toml").write_text(f"[tool.aind-launcher]\n{settings}", encoding="utf-8")
        layers = load_layers(self.repository)
        return load_plugins(layers, layers.launcher().settings, (*self.block, *also_block))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    site = Site(tmp_path)
    monkeypatch.syspath_prepend(str(site.folder))
    yield site
    for name in [n for n, loaded in sys.modules.items() if str(tmp_path) in str(getattr(loaded, "__file__", ""))]:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(tmp_path))]


def named(plugins, name):
    (found,) = [plugin for plugin in plugins.all if plugin.name == name]
    return found


def test_a_class_is_made_with_its_settings_and_called(installed):
    installed.install("lab-store", "store", "lab_store:Store", SOUND)
    plugins = installed('[tool.aind-launcher.plugin.store]\nurl = "http://there"')
    plugins.require_sound()
    plugin = named(plugins, "store")
    assert (plugin.candidate.distribution, plugin.candidate.version, plugin.hooks) == (
        "lab-store",
        "1.2",
        ("post_session",),
    )
    (call,) = plugins.calls("post_session")
    assert call(session=None, suggestion=None) == "http://there"
    assert plugins.secrets() == {"hidden-word"}


def test_a_module_is_a_plugin_as_it_is(installed):
    installed.install(
        "lab-note",
        "note",
        "lab_note",
        "from aind_launcher import hookimpl\n@hookimpl\ndef post_session(session):\n    return 3",
    )
    (call,) = installed().calls("post_session")
    assert call(session=None, suggestion=None) == 3


def test_finding_plugins_imports_none(installed):
    installed.install("lab-bad", "bad", "lab_bad", "raise RuntimeError('imported')")
    installed()
    sys.modules.pop("lab_bad", None)
    layers = load_layers(installed.repository)
    assert "bad" in {candidate.name for candidate in find_plugins(layers.launcher().settings)}
    assert "lab_bad" not in sys.modules


@pytest.mark.parametrize("folder", ["my_task", "my-task"])
def test_a_plugin_of_the_repositorys_own_tree_needs_no_installation(installed, folder):
    package = installed.repository / folder
    package.mkdir(parents=True)
    (package / "launcher.py").write_text(textwrap.dedent(SOUND), encoding="utf-8")
    plugins = installed(f'plugins = {{ water = "{folder}.launcher:Store" }}')
    plugins.require_sound()
    assert named(plugins, "water").candidate.provider == "this repository"


def test_a_plugin_that_is_misspelt_is_said_as_python_says_it(installed):
    (problem,) = installed('plugins = { water = "my task:Water" }').problems()
    assert "cannot be imported from my task:Water: ModuleNotFoundError: No module named 'my task'" in str(problem.error)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import no_such_module", "cannot be imported from lab_bad:Plugin: ModuleNotFoundError: No module named"),
        ("x = 1", "cannot be imported from lab_bad:Plugin: lab_bad has no Plugin."),
        ("import sys\nsys.exit(3)", "cannot be imported from lab_bad:Plugin: SystemExit: 3"),
        ("class Plugin:\n    pass", "implements no hook"),
        (
            "from aind_launcher import hookimpl\nclass Plugin:\n    @hookimpl\n    def post_sesion(self): pass",
            "implements the hook post_sesion, which does not exist (lab_bad.py:3). Did you mean 'post_session'?",
        ),
        (
            "from aind_launcher import hookimpl\nclass Plugin:\n    @hookimpl(wrapper=True)\n"
            "    def post_session(self):\n        yield",
            "wrappers are refused",
        ),
        (
            "from aind_launcher import hookimpl\nclass Plugin:\n    @hookimpl\n"
            "    def post_session(self, sesion): pass",
            "takes sesion in post_session, which has no such argument (lab_bad.py:3). Did you mean 'session'? ",
        ),
        (
            "from aind_launcher import hookimpl\nclass Plugin:\n    def __init__(self): raise OSError('no rig')\n"
            "    @hookimpl\n    def post_session(self): pass",
            "cannot be made from its settings: OSError: no rig",
        ),
    ],
)
def test_a_broken_plugin_refuses_the_session_and_says_whose_it_is(installed, source, sentence):
    installed.install("lab-bad", "bad", "lab_bad:Plugin", source)
    plugins = installed()
    with pytest.raises(PluginError) as caught:
        plugins.require_sound()
    assert sentence in str(caught.value)
    assert named(plugins, "bad").candidate.provider == "lab-bad 1.2"
    assert plugins.calls("post_session") == ()


def method(text: str, *, above: str = "    @hookimpl\n") -> str:
    """A plugin class with one method, as its author wrote it."""
    return f"from aind_launcher import hookimpl\nclass Plugin:\n{above}    {text}\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (method("def post_session(session, suggestion): pass"), "its post_session lacks `self` (lab_bad.py:3)."),
        (method("def post_session(): pass"), "its post_session lacks `self` (lab_bad.py:3)."),
        (
            method("def post_session(self, session, rig): pass"),
            "takes rig in post_session, which has no such argument (lab_bad.py:3). It may take session and suggestion.",
        ),
        (
            method("def post_session(self, session): pass", above=""),
            "its post_session is not marked, so it would never be called (lab_bad.py:3). Write @hookimpl above it",
        ),
        (
            "from aind_launcher import hookimpl\n@hookimpl\ndef pre_session(): pass\ndef post_session(): pass",
            "its post_session is not marked, so it would never be called (lab_bad.py:4).",
        ),
        (
            method("async def post_session(self): pass"),
            "its post_session is a coroutine (lab_bad.py:3), which nobody awaits. Write `def` in the place of",
        ),
        (
            method("async def post_session(self): yield"),
            "its post_session is a coroutine (lab_bad.py:3), which nobody awaits. Write `def` in the place of",
        ),
        (
            method("def post_session(self, *args, **kwargs): pass"),
            "takes *args in post_session (lab_bad.py:3), but arguments are passed by their names. Name those that it",
        ),
        (method("def post_session(*args): pass"), "takes *args in post_session (lab_bad.py:3), but"),
        (method("def post_session(self, session, /): pass"), "takes session in post_session (lab_bad.py:3), but"),
        (
            "def logged(f):\n    def call(*given, **named): return f(*given, **named)\n    return call\n"
            + method("def post_session(self, session): pass", above="    @hookimpl\n    @logged\n"),
            "takes *given in post_session (lab_bad.py:2), but arguments are passed by their names. Name those that it "
            "wants (session and suggestion); a decorator needs functools.wraps.",
        ),
        (
            method("def post_session(self, session, sugestion=None): pass"),
            "takes sugestion in post_session, which has no such argument (lab_bad.py:3). Did you mean 'suggestion'? ",
        ),
        (
            method("def post_session(self): pass", above="    Settings = dict\n    @hookimpl\n"),
            "its Settings is no pydantic model. Give it the base aind_launcher.SettingsModel.",
        ),
        (
            "class Plugin:\n    value = 1\n    limit = value / 0\n",
            "ZeroDivisionError: division by zero (lab_bad.py:3).",
        ),
        (
            method("def __init__(self):\n        raise OSError('no rig')"),
            "cannot be made from its settings: OSError: no rig (lab_bad.py:5).",
        ),
        ("class Pluging: pass", "lab_bad has no Plugin. Did you mean 'Pluging'?"),
    ],
)
def test_a_mistake_of_an_author_is_named_with_its_line(installed, source, sentence):
    target = "lab_bad" if "class Plugin" not in source and "\ndef" in source else "lab_bad:Plugin"
    installed.install("lab-bad", "bad", target, source)
    (problem,) = installed().problems()
    assert sentence in str(problem.error)


def test_a_hook_may_be_a_static_or_a_class_method(installed):
    source = (
        "from aind_launcher import hookimpl\nclass Plugin:\n"
        "    @staticmethod\n    @hookimpl\n    def post_session(session): return session\n"
        "    @classmethod\n    @hookimpl\n    def pre_session(cls): return []\n"
    )
    installed.install("lab-odd", "odd", "lab_odd:Plugin", source)
    plugins = installed()
    plugins.require_sound()
    assert [call(session=3) for call in plugins.calls("post_session")] == [3]
    assert [call(session=3) for call in plugins.calls("pre_session")] == [[]]


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ("Setings", "Rename Setings to Settings"),
        ("Config", "Rename Config to Settings"),
        (None, "or give the plugin a class"),
    ],
)
def test_a_section_without_settings_says_what_the_class_lacks(installed, settings, hint):
    nested = f"    class {settings}(SettingsModel):\n        url: str = ''\n" if settings else ""
    source = (
        "from aind_launcher import SettingsModel, hookimpl\n"
        f"class Plugin:\n{nested}    @hookimpl\n    def post_session(self): pass"
    )
    installed.install("lab-bad", "bad", "lab_bad:Plugin", source)
    (problem,) = installed("[tool.aind-launcher.plugin.bad]\nurl = 'x'").problems()
    assert "has no class Settings, but" in str(problem.error)
    assert hint in str(problem.error)


@pytest.mark.parametrize("group", ["aind-launcher", "aind_launchers", "aind_launcher.plugins", "aind_laucher"])
def test_a_group_that_is_nearly_right_is_found(installed, group):
    installed.install("lab-store", "store", "lab_store:Store", SOUND)
    points = installed.folder / "lab_store-1.2.dist-info/entry_points.txt"
    points.write_text(f"[{group}]\nstore = lab_store:Store\n")
    (problem,) = installed().problems()
    assert str(problem.error) == (
        f"Plugin store (lab-store 1.2) stands in the entry-point group '{group}', where no plugin is looked for. "
        "Write the group as 'aind_launcher' in its pyproject.toml and install it again."
    )
    installed(also_block=("store",)).require_sound()


@pytest.mark.parametrize("group", ["aind_launcher_slims.backends", "launchers", "pytest11"])
def test_a_group_of_somebody_else_is_none_of_ours(installed, group):
    installed.install("lab-store", "store", "lab_store:Store", SOUND)
    points = installed.folder / "lab_store-1.2.dist-info/entry_points.txt"
    points.write_text(f"[{group}]\nstore = lab_store:Store\n")
    installed().require_sound()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("my_task.launcher:Stroe", "my_task.launcher has no Stroe. Did you mean 'Store'?"),
        ("my_task.luancher:Store", "No module named 'my_task.luancher'. Did you mean 'my_task.launcher'?"),
        ("my_tusk.launcher:Store", "No module named 'my_tusk'. Did you mean 'my_task'?"),
    ],
)
def test_a_target_that_is_nearly_right_names_what_is_there(installed, target, sentence):
    package = installed.repository / "my_task"
    package.mkdir(parents=True)
    (package / "launcher.py").write_text(textwrap.dedent(SOUND), encoding="utf-8")
    (problem,) = installed(f'plugins = {{ water = "{target}" }}').problems()
    assert sentence in str(problem.error)


def test_settings_that_do_not_validate_refuse_the_session(installed):
    installed.install("lab-store", "store", "lab_store:Store", SOUND)
    plugins = installed("[tool.aind-launcher.plugin.store]\nurll = 'x'")
    assert "Did you mean 'url'?" in str(named(plugins, "store").error)


def test_two_plugins_of_one_name_name_both(installed):
    installed.install("lab-store", "store", "lab_store:Store", SOUND)
    installed.install("other-store", "store", "other_store:Store", SOUND)
    with pytest.raises(PluginError, match="two plugins named store: lab_store:Store of lab-store 1.2 and other_store:"):
        installed().require_sound()


def test_a_configured_plugin_that_is_not_installed_is_an_error(installed):
    with pytest.raises(PluginError, match="pyproject.toml configures the plugin slimz, which is not installed"):
        installed("[tool.aind-launcher.plugin.slimz]\nurl = 'x'").require_sound()


def test_a_blocked_plugin_is_not_imported_and_its_section_is_ignored(installed):
    installed.install("lab-bad", "bad", "lab_bad", "raise RuntimeError")
    section = "[tool.aind-launcher.plugin.bad]\nanything = 1"
    installed(section, also_block=("bad",)).require_sound()
    plugins = installed(f'disable = ["bad"]\n{section}')
    plugins.require_sound()
    assert named(plugins, "bad").blocked
    assert "lab_bad" not in sys.modules


def test_a_plugin_that_is_configured_here_but_installed_elsewhere_can_be_left_out(installed):
    section = "[tool.aind-launcher.plugin.elsewhere]\nanything = 1"
    installed(f'disable = ["elsewhere"]\n{section}').require_sound()
    installed(section, also_block=("elsewhere",)).require_sound()


@pytest.mark.parametrize("settings", ['disable = ["nobody"]', 'required-steps = ["nobody"]'])
def test_a_name_that_no_plugin_has_is_an_error(installed, settings):
    with pytest.raises(PluginError, match="There is no plugin named nobody"):
        installed(settings).require_sound()


def test_a_variable_of_an_unknown_plugin_is_an_error(installed, monkeypatch):
    monkeypatch.setenv("AIND_LAUNCHER_PLUGIN__NOBODY__URL", "x")
    with pytest.raises(SettingsError, match="AIND_LAUNCHER_PLUGIN__NOBODY__URL") as caught:
        installed().require_sound()
    assert caught.value.exit_code == 2


def test_the_order_is_pluggys(installed):
    for name, options in (("a", "trylast=True"), ("b", ""), ("c", "tryfirst=True")):
        source = f"from aind_launcher import hookimpl\n@hookimpl({options})\ndef post_session():\n    return '{name}'"
        installed.install(f"lab-{name}", name, f"lab_{name}", source)
    assert [call() for call in installed().calls("post_session")] == ["c", "b", "a"]


def test_among_equals_the_repositorys_own_come_first_then_names_decide(installed):
    source = "from aind_launcher import hookimpl\n@hookimpl\ndef post_session():\n    return __name__"
    for name in ("zebra", "ant", "mouse"):
        installed.install(f"lab-{name}", name, f"lab_{name}", source)
    installed.repository.mkdir()
    for name in ("own_yak", "own_bee"):
        (installed.repository / f"{name}.py").write_text(source, encoding="utf-8")
    plugins = installed('plugins = { yak = "own_yak", bee = "own_bee" }')
    assert [call() for call in plugins.calls("post_session")] == [
        "own_bee",
        "own_yak",
        "lab_ant",
        "lab_mouse",
        "lab_zebra",
    ]


@given(names=st.dictionaries(st.from_regex(r"[a-c](-?[a-c]){0,3}", fullmatch=True), st.booleans()))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_order_is_the_promised_one_whatever_the_names(installed, names):
    source = "from aind_launcher import hookimpl\nclass Plugin:\n    @hookimpl\n    def post_session(self): pass"
    for distribution in installed.folder.glob("*.dist-info"):
        shutil.rmtree(distribution)
    entries = "\n".join(f"{name} = lab_many:Plugin" for name, own in names.items() if not own)
    installed.install("lab-many", "zz", f"lab_many:Plugin\n{entries}", source)
    installed.repository.mkdir(exist_ok=True)
    (installed.repository / "own_many.py").write_text(source, encoding="utf-8")
    own = ", ".join(f'{name} = "own_many:Plugin"' for name, own in names.items() if own)
    called = [call.plugin.name for call in installed(f"plugins = {{ {own} }}").calls("post_session")]
    assert called == [
        *sorted(name for name, own in names.items() if own),
        *sorted(n for n in names if not names[n]),
        "zz",
    ]
