"""What an agent of another framework tells of its run, in Agno's events, as events of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agno.agents.base import ExternalRunWarningEvent
from agno.metrics import RunMetrics
from agno.models.response import ToolExecution
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run.agent import RunOutput
from agno.run.team import TeamRunOutput

from agentllm.core import Event, Message, Reasoning, Text, ToolCall, Turn, Usage
from agentllm.errors import AgentFailed
from agentllm.runtimes.agno.messages import paragraph_break
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.results import as_text, raise_if_ended, raise_if_failed

_CONTENT = (agent_events.RunContentEvent, team_events.RunContentEvent)
_REASONING = (
    agent_events.ReasoningContentDeltaEvent,
    agent_events.ReasoningStepEvent,
    team_events.ReasoningContentDeltaEvent,
    team_events.ReasoningStepEvent,
)
_STARTED = (agent_events.ToolCallStartedEvent, team_events.ToolCallStartedEvent)
_DONE = (agent_events.ToolCallCompletedEvent, team_events.ToolCallCompletedEvent)
_COMPLETED = (agent_events.RunCompletedEvent, team_events.RunCompletedEvent)
_OUTPUT = (RunOutput, TeamRunOutput)


class Told:
    """The events of one run so far, except its work, which `WorkOfRun` tells.

    `text` is all that was said, `messages` what the run adds to the conversation, `usage` what the
    framework told of its tokens.
    """

    def __init__(self, turn: Turn) -> None:
        self.text = ""
        self.usage = Usage()
        self._turn = turn
        self._messages: list[Message] = []
        self._said = ""
        self._open_calls: set[str] = set()
        self._whole = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self._messages, Message("assistant", self._said))

    def pieces(self, event: Any) -> Iterator[Event]:
        """What `event`, one of the agent's own and not of a member of it, is to a client.

        Raises:
            AgentLLMError: it says that the run failed.
        """
        if isinstance(event, str):
            yield from self._text(event)
        elif getattr(event, "parent_run_id", None) is not None:
            return
        elif isinstance(event, _CONTENT):
            yield from self._reasoning(event.reasoning_content)
            yield from self._text(as_text(event.content))
        elif isinstance(event, _REASONING):
            yield from self._reasoning(event.reasoning_content)
        elif isinstance(event, _STARTED):
            self._call(event.tool)
        elif isinstance(event, _DONE):
            self._return(event.tool)
        else:
            self._end(event)

    def ends(self, whole: str = "") -> Iterator[Event]:
        """What is left to be told at the end: `whole`, else what the run came to, where nothing was said of it."""
        if not self.text:
            yield from self._text(whole or self._whole)

    def _end(self, event: Any) -> None:
        if isinstance(event, _OUTPUT):
            raise_if_failed(event, Outcome(self._turn.agent), self._turn)
        if isinstance(event, (*_COMPLETED, *_OUTPUT)):
            self._whole = as_text(event.content)
            self.usage = _usage(event.metrics)
        elif isinstance(event, ExternalRunWarningEvent):
            self._raise_if_it_begins_again(event)
        else:
            raise_if_ended(event, Outcome(self._turn.agent), self._turn)

    def _text(self, text: str) -> Iterator[Event]:
        if text:
            text = (paragraph_break(self.text) if self._messages and not self._said else "") + text
            self.text += text
            self._said += text
            yield Text(text)

    def _reasoning(self, text: str | None) -> Iterator[Event]:
        if text:
            yield Reasoning(text)

    def _call(self, tool: ToolExecution | None) -> None:
        if tool is not None and tool.tool_call_id:
            arguments = json.dumps(tool.tool_args or {}, default=str)
            call = ToolCall(tool.tool_call_id, tool.tool_name or "", arguments)
            self._messages.append(Message("assistant", self._said, (call,)))
            self._open_calls.add(call.id)
            self._said = ""

    def _return(self, tool: ToolExecution | None) -> None:
        if tool is not None and tool.tool_call_id in self._open_calls:
            self._open_calls.discard(tool.tool_call_id)
            result = as_text(tool.result)
            self._messages.append(Message("tool", result, tool_call_id=tool.tool_call_id, name=tool.tool_name))

    def _raise_if_it_begins_again(self, event: ExternalRunWarningEvent) -> None:
        if self.text and (event.warning or {}).get("type") == "retry":
            raise AgentFailed(
                f"The agent {self._turn.agent!r} failed in the middle of its answer, and would have begun again."
            )


def _usage(metrics: RunMetrics | None) -> Usage:
    if metrics is None:
        return Usage()
    return Usage(metrics.input_tokens, metrics.output_tokens, metrics.reasoning_tokens, metrics.cache_read_tokens)
