"""What every part of AgentLLM speaks of: callers, turns, events, agents, runtimes.

Frozen dataclasses and two small protocols; no agent framework, no LiteLLM, no I/O.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by a model; `arguments` is JSON text, as the model wrote it.

    `provider_data` is what a provider wants back with its own call (Gemini's thought
    signatures, for one); only the runtime that wrote it reads it.
    """

    id: str
    name: str
    arguments: str
    provider_data: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in the roles of the OpenAI chat format.

    `provider_data` as in `ToolCall`. `name` is the tool's name in a `tool` message.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    provider_data: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the proxy authenticated them; nothing here is taken from a request body.

    `key` is the hash of the API key. `end_user` is set only where a trusted front end
    forwarded one, and `front_end` is then the name by which it is trusted. Two callers are
    the same exactly if `principal` is equal.
    """

    key: str
    user: str | None = None
    team: str | None = None
    end_user: str | None = None
    front_end: str | None = None

    @property
    def principal(self) -> tuple[str, ...]:
        """What owns a conversation: the person where one is known, else the key.

        A forwarded person belongs to the front end: those of two never meet, and they stay who they
        are when it gets another key under its name.
        """
        owner = ("user", self.user) if self.user else ("key", self.key)
        if not self.end_user:
            return owner
        return (*(("front-end", self.front_end) if self.front_end else owner), "end-user", self.end_user)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The sampling parameters of one request, with the meaning of OpenAI's API; None is unset."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What a client says of where in its conversations a request stands.

    `session` is its id of the conversation. `message_id` is a front end's id of the answer to be,
    `parent_id` that of the answer before it: None where it gives none, '' where none is before.
    """

    session: str | None = None
    message_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """How much of a conversation an agent is given again: at most so many turns, and what fits into so many
    tokens of its model; None leaves the number to the settings, and the tokens unbounded."""

    turns: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to one agent.

    `messages` is all that the agent is to know of the conversation, the newest last. `place` is
    None where nothing is to be remembered or stored; `conversation` is the stored conversation
    that it became, `state` the agent's session state in it. `drop_unsupported` lets a runtime
    ignore a parameter that its model cannot take; otherwise it raises `UnsupportedParameter`.
    """

    id: str
    agent: str
    caller: Caller
    messages: tuple[Message, ...]
    parameters: Parameters = field(default_factory=Parameters)
    stream: bool = False
    drop_unsupported: bool = False
    place: Place | None = None
    conversation: str | None = None
    state: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all model calls of a turn so far, as the providers counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thought before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a turn that went well.

    `messages` are what the turn adds to the conversation after its input: the calls of tools,
    their results and the answer. `state` is the agent's session state after the turn.
    """

    reason: FinishReason
    messages: tuple[Message, ...] = ()
    state: JsonObject | None = None


Event: TypeAlias = Text | Reasoning | Usage | Finished


class Runtime(Protocol):
    """Runs one agent of one framework."""

    @property
    def name(self) -> str | None:
        """The name that the agent gives itself."""

    @property
    def description(self) -> str | None:
        """What the agent says of itself, for model lists."""

    @property
    def memory(self) -> Memory:
        """How much of a conversation it is given again."""
        ...

    async def warm_up(self) -> None:
        """Load what the first run would have to wait for; runs nothing of the agent and asks no model."""
        ...

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Answer `turn`.

        Yields `Text` and `Reasoning` in order, in pieces as they come where `turn.stream` is
        set, `Usage` with the sum so far after each model call, and one `Finished` at the
        end. Closing the generator stops the agent and its model call. May be called for
        many turns at once.

        Raises:
            AgentLLMError: the turn failed; nothing more is yielded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that can be asked: `name` is the part behind `agno/` in the model's name."""

    name: str
    description: str
    runtime: Runtime
