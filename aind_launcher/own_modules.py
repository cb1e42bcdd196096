"""The modules of the task repository's own plugins: found from its root, without hiding any other module.

The root is never on the search path. There, a file such as ``queue.py`` would take the place of the module of that
name, also where git is told to overlook the file and the record of the session therefore says *clean*.
"""

import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from aind_launcher.errors import PluginError, nearest


class OwnModules(MetaPathFinder):
    """Finds the files and packages in the root that the setting `plugins` names; asked after all other finders."""

    def __init__(self, repository: Path, targets: Iterable[str]) -> None:
        """:param targets: as in the settings, ``module:object``."""
        self._repository = repository.resolve()
        self._names = {top_level(target) for target in targets}

    def install(self) -> None:
        """Take part in imports from now on, in the place of an earlier one."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, OwnModules)] + [self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = self._in_root(fullname) if fullname in self._names else None
        if spec and spec.loader is None:
            # A folder without __init__.py; Python would look for it anew on the search path.
            places = list(spec.submodule_search_locations or ())
            spec = ModuleSpec(fullname, _FolderLoader(fullname, str(Path(places[0], "__init__.py"))), is_package=True)
            spec.submodule_search_locations = places
        return spec

    def refuse_another(self, plugin: str, target: str) -> None:
        """Refuse a plugin whose module in the root is hidden by another that is found before it.

        :raises PluginError: names both.
        """
        name = top_level(target)
        own = self._in_root(name)
        # A folder of that name that does not have the module is none of Python's.
        if own is None or self._in_root(target.partition(":")[0].strip()) is None:
            return
        expected = [own.origin] if own.has_location and own.origin else [*(own.submodule_search_locations or ())]
        found = places_of(importlib.import_module(name))
        if {Path(place).resolve() for place in expected} & {Path(place).resolve() for place in found}:
            return
        raise PluginError(
            f"Plugin {plugin} (this repository) was not imported, because another module is named {name} too: "
            f"{', '.join(found) or 'one of Python itself'}.",
            f"Rename {', '.join(expected)} and correct the setting 'plugins'.",
        )

    def hint(self, missing: str | None) -> str | None:
        """What to do where a plugin imports `missing`, which lies in the root but is not named; else None."""
        name = top_level(missing or "")
        if not name:
            return None
        own = self._in_root(name)
        if own is None:
            return nearest(name, _modules_in([self._repository])) if name in self._names else None
        if name in self._names:
            beside = _modules_in(map(Path, own.submodule_search_locations or ()))
            meant = nearest(str(missing), [f"{name}.{other}" for other in beside])
            return meant or f"Correct the setting 'plugins' or the import: {name} is found, but has no such module."
        return (
            f"{name} lies in the repository's root, where only what the setting 'plugins' names is found. Put it and "
            f"the plugin into one folder and import it from there, as in `from my_task import {name}`."
        )

    def _in_root(self, module: str) -> ModuleSpec | None:
        """The module that the root has by this dotted name, whether or not a plugin may import it."""
        spec, places = None, [str(self._repository)]
        for name in accumulate(module.split("."), "{}.{}".format):
            spec = PathFinder.find_spec(name, places)
            if spec is None:
                return None
            places = list(spec.submodule_search_locations or ())
        return spec


class _FolderLoader(SourceFileLoader):
    """Of a folder without __init__.py: nothing is run, and `importlib.resources` finds its files."""

    def exec_module(self, module: ModuleType) -> None:
        pass


def _modules_in(folders: Iterable[Path]) -> list[str]:
    """The names that could be imported from `folders`."""
    found = [entry for folder in folders for entry in folder.iterdir()]
    return [entry.stem for entry in found if entry.suffix == ".py" or entry.is_dir()]


def places_of(module: ModuleType) -> list[str]:
    """The file of `module`, and the folders of one that is a package."""
    file = getattr(module, "__file__", None)
    return [*([file] if file else []), *getattr(module, "__path__", ())]


def top_level(target: str) -> str:
    """The first part of the module's name in ``module:object``."""
    return target.partition(":")[0].partition(".")[0].strip()
