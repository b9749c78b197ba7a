"""What LiteLLM is asked for one model call of an agent."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentllm.core import ClientTool, JsonObject, ToolChoice
from agentllm.errors import UnsupportedParameter
from agentllm.llm.offline.completion import OFFLINE
from agentllm.llm.output_format import ANY_OBJECT, in_openai_form, in_words
from agentllm.llm.router import CALLER_METADATA, RouterModel
from agentllm.llm.unified.asked import Asked
from agentllm.llm.unified.tools import FunctionTool

if TYPE_CHECKING:
    from agentllm.llm.unified.agent import UnifiedAgent

PROVIDER_DATA = "provider_data"
"""The key of a message for what its own model wants back with it."""


def takes(model: str, parameter: str) -> bool:
    """Whether LiteLLM gives a parameter of OpenAI's API to `model`, as far as it knows."""
    return RouterModel(id=model).takes(parameter)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One model call of a run: which of the agent's models may be asked in it, with which prompt, after what.

    `is_first` is whether no call of the run was answered yet: what is asked of calling tools is for that one.
    """

    agent: UnifiedAgent
    asked: Asked
    prompt: str | None
    messages: Sequence[JsonObject]
    is_first: bool

    def request(self, model: str, *, is_fallback: bool) -> dict[str, Any]:
        """The arguments for `litellm.acompletion`.

        Raises:
            UnsupportedParameter: the request sets a parameter that `model` does not take; one that a
                fallback does not take is left out.
        """
        drop = is_fallback or self.asked.drop_unsupported
        tools = self._tools()
        form, wanted = self._form(model, has_tools=bool(tools))
        request: dict[str, Any] = {
            "model": model,
            "messages": [*self._instructions(wanted), *(_for(model, message) for message in self.messages)],
            **self._parameters(model, drop=drop),
            **form,
        }
        if tools:
            request |= {"tools": tools, **self._calling(model, drop=drop)}
        if self.asked.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.agent.timeout is not None:
            request["timeout"] = self.agent.timeout
        if metadata := CALLER_METADATA.get():
            request["metadata"] = dict(metadata)
        return request | _caching(self.agent.cache)

    def _instructions(self, wanted: str) -> list[dict[str, Any]]:
        """One message, as some providers keep only one."""
        own = self.agent.instructions
        texts = [self.prompt or (own if isinstance(own, str) else "\n".join(own)), *self.asked.instructions, wanted]
        text = "\n\n".join(filter(None, texts))
        return [{"role": "system", "content": text}] if text else []

    def _parameters(self, model: str, *, drop: bool) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for field in dataclasses.fields(self.asked.parameters):
            name, value = field.name, getattr(self.asked.parameters, field.name)
            own = getattr(self.agent, name, None)
            if value is None and own is None:
                continue
            if takes(model, name):
                chosen = own if value is None else value
                given[name] = list(chosen) if isinstance(chosen, tuple) else chosen
            elif value is not None and not drop:
                raise UnsupportedParameter(name, model)
        return given

    def _tools(self) -> list[dict[str, Any]]:
        theirs = {tool.name: tool for tool in (*self.agent.schemas, *self.asked.client_tools)}
        tools: list[FunctionTool | ClientTool] = [*self.agent.functions, *theirs.values()]
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in tools
        ]

    def _calling(self, model: str, *, drop: bool) -> dict[str, Any]:
        """What is asked of calling tools; all models do call several at once where they are told nothing."""
        said: dict[str, Any] = {}
        choice, parallel = self.asked.tool_choice, self.asked.parallel_tool_calls
        if choice is not None and self.is_first and choice.mode != "auto":
            said["tool_choice"] = _in_openai_form(choice)
        if parallel is not None:
            said["parallel_tool_calls"] = parallel
        for name in [name for name in said if not takes(model, name)]:
            if not drop and said[name] is not True:
                raise UnsupportedParameter(name, model)
            del said[name]
        return said

    def _form(self, model: str, *, has_tools: bool) -> tuple[dict[str, Any], str]:
        """What says natively in which form the answer must be, and what says it in words."""
        form = self.asked.output_format
        if form is None:
            return {}, ""
        if model == OFFLINE and form.schema is not None:
            return {"response_format": in_openai_form(form)}, ""
        known = RouterModel(id=model)
        if not known.takes("response_format") or (has_tools and not known.takes_tools_with_json()):
            return {}, in_words(form)
        if form.schema is None or not known.takes_schema():
            return {"response_format": ANY_OBJECT}, in_words(form)
        return {"response_format": in_openai_form(form)}, ""


def _in_openai_form(choice: ToolChoice) -> str | dict[str, Any]:
    return choice.mode if choice.name is None else {"type": "function", "function": {"name": choice.name}}


def _for(model: str, message: JsonObject) -> dict[str, Any]:
    """`message` as `model` is given it; what another model wants back with its own is left out."""
    kept: dict[str, Any] = {key: value for key, value in message.items() if key != PROVIDER_DATA}
    data: Any = message.get(PROVIDER_DATA)
    if data and data.get("model") == model:
        kept["thinking_blocks"] = data["thinking_blocks"]
    return kept


def _caching(cache: bool | float | None) -> dict[str, Any]:
    if cache is None:
        return {}
    if cache is False:
        return {"cache": {"no-cache": True, "no-store": True}}
    _open_cache()
    ages = {} if cache is True else {"ttl": cache, "s-maxage": cache}
    return {"caching": True, "cache": {"use-cache": True, **ages}}


def _open_cache() -> None:
    """Give LiteLLM a cache in memory where it has none, which only those calls use that ask for it."""
    import litellm
    from litellm.caching.caching import Cache, CacheMode

    if litellm.cache is None:
        litellm.cache = Cache(mode=CacheMode.default_off)
