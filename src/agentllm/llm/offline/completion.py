"""The offline model as LiteLLM's other models are: asked with a request of OpenAI's API, and answering in its form."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

from agno.models.message import Message as AgnoMessage
from agno.models.response import ModelResponse as AgnoResponse

from agentllm.llm.offline.model import OfflineModel

OFFLINE = "offline"
"""The model's name."""

_PARAMETERS = ("max_tokens", "stop", "parallel_tool_calls")
_ASKED = ("tools", "tool_choice", "response_format")


async def offline_completion(request: Mapping[str, Any]) -> Any:
    """What `litellm.acompletion` would give for `request`: an answer, or with `stream` an iterator of chunks."""
    model = OfflineModel(**{name: request[name] for name in _PARAMETERS if name in request})
    messages = [AgnoMessage.model_validate(_of_agno(message)) for message in request["messages"]]
    asked = {name: request[name] for name in _ASKED if name in request}
    head = {"id": f"chatcmpl-{uuid4()}", "created": int(time.time()), "model": OFFLINE}
    if request.get("stream"):
        return _chunks(model.ainvoke_stream(messages, **asked), head)
    from litellm.types.utils import ModelResponse

    response = await model.ainvoke(messages, **asked)
    message = {"role": "assistant", "content": response.content, "tool_calls": response.tool_calls or None}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if response.tool_calls else "stop"}
    return ModelResponse(**head, choices=[choice], usage=_usage(response))


async def _chunks(responses: AsyncIterator[AgnoResponse], head: dict[str, Any]) -> AsyncGenerator[Any, None]:
    from litellm.types.utils import ModelResponseStream, Usage

    async for response in responses:
        calls = [{"index": index, **call} for index, call in enumerate(response.tool_calls or ())]
        delta = {"role": "assistant", "content": response.content, "tool_calls": calls or None}
        choice: Any = {"index": 0, "delta": delta, "finish_reason": None}
        yield ModelResponseStream(**head, choices=[choice])
        if counted := _usage(response):
            usage = Usage(counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"])
            end: Any = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
            yield ModelResponseStream(**head, choices=[end], usage=usage)


def _of_agno(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of OpenAI's API with the fields of Agno's; its pictures are left out, which the model cannot see."""
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content if part.get("type") == "text")
    kept = {name: message[name] for name in ("role", "tool_calls", "tool_call_id") if message.get(name)}
    return {**kept, "content": content}


def _usage(response: AgnoResponse) -> dict[str, int] | None:
    counted = response.response_usage
    if counted is None:
        return None
    return {
        "prompt_tokens": counted.input_tokens,
        "completion_tokens": counted.output_tokens,
        "total_tokens": counted.total_tokens,
    }
