"""Runs an agent of ADK, with the agents under it, for many callers at once.

The agent is copied once, with its tree (`copies`); each run has a runner and a session of its own, made of
the branch of the conversation that its turn stands on (`sessions`). What a turn asks for is added to the
requests of its own model calls (`asked`), and what is in force by hot-swap is looked at before each of
them (`calls`).
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.llm_agent import LlmAgent

from agentllm.core import Event, Memory, Turn
from agentllm.errors import UnsupportedParameter
from agentllm.llm.windows import context_window
from agentllm.runtimes.adk.client_tools import ASK_USER
from agentllm.runtimes.adk.copies import own_tree
from agentllm.runtimes.adk.log import hide_content
from agentllm.runtimes.adk.rehearsal import rehearse
from agentllm.runtimes.adk.runs import run_agent

ROOT = "root_agent"
"""What ADK has every agent that it serves called in its module."""


class AdkRuntime:
    """The runtime of one agent of ADK.

    An agent that is no `LlmAgent` has no one model: no parameter, tool of a client or form of the answer
    reaches it, but its own agents do have the client's instructions.

    Raises:
        ValueError: ADK knows no model of a name that an agent gives.
    """

    def __init__(self, agent: BaseAgent) -> None:
        hide_content()
        self._agent = own_tree(agent)

    @property
    def name(self) -> str | None:
        """The agent's name; None where it is what every such agent is called."""
        return self._agent.name if self._agent.name != ROOT else None

    @property
    def description(self) -> str | None:
        return self._agent.description or None

    @functools.cached_property
    def memory(self) -> Memory:
        """The window of the agent's model."""
        agent = self._agent
        return Memory(None, context_window(agent.canonical_model.model) if isinstance(agent, LlmAgent) else None)

    @property
    def takes_front_end_tools(self) -> bool:
        """Never: ADK has no place where an agent could say so."""
        return False

    @property
    def keeps_its_models(self) -> bool:
        """Whether it is no `LlmAgent`: those under it have models and prompts of their own."""
        return not isinstance(self._agent, LlmAgent)

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`."""
        await rehearse()

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        if not isinstance(self._agent, LlmAgent):
            _refuse_unsupported(turn)
        async with aclosing(run_agent(self._agent, turn)) as events:
            async for event in events:
                yield event


def _refuse_unsupported(turn: Turn) -> None:
    if turn.drop_unsupported:
        return
    wanted = [field.name for field in fields(turn.parameters) if getattr(turn.parameters, field.name) is not None]
    wanted += ["tools"] if any(tool.name != ASK_USER for tool in turn.client_tools) else []
    wanted += ["response_format"] if turn.output_format is not None else []
    if wanted:
        raise UnsupportedParameter(wanted[0], turn.agent)
