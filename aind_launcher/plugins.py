"""Finds, loads, blocks and orders plugins."""

import difflib
import importlib
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from pydantic import BaseModel

from aind_launcher import hookspecs
from aind_launcher.errors import LauncherError, PluginError
from aind_launcher.own_modules import OwnModules
from aind_launcher.settings.environment import refuse_unknown_sections
from aind_launcher.settings.layers import LauncherSettings, Resolved, SettingsLayers
from aind_launcher.system.inherited import acquisition_environment
from aind_launcher.system.redaction import Redactor, secrets_in

logger = logging.getLogger(__name__)

GROUP = "aind_launcher"


@dataclass(frozen=True)
class Candidate:
    """A plugin that was found but not imported.

    :param target: ``module`` or ``module:object``.
    :param distribution: what provides it; None for one of the task repository's own tree.
    """

    name: str
    target: str
    distribution: str | None
    version: str | None

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}" if self.distribution else "this repository"


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

    :param environment: what the hook `run_session` may pass on to a program.
    """

    plugin: Plugin
    implementation: pluggy.HookImpl
    environment: Mapping[str, str]

    def __call__(self, **arguments: Any) -> Any:
        """Call it with those of `arguments` that it takes, and with `environment` where it takes that."""
        given = {"environment": self.environment, **arguments}
        return self.implementation.function(*(given[name] for name in self.implementation.argnames))


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
            environment = acquisition_environment(os.environ, Redactor(self.secrets()))
        return tuple(Call(by_name[found.plugin_name], found, environment) for found in reversed(implementations))

    def problems(self) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.all if plugin.error)

    def require_sound(self) -> None:
        """Refuse to go on with a broken, missing or duplicate plugin.

        :raises PluginError: naming all of them. An operator must not find out after the session.
        """
        match self.problems():
            case ():
                return
            case (only,) if only.error:
                raise only.error
            case several:
                raise PluginError(
                    f"{len(several)} plugins are broken:\n" + "\n".join(f"  {plugin.error}" for plugin in several)
                )

    def secrets(self) -> frozenset[str]:
        """Every secret value that plugins have, so that none reaches a log or the journal.

        Those of their settings, and those that a plugin got elsewhere and tells with a method ``secrets()``.
        """
        in_settings = [plugin.settings.settings for plugin in self.all if plugin.settings]
        return frozenset(secrets_in([in_settings, [_told_secrets(plugin.object) for plugin in self.all]]))


def find_plugins(settings: LauncherSettings) -> tuple[Candidate, ...]:
    """What is installed or registered by the task repository; nothing is imported."""
    installed = [
        Candidate(point.name, point.value, point.dist.name if point.dist else None, _version(point))
        for point in entry_points(group=GROUP)
    ]
    own = [Candidate(name, target, None, None) for name, target in settings.plugins.items()]
    return tuple(sorted({*installed, *own}, key=lambda c: (c.name, c.target)))


def load_plugins(layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str] = ()) -> Plugins:
    """Import and register every plugin that is not blocked. Never raises for a plugin: see `Plugins.problems`."""
    block = tuple(block)
    found = _in_order(find_plugins(settings))
    load = _loader(layers, settings, block)
    manager = _manager()
    # Plugins registered last are called first.
    loaded = [load(candidates, manager) for candidates in reversed(found)]
    known = {candidates[0].name for candidates in found}
    blocked = {*settings.disable, *block}
    loaded += [
        Plugin(Candidate(name, "", None, None), error=_not_installed(name, origin, known))
        for name, origin in layers.sections().items()
        if name not in known | blocked
    ]
    loaded += [
        Plugin(Candidate(name, "", None, None), error=_unknown_name(name, where, known))
        for name, where in sorted(_named(settings, block).items())
        if name not in known
    ]
    _check_variables(loaded)
    return Plugins(manager, tuple(sorted(loaded, key=lambda plugin: plugin.name)))


def first_answer(
    layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str], hook: str, **arguments: Any
) -> Any:
    """The first answer to `hook` that is not None. Plugins are asked by name, the task repository's own first.

    Plugins after the one that answers are not imported, so neither `tryfirst` nor `trylast` counts. A broken plugin
    is passed over.

    :return: None if no plugin answers.
    :raises PluginError: no plugin answers and one is broken, or the hook failed.
    """
    load = _loader(layers, settings, block)
    asked: list[Plugin] = []
    for candidates in _in_order(find_plugins(settings)):
        manager = _manager()
        asked.append(load(candidates, manager))
        for call in Plugins(manager, (asked[-1],)).calls(hook):
            try:
                answer = call(**arguments)
            except LauncherError:
                raise
            except Exception as error:  # isolates foreign code
                plugin = call.plugin.candidate
                reason = Redactor(Plugins(manager, (asked[-1],)).secrets())(f"{type(error).__name__}: {error}")
                raise PluginError(
                    f"Plugin {plugin.name} ({plugin.provider}) failed in {hook}: {reason}.",
                    f"Correct it, or leave it out with -p no:{plugin.name}.",
                ) from error
            if answer is not None:
                return answer
    Plugins(_manager(), tuple(asked)).require_sound()
    return None


def _in_order(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """In the order in which they are called, candidates of one name together."""
    by_name: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate.name, []).append(candidate)
    return sorted(by_name.values(), key=lambda same: (same[0].distribution is not None, same[0].name))


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _loader(
    layers: SettingsLayers, settings: LauncherSettings, block: Iterable[str]
) -> Callable[[list[Candidate], pluggy.PluginManager], Plugin]:
    """What imports and registers the only candidate of a name, unless it is blocked."""
    blocked = {*settings.disable, *block}
    own = OwnModules(layers.repository, settings.plugins.values())
    own.install()

    def load(candidates: list[Candidate], manager: pluggy.PluginManager) -> Plugin:
        if candidates[0].name in blocked:
            return Plugin(candidates[0], blocked=True)
        if len(candidates) > 1:
            return Plugin(candidates[0], error=_duplicate(candidates))
        return _load(candidates[0], layers, manager, own)

    return load


def _load(candidate: Candidate, layers: SettingsLayers, manager: pluggy.PluginManager, own: OwnModules) -> Plugin:
    settings_type: type[BaseModel] | None = None
    settings: Resolved[BaseModel] | None = None
    try:
        found = _imported(candidate, own)
        declared = getattr(found, "Settings", None)
        settings_type = declared if isinstance(declared, type) and issubclass(declared, BaseModel) else None
        if settings_type:
            settings = layers.plugin(candidate.name, settings_type)
        elif layers.sections().get(candidate.name):
            raise PluginError(
                f"Plugin {candidate.name} ({candidate.provider}) has no settings, but "
                f"{layers.sections()[candidate.name]} configures it.",
                f"Remove the section [tool.aind-launcher.plugin.{candidate.name}].",
            )
        registered = _instance(found, settings)
        hooks = _register(candidate, registered, manager)
    except LauncherError as error:
        return Plugin(candidate, settings_type=settings_type, settings=settings, error=error)
    return Plugin(candidate, registered, settings_type, settings, hooks)


def _imported(candidate: Candidate, own: OwnModules) -> Any:
    module, _, attribute = candidate.target.partition(":")
    try:
        if candidate.distribution is None:
            own.refuse_another(candidate.name, candidate.target)
        found = importlib.import_module(module.strip())
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part.strip())
        return found
    except LauncherError:
        raise
    except (Exception, SystemExit) as error:  # isolates the import of foreign code
        raise PluginError(
            f"Plugin {candidate.name} ({candidate.provider}) cannot be imported from {candidate.target}: "
            f"{type(error).__name__}: {error}.",
            (own.hint(error.name) if isinstance(error, ModuleNotFoundError) else None)
            or f"Correct or reinstall it, or leave it out with -p no:{candidate.name}.",
        ) from error


def _instance(found: Any, settings: Resolved[BaseModel] | None) -> Any:
    """A module is a plugin as it is; a class is made with its settings.

    Instances are registered by the launcher: pluggy's own loader registers the class, whose first hook call fails.
    """
    if not inspect.isclass(found):
        return found
    try:
        make: Callable[..., Any] = found
        return make(settings.settings) if settings else make()
    except LauncherError:
        raise
    except Exception as error:  # isolates foreign code
        redact = Redactor(frozenset(secrets_in(settings.settings) if settings else ()))
        raise PluginError(
            f"Plugin {found.__module__}.{found.__qualname__} cannot be made from its settings: "
            f"{type(error).__name__}: {redact(str(error))}.",
            "A plugin class takes its Settings instance as only argument, or none where it has no Settings.",
        ) from error


def _register(candidate: Candidate, registered: Any, manager: pluggy.PluginManager) -> tuple[str, ...]:
    known = {name for name in vars(hookspecs) if not name.startswith("_") and callable(getattr(hookspecs, name))}
    known &= {name for name in dir(manager.hook) if not name.startswith("_")}
    hooks: list[str] = []
    for name in dir(registered):
        options = manager.parse_hookimpl_opts(registered, name)
        if options is None:
            continue
        hook = options.get("specname") or name
        if hook not in known:
            if options.get("optionalhook"):
                continue
            close = difflib.get_close_matches(hook, sorted(known), n=1)
            raise PluginError(
                f"Plugin {candidate.name} ({candidate.provider}) implements the hook {hook}, which does not exist.",
                f"Did you mean {close[0]}?" if close else f"Hooks: {', '.join(sorted(known))}.",
            )
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(
                f"Plugin {candidate.name} ({candidate.provider}) wraps {hook}; wrappers are refused, since each "
                "plugin is called on its own.",
                "Use tryfirst or trylast, or results of earlier steps in session.results.",
            )
        hooks.append(hook)
    declared = getattr(registered, "transient_errors", ())
    if not isinstance(declared, tuple) or not all(isinstance(k, type) and issubclass(k, Exception) for k in declared):
        raise PluginError(
            f"transient_errors of plugin {candidate.name} ({candidate.provider}) is not a tuple of exception types.",
            "Write it as (ConnectionError,).",
        )
    if not hooks:
        raise PluginError(
            f"Plugin {candidate.name} ({candidate.provider}) implements no hook.",
            "Mark its functions with @aind_launcher.hookimpl.",
        )
    try:
        manager.register(registered, candidate.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PluginError(f"Plugin {candidate.name} ({candidate.provider}) does not fit its hooks: {reason}.") from None
    return tuple(hook for hook in vars(hookspecs) if hook in hooks)


def _duplicate(twins: list[Candidate]) -> PluginError:
    places = " and ".join(f"{twin.target} of {twin.provider}" for twin in twins)
    return PluginError(
        f"There are two plugins named {twins[0].name}: {places}.",
        "Uninstall one, or rename the one of this repository.",
    )


def _not_installed(name: str, origin: str, known: set[str]) -> PluginError:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    who = "The command line" if origin == "command line" else origin
    return PluginError(
        f"{who} configures the plugin {name}, which is not installed.",
        f"Did you mean {close[0]}?" if close else f"Install what provides it, or add '{name}' to disable.",
    )


def _named(settings: LauncherSettings, block: Iterable[str]) -> dict[str, str]:
    """The plugins that are only named, and where."""
    required = dict.fromkeys(settings.required_steps, "required-steps")
    return required | dict.fromkeys(settings.disable, "disable") | {name: f"-p no:{name}" for name in block}


def _unknown_name(name: str, where: str, known: set[str]) -> PluginError:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return PluginError(
        f"There is no plugin named {name}, which {where} asks for.",
        f"Did you mean {close[0]}?" if close else "See `aind-launch plugins list`.",
    )


def _check_variables(loaded: list[Plugin]) -> None:
    """Add a problem where the environment sets what no plugin has."""
    # A plugin that did not load cannot say what it has; its own error comes first.
    if any(plugin.error and plugin.settings_type is None and plugin.candidate.target for plugin in loaded):
        return
    sections: Mapping[str, type[BaseModel] | None] = {plugin.name: plugin.settings_type for plugin in loaded}
    blocked = tuple(f"AIND_LAUNCHER_PLUGIN__{p.name.replace('-', '_').upper()}__" for p in loaded if p.blocked)
    environ = {key: value for key, value in os.environ.items() if not (blocked and key.upper().startswith(blocked))}
    try:
        refuse_unknown_sections(environ, sections)
    except LauncherError as error:
        loaded.append(Plugin(Candidate("environment", "", None, None), error=error))


def _told_secrets(plugin: Any) -> object:
    try:
        return plugin.secrets() if callable(getattr(plugin, "secrets", None)) else ()
    except Exception:  # isolates foreign code; what it cannot tell, it does not have
        logger.warning("the secrets of %s cannot be asked for", type(plugin).__name__, exc_info=True)
        return ()


def _version(point: EntryPoint) -> str | None:
    return point.dist.version if point.dist else None
