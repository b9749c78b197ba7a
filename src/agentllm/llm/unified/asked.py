"""What one run of an agent is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agentllm.core import (
    ClientCalls,
    ClientTool,
    FinishReason,
    JsonObject,
    OutputFormat,
    Parameters,
    Reasoning,
    Swap,
    Text,
    ToolCall,
    ToolChoice,
    Usage,
    Work,
)
from agentllm.errors import InvalidRequest

_INSTRUCTIONS = ("system", "developer")
_ROLES = (*_INSTRUCTIONS, "user", "assistant", "tool")

Prompt: TypeAlias = str | Sequence[JsonObject]
"""What a user says, or a whole conversation: messages in the form of OpenAI's chat API."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to an agent.

    `messages` are in the form of OpenAI's chat API, without instructions; `instructions` join those of the
    agent. `swap` is asked before each model call for what stands in the place of the agent's model and
    instructions. Without `drop_unsupported` a parameter that the model cannot take is an error. The rest
    is as in `agentllm.core.Turn`.
    """

    messages: tuple[JsonObject, ...]
    instructions: tuple[str, ...] = ()
    stream: bool = False
    parameters: Parameters = field(default_factory=Parameters)
    drop_unsupported: bool = False
    client_tools: tuple[ClientTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    swap: Callable[[], Swap] = Swap

    @classmethod
    def of(cls, prompt: Prompt, *, stream: bool) -> Asked:
        """What `prompt` asks; its system and developer messages are instructions.

        Raises:
            InvalidRequest: it is neither a text nor messages of which one is no instruction.
        """
        messages = _messages(prompt)
        said = tuple(m for m in messages if m["role"] not in _INSTRUCTIONS)
        if not said:
            raise InvalidRequest("There is no message of a user; pass a text, or messages of which one is a user's.")
        texts = tuple(str(m.get("content") or "") for m in messages if m["role"] in _INSTRUCTIONS)
        return cls(said, instructions=texts, stream=stream)


def _messages(prompt: Prompt) -> Sequence[JsonObject]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    given: object = prompt
    if not isinstance(given, Sequence):
        raise InvalidRequest(f"The prompt is of the type {type(given).__name__}; pass a text, or a list of messages.")
    for index, message in enumerate(prompt):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in _ROLES:
            raise InvalidRequest(f"messages[{index}] has the role {role!r}; it must be one of {', '.join(_ROLES)}.")
    return prompt


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run came to.

    `text` is all that was said, a paragraph for each model call. `calls` are those of tools that the caller
    runs itself; with their results as messages of the role `tool` the next run goes on. `messages` is the
    conversation so far, the answer included and the agent's instructions left out: with a user's message
    after it, it is what the next run is asked. `reason` is why the last model call ended, `model` the one that
    answered it, as `provider/model`. `usage` is that of all model calls.
    """

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    messages: tuple[JsonObject, ...]
    reason: FinishReason
    model: str
    usage: Usage


UnifiedEvent: TypeAlias = Text | Reasoning | Work | Usage | ClientCalls | Answer
"""What a run tells: pieces of text and of reasoning, tools at work, usage so far, calls for the caller, the answer."""
