"""Runs agents of other frameworks, through whatever follows Agno's agent protocol: its adapters, its remote agents.

The protocol takes one text. What was said before reaches one of Agno's adapters as the history of
a session that is this run's own, so that LangGraph, for one, gets it as messages with the calls
of tools; any other object gets it as a transcript before the newest message. Either way it is
the branch of the conversation that the turn stands on: each run has a session of its own, and
what a framework keeps by session (LangGraph's checkpoints by thread, a database of the
adapter's) begins anew with each turn. A client's instructions stand before the newest message.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import fields
from itertools import chain
from typing import Any

from agno.agent.protocol import AgentProtocol
from agno.agents.base import BaseExternalAgent
from agno.agents.langgraph import LangGraphAgent
from agno.db.in_memory import InMemoryDb
from agno.run.agent import RunErrorEvent, RunOutput
from agno.run.base import RunStatus
from agno.session import AgentSession

from agentllm.core import Event, Finished, Memory, Message, Turn, Usage
from agentllm.errors import AgentFailed, AgentLLMError, ModelFailed, UnsupportedParameter
from agentllm.llm.retry_after import retry_after
from agentllm.runtimes.agno.log import hide_content
from agentllm.runtimes.agno.messages import to_agno
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.results import failure
from agentllm.runtimes.agno.told import Told
from agentllm.runtimes.agno.tool_choice import refuse_client_tools
from agentllm.runtimes.agno.work import WorkOfRun

GO_ON = "Go on."
"""What an agent is told where the client has nothing new to say."""

_NOTHING = "(nothing)"
"""Stands for the empty result of a tool, which Agno's adapters would leave out."""

_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class ExternalRuntime:
    """The runtime of one object of Agno's agent protocol.

    An adapter (`BaseExternalAgent`) is copied for each run; any other object is shared by all of
    them, and has to bear that. No sampling parameter, client tool, output format or media reaches
    such an agent. Usage is what the framework tells of it, which may be nothing.
    """

    def __init__(self, agent: AgentProtocol) -> None:
        hide_content()
        self._agent = agent

    @property
    def name(self) -> str | None:
        """An adapter's name; the id of anything else, as a remote agent asks its server for its name."""
        if isinstance(self._agent, BaseExternalAgent):
            return self._agent.name
        return self._agent.id or self._agent.name

    @property
    def description(self) -> str | None:
        return self._agent.description if isinstance(self._agent, BaseExternalAgent) else None

    @property
    def memory(self) -> Memory:
        return Memory()

    @property
    def takes_front_end_tools(self) -> bool:
        """Never: no tool of a client reaches it."""
        return False

    @property
    def keeps_its_models(self) -> bool:
        """Always: its framework calls the model."""
        return True

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`; of other frameworks nothing is known."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`.

        Raises:
            UnsupportedParameter: the turn asks for something that does not reach such an agent.
        """
        refuse_client_tools(turn)
        _refuse_unsupported(turn)
        work = WorkOfRun()
        try:
            async with aclosing(work.ending(_run(self._agent, turn, work))) as events:
                async for event in events:
                    yield event
        except AgentLLMError:
            raise
        except Exception as error:
            raise _failed(error, turn) from None


async def _run(shared: AgentProtocol, turn: Turn, work: WorkOfRun) -> AsyncGenerator[Event, None]:
    agent, asked = _prepared(shared, turn)
    told, usage = Told(turn), Usage()
    heard = None
    if isinstance(agent, LangGraphAgent):
        from agentllm.runtimes.agno.langgraph import listen

        heard = listen(agent)
    async with aclosing(_events(agent, asked, turn)) as events:
        async for event in events:
            if isinstance(event, RunErrorEvent) and heard is not None and heard.error is not None:
                raise _failed(heard.error, turn, of_model=heard.is_of_model)
            for piece in chain(work.of(event), told.pieces(event)):
                yield piece
            if heard is not None and heard.usage != usage:
                usage = heard.usage
                yield usage
    for piece in told.ends(heard.answer if heard is not None else ""):
        yield piece
    yield heard.usage if heard is not None else told.usage
    reason = heard.reason if heard is not None else "stop"
    if not told.text and reason == "stop":
        raise AgentFailed(f"The agent {turn.agent!r} returned an empty answer.")
    yield Finished(reason, told.messages)


async def _events(agent: AgentProtocol, asked: str, turn: Turn) -> AsyncGenerator[Any, None]:
    """What the agent tells of its run; closing this closes it."""
    told: Any = agent.arun(
        asked,
        stream=True,
        stream_events=True,
        run_id=turn.id,
        session_id=turn.id,
        user_id=_user_id(turn),
    )
    if inspect.isawaitable(told):
        told = await told
    if not isinstance(told, AsyncIterator):
        yield told
        return
    try:
        async for event in told:
            yield event
    finally:
        if isinstance(told, AsyncGenerator):
            await told.aclose()


def _prepared(shared: AgentProtocol, turn: Turn) -> tuple[AgentProtocol, str]:
    """What runs the turn, and the text that it is given."""
    said = [message for message in turn.messages if message.role not in ("system", "developer")]
    is_new = said[-1].role == "user"
    before, newest = (said[:-1], said[-1].content) if is_new else (said, GO_ON)
    instructions = [m.content for m in turn.messages if m.role in ("system", "developer") and m.content]
    asked = "\n\n".join([*instructions, newest])
    if not isinstance(shared, BaseExternalAgent):
        return shared, _transcript(before, asked)
    own = copy.copy(shared)
    own.db = _history(own, before, turn) if before else None
    return own, asked


def _history(agent: BaseExternalAgent, before: list[Message], turn: Turn) -> InMemoryDb:
    """A database that holds the session of one run, with what was said before it."""
    messages = [to_agno(message) for message in before]
    for message in messages:
        if message.role == "tool" and not message.content:
            message.content = _NOTHING
    ids: dict[str, Any] = {"session_id": turn.id, "agent_id": agent.get_id(), "user_id": _user_id(turn)}
    past = RunOutput(run_id=f"before-{turn.id}", messages=messages, status=RunStatus.completed, **ids)
    db = InMemoryDb()  # type: ignore[no-untyped-call]
    db.upsert_session(AgentSession(runs=[past], **ids))
    return db


def _user_id(turn: Turn) -> str:
    return ":".join(turn.caller.principal)


def _transcript(before: list[Message], asked: str) -> str:
    """The whole of a conversation as one text; what the agent did in between, with its tools, is left out."""
    lines = [f"{_SPEAKERS[m.role]}: {m.content}" for m in before if m.role in _SPEAKERS and m.content]
    if not lines:
        return asked
    return "\n\n".join(["The conversation so far:", *lines, "The newest message, which is to be answered:", asked])


def _refuse_unsupported(turn: Turn) -> None:
    if turn.drop_unsupported:
        return
    wanted = [field.name for field in fields(turn.parameters) if getattr(turn.parameters, field.name) is not None]
    wanted += ["tools"] if any(tool.name != "ask_user" for tool in turn.client_tools) else []
    wanted += ["response_format"] if turn.output_format is not None else []
    wanted += [media.kind for message in turn.messages for media in message.media]
    if wanted:
        raise UnsupportedParameter(wanted[0], turn.agent)


def _failed(error: Exception, turn: Turn, *, of_model: bool = False) -> AgentLLMError:
    """The error that a client is told: the model's where it is one, or has the status of one."""
    status = getattr(error, "status_code", None)
    has_status = isinstance(status, int) and 400 <= status <= 599
    detail = " ".join(str(error).split()) or type(error).__name__
    if of_model or has_status:
        return ModelFailed(
            f"The language model of the agent {turn.agent!r} failed: {detail[:500]}",
            status=int(status) if has_status and status is not None else 502,
            retry_after=retry_after(error),
        )
    return failure(detail, Outcome(turn.agent), turn, type(error).__name__)
