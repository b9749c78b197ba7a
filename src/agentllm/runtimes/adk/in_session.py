"""Hot-swap in plain ADK, where no proxy of ours runs: the model and the prompt of a session are in its state.

The keys have no prefix, so they are of the one session: not of its user, and not of the app, whose state
all users share. Nothing is written but what changes. Where a turn of ours runs the agent, that one's
conversation has both, and all of this stands back.

    root_agent = LlmAgent(
        name="swappable",
        model=RoutedLlm(model="openai/gpt-5.4-mini"),
        instruction=prompt_or("You are helpful."),
        tools=[SwapTool(set_model), SwapTool(set_prompt), SwapTool(get_config)],
        before_agent_callback=answer_control,
        before_model_callback=take_model,
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from google.adk.agents.callback_context import CallbackContext
from google.adk.agents.readonly_context import ReadonlyContext
from google.adk.models.llm_request import LlmRequest
from google.adk.tools.function_tool import FunctionTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from agentllm.core import Message, Swap
from agentllm.errors import AgentLLMError
from agentllm.hotswap.grammar import read_control, without_control
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.hotswap.policy import matches, refused
from agentllm.hotswap.status import status
from agentllm.llm.environment import configured_models, default_model_name, is_known, missing_variables
from agentllm.llm.offline.completion import OFFLINE
from agentllm.runtimes.adk.messages import text_of
from agentllm.settings import load_settings

MODEL = "hotswap_model"
PROMPT = "hotswap_prompt"


class _State(Protocol):
    def get(self, key: str, default: Any = None) -> Any: ...

    def __setitem__(self, key: str, value: Any) -> None: ...


def allow(model: str) -> str:
    """LiteLLM's name of a model that may be set: one of `AGENTLLM_SWAP_MODELS`, else of `proxy_config.yaml` here,
    or the default one.

    Raises:
        SwapRefused: it may not; the message says why and lists what can be set.
    """
    configured = configured_models()
    name = configured.get(model, model)
    patterns = load_settings().swap_models
    allowed = [default_model_name(), *configured.values()] if patterns is None else list(patterns)
    if not matches(name, allowed) and not matches(model, allowed):
        raise refused(model, "it is none that may be used here", allowed)
    if name == OFFLINE:
        return name
    if not is_known(name):
        raise refused(model, "LiteLLM knows no such provider", allowed)
    if missing := missing_variables(name):
        raise refused(model, f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set", allowed)
    return name


def answer_control(callback_context: CallbackContext) -> types.Content | None:
    """Before an agent runs: answer a control message of the user, without a call of any model."""
    if IN_FORCE.get() is not None:
        return None
    content = callback_context.user_content
    message = Message("user", text_of((content.parts if content else None) or []))
    try:
        changes = read_control(message)
        if changes is None:
            return None
        in_force = _in_force(callback_context.state)
        for change in changes:
            (in_force.set_model if change.what == "model" else in_force.set_prompt)(change.value)
    except AgentLLMError as error:
        return _said(error.message)
    _keep(in_force.swap, callback_context.state)
    return _said(status(in_force.swap, is_stored=True))


def take_model(callback_context: CallbackContext, llm_request: LlmRequest) -> None:
    """Before a model is called: have the one of the session answer, without the control messages before."""
    if IN_FORCE.get() is None:
        llm_request.model = callback_context.state.get(MODEL) or llm_request.model
        llm_request.contents = _without_control(llm_request.contents)


def prompt_or(instruction: str) -> Callable[[ReadonlyContext], str]:
    """An instruction for ADK: the prompt of the session, else `instruction`."""

    def given(context: ReadonlyContext) -> str:
        return str(context.state.get(PROMPT) or instruction)

    return given


class SwapTool(FunctionTool):
    """A tool of `agentllm.hotswap.tools` that sets what it does in the session's state."""

    async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> Any:
        if IN_FORCE.get() is not None:
            return await super().run_async(args=args, tool_context=tool_context)
        in_force = _in_force(tool_context.state)
        token = IN_FORCE.set(in_force)
        try:
            result = await super().run_async(args=args, tool_context=tool_context)
        finally:
            IN_FORCE.reset(token)
        _keep(in_force.swap, tool_context.state)
        return result


def _in_force(state: _State) -> InForce:
    return InForce(Swap(state.get(MODEL), state.get(PROMPT)), allow, is_stored=True)


def _keep(swap: Swap, state: _State) -> None:
    for key, value in ((MODEL, swap.model), (PROMPT, swap.prompt)):
        if state.get(key) != value:
            state[key] = value


def _said(text: str) -> types.Content:
    return types.Content(role="model", parts=[types.Part(text=text)])


def _without_control(contents: Iterable[types.Content]) -> list[types.Content]:
    """`contents` without control messages and what was answered to them."""
    pairs = [(_message(content), content) for content in contents]
    kept = {id(message) for message in without_control([message for message, _ in pairs])}
    return [content for message, content in pairs if id(message) in kept]


def _message(content: types.Content) -> Message:
    parts = content.parts or []
    if any(part.function_response for part in parts):
        return Message("tool")
    if content.role == "user":
        return Message("user", text_of(parts))
    has_calls = any(part.function_call for part in parts)
    return Message("tool" if has_calls else "assistant", text_of(parts))
