"""One run of an ADK agent: what it is given, what it yields, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.llm_agent import LlmAgent
from google.adk.agents.run_config import (  # type: ignore[attr-defined]  # where ADK's documents have it
    RunConfig,
    StreamingMode,
    ToolThreadPoolConfig,
)
from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService
from google.adk.events.event import Event as AdkEvent
from google.adk.memory.in_memory_memory_service import InMemoryMemoryService
from google.adk.runners import Runner
from google.adk.telemetry.context import ContentCapturingMode, TelemetryConfig
from google.genai import types

from agentllm.core import ClientCalls, Event, Finished, Turn
from agentllm.hotswap.in_force import in_force
from agentllm.runtimes.adk.asked import Asked
from agentllm.runtimes.adk.calls import RUN, Calls
from agentllm.runtimes.adk.failures import failure
from agentllm.runtimes.adk.messages import events_of, invocation_of, user_content
from agentllm.runtimes.adk.sessions import SessionOfRun, session_of, state_to_keep
from agentllm.runtimes.adk.told import Told

GO_ON = "Go on."
"""What an agent is told that ADK runs on a new message only, where the client has nothing new to say."""

_THREADS = 32
"""Plain functions that run as tools at once, so that none of them holds up the other turns of the process."""


async def run_agent(agent: BaseAgent, turn: Turn) -> AsyncGenerator[Event, None]:
    """Run `agent`, a copy that is this process's own, on `turn`; closing this ends the run and its model call.

    Raises:
        UnsupportedParameter: the turn sets a parameter that the agent's model does not take.
        InvalidRequest: it brings a tool or media that the agent or its model cannot take.
        ModelFailed: a model failed, with its provider's status.
        AgentFailed: the run failed.
    """
    calls = Calls(Asked(turn))
    if isinstance(agent, LlmAgent):
        calls.asked.check(agent.canonical_model, in_force().model)
    said = [message for message in turn.messages if message.role not in ("system", "developer")]
    is_new = bool(said) and said[-1].role == "user"
    session = session_of(turn, events_of(said[:-1] if is_new else said, agent.name))
    begin = _beginning(agent, session.events, user_content(said[-1]) if is_new else None)
    told = Told(turn, agent.name, calls)
    runner = Runner(
        app_name=session.app_name,
        agent=agent,
        session_service=SessionOfRun(session),
        artifact_service=InMemoryArtifactService(),
        memory_service=InMemoryMemoryService(),
    )
    try:
        events = runner.run_async(
            user_id=session.user_id, session_id=session.id, run_config=_config(stream=turn.stream), **begin
        )
        async with aclosing(_until_over(events, told, calls)) as events:
            async for event in events:
                for piece in told.pieces(event):
                    yield piece
        for ending in _endings(told, session.state, calls):
            yield ending
    except Exception as error:
        for work in told.work.left():
            yield work
        raise failure(error, calls, turn) from None


async def _until_over(
    events: AsyncGenerator[AdkEvent, None], told: Told, calls: Calls
) -> AsyncGenerator[AdkEvent, None]:
    """The events up to the calls that the client is to run: ADK would ask the model again without their results.

    `calls` are those of the run during each step, which may be taken in another context than the one before.
    """
    async with aclosing(events):
        while not told.is_over:
            before = RUN.get()
            RUN.set(calls)
            try:
                event = await anext(events, None)
            finally:
                RUN.set(before)
            if event is None:
                return
            yield event


def _endings(told: Told, state: dict[str, Any], calls: Calls) -> list[Event]:
    told.raise_if_incomplete()
    left: list[Event] = [*told.work.left()]
    if told.calls:
        left.append(ClientCalls(tuple(told.calls)))
    return [*left, Finished(told.reason, tuple(told.messages), state_to_keep(state), model=calls.model)]


def _beginning(agent: BaseAgent, before: list[AdkEvent], newest: types.Content | None) -> dict[str, Any]:
    """What begins a run: a new message, or the invocation to go on with, whose results came from the client."""
    if newest is not None:
        return {"new_message": newest}
    if isinstance(agent, LlmAgent):
        return {"invocation_id": invocation_of(before)}
    return {"new_message": types.Content(role="user", parts=[types.Part(text=GO_ON)])}


def _config(*, stream: bool) -> RunConfig:
    return RunConfig(
        streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE,
        tool_thread_pool_config=ToolThreadPoolConfig(max_workers=_THREADS),
        telemetry=TelemetryConfig(capture_message_content=ContentCapturingMode.NO_CONTENT),
    )
