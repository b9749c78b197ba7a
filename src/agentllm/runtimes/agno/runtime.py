"""Runs an Agno `Agent`, `Team` or `Workflow` for many callers at once.

Each run works on a shallow copy of the one shared object: that is cheap, and keeps what Agno
writes into an agent while it runs away from the other runs. History and session state come
with the turn. Agno's own history is left out, because its databases swallow write errors and
mix the callers of one session id; a database that the agent brings serves its other features.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.team import Team
from agno.workflow import Workflow

from agentllm.core import Caller, Event, Memory, Message, Turn
from agentllm.errors import ConfigurationError
from agentllm.llm.default import default_model, model_from_name
from agentllm.llm.windows import context_window
from agentllm.runtimes.agno.connections import Connections
from agentllm.runtimes.agno.log import hide_content
from agentllm.runtimes.agno.model import open_client
from agentllm.runtimes.agno.rehearsal import rehearsal_agent
from agentllm.runtimes.agno.runs import identity, run_agent
from agentllm.runtimes.agno.work import WorkOfRun
from agentllm.runtimes.agno.workflow import run_workflow
from agentllm.settings import MOST_HISTORY_TURNS


def make_agent(
    name: str,
    *,
    model: str | None,
    instructions: Sequence[str],
    tools: Sequence[Any],
    history_turns: int | None = None,
    front_end_tools: bool = False,
    tags: Sequence[str] = (),
    suggestion_prompts: Sequence[str] = (),
) -> Agent:
    """An Agno agent from what a YAML file says; `model` None is the default model."""
    metadata: dict[str, Any] = {"tags": list(tags), "suggestion_prompts": list(suggestion_prompts)}
    if history_turns is not None:
        metadata["history_turns"] = history_turns
    if front_end_tools:
        metadata["front_end_tools"] = True
    return Agent(
        name=name,
        model=model_from_name(model) if model else default_model(),
        instructions=list(instructions),
        tools=list(tools),
        metadata=metadata,
        telemetry=False,
    )


class AgnoRuntime:
    """The runtime of one Agno agent, team or workflow."""

    def __init__(self, agent: Agent | Team | Workflow) -> None:
        hide_content()
        self._agent = agent
        self._history_turns = _history_turns(agent)
        self._front_end_tools = _front_end_tools(agent)
        self._connections = Connections()

    @property
    def name(self) -> str | None:
        return self._agent.name or self._agent.id

    @property
    def description(self) -> str | None:
        return self._agent.description

    @functools.cached_property
    def memory(self) -> Memory:
        """The turns that the agent's metadata names as `history_turns`, and its model's window."""
        model = None if isinstance(self._agent, Workflow) else self._agent.model or default_model()
        return Memory(self._history_turns, context_window(model.id) if isinstance(model, Model) else None)

    @property
    def takes_front_end_tools(self) -> bool:
        """What the agent's metadata say as `front_end_tools`."""
        return self._front_end_tools

    @property
    def keeps_its_models(self) -> bool:
        """Whether it is a workflow, whose steps have models of their own."""
        return isinstance(self._agent, Workflow)

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`."""
        model = None if isinstance(self._agent, Workflow) else self._agent.model
        if isinstance(model, Model):
            open_client(model)
        if isinstance(model, OpenAIChat):
            await _rehearse()

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        work = WorkOfRun()
        if isinstance(self._agent, Workflow):
            events = run_workflow(self._agent, turn, identity(turn), work)
        else:
            await self._connections.open(self._agent)
            events = run_agent(self._agent, turn, work)
        async with contextlib.aclosing(work.ending(events)) as events:
            async for event in events:
                yield event


def _history_turns(agent: Agent | Team | Workflow) -> int | None:
    turns = (agent.metadata or {}).get("history_turns")
    if turns is None or (type(turns) is int and 1 <= turns <= MOST_HISTORY_TURNS):
        return turns
    raise ConfigurationError(
        f"The metadata of the agent {agent.name!r} have history_turns={turns!r}; "
        f"it must be a whole number from 1 to {MOST_HISTORY_TURNS}."
    )


def _front_end_tools(agent: Agent | Team | Workflow) -> bool:
    takes = (agent.metadata or {}).get("front_end_tools", False)
    if isinstance(takes, bool):
        return takes
    raise ConfigurationError(
        f"The metadata of the agent {agent.name!r} have front_end_tools={takes!r}; it must be True or False."
    )


_rehearsed = False


async def _rehearse() -> None:
    """Go through a plain and a streamed turn, once for each process."""
    global _rehearsed
    if _rehearsed:
        return
    _rehearsed = True
    runtime = AgnoRuntime(rehearsal_agent())
    turn = Turn("rehearsal", "rehearsal", Caller(""), (Message("user", "ready?"),))
    for stream in (False, True):
        async for _ in runtime.run(replace(turn, stream=stream)):
            pass
