"""The loop of an agent's run: ask the model, call the tools that it calls, and ask again until it has answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentllm.core import ClientCalls, JsonObject, Reasoning, Text, ToolCall, Usage, Work
from agentllm.errors import AgentFailed, BudgetExceeded
from agentllm.llm.unified.asked import Answer, Asked, UnifiedEvent
from agentllm.llm.unified.attempts import attempts
from agentllm.llm.unified.replies import Reply
from agentllm.llm.unified.requests import Call
from agentllm.llm.unified.tools import FunctionTool, Returned

if TYPE_CHECKING:
    from agentllm.llm.unified.agent import UnifiedAgent

FAILED = "It failed; the agent was told why."
"""What may be told of a tool's failure: its text can hold what is not for the person who asked."""


async def run(agent: UnifiedAgent, asked: Asked) -> AsyncGenerator[UnifiedEvent, None]:
    """One run of `agent`; see `UnifiedAgent.answering`."""
    so_far = _SoFar(agent, asked)
    for number in range(agent.max_model_calls):
        so_far.check_budget()
        async with aclosing(_reply(agent, asked, so_far, is_first=number == 0)) as pieces:
            async for piece in pieces:
                for event in so_far.of(piece):
                    yield event
        reply = so_far.reply
        own, theirs = _parted(reply.calls, so_far.client_tools)
        async with aclosing(_work(agent.functions, own, so_far.messages)) as work:
            async for done in work:
                yield done
        if theirs:
            yield ClientCalls(theirs)
        if theirs or not own:
            yield so_far.answer(theirs)
            return
    raise AgentFailed(
        f"The agent called tools in each of {agent.max_model_calls} model calls, which are the most for one run; "
        "ask for less at once, or raise its max_model_calls."
    )


async def _reply(
    agent: UnifiedAgent, asked: Asked, so_far: _SoFar, *, is_first: bool
) -> AsyncGenerator[Text | Reasoning | Reply, None]:
    """One model call, of the model and with the prompt that are in force by now."""
    swap = asked.swap()
    model = swap.model or agent.model
    models = [model, *agent.fallbacks] if model == agent.model else [model]
    call = Call(agent, asked, swap.prompt, so_far.messages, is_first)
    async with aclosing(attempts(call, models)) as pieces:
        async for piece in pieces:
            yield piece


class _SoFar:
    """What a run came to so far."""

    def __init__(self, agent: UnifiedAgent, asked: Asked) -> None:
        self.messages: list[JsonObject] = list(asked.messages)
        self.client_tools = {tool.name for tool in (*agent.schemas, *asked.client_tools)}
        self._agent = agent
        self._text = ""
        self._reasoning = ""
        self._usage = Usage()
        self._reply: Reply | None = None
        self._begins_paragraph = False

    @property
    def reply(self) -> Reply:
        """That of the last model call."""
        assert self._reply is not None
        return self._reply

    def of(self, piece: Text | Reasoning | Reply) -> Sequence[UnifiedEvent]:
        """What a piece of a model call tells; what is said after a call of a tool begins a paragraph."""
        if isinstance(piece, Reply):
            self._reply = piece
            self._usage += piece.usage
            self._begins_paragraph = bool(self._text) and not self._text[-1].isspace()
            self.messages.append(piece.message)
            return [self._usage]
        if isinstance(piece, Reasoning):
            self._reasoning += piece.text
            return [piece]
        text = f"\n\n{piece.text}" if self._begins_paragraph else piece.text
        self._begins_paragraph = False
        self._text += text
        return [Text(text)]

    def check_budget(self) -> None:
        """Raises `BudgetExceeded` where the run may cost no more."""
        budget, cost = self._agent.budget, self._usage.cost
        if budget is not None and cost is not None and cost >= budget:
            raise BudgetExceeded(
                f"The run has cost ${cost:.6g}, and its budget is ${budget:.6g}: no further model call was made. "
                "Ask for less at once, or raise the agent's budget."
            )

    def answer(self, calls: tuple[ToolCall, ...]) -> Answer:
        messages, reply = tuple(self.messages), self.reply
        return Answer(self._text, self._reasoning, calls, messages, reply.reason, reply.model, self._usage)


def _parted(calls: Sequence[ToolCall], client_tools: set[str]) -> tuple[tuple[ToolCall, ...], tuple[ToolCall, ...]]:
    """The calls that are the agent's to answer, those of tools that nobody has among them, and those of the client."""
    theirs = tuple(call for call in calls if call.name in client_tools)
    return tuple(call for call in calls if call not in theirs), theirs


async def _work(
    functions: Sequence[FunctionTool], calls: Sequence[ToolCall], messages: list[JsonObject]
) -> AsyncGenerator[Work, None]:
    """Call tools, all at once, and add their results to `messages` in the order of the calls.

    Closing this stops those that are async; what runs in a thread ends by itself.
    """
    tools = {tool.name: tool for tool in functions}
    running = {asyncio.ensure_future(_returned(tools, call)): call for call in calls}
    try:
        for call in calls:
            yield Work(call.id, "tool", call.name, "started", _arguments(call))
        waiting = set(running)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield _end(running[task], _result(task))
    finally:
        open_tasks = [task for task in running if not task.done()]
        for task in open_tasks:
            task.cancel()
        if open_tasks:
            await asyncio.wait(open_tasks)
    for task, call in running.items():
        messages.append({"role": "tool", "tool_call_id": call.id, "content": _result(task).text})


async def _returned(tools: Mapping[str, FunctionTool], call: ToolCall) -> Returned:
    if call.name not in tools:
        return Returned(f"Error: there is no tool {call.name!r}. There are: {', '.join(tools)}.", is_error=True)
    return await tools[call.name].called(call)


def _result(task: asyncio.Future[Returned]) -> Returned:
    """What a call came to that is done, also where the tool has cancelled itself."""
    return Returned("Error: it was cancelled.", is_error=True) if task.cancelled() else task.result()


def _end(call: ToolCall, returned: Returned) -> Work:
    if returned.is_error:
        return Work(call.id, "tool", call.name, "failed", _arguments(call), FAILED)
    return Work(call.id, "tool", call.name, "finished", _arguments(call), returned.text)


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
