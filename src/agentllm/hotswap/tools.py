"""Tools with which an agent's model sets its own model and prompt when the person asks for that.

Plain functions, which every framework makes tools of by their names, annotations and docstrings. What they
set counts from the next model call on, for the conversation or the request that the turn belongs to.
"""

from __future__ import annotations

from collections.abc import Callable

from agentllm.core import Change
from agentllm.errors import AgentLLMError
from agentllm.hotswap.grammar import checked
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.hotswap.status import status

_NOT_HERE = "The model and the prompt cannot be changed here."


def set_model(model: str, custom_llm_provider: str | None = None) -> str:
    """Change the language model of this conversation. Only when the user asks for it in their own message.

    Args:
        model: The model's name, such as gpt-5.4-mini or openai/gpt-5.4-mini; empty for the agent's own again.
        custom_llm_provider: The provider, such as openai, where the name does not begin with it.
    """
    prefix = f"{(custom_llm_provider or '').strip()}/"
    name = model if not model.strip() or prefix == "/" or model.startswith(prefix) else f"{prefix}{model.strip()}"
    return _set(Change("model", name), InForce.set_model, "Model")


def set_prompt(prompt: str) -> str:
    """Change the instructions of this conversation. Only when the user asks for it in their own message.

    Args:
        prompt: The instructions in the place of the agent's own; empty for the agent's own again.
    """
    return _set(Change("prompt", prompt), InForce.set_prompt, "Prompt")


def get_config() -> str:
    """Tell which language model and which instructions this conversation is set to."""
    found = IN_FORCE.get()
    return _NOT_HERE if found is None else status(found.swap, is_stored=found.is_stored)


def _set(change: Change, how: Callable[[InForce, str | None], None], what: str) -> str:
    found = IN_FORCE.get()
    if found is None:
        return _NOT_HERE
    try:
        value = checked(change).value
        how(found, value)
    except AgentLLMError as error:
        return error.message
    if value is None:
        return f"{what}: the agent's own again, from now on."
    return f"{what}: {found.swap.model}, from now on." if change.what == "model" else f"{what}: set, from now on."
