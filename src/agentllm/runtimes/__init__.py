"""Runtimes: one for each agent framework, chosen by what an agent is an object of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, runtime_checkable

from agentllm.core import Card, Family, Runtime
from agentllm.errors import ConfigurationError

_AGNO_AGENTS = frozenset({"Agent", "Team", "Workflow"})
_ADAPTERS = frozenset(
    {"AgentProtocol", "AntigravityAgent", "ClaudeAgent", "CodexAgent", "DSPyAgent", "LangGraphAgent", "RemoteAgent"}
)
"""Agno's names for agents of other frameworks, for annotations that only a type checker can resolve."""
_ADK_AGENTS = frozenset({"BaseAgent", "LlmAgent", "SequentialAgent", "ParallelAgent", "LoopAgent"})
"""ADK's names for its agents, for the same; its `Agent` is called as Agno's is."""

ADK_MISSING = "Agents of ADK need an extra: `pip install 'agentllm[adk]'`."

_UNIFIED = "UnifiedAgent"


@runtime_checkable
class _AgentProtocol(Protocol):
    """Agno's agent protocol, which its adapters of other frameworks follow, told without importing Agno."""

    @property
    def id(self) -> str | None: ...

    @property
    def name(self) -> str | None: ...

    def arun(self, input: Any, **kwargs: Any) -> Any: ...  # noqa: A002 - the protocol's own name


def runtime_for(agent: object) -> Runtime:
    """The runtime that runs `agent`.

    Raises:
        ConfigurationError: it is not an agent of a framework that is known here.
    """
    if not is_agent(agent):
        raise ConfigurationError(
            f"a {type(agent).__name__} is not an agent; it must be an Agno Agent, Team or Workflow, "
            "follow Agno's AgentProtocol with id, name and arun, or be an agent of ADK or a UnifiedAgent"
        )
    if _is_unified_class(type(agent)):
        from agentllm.runtimes.unified import UnifiedRuntime

        return UnifiedRuntime(agent)  # type: ignore[arg-type]  # its class says so, without importing it
    if _is_adk_class(type(agent)):
        from agentllm.runtimes.adk import AdkRuntime

        return AdkRuntime(agent)  # type: ignore[arg-type]  # its class says so, without importing ADK
    if _is_agno_class(type(agent)):
        from agentllm.runtimes.agno import AgnoRuntime

        return AgnoRuntime(agent)  # type: ignore[arg-type]  # its class says so, without importing Agno
    from agentllm.runtimes.agno.external import ExternalRuntime

    return ExternalRuntime(agent)  # type: ignore[arg-type]  # is_agent says so, without importing Agno


def card_for(agent: object) -> Card:
    """What model lists show of an agent that `runtime_for` takes.

    Raises:
        ConfigurationError: what it says of itself cannot be shown.
    """
    if is_of_adk(agent):
        return Card(title=str(agent.name))  # type: ignore[attr-defined]  # ADK's agents have names
    if not _is_agno_class(type(agent)):
        return Card(title=runtime_for(agent).name)
    from agentllm.runtimes.agno.card import card_of

    return card_of(agent)  # type: ignore[arg-type]  # its class says so, without importing Agno


def family_of(agent: object) -> Family:
    """The family of an agent that `runtime_for` takes."""
    if _is_unified_class(type(agent)):
        return "litellm"
    return "adk" if _is_adk_class(type(agent)) else "agno"


def is_of_adk(value: object) -> bool:
    """Whether `value` is an agent of ADK; imports nothing."""
    return _is_adk_class(type(value))


def is_agent(value: object) -> bool:
    """Whether `value` is an agent of a framework that is known here; imports no framework."""
    cls = type(value)
    if _is_agent_class(cls):
        return True
    # Only what has an `arun` is looked at any closer, as that may run code of its own.
    return "arun" in _declared(cls) and isinstance(value, _AgentProtocol)


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
        return annotation.rpartition(".")[2] in _AGNO_AGENTS | _ADAPTERS | _ADK_AGENTS | {_UNIFIED}
    return isinstance(annotation, type) and _is_agent_class(annotation)


def _is_agent_class(cls: type) -> bool:
    return (
        _is_agno_class(cls) or _is_adk_class(cls) or _is_unified_class(cls) or {"id", "name", "arun"} <= _declared(cls)
    )


def _is_agno_class(cls: type) -> bool:
    return any(base.__name__ in _AGNO_AGENTS and base.__module__.split(".")[0] == "agno" for base in cls.__mro__)


def _is_unified_class(cls: type) -> bool:
    return any(base.__name__ == _UNIFIED and base.__module__ == "agentllm.llm.unified.agent" for base in cls.__mro__)


def _is_adk_class(cls: type) -> bool:
    return any(base.__name__ == "BaseAgent" and base.__module__.startswith("google.adk.") for base in cls.__mro__)


def _declared(cls: type) -> set[str]:
    """What the objects of a class have, as far as the class itself says."""
    return {name for base in cls.__mro__ for name in (*vars(base), *inspect.get_annotations(base))}
