"""Where agents are looked for: folders of Python files, YAML files, entry points, this package."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from agentllm.catalog.loading import import_file, import_object
from agentllm.catalog.yaml_agents import agents_in_yaml
from agentllm.errors import ConfigurationError
from agentllm.runtimes import is_agent, is_agent_function, is_of_adk
from agentllm.settings import Settings

log = logging.getLogger("agentllm.catalog")

ENTRY_POINT_GROUP = "agentllm.agents"

SHIPPED = {
    "demo": "agentllm.agents.demo:demo",
    "assistant": "agentllm.agents.assistant:assistant",
    "release-manager": "agentllm.agents.release_manager:release_manager",
}


ROOT_AGENT = "root_agent"
"""What ADK has the agent of a module called that it serves; the module's others work for that one."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: `load` gives an agent or a function that returns one.

    `file` is where it is written, None for an entry point; `place` says it for people. `named`
    says that `name` was given to the agent, and is not only what its function is called.
    """

    name: str
    place: str
    load: Callable[[], object]
    file: Path | None = None
    description: str | None = None
    named: bool = False

    def place_of(self, error: BaseException) -> str:
        """Where `error` arose: the innermost line of the agent's own file, else `place`."""
        if self.file is None:
            return self.place
        if isinstance(error, SyntaxError) and error.filename == str(self.file):
            return f"{self.file}:{error.lineno}"
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(self.file)]
        return f"{self.file}:{lines[-1]}" if lines else self.place


def discover(settings: Settings) -> Iterator[Iterable[Found]]:
    """What is found, one group for each level of precedence, the highest first.

    Raises:
        ConfigurationError: a path of `AGENTLLM_AGENTS` is neither a folder nor a YAML file.
    """
    yield [found for path in _places(settings) for found in _in_path(path)]
    yield [
        Found(point.name, f"entry point {point.name} = {point.value}", point.load, named=True)
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    ]
    yield [Found(name, reference, partial(import_object, reference)) for name, reference in SHIPPED.items()]


def _places(settings: Settings) -> Iterable[Path]:
    if settings.agents is None:
        return [path for path in (Path("agents"), Path("agents.yaml")) if path.exists()]
    return settings.agents


def _in_path(path: Path) -> Iterator[Found]:
    if path.is_dir():
        yield from _in_folder(path.resolve())
    elif path.is_file() and path.suffix in {".yaml", ".yml"}:
        yield from _in_yaml(path.resolve())
    else:
        raise ConfigurationError(
            f"AGENTLLM_AGENTS names {str(path)!r}, which is neither a folder nor a .yaml file that exists."
        )


def _in_yaml(path: Path) -> Iterable[Found]:
    try:
        return [
            Found(a.name, f"{path}:{a.line}", a.load, description=a.description, named=True)
            for a in agents_in_yaml(path)
        ]
    except ConfigurationError as error:
        return [Found(path.stem, str(path), partial(_reraise, error))]


def _in_folder(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py":
            yield from _in_file(path)
        elif (path / "__init__.py").is_file():
            yield from _in_file(path / "__init__.py")


def _in_file(path: Path) -> Iterable[Found]:
    name = path.parent.name if path.name == "__init__.py" else path.stem
    try:
        module = import_file(path)
        if (root := _root_of(module, path)) is not None:
            return [Found(name, str(path), partial(getattr, root, ROOT_AGENT), path)]
        found = [Found(key, str(path), partial(getattr, module, key), path) for key in _agents_of(module)]
    except (Exception, SystemExit) as error:
        return [Found(name, str(path), partial(_reraise, error), path)]
    if not found:
        log.warning("no agent in %s: neither an agent nor a function that is annotated to return one", path)
    return found


def _root_of(module: ModuleType, path: Path) -> ModuleType | None:
    """The module of ADK's `root_agent`: this one, or `agent` in the package that it is; None where there is none."""
    if is_of_adk(getattr(module, ROOT_AGENT, None)):
        return module
    if path.name != "__init__.py" or not path.with_name("agent.py").is_file() or any(_agents_of(module)):
        return None
    inner = importlib.import_module(f"{module.__name__}.agent")
    return inner if is_of_adk(getattr(inner, ROOT_AGENT, None)) else None


def _agents_of(module: ModuleType) -> Iterator[str]:
    seen: set[int] = set()
    for name in getattr(module, "__all__", None) or vars(module):
        value = getattr(module, name)
        own = is_agent(value) or (_is_of(module, value) and is_agent_function(value))
        if own and not name.startswith("_") and id(value) not in seen:
            seen.add(id(value))
            yield name


def _is_of(module: ModuleType, value: object) -> bool:
    """Whether `value` was written in `module`, or in a module of the package that it is."""
    written_in = str(getattr(value, "__module__", ""))
    return written_in == module.__name__ or written_in.startswith(f"{module.__name__}.")


def _reraise(error: BaseException) -> object:
    raise error
