"""A runtime in whose conversations the model and the prompt can be set."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, runtime_checkable

from agentllm.around import Around
from agentllm.core import Change, Event, Finished, Runtime, Swap, Text, Turn, Usage, Work
from agentllm.errors import SwapRefused
from agentllm.hotswap.grammar import checked, read_control, without_control
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.hotswap.policy import Policy
from agentllm.hotswap.status import status

_TELL_PROMPTS = frozenset({"set_prompt", "get_config"})
"""The tools whose arguments or results hold a prompt."""


@runtime_checkable
class _KeepingItsModels(Protocol):
    @property
    def keeps_its_models(self) -> bool: ...


def keeps_its_models(runtime: Runtime) -> bool:
    """Whether `runtime` says of itself that its agent has no one model and prompt, and cannot be swapped."""
    return isinstance(runtime, _KeepingItsModels) and runtime.keeps_its_models


class Swapping(Around):
    """A runtime that is told what is in force; implements `agentllm.core.Runtime`.

    What the request itself sets is set first. Then a control message is answered, without a call of any model;
    anything else is the runtime's to answer, which does not see the control messages before it. Work that holds a
    prompt is told without it. Nothing is set by a turn that fails. A runtime that `keeps_its_models` cannot be
    swapped.
    """

    def __init__(self, runtime: Runtime, policy: Policy, *, keeps_its_models: bool = False) -> None:
        super().__init__(runtime)
        self._policy = policy
        self._keeps_its_models = keeps_its_models

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`.

        Raises:
            SwapRefused: a model is set, or was set before, that must not answer here.
            MalformedSwap: the newest message begins like a control message and is none.
        """
        asked = read_control(turn.messages[-1])
        swap = await self._changed(turn, (*turn.changes, *(asked or ())))
        if asked is not None:
            yield Text(status(swap, is_stored=turn.place is not None))
            yield Usage()
            yield replace(_ended(Finished("stop"), turn, swap), state=turn.state, pending=turn.pending)
            return
        if swap.model is not None and swap.model == turn.swap.model:
            await self._policy.allow(swap.model)
        in_force = InForce(swap, self._policy.allow_now, is_stored=turn.place is not None)
        given = replace(turn, swap=swap, messages=without_control(turn.messages))
        async with aclosing(_with(in_force, self._inner.run(given))) as events:
            async for event in events:
                if isinstance(event, Work):
                    yield _without_prompt(event)
                else:
                    yield _ended(event, turn, in_force.swap) if isinstance(event, Finished) else event

    async def _changed(self, turn: Turn, changes: Iterable[Change]) -> Swap:
        """What is in force after `changes`: all of them, or an error and none."""
        swap = turn.swap
        for change in map(checked, changes):
            if change.value is not None and self._keeps_its_models:
                raise SwapRefused(
                    f"The agent {turn.agent!r} has no one model and prompt that could be set: its parts have their own."
                )
            if change.what == "prompt":
                swap = replace(swap, prompt=change.value)
            else:
                swap = replace(swap, model=change.value and await self._policy.allow(change.value))
        return swap


async def _with(in_force: InForce, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """`events`, during whose steps `in_force` is that of the turn; each step may be taken in another context."""
    async with aclosing(events):
        while True:
            before = IN_FORCE.get()
            IN_FORCE.set(in_force)
            try:
                event = await anext(events, None)
            finally:
                IN_FORCE.set(before)
            if event is None:
                return
            yield event


def _ended(event: Finished, turn: Turn, swap: Swap) -> Finished:
    return event if swap == turn.swap else replace(event, swap=swap)


def _without_prompt(work: Work) -> Work:
    if work.kind != "tool" or work.name not in _TELL_PROMPTS:
        return work
    return replace(work, arguments={}, result="")
