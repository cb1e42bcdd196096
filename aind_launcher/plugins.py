"""Loads, blocks and orders the plugins that were found."""

import inspect
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from typing import Any

import pluggy
from pydantic import BaseModel, SecretStr

from aind_launcher import hookspecs
from aind_launcher.candidates import GROUP, Candidate, find_plugins
from aind_launcher.errors import LauncherError, PluginError, nearest
from aind_launcher.implementations import arguments_taken, implemented_hooks, line_of_error
from aind_launcher.model.value import frozen
from aind_launcher.own_modules import OwnModules
from aind_launcher.settings.environment import refuse_unknown_sections
from aind_launcher.settings.layers import LauncherSettings, Resolved, SettingsLayers
from aind_launcher.system.inherited import acquisition_environment
from aind_launcher.system.redaction import Redactor, secrets_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """A candidate after loading: an object that is registered, or the reason why not."""

    candidate: Candidate
    object: Any = None
    settings_type: type[BaseModel] | None = None
    settings: Resolved[BaseModel] | None = None
    hooks: tuple[str, ...] = ()
    blocked: bool = False
    error: LauncherError | None = None

    @property
    def name(self) -> str:
        """The name of its entry point and of its settings section."""
        return self.candidate.name

    @property
    def interactive(self) -> bool:
        """Whether it asks a person; an unattended resume leaves its steps waiting."""
        return getattr(self.object, "interactive", False) is True

    @property
    def transient(self) -> tuple[type[BaseException], ...]:
        """Error types that it declares worth a second try."""
        declared: tuple[type[BaseException], ...] = getattr(self.object, "transient_errors", ())
        return declared


@dataclass(frozen=True)
class Call:
    """One plugin's implementation of one hook.

    :param takes: the names of the hook's arguments that it takes.
    :param environment: what the hook `run_session` may pass on to a program.
    """

    plugin: Plugin
    function: Callable[..., Any]
    takes: tuple[str, ...]
    environment: Mapping[str, str]

    def __call__(self, **arguments: Any) -> Any:
        """Call it with those of `arguments` that it takes, and with `environment` where it takes that."""
        given = {"environment": self.environment, **arguments}
        # By name: pluggy itself passes no argument that has a default.
        return self.function(**{name: given[name] for name in self.takes if name in given})


@dataclass(frozen=True)
class Plugins:
    """The plugins of one call of the launcher, registered and in order."""

    manager: pluggy.PluginManager
    all: tuple[Plugin, ...]

    def calls(self, hook: str) -> tuple[Call, ...]:
        """The implementations of `hook`, in the order in which they are called."""
        by_name = {plugin.name: plugin for plugin in self.all}
        implementations: list[pluggy.HookImpl] = getattr(self.manager.hook, hook).get_hookimpls()
        environment: Mapping[str, str] = {}
        if hook == "run_session":
            environment = frozen(acquisition_environment(os.environ, Redactor(self.secrets())))
        return tuple(
            Call(by_name[found.plugin_name], found.function, arguments_taken(found.function, hook), environment)
            for found in reversed(implementations)
        )

    def problems(self) -> tuple[Plugin, ...]:
        """The plugins that stop a session."""
        return tuple(plugin for plugin in self.all if plugin.error)

    def require_sound(self) -> None:
        """Refuse to go on with a broken, missing or duplicate plugin.

        :raises PluginError: naming all of them. An operator must not find out after the session.
        """
        errors = [plugin.error for plugin in self.all if plugin.error]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise PluginError(f"{len(errors)} plugins are broken:\n" + "\n".join(f"  {error}" for error in errors))

    def line_of(self, error: BaseException, name: str) -> str:
        """The line of the plugin `name` that `error` came from, as `line_of_error` writes it."""
        targets = {plugin.name: plugin.candidate.target for plugin in self.all}
        return line_of_error(error, targets.get(name, ""))

    def line_in_any(self, error: BaseException) -> str:
        """The line of a plugin that `error` came from, where nobody knows of which: several may share a module."""
        lines = (line_of_error(error, plugin.candidate.target) for plugin in self.all)
        return next(filter(None, lines), "")

    def secrets(self) -> frozenset[str]:
        """Every secret value that plugins have, so that none reaches a log or the journal.

        Those of their settings, and those that a plugin got elsewhere and tells with a method ``secrets()``.
        """
        in_settings = [plugin.settings.settings for plugin in self.all if plugin.settings]
        return frozenset(secrets_in([in_settings, [_told_secrets(plugin.object) for plugin in self.all]]))


def load_plugins(layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str] = ()) -> Plugins:
    """Import and register every plugin that is not blocked. Never raises for a plugin: see `Plugins.problems`."""
    loader = _Loader(layers, settings, block)
    # Plugins registered last are called first.
    loaded = [loader.load(name) for name in reversed(loader.found)]
    loaded += loader.missing(settings)
    try:
        # A plugin that is not loaded cannot say which settings it has.
        refuse_unknown_sections(
            os.environ, {p.name: None if p.blocked or p.error else p.settings_type or BaseModel for p in loaded}
        )
    except LauncherError as error:
        loaded.append(Plugin(Candidate("environment"), error=error))
    return Plugins(loader.manager, tuple(sorted(loaded, key=lambda plugin: plugin.name)))


def first_answer(
    layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str], hook: str, **arguments: Any
) -> Any:
    """The first answer to `hook` that is not None. Plugins are asked by name, the task repository's own first.

    Plugins after the one that answers are not imported, so neither `tryfirst` nor `trylast` counts. A broken plugin
    is passed over.

    :return: None if no plugin answers.
    :raises PluginError: no plugin answers and one is broken, or the hook failed.
    """
    loader = _Loader(layers, settings, block)
    asked: list[Plugin] = []
    for name in loader.found:
        asked.append(loader.load(name))
        plugins = Plugins(loader.manager, tuple(asked))
        for call in plugins.calls(hook):
            if call.plugin is asked[-1]:
                with loader.isolating(call.plugin.candidate, f"failed in {hook}", secrets=plugins.secrets):
                    answer = call(**arguments)
                if answer is not None:
                    return answer
    Plugins(loader.manager, tuple(asked)).require_sound()
    return None


class _Loader:
    """Imports, makes and registers plugins by name, each when it is asked for.

    `found` has the candidates of each name, in the order in which plugins are called.
    """

    def __init__(self, layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str]) -> None:
        self._layers = layers
        self._sections = layers.sections()
        self._blocked = dict.fromkeys(settings.disable, "disable") | {name: f"-p no:{name}" for name in block}
        self._own = OwnModules(layers.repository, settings.plugins.values())
        self._own.install()
        self.found = {name: [*same] for name, same in groupby(find_plugins(settings), key=lambda c: c.name)}
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)

    def load(self, name: str) -> Plugin:
        """The plugin of this name, or why it is not loaded."""
        candidate, *others = self.found[name]
        if name in self._blocked:
            return Plugin(candidate, blocked=True)
        if others:
            places = " and ".join(f"{twin.target} of {twin.provider}" for twin in (candidate, *others))
            return Plugin(
                candidate,
                error=PluginError(
                    f"There are two plugins named {name}: {places}.",
                    "Uninstall one, or rename the one of this repository.",
                ),
            )
        if candidate.group != GROUP:
            return Plugin(
                candidate,
                error=PluginError(
                    f"{candidate} stands in the entry-point group '{candidate.group}', where no plugin is looked for.",
                    f"Write the group as '{GROUP}' in its pyproject.toml and install it again.",
                ),
            )
        kind: type[BaseModel] | None = None
        settings: Resolved[BaseModel] | None = None
        try:
            found = self._import(candidate)
            kind = _settings_type(candidate, found)
            settings = self._settings(candidate, found, kind)
            made = self._make(candidate, found, settings)
            hooks = self._register(candidate, made)
        except LauncherError as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            return Plugin(candidate, settings_type=kind, settings=settings, error=error)
        return Plugin(candidate, made, kind, settings, hooks)

    def missing(self, settings: LauncherSettings) -> Iterator[Plugin]:
        """What the settings or the command line name or configure, but nothing provides."""
        named = dict.fromkeys(settings.required_steps, "required-steps") | self._blocked
        for name in sorted({*named, *self._sections} - self.found.keys()):
            meant = nearest(name, self.found)
            if name not in self._sections:
                sentence = f"There is no plugin named {name}, which {named[name]} asks for."
                hint = "See `aind-launch plugins list`."
            elif name not in self._blocked:
                origin = self._sections[name]
                who = "The command line" if origin == "command line" else origin
                sentence = f"{who} configures the plugin {name}, which is not installed."
                hint = f"Install what provides it, or add '{name}' to disable."
            else:
                continue  # it may be installed on other rigs and left out on this one
            yield Plugin(Candidate(name), error=PluginError(sentence, meant or hint))

    @contextmanager
    def isolating(
        self,
        candidate: Candidate,
        what: str,
        hint: str | None = None,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> Iterator[None]:
        """Turn what a plugin's own code raises into an error that names the plugin.

        :param what: what failed, as the verb of the sentence.
        :param secrets: asks for what must not be shown; a plugin may have to look for it.
        """
        try:
            yield
        except LauncherError:
            raise
        except (Exception, SystemExit) as error:
            told = Redactor(frozenset(secrets()))(f"{type(error).__name__}: {error}")
            told += line_of_error(error, candidate.target)
            of_import = self._own.hint(error.name) if isinstance(error, ModuleNotFoundError) else None
            hint = hint or f"Correct or reinstall it, or leave it out with -p no:{candidate.name}."
            raise PluginError(f"{candidate} {what}: {told}.", of_import or hint) from error

    def _import(self, candidate: Candidate) -> Any:
        with self.isolating(candidate, f"cannot be imported from {candidate.target}"):
            if candidate.distribution is None:
                self._own.refuse_another(candidate.name, candidate.target)
            # Not by the standard library's EntryPoint, which knows no folder with a hyphen.
            module, _, attribute = map(str.strip, candidate.target.partition(":"))
            found = import_module(module)
            for name in attribute.split(".") if attribute else ():
                if not hasattr(found, name):
                    raise PluginError(
                        f"{candidate} cannot be imported from {candidate.target}: {module} has no {name}.",
                        nearest(name, vars(found)) or "Correct its entry point, or the setting 'plugins'.",
                    )
                found = getattr(found, name)
            return found

    def _settings(self, candidate: Candidate, found: Any, kind: type[BaseModel] | None) -> Resolved[BaseModel] | None:
        if kind:
            return self._layers.plugin(candidate.name, kind)
        if candidate.name in self._sections:
            models = [name for name, value in vars(found).items() if _is_model(value)]
            raise PluginError(
                f"{candidate} has no class Settings, but {self._sections[candidate.name]} configures it.",
                f"Rename {models[0]} to Settings."
                if len(models) == 1
                else f"Remove the section [tool.aind-launcher.plugin.{candidate.name}], or give the plugin a class "
                "Settings(SettingsModel).",
            )
        return None

    def _make(self, candidate: Candidate, found: Any, settings: Resolved[BaseModel] | None) -> Any:
        """A module is a plugin as it is; a class is made with its settings.

        Instances are registered by the launcher: pluggy's own loader registers the class, whose first call fails.
        """
        if not inspect.isclass(found):
            return found
        arguments = (settings.settings,) if settings else ()
        hint = "A plugin class takes its Settings instance as only argument, or none where it has no Settings."
        with self.isolating(candidate, "cannot be made from its settings", hint, lambda: secrets_in(arguments)):
            return found(*arguments)

    def _register(self, candidate: Candidate, made: Any) -> tuple[str, ...]:
        """Register what was made, and look whether it fits.

        :return: the hooks that it implements, in the order of a session.
        """
        kinds = getattr(made, "transient_errors", ())
        if not isinstance(kinds, tuple) or not all(isinstance(k, type) and issubclass(k, Exception) for k in kinds):
            raise PluginError(
                f"{candidate} is broken: its transient_errors is not a tuple of exception types.",
                "Write it as (ConnectionError,).",
            )
        hooks = implemented_hooks(self.manager, made, str(candidate))
        try:
            self.manager.register(made, candidate.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"{candidate} does not fit its hooks: {' '.join(str(error).split())}.") from None
        return hooks


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _settings_type(candidate: Candidate, found: Any) -> type[BaseModel] | None:
    """The model of a plugin's settings, or None where it has none.

    :raises PluginError: what is named so is no model.
    """
    declared: type[BaseModel] | None = getattr(found, "Settings", None)
    if _is_model(declared):
        return declared
    if declared is not None and inspect.isclass(found):
        raise PluginError(
            f"{candidate} is broken: its Settings is no pydantic model.",
            "Give it the base aind_launcher.SettingsModel.",
        )
    return None


def _told_secrets(plugin: Any) -> object:
    try:
        told = plugin.secrets() if callable(getattr(plugin, "secrets", None)) else ()
        several = told if isinstance(told, list | tuple | set | frozenset) else [told]
    except Exception as error:  # isolates foreign code; what it cannot tell, it does not have
        kind, why = type(plugin).__name__, f"{type(error).__name__}: {error}"
        logger.warning("The secrets of %s cannot be asked for: %s", kind, why)
        return ()
    return [SecretStr(secret) if isinstance(secret, str) else secret for secret in several]
