"""A caller of an A2A agent, as LiteLLM's authentication knows them; implements `agentllm.a2a.asker.Asker`."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.litellm_pre_call_utils import LiteLLMProxyRequestSetup

from agentllm.core import Agent, Caller, Event, Message, Turn
from agentllm.errors import AgentLLMError, InvalidRequest
from agentllm.gateway.answer_ids import ANSWER_ID_PREFIX
from agentllm.gateway.chunks import Answer
from agentllm.gateway.coalesce import coalesce
from agentllm.gateway.failures import as_ours
from agentllm.gateway.fetch import Fetcher
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.part_forms import urls_in
from agentllm.gateway.parts import Parts
from agentllm.gateway.places import SESSION_HEADER, place_of
from agentllm.gateway.repeats import idempotency_key
from agentllm.gateway.request import Request
from agentllm.gateway.swaps import changes_of

if TYPE_CHECKING:
    from agentllm.a2a.asker import Received

log = logging.getLogger("agentllm.gateway")

HOLD = 0.05
"""Seconds that text may be held back: each piece is an update of a task, which costs more than a chunk."""

_UNBOUND = ("max_parallel_requests", "tpm_limit")
"""What the names of limits end with that LiteLLM counts down at the end of its own calls, which this is none of."""


@dataclass(frozen=True)
class ProxyAsker:
    """The caller of one request, whom `key` is of; `headers` are the request's, names in lower case."""

    handler: AgentHandler
    served: Agent
    key: UserAPIKeyAuth
    headers: Mapping[str, str]
    fetcher: Fetcher | None = None

    @property
    def agent(self) -> str:
        return self.served.name

    @cached_property
    def request(self) -> Request:
        """The request for a chat that LiteLLM would make of it, without messages."""
        data: dict[str, Any] = {"metadata": {"headers": self.headers}}
        LiteLLMProxyRequestSetup.add_user_api_key_auth_to_request_metadata(data, self.key, "metadata")
        return Request({"model": self.agent, "messages": [], "optional_params": {}, "litellm_params": data})

    @property
    def caller(self) -> Caller:
        """Whom the proxy authenticated.

        Raises:
            AuthenticationFailed, InvalidRequest: as `caller_of`.
        """
        return self.request.caller

    def check(self) -> None:
        """See that it can be told who asks, and whether they did before.

        Raises:
            AuthenticationFailed, InvalidRequest: it cannot.
        """
        _ = self.caller
        idempotency_key(self.headers)

    async def turn(self, received: Received) -> Turn:
        """See `agentllm.a2a.asker.Asker.turn`."""
        raw = [{"role": "user", "content": [dict(part) for part in received.content]}]
        fetched = {}
        if self.fetcher is not None and (urls := urls_in(raw)):
            fetched = await self.fetcher.fetch(urls)
        content = Parts(fetched).content(raw[0]["content"], "user", "message.parts")
        if not content.text.strip() and not content.media:
            raise InvalidRequest("'message.parts' says nothing; add a text or a file.", param="message.parts")
        await self._admit(content.text)
        place = place_of({SESSION_HEADER: received.context or self._new_context()}, {}, store=None)
        return Turn(
            id=str(uuid.uuid4()),
            agent=self.agent,
            caller=self.caller,
            messages=(Message("user", content.text, media=content.media),),
            stream=True,
            place=place,
            changes=changes_of(received.metadata),
        )

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.a2a.asker.Asker.run`."""
        try:
            answer = Answer(self.agent, f"{ANSWER_ID_PREFIX}{turn.id}")
            events = self.handler.begin(self.served, turn, self.request, answer)
            async with aclosing(coalesce(events, hold=HOLD)) as joined:
                async for event in joined:
                    yield event
        except Exception as error:
            failure = as_ours(error, self.agent)
            kind, status = type(failure).__name__, failure.status
            log.warning("turn %s of agent %r failed: %s, status %d", turn.id, self.agent, kind, status)
            raise failure from None

    def _new_context(self) -> str:
        """A context for a message that names none; the same for a repeated one, which has the same Idempotency-Key."""
        if (key := idempotency_key(self.headers)) is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(uuid.NAMESPACE_OID, key))

    async def _admit(self, text: str) -> None:
        """Have LiteLLM count the request and its callbacks look at it, as for a chat with the agent.

        Raises:
            AgentLLMError: the caller has made too many requests, or a callback refuses the message.
        """
        from litellm.proxy import proxy_server

        unbound = dict.fromkeys(name for name in UserAPIKeyAuth.model_fields if name.endswith(_UNBOUND))
        data = {"model": self.served.model, "messages": [{"role": "user", "content": text}], "metadata": {}}
        try:
            await proxy_server.proxy_logging_obj.pre_call_hook(
                user_api_key_dict=self.key.model_copy(update=unbound), data=data, call_type="acompletion"
            )
        except (HTTPException, ProxyException) as refusal:
            raise _as_ours(refusal) from None


def _as_ours(refusal: HTTPException | ProxyException) -> AgentLLMError:
    """What LiteLLM refuses, as an error with its status and text."""
    if isinstance(refusal, HTTPException):
        status, message = refusal.status_code, str(refusal.detail)
    else:
        status, message = int(refusal.code or 500), refusal.message
    error = AgentLLMError(message)
    error.status = status
    error.type = "rate_limit_error" if status == 429 else "invalid_request_error"
    return error
