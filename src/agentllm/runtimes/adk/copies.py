"""A copy of a tree of agents that belongs to one runtime, whose model calls can be seen and given to another model.

ADK writes nothing into an agent while it runs it, so one copy serves all runs. The shared tree stays as it is.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.llm_agent import LlmAgent
from google.adk.agents.readonly_context import ReadonlyContext
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.tools.base_tool import BaseTool
from google.adk.utils.instructions_utils import inject_session_state
from google.genai import types
from google.genai._transformers import t_content

from agentllm.hotswap.in_force import in_force
from agentllm.runtimes.adk.asked import Role
from agentllm.runtimes.adk.calls import answered

_OF_TREE = frozenset({"sub_agents", "parent_agent"})


def own_tree(root: BaseAgent) -> BaseAgent:
    """A copy of `root` with all agents under it, and those that it or they use as tools.

    Raises:
        ValueError: ADK knows no model of a name that an agent gives.
    """
    copies = _Copies()
    own = copies.agent(root, "speaker" if isinstance(root, LlmAgent) else "step")
    if isinstance(own, LlmAgent):
        _take_prompt(own)
    copies.refer_to_copies()
    return own


class _Copies:
    """The copies made so far, by the ids of what they are copies of."""

    def __init__(self) -> None:
        self._made: dict[int, BaseAgent] = {}

    def agent(self, shared: BaseAgent, role: Role) -> BaseAgent:
        """The copy of an agent, with those under it."""
        if (made := self._made.get(id(shared))) is not None:
            return made
        own: BaseAgent = shared.clone({"sub_agents": []})
        self._made[id(shared)] = own
        for sub_agent in shared.sub_agents:
            below = self.agent(sub_agent, _role_below(shared, sub_agent, role))
            below.parent_agent = own
            own.sub_agents.append(below)
        if isinstance(shared, LlmAgent) and isinstance(own, LlmAgent):
            own.model = watched(shared.canonical_model, role)
            own.tools = [self._tool(tool) for tool in shared.tools]
        return own

    def refer_to_copies(self) -> None:
        """Agents that a class of the user's has in fields of its own become the copies, too."""
        for own in self._made.values():
            for name in type(own).model_fields.keys() - _OF_TREE:
                value = getattr(own, name)
                if (copied := self._copied(value)) is not value:
                    setattr(own, name, copied)

    def _tool(self, shared: Any) -> Any:
        """A tool; one that is an agent is a copy with the copy of that."""
        agent = getattr(shared, "agent", None) if isinstance(shared, BaseTool) else None
        if not isinstance(agent, BaseAgent):
            return shared
        own: Any = copy.copy(shared)
        own.agent = self.agent(agent, "helper")
        return own

    def _copied(self, value: Any) -> Any:
        if isinstance(value, BaseAgent):
            return self._made.get(id(value), value)
        if isinstance(value, list) and any(isinstance(one, BaseAgent) for one in value):
            return [self._copied(one) for one in value]
        if isinstance(value, dict) and any(isinstance(one, BaseAgent) for one in value.values()):
            return {key: self._copied(one) for key, one in value.items()}
        return value


def _role_below(over: BaseAgent, under: BaseAgent, role: Role) -> Role:
    if role == "helper" or getattr(under, "mode", None) in ("task", "single_turn"):
        return "helper"
    return role if isinstance(over, LlmAgent) else "step"


def watched(model: BaseLlm, role: Role) -> BaseLlm:
    """A copy of `model`, of its class, whose calls go through `answered`."""
    own = model.model_copy()
    own.__class__ = _watched_class(type(model), role)
    return own


@functools.cache
def _watched_class(cls: type[BaseLlm], role: Role) -> type[BaseLlm]:
    def plain(model: BaseLlm, request: LlmRequest, stream: bool) -> AsyncGenerator[LlmResponse, None]:
        return cls.generate_content_async(model, request, stream)

    def generate_content_async(
        self: BaseLlm, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        return answered(self, role, plain, llm_request, stream)

    members = {"generate_content_async": generate_content_async, "__module__": cls.__module__}
    return type(cls.__name__, (cls,), members)


def _take_prompt(agent: LlmAgent) -> None:
    """Have the prompt that is in force stand in the place of the agent's instruction."""
    static, own = _static_text(agent), agent.instruction
    if static is not None:
        agent.static_instruction = None

    async def instruction(context: ReadonlyContext) -> str:
        if (prompt := in_force().prompt) is not None:
            return prompt
        if isinstance(own, str):
            text = await inject_session_state(own, context)
        else:
            given = own(context)
            text = await given if inspect.isawaitable(given) else given
        return "\n\n".join(filter(None, [static, text]))

    agent.instruction = instruction


def _static_text(agent: LlmAgent) -> str | None:
    """The agent's static instruction, None where it has none, or one that is not text alone."""
    if agent.static_instruction is None:
        return None
    content: types.Content = t_content(agent.static_instruction)
    texts = [part.text for part in content.parts or ()]
    return "\n\n".join(text for text in texts if text) if all(texts) else None
