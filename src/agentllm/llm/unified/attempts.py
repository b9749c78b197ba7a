"""A model call that may fail: tried again, and with other models, as long as nothing of an answer went out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from agentllm.core import Reasoning, Text
from agentllm.errors import AgentLLMError, ModelFailed
from agentllm.llm.unified.checks import is_of_proxy
from agentllm.llm.unified.failures import PASSING, as_failure
from agentllm.llm.unified.replies import Reply, ask
from agentllm.llm.unified.requests import Call

log = logging.getLogger("agentllm.unified")

RETRIES = 2
"""Of a model that is asked directly, where nothing is said of them; as OpenAI's own client."""

LONGEST_WAIT = 20.0
"""Seconds before another try; a provider that asks for a longer wait is not tried again."""

_FIRST_WAIT = 0.5


async def attempts(call: Call, models: Sequence[str]) -> AsyncGenerator[Text | Reasoning | Reply, None]:
    """What the first of `models` that answers says, and its reply at the end.

    Raises:
        ModelFailed: all failed; it tells of the first of them. Or one failed in the middle of its answer.
        BudgetExceeded: nothing more may be spent, on whichever model.
        UnsupportedParameter: as `Call.request`.
    """
    first: ModelFailed | None = None
    for model in models:
        request = call.request(model, is_fallback=first is not None)
        said = False
        try:
            async with aclosing(_tried(call, request)) as pieces:
                async for piece in pieces:
                    said = True
                    yield piece
            return
        except ModelFailed as failure:
            if said:
                raise
            first = first or failure
            if model != models[-1]:
                kind = type(failure).__name__
                log.warning("model %s failed: %s, status %d; the next one is asked", model, kind, failure.status)
    assert first is not None
    raise first


async def _tried(call: Call, request: dict[str, Any]) -> AsyncGenerator[Text | Reasoning | Reply, None]:
    """What one model says, tried again after what may pass.

    A proxy's model has what its configuration says of retries, and each model behind it its own time.
    """
    agent, is_direct = call.agent, not is_of_proxy(request["model"])
    retries = (RETRIES if is_direct else 0) if agent.retries is None else agent.retries
    patience = agent.timeout if is_direct else None
    for number in range(retries + 1):
        said = False
        try:
            async with aclosing(ask(request, patience=patience)) as pieces:
                async for piece in pieces:
                    said = True
                    yield piece
            return
        except Exception as error:
            failure = as_failure(error, request["model"])
            wait = _wait(failure, number)
            if said or number == retries or not isinstance(failure, PASSING) or wait > LONGEST_WAIT:
                raise failure from None if failure is error else error
        await asyncio.sleep(wait)


def _wait(failure: AgentLLMError, number: int) -> float:
    return _FIRST_WAIT * 2**number if failure.retry_after is None else failure.retry_after
