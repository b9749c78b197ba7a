"""One run of an Agno agent or team: what it is given, what it yields, and how it ends."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from agno.agent import Agent
from agno.models.message import Message as AgnoMessage
from agno.run import RunContext
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.run.team import TeamRunOutput
from agno.team import Team

from agentllm.core import ClientCalls, Event, Finished, Message, Questions, Reasoning, Text, Turn, Usage
from agentllm.errors import AgentFailed
from agentllm.runtimes.agno.calls import Calls
from agentllm.runtimes.agno.client_tools import client_functions
from agentllm.runtimes.agno.continuing import continued, reporting
from agentllm.runtimes.agno.copies import Copies
from agentllm.runtimes.agno.instructions import add_instructions
from agentllm.runtimes.agno.media import Exhibits, refuse_untaken, to_agno_media
from agentllm.runtimes.agno.messages import join_texts, paragraph_break, produced, to_agno
from agentllm.runtimes.agno.model import keep_progress, tell
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.output import set_output_format
from agentllm.runtimes.agno.parameters import set_parameters
from agentllm.runtimes.agno.pauses import Pause, pause_of
from agentllm.runtimes.agno.results import (
    ModelAnswered,
    Output,
    as_text,
    is_same,
    raise_if_ended,
    raise_if_failed,
    raise_if_incomplete,
    state_to_keep,
    usage_of_call,
    usage_of_run,
)
from agentllm.runtimes.agno.swapped import swapping
from agentllm.runtimes.agno.tool_choice import calling
from agentllm.runtimes.agno.tries import Tries
from agentllm.runtimes.agno.work import WorkOfRun
from agentllm.runtimes.tool_media import with_media_of_tools

_CONTENT = (agent_events.RunContentEvent, team_events.RunContentEvent)
_SPOKEN = (
    *_CONTENT,
    agent_events.ReasoningContentDeltaEvent,
    agent_events.ReasoningStepEvent,
    team_events.ReasoningContentDeltaEvent,
    team_events.ReasoningStepEvent,
)
_PAUSED = (agent_events.RunPausedEvent, team_events.RunPausedEvent)
_TOOL_CALLED = (agent_events.ToolCallStartedEvent, team_events.ToolCallStartedEvent)


async def run_agent(shared: Agent | Team, turn: Turn, work: WorkOfRun) -> AsyncGenerator[Event, None]:
    """Run a copy of `shared`, or go on with a paused run of it.

    Raises:
        InvalidRequest: the turn brings what the agent or its model cannot take, or decisions that do not fit.
        UnsupportedParameter: it sets a parameter that the model cannot take.
        AgentFailed: the run failed.
    """
    run = await _prepare(shared, turn)
    with reporting(turn, run.calls):
        events = _run_streamed(run, turn, work) if _is_streamed(shared, turn) else _run_plain(run, turn, work)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event


def identity(turn: Turn) -> dict[str, Any]:
    """What Agno is told of whose run it is, and the session state that it begins with."""
    return {
        "run_id": turn.id,
        "session_id": turn.conversation or turn.id,
        "user_id": ":".join(turn.caller.principal),
        "session_state": copy.deepcopy(dict(turn.state or {})),
    }


@dataclass(frozen=True, slots=True)
class _Run:
    """One run's own copy of an agent, its arguments, its model calls, and what it has shown.

    `given` are the messages that stand before the user's newest one. A run that is continued has
    the paused one among its arguments.
    """

    id: str
    agent: Agent | Team
    arguments: dict[str, Any]
    given: list[AgnoMessage]
    calls: Calls
    exhibits: Exhibits
    is_continued: bool = False

    def start(self, *, stream: bool) -> Any:
        """What Agno gives: something to wait for, or to read."""
        begin: Any = self.agent.acontinue_run if self.is_continued else self.agent.arun
        how = {"stream_events": True, "yield_run_output": True} if stream else {}
        return begin(stream=stream, **how, **self.arguments)

    @property
    def outcome(self) -> Outcome:
        """What the agent's model calls have come to so far; not those of team members."""
        model = self.agent.model
        return self.calls.outcome_of(self.id) or Outcome(model.id if model else "none")


def _is_streamed(agent: Agent | Team, turn: Turn) -> bool:
    """A parser model rewrites the answer when it is whole; which hook failed is told in a stream only."""
    if agent.parser_model is not None:
        return False
    return turn.stream or bool(agent.pre_hooks or agent.post_hooks)


async def _prepare(shared: Agent | Team, turn: Turn) -> _Run:
    calls = Calls()
    agent = Copies(calls).agent(shared)
    about = identity(turn)
    context = RunContext(**about)
    said = with_media_of_tools(m for m in turn.messages if m.role not in ("system", "developer"))
    media = list(chain.from_iterable(message.media for message in said))
    swapped = swapping(agent, turn, context)
    if agent.model is not None:
        asked = turn if swapped.model is None else replace(turn, drop_unsupported=True)
        set_parameters(agent.model, asked.parameters, drop_unsupported=asked.drop_unsupported)
        tell(agent.model, calling(agent.model, asked))
        keep_progress(agent.model)
        refuse_untaken(swapped.model or agent.model, media)
    swapped.words = set_output_format(agent, turn.output_format, turn.id) if turn.output_format else ""
    add_instructions(agent, turn, swapped.words)
    context.client_tools = list(await client_functions(agent, turn, context))

    own = [m if isinstance(m, AgnoMessage) else AgnoMessage.model_validate(m) for m in agent.additional_input or ()]
    given = [*own, *(to_agno(m if agent.send_media_to_model else replace(m, media=())) for m in said)]
    exhibits = Exhibits(turn.id, media, calls.pictures)
    if turn.pending is not None:
        arguments = await continued(agent, turn, given, context)
        return _Run(turn.id, agent, arguments, given, calls, exhibits, is_continued=True)
    *before, newest = given
    agent.additional_input = list(before)
    arguments = {"input": newest, "add_history_to_context": False, **about}
    if said[-1].role == "user":
        given.pop()
        arguments |= {"input": said[-1].content, **to_agno_media(said[-1].media)}
    arguments["run_context"] = context
    return _Run(turn.id, agent, arguments, given, calls, exhibits)


async def _run_plain(run: _Run, turn: Turn, work: WorkOfRun) -> AsyncGenerator[Event, None]:
    output: Output = await run.calls.whole(run.start(stream=False))
    for piece in work.of_output(output):
        yield piece
    yield usage_of_run(output)
    messages = produced(output.messages, run.given)
    if output.status is RunStatus.error:
        for piece in work.of_failed(messages, output.run_id):
            yield piece
    raise_if_failed(output, run.outcome, turn)
    pause = pause_of(output, messages, turn)
    text = _whole_text(output, messages, pause, turn)
    shown = list(run.exhibits.of_output(output))
    raise_if_incomplete(text, run.outcome, is_paused=pause is not None, is_shown=run.exhibits.is_shown)
    if output.reasoning_content:
        yield Reasoning(output.reasoning_content)
    if turn.output_format and (aside := join_texts(m.content for m in messages[:-1] if m.role == "assistant")):
        yield Reasoning(aside)
    if text:
        yield Text(text)
    for exhibit in shown:
        yield exhibit
    for ending in _end(run, output, messages, pause):
        yield ending


def _whole_text(output: Output, messages: tuple[Message, ...], pause: Pause | None, turn: Turn) -> str:
    said = [message.content for message in messages if message.role == "assistant"]
    if turn.output_format and messages[-1:] and messages[-1].role == "assistant":
        return messages[-1].content
    content = as_text(output.content)
    return join_texts(said) if pause or "".join(said) == content else content


async def _run_streamed(run: _Run, turn: Turn, work: WorkOfRun) -> AsyncGenerator[Event, None]:
    stream: AsyncIterator[Any] = run.start(stream=True)
    so_far = _SoFar(run, turn, Tries(turn, is_continued=run.is_continued))
    async with run.calls.reading(stream) as events:
        async for event in events:
            for told in work.of(event):
                yield told
            for piece in so_far.events(event):
                yield piece
    output = so_far.output
    if output is None:
        raise AgentFailed(f"The agent {turn.agent!r} ended without an answer.")
    messages = produced(output.messages, run.given)
    pause = pause_of(output, messages, turn)
    for exhibit in run.exhibits.of_output(output):
        yield exhibit
    raise_if_incomplete(so_far.text, run.outcome, is_paused=pause is not None, is_shown=run.exhibits.is_shown)
    if not is_same(whole := usage_of_run(output), so_far.usage):
        yield whole
    for ending in _end(run, output, messages, pause):
        yield ending


def _end(run: _Run, output: Output, messages: tuple[Message, ...], pause: Pause | None) -> Iterator[Event]:
    state = state_to_keep(output.session_state)
    if pause is None:
        yield Finished(run.outcome.reason, messages, state, model=run.outcome.answered_by)
        return
    if pause.calls:
        yield ClientCalls(pause.calls)
    if pause.questions:
        yield Questions(pause.questions)
    yield Finished("tool_calls", pause.messages, state, pause.pending, model=run.outcome.answered_by)


@dataclass(slots=True)
class _SoFar:
    """What a streamed run has told so far; what the agent says after it called a tool begins a paragraph."""

    run: _Run
    turn: Turn
    tries: Tries
    usage: Usage = field(default_factory=Usage)
    text: str = ""
    tool_called: bool = False
    output: Output | None = None

    def events(self, event: Any) -> Iterator[Event]:
        """What is told of an event of Agno.

        Raises:
            AgentLLMError: the run ended with it, without an answer, or begins again in the middle of one.
        """
        self.tries.check(event, self.run.outcome)
        yield from self.run.exhibits.of_event(event)
        if isinstance(event, ModelAnswered):
            self.usage = replace(self.usage + usage_of_call(event), cost=self.run.calls.cost)
            yield self.usage
        elif getattr(event, "run_id", None) != self.turn.id or isinstance(event, _PAUSED):
            return
        elif isinstance(event, _SPOKEN):
            yield from self._pieces(event)
        elif isinstance(event, _TOOL_CALLED):
            self.tool_called = True
        elif isinstance(event, (RunOutput, TeamRunOutput)):
            self.output = event
        else:
            raise_if_ended(event, self.run.outcome, self.turn)

    def _pieces(self, event: Any) -> Iterator[Reasoning | Text]:
        if event.reasoning_content:
            yield Reasoning(event.reasoning_content)
        text = as_text(event.content) if isinstance(event, _CONTENT) else ""
        if not text:
            return
        if self.tool_called:
            text, self.tool_called = paragraph_break(self.text) + text, False
        self.text = text
        yield Text(text)
