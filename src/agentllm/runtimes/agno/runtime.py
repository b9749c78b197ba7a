"""Runs an Agno `Agent`, `Team` or `Workflow` for many callers at once.

Each run works on a shallow copy of the one shared object: that is cheap, and keeps what Agno
writes into an agent while it runs away from the other runs. History and session state come
with the turn. Agno's own history is left out, because its databases swallow write errors and
mix the callers of one session id; a database that the agent brings serves its other features.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.openai import OpenAIChat
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run.agent import RunOutput
from agno.run.team import TeamRunOutput
from agno.team import Team
from agno.workflow import Workflow

from agentllm.core import Caller, Event, Finished, Memory, Message, Reasoning, Text, Turn, Usage
from agentllm.errors import AgentFailed, ConfigurationError
from agentllm.llm.default import default_model, model_from_name
from agentllm.llm.windows import context_window
from agentllm.runtimes.agno.calls import Calls
from agentllm.runtimes.agno.connections import Connections
from agentllm.runtimes.agno.copies import Copies
from agentllm.runtimes.agno.log import hide_content
from agentllm.runtimes.agno.messages import join_texts, paragraph_break, produced, to_agno
from agentllm.runtimes.agno.model import open_client, set_parameters
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.rehearsal import rehearsal_agent
from agentllm.runtimes.agno.results import (
    ModelAnswered,
    Output,
    as_text,
    raise_if_ended,
    raise_if_failed,
    raise_if_incomplete,
    state_to_keep,
    usage_of_call,
    usage_of_run,
)
from agentllm.runtimes.agno.workflow import run_workflow
from agentllm.settings import MOST_HISTORY_TURNS

_CONTENT = (agent_events.RunContentEvent, team_events.RunContentEvent)
_SPOKEN = (
    *_CONTENT,
    agent_events.ReasoningContentDeltaEvent,
    agent_events.ReasoningStepEvent,
    team_events.ReasoningContentDeltaEvent,
    team_events.ReasoningStepEvent,
)
_TOOL_CALLED = (agent_events.ToolCallStartedEvent, team_events.ToolCallStartedEvent)


def make_agent(
    name: str,
    *,
    model: str | None,
    instructions: Sequence[str],
    tools: Sequence[Any],
    history_turns: int | None = None,
) -> Agent:
    """An Agno agent from what a YAML file says; `model` None is the default model."""
    return Agent(
        name=name,
        model=model_from_name(model) if model else default_model(),
        instructions=list(instructions),
        tools=list(tools),
        metadata=None if history_turns is None else {"history_turns": history_turns},
        telemetry=False,
    )


class AgnoRuntime:
    """The runtime of one Agno agent, team or workflow."""

    def __init__(self, agent: Agent | Team | Workflow) -> None:
        hide_content()
        self._agent = agent
        self._history_turns = _history_turns(agent)
        self._connections = Connections()

    @property
    def name(self) -> str | None:
        return self._agent.name or self._agent.id

    @property
    def description(self) -> str | None:
        return self._agent.description

    @functools.cached_property
    def memory(self) -> Memory:
        """The turns that the agent's metadata names as `history_turns`, and its model's window."""
        model = None if isinstance(self._agent, Workflow) else self._agent.model or default_model()
        return Memory(self._history_turns, context_window(model.id) if isinstance(model, Model) else None)

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`."""
        model = None if isinstance(self._agent, Workflow) else self._agent.model
        if isinstance(model, Model):
            open_client(model)
        if isinstance(model, OpenAIChat):
            await _rehearse()

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        if isinstance(self._agent, Workflow):
            events = run_workflow(self._agent, turn, _identity(turn))
        else:
            await self._connections.open(self._agent)
            run = _prepare(self._agent, turn)
            events = _run_streamed(run, turn) if _is_streamed(self._agent, turn) else _run_plain(run, turn)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event


def _history_turns(agent: Agent | Team | Workflow) -> int | None:
    turns = (agent.metadata or {}).get("history_turns")
    if turns is None or (type(turns) is int and 1 <= turns <= MOST_HISTORY_TURNS):
        return turns
    raise ConfigurationError(
        f"The metadata of the agent {agent.name!r} have history_turns={turns!r}; "
        f"it must be a whole number from 1 to {MOST_HISTORY_TURNS}."
    )


_rehearsed = False


async def _rehearse() -> None:
    """Go through a plain and a streamed turn, once for each process."""
    global _rehearsed
    if _rehearsed:
        return
    _rehearsed = True
    runtime = AgnoRuntime(rehearsal_agent())
    turn = Turn("rehearsal", "rehearsal", Caller(""), (Message("user", "ready?"),))
    for stream in (False, True):
        async for _ in runtime.run(replace(turn, stream=stream)):
            pass


@dataclass(frozen=True, slots=True)
class _Run:
    """One run's own copy of an agent, its arguments, and its model calls.

    `given` are the messages that stand before the user's newest one.
    """

    agent: Agent | Team
    arguments: dict[str, Any]
    given: list[AgnoMessage]
    calls: Calls

    @property
    def outcome(self) -> Outcome:
        """What the agent's model calls have come to so far; not those of team members."""
        model = self.agent.model
        return self.calls.outcome_of(self.arguments["run_id"]) or Outcome(model.id if model else "none")


def _is_streamed(agent: Agent | Team, turn: Turn) -> bool:
    """A parser model rewrites the answer when it is whole; which hook failed is told in a stream only."""
    if agent.parser_model is not None:
        return False
    return turn.stream or bool(agent.pre_hooks or agent.post_hooks)


def _prepare(shared: Agent | Team, turn: Turn) -> _Run:
    calls = Calls()
    agent = Copies(calls).agent(shared)
    if agent.model is not None:
        set_parameters(agent.model, turn.parameters, drop_unsupported=turn.drop_unsupported)
    _add_instructions(agent, turn)

    own = [m if isinstance(m, AgnoMessage) else AgnoMessage.model_validate(m) for m in agent.additional_input or ()]
    said = [m for m in turn.messages if m.role not in ("system", "developer")]
    *before, newest = (to_agno(m) for m in said)
    given = [*own, *before]
    agent.additional_input = list(given)
    asked: str | AgnoMessage = newest
    if said[-1].role == "user":
        asked = said[-1].content
    else:
        given.append(newest)
    arguments = {"input": asked, "add_history_to_context": False, **_identity(turn)}
    return _Run(agent, arguments, given, calls)


def _add_instructions(agent: Agent | Team, turn: Turn) -> None:
    """The client's system messages join the agent's own: some providers keep only one system message."""
    texts = [m.content for m in turn.messages if m.role in ("system", "developer") and m.content]
    if not texts:
        return
    if agent.system_message is None:
        agent.additional_context = "\n\n".join(filter(None, [agent.additional_context, *texts]))
    else:
        agent.system_message = _joined(agent.system_message, "\n\n".join(texts))


def _joined(own: Any, text: str) -> Any:
    """An agent's own system message, in any of the forms that Agno takes, with `text` after it."""
    if isinstance(own, str):
        return f"{own}\n\n{text}"
    if isinstance(own, AgnoMessage):
        return own.model_copy(update={"content": f"{own.get_content_string()}\n\n{text}"})
    if inspect.iscoroutinefunction(own):

        @functools.wraps(own)
        async def joined_later(*args: Any, **kwargs: Any) -> str:
            return f"{await own(*args, **kwargs)}\n\n{text}"

        return joined_later

    @functools.wraps(own)
    def joined(*args: Any, **kwargs: Any) -> str:
        return f"{own(*args, **kwargs)}\n\n{text}"

    return joined


def _identity(turn: Turn) -> dict[str, Any]:
    return {
        "run_id": turn.id,
        "session_id": turn.conversation or turn.id,
        "user_id": ":".join(turn.caller.principal),
        "session_state": copy.deepcopy(dict(turn.state or {})),
    }


async def _run_plain(run: _Run, turn: Turn) -> AsyncGenerator[Event, None]:
    output: Output = await run.calls.whole(run.agent.arun(stream=False, **run.arguments))
    yield usage_of_run(output)
    raise_if_failed(output, run.outcome, turn)
    messages = produced(output.messages, run.given)
    said = [message.content for message in messages if message.role == "assistant"]
    content = as_text(output.content)
    text = join_texts(said) if "".join(said) == content else content
    raise_if_incomplete(text, run.outcome)
    if output.reasoning_content:
        yield Reasoning(output.reasoning_content)
    if text:
        yield Text(text)
    yield Finished(run.outcome.reason, messages, state_to_keep(output.session_state))


async def _run_streamed(run: _Run, turn: Turn) -> AsyncGenerator[Event, None]:
    stream: AsyncIterator[Any] = run.agent.arun(stream=True, stream_events=True, yield_run_output=True, **run.arguments)
    usage, said, output = Usage(), _Said(), None
    async with run.calls.reading(stream) as events:
        async for event in events:
            if isinstance(event, ModelAnswered):
                usage += usage_of_call(event)
                yield usage
            elif getattr(event, "run_id", None) != turn.id:
                continue
            elif isinstance(event, _SPOKEN):
                for piece in said.pieces(event):
                    yield piece
            elif isinstance(event, _TOOL_CALLED):
                said.tool_called = True
            elif isinstance(event, (RunOutput, TeamRunOutput)):
                output = event
            else:
                raise_if_ended(event, run.outcome, turn)
    if output is None:
        raise AgentFailed(f"The agent {turn.agent!r} ended without an answer.")
    raise_if_incomplete(said.last, run.outcome)
    if (whole := usage_of_run(output)) != usage:
        yield whole
    yield Finished(run.outcome.reason, produced(output.messages, run.given), state_to_keep(output.session_state))


@dataclass(slots=True)
class _Said:
    """What an agent has said so far; what it says after it called a tool begins a paragraph."""

    last: str = ""
    tool_called: bool = False

    def pieces(self, event: Any) -> Iterator[Reasoning | Text]:
        if event.reasoning_content:
            yield Reasoning(event.reasoning_content)
        text = as_text(event.content) if isinstance(event, _CONTENT) else ""
        if not text:
            return
        if self.tool_called:
            text, self.tool_called = paragraph_break(self.last) + text, False
        self.last = text
        yield Text(text)
