"""Tools that the client of a request runs itself, as tools of ADK that leave their result to it."""

from __future__ import annotations

import copy
from typing import Any

from google.adk.models.llm_request import LlmRequest
from google.adk.tools.base_tool import BaseTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from agentllm.core import ClientTool, Turn
from agentllm.errors import InvalidRequest

ASK_USER = "ask_user"
"""The tool with which a front end offers every agent to ask the person; where it cannot be offered, it is left out."""

_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class ToolOfClient(BaseTool):
    """A tool of the client; ADK ends a run that calls one without a result."""

    def __init__(self, tool: ClientTool) -> None:
        super().__init__(name=tool.name, description=tool.description, is_long_running=True)
        self._parameters = copy.deepcopy(dict(tool.parameters)) or _NO_PARAMETERS

    def _get_declaration(self) -> types.FunctionDeclaration:
        return types.FunctionDeclaration(
            name=self.name, description=self.description, parameters_json_schema=self._parameters
        )

    async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> None:
        """Nothing: the client runs it."""


def offer(turn: Turn, request: LlmRequest) -> None:
    """Offer the client's tools beside those of the agent.

    Raises:
        InvalidRequest: one has the name of a tool of the agent.
    """
    taken = {tool.name for tool in turn.client_tools} & request.tools_dict.keys()
    if names := ", ".join(repr(name) for name in sorted(taken - {ASK_USER})):
        raise InvalidRequest(
            f"The agent {turn.agent!r} has a tool of its own with each of these names: {names}. "
            "Give the request's tools other names, or leave them out.",
            param="tools",
        )
    request.append_tools([ToolOfClient(tool) for tool in turn.client_tools if tool.name not in taken])
