"""Which model speaks where an agent names none, and the model behind a name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentllm.errors import ConfigurationError
from agentllm.llm.offline import NOTICE, OfflineModel
from agentllm.settings import PROVIDER_VARIABLES, load_settings

if TYPE_CHECKING:
    from agno.models.base import Model

GEMINI = "gemini-2.5-flash"
OPENAI = "gpt-5.4-mini"
ANTHROPIC = "anthropic/claude-haiku-4-5"
OLLAMA = "ollama_chat/llama3.2"


def default_model(*, gemini: str = GEMINI) -> Model:
    """The model of the agents that ship.

    `AGENTLLM_MODEL` where it is set; else the provider of the first variable that is set of
    `GEMINI_API_KEY` (with the model id `gemini`), `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` and
    `OLLAMA_API_BASE`; with none of them the offline model.

    Raises:
        ConfigurationError: `AGENTLLM_MODEL` names no model, or its provider's key is missing.
    """
    name = load_settings().model
    if name is not None:
        return _named(name)
    match _first_key():
        case "GEMINI_API_KEY":
            return _gemini(gemini)
        case "OPENAI_API_KEY":
            return _openai(OPENAI)
        case "ANTHROPIC_API_KEY":
            return _litellm(ANTHROPIC)
        case "OLLAMA_API_BASE":
            return _litellm(OLLAMA)
        case _:
            return OfflineModel()


def model_from_name(name: str) -> Model:
    """The model that an agent of a YAML file names: `offline`, else any model that LiteLLM knows.

    That is a `model_name` of the proxy's configuration, or a LiteLLM model such as
    `openai/gpt-5.4-mini`; whether it exists shows when it is first asked.
    """
    return OfflineModel() if name == "offline" else _litellm(name)


def offline_notice() -> str | None:
    """The line for the start-up log where the offline model speaks; None where a model is configured."""
    name = load_settings().model
    if name == "offline":
        return f"{NOTICE} AGENTLLM_MODEL is 'offline' and comes before them."
    return NOTICE if name is None and _first_key() is None else None


def _first_key() -> str | None:
    return next((key for key in PROVIDER_VARIABLES if os.environ.get(key)), None)


def _named(name: str) -> Model:
    if name == "offline":
        return OfflineModel()
    provider, _, model = name.partition("/")
    if not provider or not model or provider == "agno" or name != "".join(name.split()):
        raise ConfigurationError(
            f"AGENTLLM_MODEL={name!r} names no model. Write it as provider/id, for example "
            f"'gemini/{GEMINI}', 'openai/{OPENAI}', '{ANTHROPIC}' or '{OLLAMA}', or as 'offline'."
        )
    match provider:
        case "gemini":
            return _gemini(model)
        case "openai":
            return _openai(model)
        case _:
            return _litellm(name)


def _gemini(model: str) -> Model:
    from agentllm.llm.providers import gemini

    return gemini(model)


def _openai(model: str) -> Model:
    from agentllm.llm.providers import openai

    return openai(model)


def _litellm(model: str) -> Model:
    from agentllm.llm.router import RouterModel

    return RouterModel(id=model)
