"""The catalog: every agent of this process by name, and the broken ones with their cause."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from agentllm.catalog.discovery import Found, discover
from agentllm.core import Agent
from agentllm.errors import AgentLLMError, AgentUnavailable, ConfigurationError, UnknownAgent
from agentllm.runtimes import ADK_MISSING, card_for, family_of, is_agent, runtime_for
from agentllm.settings import Settings

log = logging.getLogger("agentllm.catalog")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

NameCheck = Callable[[str], str | None]
"""Says why an agent may not have a name, None where it may."""


@dataclass(frozen=True, slots=True)
class BrokenAgent:
    """An agent that could not be loaded. `place` and `cause` are for the operator: they name files and code."""

    name: str
    place: str
    cause: str


@dataclass(frozen=True)
class Catalog:
    """The agents of one process; does not change once it is made."""

    agents: Mapping[str, Agent]
    broken: Mapping[str, BrokenAgent] = field(default_factory=dict)

    def get(self, name: str) -> Agent:
        """The agent called `name`.

        Raises:
            AgentUnavailable: it exists but could not be loaded; the cause is logged again.
            UnknownAgent: there is none of that name.
        """
        if agent := self.agents.get(name):
            return agent
        if broken := self.broken.get(name):
            log.error("agent %r was called but is broken: %s: %s", name, broken.place, broken.cause)
            raise AgentUnavailable(
                f"The agent {name!r} could not be loaded and is not available. The operator finds the cause in the log."
            )
        raise UnknownAgent(name, [agent.model for agent in self])

    def called(self, model: str) -> Agent:
        """The agent that clients call `model`, its family before the slash.

        Raises:
            AgentUnavailable, UnknownAgent: as `get`.
        """
        agent = self.get(model.partition("/")[2])
        if agent.model != model:
            raise UnknownAgent(model, [other.model for other in self])
        return agent

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents.values())


def load_catalog(settings: Settings, *, why_not: NameCheck = lambda name: None) -> Catalog:
    """Find and build all agents; what is broken is logged with its place and cause, the rest stays up.

    Of two agents with one name, that of the user's own folders wins over that of an installed
    package, and that over one that ships, also if it is broken. Within one of these levels the
    first wins and the second is reported.

    Args:
        why_not: refuses names that the gateway cannot serve.

    Raises:
        ConfigurationError: `AGENTLLM_AGENTS` names a path that is not there.
    """
    agents: dict[str, Agent] = {}
    broken: dict[str, BrokenAgent] = {}
    for level in discover(settings):
        taken = agents.keys() | broken.keys()
        _build_level(level, why_not, taken, agents, broken)
    return Catalog(agents, broken)


def _build_level(
    level: Iterable[Found],
    why_not: NameCheck,
    taken: Iterable[str],
    agents: dict[str, Agent],
    broken: dict[str, BrokenAgent],
) -> None:
    sources: dict[str, object] = {}
    for found in level:
        try:
            source = found.load()
            agent = _build(found, source, why_not)
            if agent.name in taken or sources.get(agent.name) is source:
                continue
            if agent.name in agents:
                raise ConfigurationError(f"an agent {agent.name!r} is here already; give one of them another name")
            agents[agent.name], sources[agent.name] = agent, source
        except (Exception, SystemExit) as error:
            failure = BrokenAgent(agent_name(found.name), found.place_of(error), _cause(error))
            log.error("agent %r is broken: %s: %s", failure.name, failure.place, failure.cause)
            if failure.name not in agents:
                broken.setdefault(failure.name, failure)


def _build(found: Found, value: object, why_not: NameCheck) -> Agent:
    description = None
    if not is_agent(value) and callable(value):
        description = (inspect.getdoc(value) or "").partition("\n")[0]
        value = value()
    runtime = runtime_for(value)
    name = agent_name(found.name if found.named or not runtime.name else runtime.name)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for an agent: 1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit first"
        )
    if reason := why_not(name):
        raise ConfigurationError(f"an agent cannot be called {name!r}: {reason}")
    description = found.description or description or runtime.description or ""
    return Agent(name, description, runtime, card_for(value), family_of(value))


def agent_name(text: str) -> str:
    """`text` as it stands in a model's name: lower case, spaces and underscores as hyphens."""
    return re.sub(r"[\s_]+", "-", text.strip().lower())


def _cause(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("google.adk"):
        return ADK_MISSING
    return error.message if isinstance(error, AgentLLMError) else f"{type(error).__name__}: {error}"
