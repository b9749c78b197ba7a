"""All model calls of one run, those of team members and workflow steps too, and how they are stopped.

Agno runs members and parallel steps in tasks of their own, and leaves these to themselves where
a run is closed or cancelled. It and the providers' SDKs leave a call that they stop reading to
the garbage collector, but end it at once if they are cancelled while they wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Sequence
from typing import Any, TypeVar

from agno.media import Image

from agentllm.runtimes.agno.outcome import Outcome

T = TypeVar("T")


class Calls:
    """What the model calls of a run's agents came to, which are open, and which of Agno's tasks belong to the run.

    An agent is known by the id of its own run: the turn's for the one that answers, others for
    members and steps.
    """

    def __init__(self) -> None:
        self.last: Outcome | None = None
        """What the call came to that began last, of whichever agent."""
        self.is_stopping = False
        """Whether what the models still say is for no one."""
        self.cost: float | None = None
        """What the calls whose price is known cost so far, in US dollars; None where no price is known."""
        self.reader: asyncio.Task[Any] | None = None
        """The task that reads the run, which is not to be stopped with it."""
        self.pictures: dict[str, Sequence[Image]] = {}
        """Those of each model's whole answer by the id of Agno's message, which keeps the last of them only."""
        self._outcomes: dict[str, Outcome] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open = 0

    def outcome_of(self, run_id: str | None) -> Outcome | None:
        """What the last model call of an agent's run came to; None where it made no call."""
        return self._outcomes.get(run_id) if run_id else None

    def add_cost(self, cost: float | None) -> None:
        """Count what a call cost, or a part of it."""
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost

    def join(self) -> None:
        """Count the task that runs this to the run.

        Raises:
            CancelledError: the run is to stop.
        """
        if self.is_stopping:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        if task is not None and task is not self.reader:
            self._tasks.add(task)

    @contextlib.contextmanager
    def calling(self, outcome: Outcome, run_id: str | None) -> Iterator[None]:
        """A model call that `outcome` is told of, by the agent whose run this is, where that is known.

        Raises:
            CancelledError: the run is to stop.
        """
        self.join()
        self.last = outcome
        if run_id:
            self._outcomes[run_id] = outcome
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def whole(self, output: Awaitable[T]) -> T:
        """What a plain run returns; being cancelled while waiting for it stops the run."""
        self.reader = asyncio.current_task()
        try:
            return await output
        except BaseException:
            await self._stop_tasks()
            raise

    @contextlib.asynccontextmanager
    async def reading(self, stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
        """The events of a streamed run; leaving it before their end stops the run and ends its model calls."""
        try:
            yield _Read(stream, self)
        except BaseException:
            await self._stop_tasks()
            if self._open:
                await _cancel_where_it_waits(stream)
            raise
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def _stop_tasks(self) -> None:
        self.is_stopping = True
        running = {task for task in self._tasks if not task.done()}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


class AgentCalls:
    """The model calls of one agent, whose runs come one after another; `outcome` is of the last of them."""

    def __init__(self, calls: Calls) -> None:
        self.of_run = calls
        self.outcome = Outcome()
        self._run_id: str | None = None

    @contextlib.contextmanager
    def calling(self, model: str, run_id: str | None, name: str | None = None) -> Iterator[None]:
        """A call of `model`; without a `run_id` it is one beside the others of the run that the agent is in.

        `name` is what LiteLLM calls the model, None where it tells itself which one answers.

        Raises:
            CancelledError: the run is to stop.
        """
        if run_id and run_id != self._run_id:
            self.outcome, self._run_id = Outcome(), run_id
        outcome = self.outcome
        if run_id:
            outcome.model, outcome.error = model, None
        with self.of_run.calling(outcome, run_id), outcome.catching(model):
            yield
        if run_id:
            outcome.answered_by = name or outcome.noted_model


class _Read(AsyncIterator[T]):
    """A stream whose calls know which task reads it."""

    def __init__(self, stream: AsyncIterator[T], calls: Calls) -> None:
        self._stream = stream
        self._calls = calls

    def __anext__(self) -> Awaitable[T]:
        self._calls.reader = asyncio.current_task()
        return self._stream.__anext__()


async def _cancel_where_it_waits(stream: AsyncIterator[Any]) -> None:
    """Cancel a stream that was left between two events, in which it does not wait for anything."""
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    if not waiting.cancelled():
        waiting.exception()
