"""What a turn asks of each model call of the agents that answer it; only the call's own request is changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from google.adk.models.base_llm import BaseLlm
from google.adk.models.google_llm import Gemini
from google.adk.models.lite_llm import LiteLlm
from google.adk.models.llm_request import LlmRequest
from google.genai import types

from agentllm.core import Effort, Turn
from agentllm.errors import UnsupportedParameter
from agentllm.llm import gemini
from agentllm.llm.output_format import ANY_OBJECT, in_openai_form, in_words
from agentllm.llm.router import RouterModel
from agentllm.runtimes.adk.client_tools import offer
from agentllm.runtimes.adk.routed import RoutedLlm

Role = Literal["speaker", "step", "helper"]
"""Of an agent in its tree: it talks with the person; it does a part that is fixed; another one uses it as a tool."""

_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""What each parameter is called in a request of ADK."""

_LEVELS: dict[Effort, str] = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}


@dataclass(slots=True)
class Asked:
    """What the request of `turn` says to a model.

    Its choice of a tool holds for the first call that is answered: a model that must call one on each
    would never end. What a model that is set in the middle of the turn does not take, it is not asked for.
    """

    turn: Turn
    is_answered: bool = False
    _is_checked: bool = False

    def check(self, model: BaseLlm, swapped: str | None) -> None:
        """See that the model takes all that is asked, before anything runs.

        Raises:
            UnsupportedParameter: it has no place for something, and the turn does not drop such parameters.
        """
        if swapped is not None or isinstance(model, RoutedLlm):
            self._openai_arguments(RouterModel(id=swapped or model.model))
        else:
            self._of_adk(model, types.GenerateContentConfig())
        self._is_checked = True

    def add_to(self, request: LlmRequest, model: BaseLlm, role: Role) -> None:
        """Have a request to a model of ADK's, or of anybody's, by an agent of that role, ask for it.

        Raises:
            InvalidRequest: a tool of the client has the name of one of the agent.
        """
        self._instruct(request, role)
        if role != "speaker":
            return
        offer(self.turn, request)
        self._of_adk(model, request.config)
        if request.config.tools:
            self._choose_tool(request, only=isinstance(model, LiteLlm))
        if form := self.turn.output_format:
            with_tools = not request.config.tools or gemini.takes_tools_with_json(request.model or model.model)
            is_native = form.schema is not None and with_tools
            if isinstance(model, LiteLlm):
                request.config.response_schema = in_openai_form(form) if form.schema is not None else ANY_OBJECT
            elif isinstance(model, Gemini) and with_tools:
                request.config.response_mime_type = "application/json"
                request.config.response_schema = None
                request.config.response_json_schema = form.schema
            if not (is_native and isinstance(model, Gemini)):
                request.append_instructions([in_words(form)])

    def arguments_for(self, request: LlmRequest, model: str, role: Role) -> Mapping[str, Any]:
        """Arguments for LiteLLM for a call by an agent of that role, beside what `request` comes to ask for.

        Raises:
            InvalidRequest: as `add_to`.
        """
        self._instruct(request, role)
        if role != "speaker":
            return {}
        offer(self.turn, request)
        router = RouterModel(id=model)
        arguments = self._openai_arguments(router)
        if request.config.tools:
            self._choose_tool(request)
        else:
            arguments.pop("parallel_tool_calls", None)
        if form := self.turn.output_format:
            request.config.response_schema = None
            is_native = form.schema is not None and router.takes_schema()
            keeps_tools = router.takes_tools_with_json()
            if router.takes("response_format") and (keeps_tools or not request.config.tools):
                arguments["response_format"] = in_openai_form(form) if is_native else ANY_OBJECT
            if not (is_native and keeps_tools):
                request.append_instructions([in_words(form)])
        return arguments

    def _openai_arguments(self, router: RouterModel) -> dict[str, Any]:
        turn = self.turn
        wanted = {f.name: getattr(turn.parameters, f.name) for f in fields(turn.parameters)}
        wanted["parallel_tool_calls"] = turn.parallel_tool_calls
        found: dict[str, Any] = {}
        for name, value in wanted.items():
            if value is None:
                continue
            if router.takes(name):
                found[name] = list(value) if isinstance(value, tuple) else value
            elif value is not True:  # calling several tools at once is what all do that are told nothing
                self._refuse(name, router.id)
        if turn.tool_choice is not None and turn.tool_choice.mode != "auto" and not router.takes("tool_choice"):
            self._refuse("tool_choice", router.id)
        return found

    def _of_adk(self, model: BaseLlm, config: types.GenerateContentConfig) -> None:
        parameters = self.turn.parameters
        for name, place in _FIELDS.items():
            value = getattr(parameters, name)
            if value is not None:
                setattr(config, place, list(value) if isinstance(value, tuple) else value)
        if parameters.reasoning_effort is not None:
            thinking = _thinking(model, parameters.reasoning_effort)
            if thinking is None:
                self._refuse("reasoning_effort", model.model)
            else:
                own = config.thinking_config
                thinking.include_thoughts = own.include_thoughts if own else None
                config.thinking_config = thinking
        for name in ("verbosity", "service_tier"):
            if getattr(parameters, name) is not None:
                self._refuse(name, model.model)
        if self.turn.parallel_tool_calls is False:
            self._refuse("parallel_tool_calls", model.model)

    def _choose_tool(self, request: LlmRequest, *, only: bool = False) -> None:
        """Have the request say what the turn does of calling tools; `only` offers the one that is named alone."""
        choice = self.turn.tool_choice
        if choice is None or self.is_answered:
            return
        modes = types.FunctionCallingConfigMode
        mode = {"auto": modes.AUTO, "none": modes.NONE, "required": modes.ANY}[choice.mode]
        calling = types.FunctionCallingConfig(mode=mode)
        if choice.name is not None:
            calling.allowed_function_names = [choice.name]
        request.config.tool_config = types.ToolConfig(function_calling_config=calling)
        if only and choice.name is not None:
            request.config.tools = list(_named(request.config.tools or [], choice.name))

    def _instruct(self, request: LlmRequest, role: Role) -> None:
        """The client's instructions join those of the agent."""
        if role == "helper":
            return
        texts = [m.content for m in self.turn.messages if m.role in ("system", "developer") and m.content]
        request.append_instructions(texts)

    def _refuse(self, parameter: str, model: str) -> None:
        if not self.turn.drop_unsupported and not self._is_checked:
            raise UnsupportedParameter(parameter, model)


def _thinking(model: BaseLlm, effort: Effort) -> types.ThinkingConfig | None:
    if isinstance(model, LiteLlm):
        if effort == "none":
            return types.ThinkingConfig(thinking_budget=0)
        return types.ThinkingConfig(thinking_level=types.ThinkingLevel(_LEVELS[effort]))
    found = gemini.thinking(model.model, effort) if isinstance(model, Gemini) else None
    match found:
        case ("level", level):
            return types.ThinkingConfig(thinking_level=types.ThinkingLevel(str(level).upper()))
        case ("budget", int(budget)):
            return types.ThinkingConfig(thinking_budget=budget)
    return None


def _named(tools: list[Any], name: str) -> list[types.Tool]:
    """Of `tools`, which others may hold too, the one that is called `name`."""
    found = []
    for tool in tools:
        declarations = [d for d in getattr(tool, "function_declarations", None) or () if d.name == name]
        if declarations:
            own = copy.copy(tool)
            own.function_declarations = declarations
            found.append(own)
    return found
