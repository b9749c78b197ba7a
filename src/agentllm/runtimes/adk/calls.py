"""The model calls of one run: what they are asked, which model answers them, and what they came to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeAlias

from google.adk.models.base_llm import BaseLlm
from google.adk.models.google_llm import Gemini
from google.adk.models.lite_llm import LiteLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types

from agentllm.characters import whole, whole_values
from agentllm.core import Usage
from agentllm.hotswap.in_force import in_force
from agentllm.llm.accounts import ACCOUNT, check_account
from agentllm.llm.costs import cost_of, model_name, model_of, price
from agentllm.llm.router import status_of
from agentllm.runtimes.adk.asked import Asked, Role
from agentllm.runtimes.adk.routed import ClosingClient, RoutedLlm, keep_litellm_as_it_is

Plain: TypeAlias = Callable[[BaseLlm, LlmRequest, bool], AsyncGenerator[LlmResponse, None]]
"""How a model answers that nothing is put before."""


class Calls:
    """What the model calls of a run came to so far.

    `model` is that of the newest one, `error` what it failed with and `status` that error's. `native` is
    LiteLLM's name of the model where LiteLLM does not make the call through the router, so that it tells nobody of it.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.model: str | None = None
        self.native: str | None = None
        self.error: Exception | None = None
        self.status = 502
        self.usage = Usage()
        self._counted: list[types.GenerateContentResponseUsageMetadata] = []

    def count(self, response: LlmResponse) -> None:
        """Add the tokens of a response, or of the event that it became: those of one call count once."""
        tokens = response.usage_metadata
        if tokens is None or response.partial or any(tokens is counted for counted in self._counted):
            return
        self._counted.append(tokens)
        used, account = _usage(tokens), ACCOUNT.get()
        if self.native is not None:
            used = replace(used, cost=price(self.native, used))
            if account is not None:
                account.charge(self.native, used)
        self._add(used)

    def note(self, answer: Any) -> None:
        """Note which model gave `answer`, one of LiteLLM's router or a chunk of it, and what it cost."""
        self.model = model_of(answer) or self.model
        if (cost := cost_of(answer)) is not None:
            self._add(Usage(cost=cost))

    def _add(self, used: Usage) -> None:
        self.usage += used
        if (account := ACCOUNT.get()) is not None:
            account.reached(self.usage.cost)


RUN: ContextVar[Calls | None] = ContextVar("agentllm_adk_run", default=None)
"""The calls of the run that is here."""


async def answered(
    model: BaseLlm, role: Role, plain: Plain, request: LlmRequest, stream: bool
) -> AsyncGenerator[LlmResponse, None]:
    """What `model` answers, or in its place the one that is in force; closing this ends the call.

    Raises:
        Exception: the model's own; the run's calls have noted it.
    """
    run = RUN.get()
    async with aclosing(_responses(run, model, role, plain, request, stream)) as responses:
        if run is None:
            async for response in responses:
                yield response
            return
        run.model, run.native, run.error = in_force().model or request.model or model.model, None, None
        try:
            async for response in responses:
                run.count(response)
                run.asked.is_answered = run.asked.is_answered or not response.partial
                yield response
        except Exception as error:
            run.error, run.status = error, status_of(error)  # of what it came from, which ADK writes over
            raise


async def _responses(
    run: Calls | None, model: BaseLlm, role: Role, plain: Plain, request: LlmRequest, stream: bool
) -> AsyncGenerator[LlmResponse, None]:
    swap = in_force()
    if isinstance(request.config.system_instruction, str):  # an agent without instructions leaves white space there
        request.config.system_instruction = request.config.system_instruction.strip() or None
    _make_whole(request)
    if swap.model is not None or isinstance(model, RoutedLlm):
        routed = model if isinstance(model, RoutedLlm) else RoutedLlm(model=swap.model or model.model)
        request.model = swap.model or request.model or model.model
        _leave_out_tools_of_google(request)
        arguments = run.asked.arguments_for(request, request.model, role) if run else {}
        responses = RoutedLlm.respond(routed, request, stream, arguments, run.note if run else None)
    else:
        await check_account()
        if run:
            run.asked.add_to(request, model, role)
            run.native = _name_in_litellm(model, request.model or model.model)
        responses = (
            _of_litellm(model, plain, request, stream) if isinstance(model, LiteLlm) else plain(model, request, stream)
        )
    async with aclosing(responses) as responses:
        async for response in responses:
            yield response


def _make_whole(request: LlmRequest) -> None:
    """A tool may have returned halves of characters, which no request can hold."""
    for part in (part for content in request.contents for part in content.parts or ()):
        if part.text is not None:
            part.text = whole(part.text)
        if part.function_response is not None:
            part.function_response.response = whole_values(part.function_response.response)


async def _of_litellm(
    model: LiteLlm, plain: Plain, request: LlmRequest, stream: bool
) -> AsyncGenerator[LlmResponse, None]:
    keep_litellm_as_it_is()
    client = ClosingClient(model.llm_client.acompletion)
    own = model.model_copy(update={"llm_client": client})
    try:
        async with aclosing(plain(own, request, stream)) as responses:
            async for response in responses:
                yield response
    finally:
        await client.aclose()


def _name_in_litellm(model: BaseLlm, name: str) -> str:
    return model_name("Google", name) if isinstance(model, Gemini) else name


def _leave_out_tools_of_google(request: LlmRequest) -> None:
    """What Google's models run themselves, others refuse."""
    if request.config.tools and "gemini" not in (request.model or ""):
        declared: list[Any] = [t for t in request.config.tools if getattr(t, "function_declarations", None)]
        request.config.tools = declared or None


def _usage(tokens: types.GenerateContentResponseUsageMetadata) -> Usage:
    """In OpenAI's way of counting, where what was thought is part of the completion.

    Google counts it beside, ADK's class for LiteLLM does not; the total is right for both.
    """
    prompt = (tokens.prompt_token_count or 0) + (tokens.tool_use_prompt_token_count or 0)
    reasoning = tokens.thoughts_token_count or 0
    completion = tokens.candidates_token_count or 0
    if tokens.total_token_count:
        completion = max(completion, tokens.total_token_count - prompt)
    return Usage(prompt, completion, reasoning, tokens.cached_content_token_count or 0)
