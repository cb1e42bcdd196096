"""The hooks that a plugin implements, and the mistakes that its author can make in them."""

import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pluggy

from aind_launcher import hookspecs
from aind_launcher.errors import PluginError, nearest
from aind_launcher.own_modules import top_level

_Parameter = inspect.Parameter
_POSITIONAL = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
# Hooks by name, in the order of a session.
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "aind_launcher_spec")}


def implemented_hooks(manager: pluggy.PluginManager, plugin: Any, who: str) -> tuple[str, ...]:
    """The hooks that `plugin` implements, in the order of a session.

    :param who: names the plugin in a sentence.
    :raises PluginError: an implementation would fail, or would never be called.
    """
    names = set()
    for name, method in _functions(plugin):
        options: dict[str, Any] | None = manager.parse_hookimpl_opts(plugin, name)  # type: ignore[assignment]
        if options is None:
            if name in HOOKS and _is_of(plugin, method):
                raise PluginError(
                    f"{who} is broken: its {name} is not marked, so it would never be called{_line_of(method)}.",
                    "Write @hookimpl above it, or give it another name.",
                )
            continue
        hook = options["specname"] or name
        names.add(hook)
        if hook in HOOKS:
            _refuse_misfit(method, hook, who)
        elif not options["optionalhook"]:
            raise PluginError(
                f"{who} implements the hook {hook}, which does not exist{_line_of(method)}.",
                nearest(hook, HOOKS) or f"Hooks: {', '.join(sorted(HOOKS))}.",
            )
        if options["wrapper"] or options["hookwrapper"]:
            raise PluginError(
                f"{who} wraps {hook}; wrappers are refused, since each plugin is called on its own{_line_of(method)}.",
                "Use tryfirst or trylast, or results of earlier steps in session.results.",
            )
    if not names & HOOKS.keys():
        raise PluginError(f"{who} implements no hook.", "Mark its functions with @aind_launcher.hookimpl.")
    return tuple(hook for hook in HOOKS if hook in names)


def line_of_error(error: BaseException, target: str) -> str:
    """Where in the code of the plugin `target` an error came from, as `` (my_task/launcher.py:12)``; else empty."""
    own = top_level(target)
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] == own != __package__:
            return _line(module, frame.f_code.co_filename, line)
    return ""


def _functions(plugin: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What `plugin` can be called for; its properties are not asked."""
    for name, _ in inspect.getmembers_static(plugin, inspect.isroutine):
        method = getattr(plugin, name)
        if hasattr(inspect.unwrap(_plain(method)), "__code__"):
            yield name, method


def _refuse_misfit(method: Callable[..., Any], hook: str, who: str) -> None:
    """Refuse an implementation that cannot be called with the hook's arguments.

    :raises PluginError: says which argument is wrong, and in which line.
    """
    known = _arguments_of(hook)
    parameters = list(inspect.signature(_plain(method)).parameters.values())
    if inspect.ismethod(method) and not (parameters and parameters[0].kind is _Parameter.VAR_POSITIONAL):
        if not parameters or parameters[0].kind not in _POSITIONAL or parameters[0].name in known:
            raise PluginError(
                f"{who} is broken: its {hook} lacks `self`{_line_of(method)}.",
                "Write `self` before its other arguments, or make it a staticmethod.",
            )
        del parameters[0]
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise PluginError(
            f"{who} is broken: its {hook} is a coroutine{_line_of(method)}, which nobody awaits.",
            "Write `def` in the place of `async def`; `asyncio.run` runs a coroutine inside it.",
        )
    for parameter in parameters:
        if parameter.kind in (_Parameter.VAR_POSITIONAL, _Parameter.POSITIONAL_ONLY):
            raise PluginError(
                f"{who} takes {parameter} in {hook}{_line_of(method)}, but arguments are passed by their names.",
                f"Name those that it wants ({' and '.join(known)}); a decorator needs functools.wraps.",
            )
        # One with a default may be the plugin's own, unless its name is nearly right.
        meant = nearest(parameter.name, known)
        is_own = parameter.kind is _Parameter.VAR_KEYWORD or (parameter.default is not parameter.empty and not meant)
        if parameter.name not in known and not is_own:
            valid = f"It may take {' and '.join(known)}."
            raise PluginError(
                f"{who} takes {parameter.name} in {hook}, which has no such argument{_line_of(method)}.",
                f"{meant} {valid}" if meant else valid,
            )


def arguments_taken(function: Callable[..., Any], hook: str) -> tuple[str, ...]:
    """The names of those arguments of `hook` that `function` can be called with; all of them for ``**named``."""
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is _Parameter.VAR_KEYWORD for parameter in parameters.values())
    return tuple(name for name in _arguments_of(hook) if takes_all or name in parameters)


def _arguments_of(hook: str) -> list[str]:
    return list(inspect.signature(HOOKS[hook]).parameters)


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__func__", method)


def _is_of(plugin: Any, method: Callable[..., Any]) -> bool:
    """Whether `method` was written for `plugin`; a module also has what it imports."""
    return not inspect.ismodule(plugin) or method.__module__ == plugin.__name__


def _line_of(method: Callable[..., Any]) -> str:
    code = inspect.unwrap(_plain(method)).__code__
    return _line(method.__module__, code.co_filename, code.co_firstlineno)


def _line(module: str, file: str, line: int) -> str:
    path = Path(file)
    parts = module.count(".") + (2 if path.name == "__init__.py" else 1)
    return f" ({'/'.join(path.parts[-parts:])}:{line})"
