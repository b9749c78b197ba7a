"""What an agent's model calls came to: Agno drops the provider's finish reason and turns exceptions into text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from agno.exceptions import AgnoError

from agentllm.core import FinishReason
from agentllm.errors import AgentLLMError, BudgetExceeded, ModelFailed
from agentllm.llm.costs import model_of
from agentllm.llm.retry_after import retry_after

# The words of OpenAI, Gemini, Anthropic and Ollama for an answer that did not end by itself.
_LENGTH = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
_END_NAMES = ("finish_reason", "stop_reason", "done_reason")
_FILTERED = frozenset(
    {
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "refusal",
    }
)


@dataclass(slots=True)
class Outcome:
    """What the model calls of an agent's run came to: the last one's model, finish reason, and the exception in it."""

    model: str = ""
    finish_reason: str | None = None
    open_answer: bool = False
    """Whether an answer in OpenAI's format began and has not finished."""
    error: Exception | None = None
    answered_by: str | None = None
    """The model that wrote the last answer, as LiteLLM names it."""
    noted_model: str | None = None
    """What LiteLLM says of which model that is: after a fallback not the one that was asked."""

    @contextlib.contextmanager
    def catching(self, model: str) -> Iterator[None]:
        """Keep the exception that ends a call of `model`, and let it pass."""
        try:
            yield
        except Exception as error:
            self.model, self.error = model, error
            raise

    @property
    def reason(self) -> FinishReason:
        word = (self.finish_reason or "stop").lower()
        if word in _LENGTH:
            return "length"
        return "content_filter" if word in _FILTERED else "stop"

    def note(self, response: object) -> None:
        """Keep the finish reason of a provider's response or of a piece of one."""
        choices = getattr(response, "choices", None)
        if parts := choices or getattr(response, "candidates", None):
            found = getattr(parts[0], "finish_reason", None)
        else:
            found = _end_of(response) or _end_of(getattr(response, "delta", None))
        if found is not None:
            self.finish_reason = str(getattr(found, "name", found))
            self.open_answer = False
            self.noted_model = model_of(response)
        elif choices:
            self.finish_reason = None
            self.open_answer = True

    def failure(self) -> AgentLLMError | None:
        """The error that a client is told, where the last model call failed."""
        if self.error is None or isinstance(self.error, BudgetExceeded):
            return self.error
        status = self.error.status_code if isinstance(self.error, AgnoError) else 502
        detail = " ".join(str(self.error).split()) or type(self.error).__name__
        message = f"The language model {self.model!r} failed: {detail[:500]}"
        return ModelFailed(message, status=status, retry_after=retry_after(self.error))


def _end_of(part: object) -> object:
    """What Anthropic, Ollama or a model of ours say of how a response ended."""
    return next((end for name in _END_NAMES if (end := getattr(part, name, None)) is not None), None)
