"""LiteLLM's router outside the proxy, made from the proxy's configuration: in a library's process, on the command line.

Models, `router_settings`, and what `litellm_settings` say of caches, retries and fallbacks mean the same as in the
proxy. Everything else of the file is the proxy's alone, agents too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agentllm.core import FAMILIES
from agentllm.errors import ConfigurationError
from agentllm.settings import load_settings

if TYPE_CHECKING:
    from litellm.router import Router

DEFAULT_CONFIG = Path("proxy_config.yaml")

_OF_ROUTER = (
    "num_retries",
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "default_fallbacks",
    "allowed_fails",
)
"""What `litellm_settings` may say to the router, by the router's own names."""

_ENVIRONMENT = "os.environ/"


def own_router() -> Router | None:
    """The router of this process, which runs no proxy; None where no configuration is set and none is there.

    Raises:
        ConfigurationError: the file cannot be read, or the router not made of it.
    """
    path = load_settings().proxy_config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    return None if path is None else _router_of(path.absolute())


@cache
def _router_of(path: Path) -> Router:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        models = [entry for entry in config.get("model_list") or [] if not _is_of_an_agent(entry)]
        return _made(models, config.get("router_settings") or {}, config.get("litellm_settings") or {})
    except OSError as error:
        raise ConfigurationError(f"AGENTLLM_PROXY_CONFIG={str(path)!r} cannot be read: {error.strerror}.") from None
    except Exception as error:  # LiteLLM's own, of any kind
        told = str(error).splitlines() or [type(error).__name__]
        raise ConfigurationError(
            f"No router can be made of {str(path)!r}: {told[0]}. Mend it, or set AGENTLLM_PROXY_CONFIG to another file."
        ) from None


def _made(models: list[Any], of_router: Mapping[str, Any], of_litellm: Mapping[str, Any]) -> Router:
    import litellm
    from litellm.caching.caching import Cache
    from litellm.router import Router

    known = Router.get_valid_args()
    settings = {name: of_litellm[name] for name in _OF_ROUTER if of_litellm.get(name) is not None}
    if (seconds := of_litellm.get("request_timeout")) is not None:
        settings["timeout"] = seconds
    settings |= {name: value for name, value in _resolved(of_router).items() if name in known}
    if of_litellm.get("cache"):
        litellm.cache = Cache(**_resolved(of_litellm.get("cache_params") or {}))
        settings["cache_responses"] = True
    return Router(model_list=models, **settings)


def _is_of_an_agent(entry: Mapping[str, Any]) -> bool:
    return str(entry["litellm_params"]["model"]).partition("/")[0] in FAMILIES


def _resolved(value: Any) -> Any:
    """`value` with the variables of the environment that its texts name; the router does that itself for models."""
    if isinstance(value, Mapping):
        return {name: _resolved(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner) for inner in value]
    if isinstance(value, str) and value.startswith(_ENVIRONMENT):
        return os.environ.get(value.removeprefix(_ENVIRONMENT))
    return value
