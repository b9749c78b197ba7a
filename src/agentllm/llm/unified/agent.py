"""`UnifiedAgent`: instructions, tools, and any model of LiteLLM."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from typing import TypedDict

from typing_extensions import Unpack

from agentllm.core import ClientTool
from agentllm.llm.unified.asked import Answer, Asked, Prompt, UnifiedEvent
from agentllm.llm.unified.checks import check_settings, model_of_environment
from agentllm.llm.unified.tools import FunctionTool, Tool, read_tools


class Settings(TypedDict, total=False):
    """What `UnifiedAgent` takes beside models."""

    name: str | None
    description: str | None
    instructions: str | Sequence[str]
    tools: Sequence[Tool]
    temperature: float | None
    max_tokens: int | None
    timeout: float | None
    retries: int | None
    cache: bool | float | None
    budget: float | None
    max_model_calls: int


@dataclass(frozen=True, eq=False)
class UnifiedAgent:
    """An agent of one model, whatever its provider; many runs may go on at once.

    `model` is a `model_name` of the proxy that this process runs, else a model of LiteLLM such as
    `anthropic/claude-haiku-4-5`; `fallbacks` are asked in their order where it fails before its answer began.

    `tools` are functions, whose names, docstrings and type hints the model is told, or schemas in OpenAI's
    form: calls of those end the run, and its caller answers them. Functions that are not async run in
    threads, several calls at once; what one raises is told to the model.

    Args:
        name: what it is served as, `litellm/<name>`.
        temperature: from 0 to 2.
        max_tokens: of each model call's answer.
        timeout: seconds that a model may be silent, before its answer and within a streamed one.
        retries: of a model that is rate-limited, down or too slow, before its answer began. None is 2 where
            a model is asked directly, and 0 for one of the proxy, whose configuration says that itself.
        cache: seconds for which an equal model call gets the same answer; True as long as LiteLLM's cache
            keeps it, False never, None as LiteLLM is configured.
        budget: US dollars after which a run makes no further model call, as far as prices are known.
        max_model_calls: of one run.

    Raises:
        ConfigurationError: a setting is wrong, no provider has such a model, or a variable with its key is missing.
    """

    model: str
    _: KW_ONLY
    name: str | None = None
    description: str | None = None
    instructions: str | Sequence[str] = field(default="", repr=False)
    fallbacks: Sequence[str] = ()
    tools: Sequence[Tool] = field(default=(), repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    retries: int | None = None
    cache: bool | float | None = None
    budget: float | None = None
    max_model_calls: int = 20
    functions: tuple[FunctionTool, ...] = field(init=False, repr=False)
    """The tools that it runs itself."""
    schemas: tuple[ClientTool, ...] = field(init=False, repr=False)
    """The tools that the caller of a run answers."""

    def __post_init__(self) -> None:
        functions, schemas = read_tools(self.tools)
        object.__setattr__(self, "functions", functions)
        object.__setattr__(self, "schemas", schemas)
        check_settings(self)

    @classmethod
    def from_env(cls, model: str | None = None, **settings: Unpack[Settings]) -> UnifiedAgent:
        """An agent of `model`, else of the one that the environment names.

        That is `AGENTLLM_MODEL`, else a model of the first of `GEMINI_API_KEY`, `OPENAI_API_KEY`,
        `ANTHROPIC_API_KEY` and `OLLAMA_API_BASE` that is set.

        Raises:
            ConfigurationError: as `UnifiedAgent`; or the environment names none.
        """
        return cls(model or model_of_environment(), **settings)

    @classmethod
    def with_fallbacks(cls, primary: str, fallbacks: Sequence[str], **settings: Unpack[Settings]) -> UnifiedAgent:
        """An agent of `primary`, and of each of `fallbacks` where those before it fail.

        Raises:
            ConfigurationError: as `UnifiedAgent`.
        """
        return cls(primary, fallbacks=tuple(fallbacks), **settings)

    async def run(self, prompt: Prompt) -> Answer:
        """The answer to `prompt`; being cancelled stops the model call.

        Raises:
            InvalidRequest: `prompt` is neither a text nor messages.
            ModelFailed: the model failed, and all fallbacks too; its subclasses tell what went wrong.
            BudgetExceeded: what the run, or its caller, may spend is spent.
            AgentFailed: the model called tools again and again.
        """
        async with aclosing(self.answering(Asked.of(prompt, stream=False))) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("a run ends with its answer")

    def run_sync(self, prompt: Prompt) -> Answer:
        """As `run`, blocking; all such runs of a process share an event loop in a thread of its own.

        Raises:
            RuntimeError: it is called by an async tool of such a run, which would wait for itself.
        """
        loop = shared_loop()
        if threading.current_thread().name == _THREAD:
            raise RuntimeError("run_sync() would wait for itself here; await run() instead")
        running = asyncio.run_coroutine_threadsafe(self.run(prompt), loop)
        try:
            return running.result()
        finally:
            running.cancel()

    def stream(self, prompt: Prompt) -> AsyncGenerator[UnifiedEvent, None]:
        """The events of a run as they come, the `Answer` last; closing it stops the model call.

        Raises:
            As `run`, while it is read; `InvalidRequest` at once.
        """
        return self.answering(Asked.of(prompt, stream=True))

    def answering(self, asked: Asked) -> AsyncGenerator[UnifiedEvent, None]:
        """The events of a run, the `Answer` last; closing it stops the model call.

        Raises:
            As `run`; and `UnsupportedParameter` for a parameter that the model cannot take.
        """
        from agentllm.llm.unified.loop import run

        return run(self, asked)


_THREAD = "agentllm-run-sync"


@cache
def shared_loop() -> asyncio.AbstractEventLoop:
    """The event loop of all runs that are waited for without one."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=_THREAD, daemon=True).start()
    return loop
