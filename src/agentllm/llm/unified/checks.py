"""What is wrong with the settings of an agent, found before it is run."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from agentllm.core import FAMILIES
from agentllm.errors import ConfigurationError
from agentllm.llm.own_router import own_router
from agentllm.settings import PROVIDER_VARIABLES, load_settings

if TYPE_CHECKING:
    from agentllm.llm.unified.agent import UnifiedAgent

_EXAMPLES = "'openai/gpt-5.4-mini', 'anthropic/claude-haiku-4-5' or 'gemini/gemini-2.5-flash'"

_OF_THE_MACHINE = frozenset({"bedrock", "sagemaker", "vertex_ai"})
"""Providers that take the identity of the machine too, which no variable tells of."""

_OF_AZURE = ("AZURE_AD_TOKEN", "AZURE_CLIENT_ID")
"""What stands for a key at Azure."""


def check_settings(agent: UnifiedAgent) -> None:
    """See that the settings of `agent` can be used, and that its models are there.

    Raises:
        ConfigurationError: they cannot, or are not; it names the setting or the variable.
    """
    _check_number("temperature", agent.temperature, 0, 2)
    _check_number("max_tokens", agent.max_tokens, 1, whole=True)
    _check_number("timeout", agent.timeout, 0, excluding_least=True)
    _check_number("retries", agent.retries, 0, 10, whole=True)
    _check_number("budget", agent.budget, 0, excluding_least=True)
    _check_number("max_model_calls", agent.max_model_calls or 0, 1, whole=True)
    if not isinstance(agent.cache, bool):
        _check_number("cache", agent.cache, 0, excluding_least=True)
    if not is_texts(agent.instructions):
        raise ConfigurationError("instructions must be a text or a list of texts.")
    if isinstance(agent.fallbacks, str):
        raise ConfigurationError(f"fallbacks is {agent.fallbacks!r}; it must be a list of models.")
    check_model("model", agent.model)
    for index, fallback in enumerate(agent.fallbacks):
        check_model(f"fallbacks[{index}]", fallback)
    from agentllm.llm.unified.requests import takes

    for name in ("temperature", "max_tokens"):
        if getattr(agent, name) is not None and not takes(agent.model, name):
            raise ConfigurationError(f"{name} is set, which the model {agent.model!r} does not take; leave it out.")


def check_model(setting: str, model: object) -> None:
    """See that `model` is one of the proxy of this process, or of a provider whose key is set.

    Raises:
        ConfigurationError: it is neither; the message names `setting`, or the variable that is missing.
    """
    if not isinstance(model, str) or not model or model != "".join(model.split()):
        raise ConfigurationError(f"{setting} is {model!r}, which is no model. Write it as provider/id: {_EXAMPLES}.")
    if model.partition("/")[0] in FAMILIES:
        raise ConfigurationError(f"{setting} is {model!r}, which is an agent. Name a language model: {_EXAMPLES}.")
    if is_of_proxy(model):
        return
    provider = _provider(model)
    if provider is None:
        raise ConfigurationError(
            f"{setting} is {model!r}, which is a model of no provider that LiteLLM knows, and no model_name of a proxy "
            f"that runs here. Write it as provider/id: {_EXAMPLES}."
        )
    if missing := _missing(model, provider):
        are = "is" if len(missing) == 1 else "are"
        raise ConfigurationError(f"{setting} is {model!r}, which needs a key: {', '.join(missing)} {are} not set.")


def is_of_proxy(model: str) -> bool:
    """Whether the proxy that this process runs, or is about to run, has a model of that name; where none runs, our own
    router."""
    proxy: Any = sys.modules.get("litellm.proxy.proxy_server")
    if proxy is None:
        router = own_router()
        return router is not None and bool(router.get_model_list(model_name=model))
    if proxy.llm_router is not None:
        return bool(proxy.llm_router.get_model_list(model_name=model))
    return model in _configured(proxy.proxy_config.get_config_state())


def model_of_environment() -> str:
    """The model that `AGENTLLM_MODEL` names, else one of the first provider whose variable is set.

    Raises:
        ConfigurationError: no variable names one that LiteLLM has.
    """
    if named := load_settings().model:
        if named == "offline":
            raise ConfigurationError("AGENTLLM_MODEL is 'offline', which is no model of a provider; name another.")
        return named
    from agentllm.llm import default

    match next((name for name in PROVIDER_VARIABLES if os.environ.get(name)), None):
        case "GEMINI_API_KEY":
            return f"gemini/{default.GEMINI}"
        case "OPENAI_API_KEY":
            return f"openai/{default.OPENAI}"
        case "ANTHROPIC_API_KEY":
            return default.ANTHROPIC
        case "OLLAMA_API_BASE":
            return default.OLLAMA
    raise ConfigurationError(f"No model is named: set AGENTLLM_MODEL, or one of {', '.join(PROVIDER_VARIABLES)}.")


def is_texts(value: object) -> bool:
    """Whether `value` is a text or a list of texts."""
    return isinstance(value, str) or (isinstance(value, Iterable) and all(isinstance(text, str) for text in value))


def _configured(config: Any) -> Iterator[str]:
    """The names of models in a proxy's configuration that was read, and is not in force yet."""
    for entry in config.get("model_list") or ():
        yield str(entry.get("model_name"))
    yield from (config.get("router_settings") or {}).get("model_group_alias") or ()


def _provider(model: str) -> str | None:
    """What LiteLLM calls the provider of `model`, None where it has none."""
    import litellm

    prints, litellm.suppress_debug_info = litellm.suppress_debug_info, True  # it would print where its list is
    try:
        return str(litellm.get_llm_provider(model)[1])
    except Exception:  # LiteLLM's own, of several classes
        return None
    finally:
        litellm.suppress_debug_info = prints


def _missing(model: str, provider: str) -> list[str]:
    """The variables that a model needs and that are not set, as far as one can say."""
    import litellm

    if provider in _OF_THE_MACHINE or (provider == "azure" and any(os.environ.get(name) for name in _OF_AZURE)):
        return []
    return [str(name) for name in litellm.validate_environment(model)["missing_keys"]]


def _check_number(
    name: str,
    value: object,
    least: float,
    most: float = math.inf,
    *,
    whole: bool = False,
    excluding_least: bool = False,
) -> None:
    if value is None:
        return
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and least <= value <= most and not (excluding_least and value == least):  # type: ignore[operator]
        return
    kind = "a whole number" if whole else "a number"
    lower = f"more than {least}" if excluding_least else f"at least {least}"
    upper = f" and at most {most}" if most < math.inf else ""
    raise ConfigurationError(f"{name} is {value!r}; it must be {kind}, {lower}{upper}.")
