"""What a LangGraph graph does, of which Agno's adapter tells only streamed texts and the calls of tools.

LangChain tells whoever listens in a run's configuration, so this listens there.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, takewhile
from typing import Any
from uuid import UUID

from agno.agents.langgraph import LangGraphAgent
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from agentllm.core import FinishReason, Usage
from agentllm.runtimes.agno.outcome import Outcome


class Heard(BaseCallbackHandler):
    """One run of a graph so far: its models' tokens, how the last answer ended, and what the whole came to.

    Its methods are called from the threads of the graph's steps too.
    """

    run_inline = True

    def __init__(self, output_key: str) -> None:
        self.answer = ""
        """The assistant's last words after the newest message in the graph's output; empty until it ends."""
        self.error: Exception | None = None
        """What ended the graph."""
        self._output_key = output_key
        self._answers: list[AIMessage] = []
        self._model_errors: list[BaseException] = []

    @property
    def usage(self) -> Usage:
        """The tokens of all models so far, as far as they tell; zero where they do not."""
        return sum((_usage(answer) for answer in tuple(self._answers)), Usage())

    @property
    def reason(self) -> FinishReason:
        data: Mapping[str, Any] = self._answers[-1].response_metadata if self._answers else {}
        return Outcome(finish_reason=data.get("finish_reason") or data.get("stop_reason")).reason

    @property
    def is_of_model(self) -> bool:
        """Whether `error` is one of a model."""
        return any(self.error is error for error in self._model_errors)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        for generation in chain.from_iterable(response.generations):
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                self._answers.append(generation.message)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self._model_errors.append(error)

    def on_chain_end(self, outputs: Any, *, parent_run_id: UUID | None = None, **_: Any) -> None:
        if parent_run_id is None and isinstance(outputs, Mapping):
            said = outputs.get(self._output_key)
            messages = said if isinstance(said, list) else []
            newest = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
            self.answer = next((str(m.text) for m in newest if isinstance(m, AIMessage) and m.text), "")

    def on_chain_error(self, error: BaseException, *, parent_run_id: UUID | None = None, **_: Any) -> None:
        if parent_run_id is None and isinstance(error, Exception):
            self.error = error


def listen(agent: LangGraphAgent) -> Heard:
    """Listen to the run of `agent`, which must be a copy for that run alone."""
    heard = Heard(agent.output_key)
    config = dict(agent.config or {})
    others = config.get("callbacks")
    if isinstance(others, BaseCallbackManager):
        others = others.copy()
        others.add_handler(heard)
        config["callbacks"] = others
    else:
        config["callbacks"] = [*(others or ()), heard]
    agent.config = config
    return heard


def _usage(answer: AIMessage) -> Usage:
    told = answer.usage_metadata
    if told is None:
        return Usage()
    return Usage(
        told["input_tokens"],
        told["output_tokens"],
        told.get("output_token_details", {}).get("reasoning") or 0,
        told.get("input_token_details", {}).get("cache_read") or 0,
    )
