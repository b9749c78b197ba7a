"""A run that no one asked for: it loads what the first real one would have to wait for."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from google.adk.agents.llm_agent import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from agentllm.core import Caller, Message, Turn
from agentllm.runtimes.adk.runs import run_agent


class _Ready(BaseLlm):
    """A model that answers from within this process."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        content = types.Content(role="model", parts=[types.Part(text="ready")])
        yield LlmResponse(content=content, finish_reason=types.FinishReason.STOP)


_rehearsed = False


async def rehearse() -> None:
    """Go through one turn, once for each process."""
    global _rehearsed
    if _rehearsed:
        return
    _rehearsed = True
    agent = LlmAgent(name="rehearsal", model=_Ready(model="rehearsal"))
    turn = Turn("rehearsal", "rehearsal", Caller(""), (Message("user", "ready?"),), stream=True)
    async for _ in run_agent(agent, turn):
        pass
