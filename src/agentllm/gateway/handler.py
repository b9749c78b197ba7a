"""The provider `agno`: answers LiteLLM's calls with agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import ModelResponse

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.conversations.spend import Spend
from agentllm.core import Agent, Event, Finished, Runtime, Text, Turn, Usage
from agentllm.errors import AgentUnavailable, RunTimedOut
from agentllm.gateway.accounts import Accounts
from agentllm.gateway.answer_ids import ANSWER_ID_PREFIX
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.chunks import Answer, Chunk, whole_answer
from agentllm.gateway.coalesce import coalesce
from agentllm.gateway.failures import FailedCalls, as_ours, to_litellm
from agentllm.gateway.fetch import Fetcher
from agentllm.gateway.footnotes import Footnotes
from agentllm.gateway.openwebui_work import shows_work
from agentllm.gateway.repeats import idempotency_key
from agentllm.gateway.request import Request
from agentllm.gateway.swaps import CallersPolicy
from agentllm.gateway.tasks import run_task
from agentllm.gateway.work import hiding_work, with_lines
from agentllm.hotswap.swapping import Swapping, keeps_its_models
from agentllm.idempotency import Idempotency, Run
from agentllm.llm.accounts import ACCOUNT
from agentllm.llm.router import CALLER_METADATA
from agentllm.runtimes.characters import WholeCharacters
from agentllm.runtimes.links import links_in_words
from agentllm.runtimes.questions import Asking
from agentllm.runtimes.structured import structured

log = logging.getLogger("agentllm.gateway")


class AgentHandler(CustomLLM):
    """LiteLLM's custom provider; each method takes the keyword arguments of LiteLLM's dispatch.

    All of them raise exceptions of `litellm.exceptions` with the status of the error that they
    stand for. An agent runs once for each call, also where LiteLLM tries again.
    """

    def __init__(
        self,
        catalog: Catalog,
        conversations: Conversations,
        home: HomeLoop,
        *,
        run_timeout: float,
        task_model: str | None = None,
        fetcher: Fetcher | None = None,
        show_work: bool = False,
        swap_models: tuple[str, ...] | None = None,
        footnotes: Footnotes | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        super().__init__()
        self._catalog = catalog
        self._conversations = conversations
        self._home = home
        self._run_timeout = run_timeout
        self._task_model = task_model
        self._fetcher = fetcher
        self._show_work = show_work
        self._swap_models = swap_models
        self._footnotes = footnotes or Footnotes()
        self._accounts = accounts or Accounts(Spend(conversations.store.database))
        self._idempotency = Idempotency.beside(conversations)
        self._failed = FailedCalls()

    @property
    def accounts(self) -> Accounts:
        """Those of the callers."""
        return self._accounts

    def completion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """A whole answer; blocks until it is there."""
        return self._home.run(self._answer(Request(kwargs)))

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """A whole answer; cancelling it stops the agent."""
        return await self._home.arun(self._answer(Request(kwargs)))

    def streaming(self, *args: Any, **kwargs: Any) -> Iterator[Chunk]:  # type: ignore[override]  # two kinds of chunk
        """The chunks of an answer, each as soon as it is there; closing the iterator stops the agent."""
        return self._home.stream(self._chunks(Request(kwargs)))

    async def astreaming(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Chunk, None]:  # type: ignore[override]  # the same
        """The chunks of an answer; closing the generator stops the agent."""
        async with aclosing(self._home.astream(self._chunks(Request(kwargs)))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _answer(self, request: Request) -> ModelResponse:
        response: ModelResponse = request.kwargs["model_response"]
        try:
            answer = Answer(request.agent, request.answer_id, request.is_chat)
            async with aclosing(self._events(request, answer, stream=False)) as events:
                return await whole_answer(events, response, answer)
        except Exception as error:
            raise to_litellm(error, request.agent) from None

    async def _chunks(self, request: Request) -> AsyncGenerator[Chunk, None]:
        try:
            answer = Answer(request.agent, request.answer_id, request.is_chat)
            async with aclosing(coalesce(self._events(request, answer, stream=True))) as events:
                async for chunk in answer.chunks(events):
                    yield chunk
        except Exception as error:
            raise to_litellm(error, request.agent) from None

    async def _events(self, request: Request, answer: Answer, *, stream: bool) -> AsyncGenerator[Event, None]:
        """The events of the turn, once: a retry of LiteLLM gets the first try's error.

        A health check asks no model: that the agent could be loaded is all it can know.
        """
        if request.is_health_check:
            self._catalog.get(request.agent)
            yield Text("The agent is loaded.")
            yield Usage()
            yield Finished("stop")
            return
        caller = request.caller
        if request.is_retry and (error := self._failed.recall(request.call_id, caller, request.agent)):
            raise error
        try:
            begun = await self._begin(request, answer, stream=stream)
            async with aclosing(self._showing_work(request, begun)) as events:
                async for event in events:
                    if isinstance(event, Usage):
                        self._footnotes.of(request.call_id).cost = event.cost
                    elif isinstance(event, Finished):
                        self._footnotes.of(request.call_id).model = event.model
                    yield event
        except Exception as error:
            failure = as_ours(error, request.agent)
            kind, status = type(failure).__name__, failure.status
            log.warning("call %s of agent %r failed: %s, status %d", request.call_id, request.agent, kind, status)
            self._failed.remember(request.call_id, caller, request.agent, failure)
            raise failure from None

    def _showing_work(self, request: Request, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """`events` with the agent's work as the client can take it.

        Endpoints other than that of chats have no place for it. In words it is told where the operator wants that.
        """
        if not request.is_chat:
            return hiding_work(events)
        return with_lines(events) if self._show_work and not shows_work(request.headers) else events

    async def _begin(self, request: Request, answer: Answer, *, stream: bool) -> AsyncGenerator[Event, None]:
        """The events of the agent's turn, or of a background task, which no agent is run for."""
        agent = self._catalog.get(request.agent)
        if request.is_for_background_task:
            raise AgentUnavailable(
                f"The model for background tasks leads to the agent {agent.name!r}, which is not run for them. "
                "Set AGENTLLM_TASK_MODEL to a language model."
            )
        if self._fetcher is not None:
            await request.fetch(self._fetcher)
        limit = min(self._run_timeout, request.timeout or self._run_timeout)
        if task := request.background_task(stream=stream):
            return _within(run_task(task, request, self._task_model, stream=stream), limit, agent.name)
        turn = request.turn(stream=stream, front_end_tools=agent.runtime.takes_front_end_tools)
        return self.begin(agent, turn, request, answer, limit=limit)

    def begin(
        self, agent: Agent, turn: Turn, request: Request, answer: Answer, *, limit: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of `turn`, which `request` asks for, within `limit` seconds or those of the settings.

        `request` says who asks and under which Idempotency-Key; `answer` gets the id and time of the first answer
        under it.

        Raises:
            InvalidRequest: the Idempotency-Key is none; all else is raised when the events are read.
        """
        limit = self._run_timeout if limit is None else limit
        account = self._accounts.open(agent.name, turn.caller)
        ACCOUNT.set(account)
        CALLER_METADATA.set({**request.caller_metadata, **account.metadata})
        policy, is_fixed = CallersPolicy(self._swap_models, request.key), keeps_its_models(agent.runtime)

        def run(runtime: Runtime) -> AsyncGenerator[Event, None]:
            log.info("turn %s of agent %s begins", turn.id, agent.name)
            worded = links_in_words(structured(WholeCharacters(runtime)), pictures=not request.is_chat)
            swapping = Swapping(Asking(worded), policy, keeps_its_models=is_fixed)
            return _within(self._conversations.run(swapping, turn), limit, agent.name)

        key = idempotency_key(request.headers)
        if key is None:
            return run(agent.runtime)
        return self._once(self._idempotency.join(key, turn, agent.runtime, run, patience=limit), answer)

    async def _once(self, joining: AbstractAsyncContextManager[Run], answer: Answer) -> AsyncGenerator[Event, None]:
        """The events of the first request with the same key, under the id of its answer."""
        async with joining as run:
            answer.id, answer.created = f"{ANSWER_ID_PREFIX}{run.entry.answer_id}", run.entry.created
            async with aclosing(run.read()) as events:
                async for event in events:
                    yield event


async def _within(events: AsyncGenerator[Event, None], limit: float, agent: str) -> AsyncGenerator[Event, None]:
    """`events`, all of them within `limit` seconds."""
    deadline = asyncio.get_running_loop().time() + limit
    async with aclosing(events):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise RunTimedOut(
                    f"The agent {agent!r} was stopped because its run took longer than {limit:g} seconds."
                ) from None
            yield event
