"""MCP tools stay connected while runs come and go."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from agno.agent import Agent
from agno.tools.mcp import MCPTools

from agentllm.core import Caller, Finished, Message, Turn
from agentllm.errors import AgentFailed
from agentllm.llm.offline import OfflineModel
from agentllm.runtimes.agno import AgnoRuntime

SERVER = """
from fastmcp import FastMCP

server = FastMCP("numbers")


@server.tool
def triple(number: int) -> str:
    "Triple a number."
    return f"tripled: {number * 3}"


server.run(transport="stdio", show_banner=False)
"""

TURN = Turn("1", "mcp", Caller("key"), (Message("user", "triple the number 14"),))

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def agent(command: str) -> Agent:
    return Agent(model=OfflineModel(), tools=[MCPTools(command=command, timeout_seconds=30)], telemetry=False)


async def answer(runtime: AgnoRuntime, turn: Turn) -> str:
    events = [event async for event in runtime.run(turn)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished.messages[-1].content


async def test_runs_at_the_same_time_share_a_connection_that_none_of_them_closes(tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    runtime = AgnoRuntime(agent(f"{sys.executable} {server}"))
    for _ in range(2):
        turns = [replace(TURN, id=str(number), stream=bool(number % 2)) for number in range(6)]
        answers = await asyncio.gather(*(answer(runtime, turn) for turn in turns))
        assert all("tripled: 42" in text for text in answers)


async def test_a_server_that_cannot_be_reached_is_an_error_of_the_run(tmp_path: Path) -> None:
    runtime = AgnoRuntime(agent(f"{sys.executable} {tmp_path / 'missing.py'}"))
    for _ in range(2):
        with pytest.raises(AgentFailed, match="cannot be reached"):
            await answer(runtime, TURN)
