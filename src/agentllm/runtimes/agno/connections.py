"""Keeps an agent's MCP tools connected.

Left to itself, Agno connects them in one run and closes them when that run ends, under the
hands of the runs that go on at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from agno.agent import Agent
from agno.team import Team
from agno.tools import Toolkit

from agentllm.errors import AgentFailed


class Connections:
    """The MCP connections of one agent (or team, with its members), opened with the first run and then kept."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}

    async def open(self, agent: Agent | Team) -> None:
        """Connect what is not connected.

        Raises:
            AgentFailed: a tool's server cannot be reached; the next run tries again.
        """
        for tool in _mcp_tools(agent):
            if tool.initialized:
                continue
            held = self._held.get(id(tool))
            if held is None or held.task.done():
                held = self._held[id(tool)] = _Held(tool)
            await held.tried.wait()
            if not tool.initialized:
                raise AgentFailed(f"The server of the tools {tool.name!r} cannot be reached.")


class _Held:
    """One connection, in a task of its own, because the task that opens one has to close it."""

    def __init__(self, tool: Any) -> None:
        self.tried = asyncio.Event()
        self.task = asyncio.create_task(self._hold(tool))

    async def _hold(self, tool: Any) -> None:
        try:
            await tool.connect()
            self.tried.set()
            if tool.initialized:
                await asyncio.Event().wait()
        finally:
            self.tried.set()
            await tool.close()


def _mcp_tools(agent: Agent | Team) -> Iterator[Any]:
    for tool in agent.tools if isinstance(agent.tools, list) else ():
        if isinstance(tool, Toolkit) and any(cls.__name__ == "MCPTools" for cls in type(tool).__mro__):
            yield tool
    members = getattr(agent, "members", None)
    for member in members if isinstance(members, list) else ():
        yield from _mcp_tools(member)
