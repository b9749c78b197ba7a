"""Agents that need no code: `agents.yaml`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentllm.catalog.loading import import_object
from agentllm.errors import ConfigurationError
from agentllm.settings import MOST_HISTORY_TURNS


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class AgentDefinition(BaseModel):
    """What an entry of `agents.yaml` may say; anything else in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    description: str | None = None
    model: str | None = None
    """A model_name of `proxy_config.yaml` or any LiteLLM model; None is the default model."""
    instructions: Strings = ()
    tools: Strings = ()
    """Toolkit classes or functions, each as `module.attribute` or `module:attribute`."""
    tags: Strings = ()
    suggestion_prompts: Strings = ()
    """What front ends offer to begin a conversation with."""
    history_turns: Annotated[int, Field(ge=1, le=MOST_HISTORY_TURNS)] | None = None
    """Turns of a conversation that the agent is given again; None leaves it to `AGENTLLM_HISTORY_TURNS`."""
    front_end_tools: bool = False
    """Whether the agent is offered the tools that Open WebUI adds to every request, and not its `ask_user` alone."""


@dataclass(frozen=True, slots=True)
class YamlAgent:
    """One entry: `load` gives the agent or a function that returns it."""

    name: str
    line: int
    load: Callable[[], object]
    description: str | None


def agents_in_yaml(path: Path) -> Iterator[YamlAgent]:
    """The agents of a YAML file, each with its line; an entry that is wrong fails when it is loaded.

    Raises:
        ConfigurationError: the file cannot be read as a mapping with one key, `agents`.
    """
    for key, value in _entries(path):
        name, line = str(key.value), key.start_mark.line + 1
        try:
            entry = yaml.SafeLoader("").construct_object(value, deep=True)
            if isinstance(entry, str):
                yield YamlAgent(name, line, partial(import_object, entry, beside=path.parent), None)
                continue
            definition = AgentDefinition.model_validate(entry)
        except Exception as error:
            cause = _explained(error) if isinstance(error, ValidationError) else error
            yield YamlAgent(name, line, partial(_reraise, cause), None)
            continue
        yield YamlAgent(name, line, partial(build_agent, name, definition, path.parent), definition.description)


def _entries(path: Path) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode) or [key.value for key, _ in root.value] != ["agents"]:
        raise ConfigurationError(f"{path} must hold one key, 'agents', with an entry for each agent")
    agents = root.value[0][1]
    if not isinstance(agents, yaml.MappingNode):
        raise ConfigurationError(f"{path}: 'agents' must be a mapping from names to agents")
    return list(agents.value)


def build_agent(name: str, definition: AgentDefinition, folder: Path) -> object:
    """The Agno agent that `definition` describes; its tools are looked for in `folder` too.

    Raises:
        ConfigurationError: a tool cannot be found.
    """
    from agentllm.runtimes.agno import make_agent

    tools = [_tool(reference, folder) for reference in definition.tools]
    return make_agent(
        name,
        model=definition.model,
        instructions=definition.instructions,
        tools=tools,
        tags=definition.tags,
        suggestion_prompts=definition.suggestion_prompts,
        history_turns=definition.history_turns,
        front_end_tools=definition.front_end_tools,
    )


def _tool(reference: str, folder: Path) -> object:
    tool = import_object(reference, beside=folder)
    return tool() if inspect.isclass(tool) else tool


def _explained(error: ValidationError) -> ConfigurationError:
    problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
    return ConfigurationError("; ".join(problems))


def _reraise(error: Exception) -> object:
    raise error
