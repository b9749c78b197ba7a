"""What of LiteLLM's environment a model needs, where no proxy runs that would know its deployments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agentllm.llm.default import ANTHROPIC, GEMINI, OLLAMA, OPENAI
from agentllm.settings import load_settings

CONFIG = Path("proxy_config.yaml")
"""Where the models of the proxy are, for programs that are started beside it."""

_DEFAULTS = {
    "GEMINI_API_KEY": f"gemini/{GEMINI}",
    "OPENAI_API_KEY": f"openai/{OPENAI}",
    "ANTHROPIC_API_KEY": ANTHROPIC,
    "OLLAMA_API_BASE": OLLAMA,
}


def default_model_name() -> str:
    """LiteLLM's name of the model that speaks where an agent names none; `offline` where no provider is configured.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    return load_settings().model or next((name for key, name in _DEFAULTS.items() if os.environ.get(key)), "offline")


def configured_models(config: Path = CONFIG) -> Mapping[str, str]:
    """The models of the proxy's configuration, as LiteLLM's by their names there; none where there is no such file."""
    if not config.is_file():
        return {}
    entries: Any = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get("model_list") or ()
    return {entry["model_name"]: entry["litellm_params"]["model"] for entry in entries}


def is_known(model: str) -> bool:
    """Whether LiteLLM knows the provider that `model` names."""
    import litellm

    provider, slash, name = model.partition("/")
    return bool(slash and name) and provider in litellm.provider_list


def missing_variables(model: str) -> list[str]:
    """The variables in which the key of the model's provider is missing."""
    import litellm

    found = litellm.validate_environment(model)
    return [] if found["keys_in_environment"] else list(found["missing_keys"])
