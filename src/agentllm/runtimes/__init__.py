"""Runtimes: one for each agent framework, chosen by what an agent is an object of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeGuard

from agentllm.core import Runtime
from agentllm.errors import ConfigurationError

_AGNO_AGENTS = frozenset({"Agent", "Team", "Workflow"})


def runtime_for(agent: object) -> Runtime:
    """The runtime that runs `agent`.

    Raises:
        ConfigurationError: it is not an agent of a framework that is known here.
    """
    if not is_agent(agent):
        raise ConfigurationError(
            f"a {type(agent).__name__} is not an agent; it must be an Agno Agent, Team or Workflow"
        )
    from agentllm.runtimes.agno import AgnoRuntime

    return AgnoRuntime(agent)  # type: ignore[arg-type]  # is_agent says so, without importing Agno


def is_agent(value: object) -> bool:
    """Whether `value` is an agent of a framework that is known here; imports no framework."""
    return _is_agent_class(type(value))


def is_agent_function(value: object) -> TypeGuard[Callable[[], object]]:
    """Whether `value` is a function that says that it returns an agent and needs no argument."""
    if not inspect.isfunction(value):
        return False
    try:
        signature = inspect.signature(value, eval_str=True)
    except Exception:  # an annotation that only a type checker can resolve
        signature = inspect.signature(value)
    needs_arguments = any(
        parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in signature.parameters.values()
    )
    return not needs_arguments and _names_agent_class(signature.return_annotation)


def _names_agent_class(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] in _AGNO_AGENTS
    return isinstance(annotation, type) and _is_agent_class(annotation)


def _is_agent_class(cls: type) -> bool:
    return any(base.__name__ in _AGNO_AGENTS and base.__module__.split(".")[0] == "agno" for base in cls.__mro__)
