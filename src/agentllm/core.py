"""What every part of AgentLLM speaks of: callers, turns, events, agents, runtimes.

Frozen dataclasses and two small protocols; no agent framework, no LiteLLM, no I/O.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, get_args

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

Role = Literal["system", "developer", "user", "assistant", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]
ServiceTier = Literal["flex", "scale", "priority", "fast"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
Family = Literal["agno", "adk", "litellm"]

FAMILIES: tuple[Family, ...] = get_args(Family)
"""What stands before the slash in the name of an agent's model: what kind of object the agent is."""


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
class Media:
    """A picture, a sound or a file, whole; `mime_type` is of the form "image/png"."""

    kind: Literal["image", "audio", "file"]
    mime_type: str
    data: bytes
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in the roles of the OpenAI chat format.

    `media` stands beside the text. `provider_data` as in `ToolCall`. `name` is the tool's name in
    a `tool` message. `document_at` is where in `content` the first text of a document begins, None where
    there is none: what stands before it is the author's own.
    """

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    provider_data: JsonObject | None = None
    media: tuple[Media, ...] = ()
    document_at: int | None = None


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
    """The model's parameters of one request, with the meaning of OpenAI's API; None is unset."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: Effort | None = None
    verbosity: Verbosity | None = None
    service_tier: ServiceTier | None = None


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool that the client of a request runs itself; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools the model may or must call; `name` is the one that it must call."""

    mode: Literal["auto", "none", "required"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The form of the answer: the JSON that `schema`, a JSON schema, allows; any JSON object where there is none.

    `name`, `description` and `strict` are for the model.
    """

    schema: JsonObject | None = None
    name: str = "answer"
    strict: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What a client says of where in its conversations a request stands.

    `session` is its id of the conversation. `message_id` is a front end's id of the answer to be,
    `parent_id` that of the answer before it: None where it gives none, '' where none is before.
    `after` is the id of an answer of ours that the request goes on after, as `Turn.id`.
    """

    session: str | None = None
    message_id: str | None = None
    parent_id: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """How much of a conversation an agent is given again: at most so many turns, and what fits into so many
    tokens of its model; None leaves the number to the settings, and the tokens unbounded."""

    turns: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A value that a person is asked for; `type` is Python's name of its type, `value` what it is so far."""

    name: str
    type: str = "str"
    description: str = ""
    value: Json = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with a few answers to choose from, one or `many`; `options` are labels and what they mean."""

    question: str
    header: str
    options: tuple[tuple[str, str], ...]
    many: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What an agent asks the person before it calls `tool`: whether it may, or for values, or to choose.

    `id` is that of the call.
    """

    id: str
    kind: Literal["confirmation", "values", "choices"]
    tool: str
    arguments: JsonObject
    fields: tuple[Field, ...] = ()
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided of the `Question` with this `id`.

    `values` are by the names of fields, or lists of labels by the questions of choices. `note` is
    what the agent is told of a refusal.
    """

    id: str
    approved: bool
    values: JsonObject = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """What a person set for a conversation: the model that answers in it, and the prompt in the place of the
    agent's own instructions. None leaves those of the agent."""

    model: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a person sets of a `Swap`; with None for `value` that of the agent counts again."""

    what: Literal["model", "prompt"]
    value: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to one agent.

    `messages` is all that the agent is to know of the conversation, the newest last. `place` is
    None where nothing is to be remembered or stored; `conversation` is the stored conversation
    that it became, `state` the agent's session state in it. `drop_unsupported` lets a runtime
    ignore a parameter that its model cannot take; otherwise it raises `UnsupportedParameter`. `answers` is
    the `Finished.asked` that the newest message answers, if it answers any: None for whichever is open, ''
    where it decides nothing that was asked before, whatever it says.

    `client_tools` are offered to the agent beside its own. `pending` is that of the `Finished`
    which this turn goes on from, and `decisions` are what became of its questions. `swap` is what is
    in force when the turn begins, and `changes` are what the request sets of it before it is answered.
    """

    id: str
    agent: str
    caller: Caller
    messages: tuple[Message, ...]
    parameters: Parameters = field(default_factory=Parameters)
    stream: bool = False
    drop_unsupported: bool = False
    place: Place | None = None
    answers: str | None = None
    conversation: str | None = None
    state: JsonObject | None = None
    client_tools: tuple[ClientTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    pending: JsonObject | None = None
    decisions: tuple[Decision, ...] = ()
    swap: Swap = Swap()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all model calls of a turn so far, as the providers counted them.

    `cost` is what the calls whose price is known cost, in US dollars; None where no price is known.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cached_tokens + other.cached_tokens,
            sum(costs) if costs else None,
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
class Link:
    """A picture or a sound that is elsewhere, at an http or https URL: the client fetches it, nothing here does."""

    kind: Literal["image", "audio"]
    url: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture or a sound in the answer; `transcript` is what is said in a sound."""

    media: Media | Link
    transcript: str = ""


WORK_ID = "work_"
"""What the ids of work begin with where clients see them, so that none is that of a call of theirs."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the agent does while it answers: a tool that it calls, a member of its team or a step that is at work.

    `id` is the same from the start to the end of one piece of work. `by` is the member or step that
    does it, None for the agent itself. `result` is whole; a failed one's is what may be told of the error.
    """

    id: str
    kind: Literal["tool", "member", "step"]
    name: str
    status: Literal["started", "finished", "failed"]
    arguments: JsonObject = field(default_factory=dict)
    result: str = ""
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ClientCalls:
    """Calls of tools that the client is to run; the turn ends with them."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Questions:
    """What the person is asked; the turn ends with it."""

    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a turn that went well.

    `messages` are what the turn adds to the conversation after its input: the calls of tools,
    their results and the answer. `state` is the agent's session state after the turn. `pending` is
    what the runtime needs to go on with the run when its questions are decided; only it reads that.
    `asked` is the id of the turn where it asks those questions itself, None where it leaves open what was asked before.
    `swap` is what is in force after the turn, None where nothing was set in it. `model` is the one that
    wrote the answer, None where it is not known.
    """

    reason: FinishReason
    messages: tuple[Message, ...] = ()
    state: JsonObject | None = None
    pending: JsonObject | None = None
    swap: Swap | None = None
    model: str | None = None
    asked: str | None = None


Event: TypeAlias = Text | Reasoning | Shown | Work | Usage | ClientCalls | Questions | Finished


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

    @property
    def takes_front_end_tools(self) -> bool:
        """Whether it is offered the tools that a front end adds to every request by itself."""
        ...

    async def warm_up(self) -> None:
        """Load what the first run would have to wait for; runs nothing of the agent and asks no model."""
        ...

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Answer `turn`.

        Yields `Text` and `Reasoning` in order, in pieces as they come where `turn.stream` is
        set, `Work` as it goes on, `Usage` with the sum so far after each model call, and one
        `Finished` at the end. Where the client is to run tools, or the person to be asked,
        `ClientCalls` and `Questions` come before that, once each. Closing the generator stops the
        agent and its model call. May be called for many turns at once.

        Raises:
            AgentLLMError: the turn failed; nothing more is yielded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """What model lists show of an agent beside its description.

    `title` is what it calls itself. `prompts` are offered to begin a conversation with. `takes_images` is
    whether pictures may be sent to it.
    """

    title: str | None = None
    tags: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    takes_images: bool = True


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that can be asked; no two of a process have one `name`."""

    name: str
    description: str
    runtime: Runtime
    card: Card = Card()
    family: Family = "agno"

    @property
    def model(self) -> str:
        """What clients call it."""
        return f"{self.family}/{self.name}"
