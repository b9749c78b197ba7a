"""Importing what users name: Python files outside any package, and `module:attribute` references."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from agentllm.errors import ConfigurationError

_PACKAGE = "agentllm_agents_in"


def import_file(path: Path) -> ModuleType:
    """Import a Python file (or a package's `__init__.py`) of a folder of agents, once for each path.

    The folder becomes a package of its own, so that `from .helpers import …` works and two
    folders may hold files of one name; `import helpers` works too.

    Raises:
        ConfigurationError: the file's name is none of a module.
        Exception: whatever the file raises.
    """
    source = path.parent if path.name == "__init__.py" else path
    if "." in source.stem:
        raise ConfigurationError(f"{source.name!r} cannot be imported: a module's name has no dot")
    package = _package_of(source.parent)
    return importlib.import_module(f"{package}.{source.stem}")


def _package_of(folder: Path) -> str:
    name = f"{_PACKAGE}_{folder.as_posix().encode().hex()}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return name


def import_object(reference: str, *, beside: Path | None = None) -> object:
    """The object that `module:attribute` (or `module.attribute`) names.

    Args:
        beside: a folder in which `module` is looked for first, as a file.

    Raises:
        ConfigurationError: the reference has no such form, or the module no such attribute.
        Exception: whatever importing the module raises.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon:
        module_name, _, attribute = reference.rpartition(".")
    if not module_name or not attribute:
        raise ConfigurationError(f"{reference!r} is not of the form module:attribute")
    module = _import_module(module_name, beside)
    if not hasattr(module, attribute):
        raise ConfigurationError(f"the module {module_name!r} has no {attribute!r}")
    found: object = getattr(module, attribute)
    return found


def _import_module(name: str, beside: Path | None) -> ModuleType:
    if beside is not None:
        base = beside.joinpath(*name.split("."))
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return import_file(path)
    return importlib.import_module(name)
