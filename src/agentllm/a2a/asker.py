"""Who sends a message to an agent over A2A, and their way into the proxy, which knows nothing of the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from a2a.server.context import ServerCallContext

from agentllm.core import Caller, Event, Turn

ASKER = "agentllm.asker"
"""The key in the ASGI scope, and in the state of an `ServerCallContext`, of the `Asker`."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message: `content` are parts in the form of OpenAI's chat completions. `context` is the client's, where it
    names one; `metadata` is what it says beside the message, which nothing about the caller is taken from."""

    content: Sequence[Mapping[str, Any]]
    context: str | None
    metadata: Mapping[str, Any]


class Asker(Protocol):
    """The authenticated caller of one request to one agent."""

    @property
    def agent(self) -> str:
        """The agent's name."""

    @property
    def caller(self) -> Caller:
        """Whom the proxy authenticated."""

    async def turn(self, received: Received) -> Turn:
        """The turn that a message asks for, streamed, in the conversation of its context or of one that it makes.

        Raises:
            AgentLLMError: the message cannot be read, or the caller may not send it now.
        """
        ...

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of `turn`, within the time limit of a run; closing this stops the agent.

        Raises:
            AgentLLMError: the turn failed; nothing else is raised.
        """
        ...


def asker_of(context: ServerCallContext) -> Asker:
    """The caller of a request of the SDK."""
    found: Asker = context.state[ASKER]
    return found
