"""How many tokens a model takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def context_window(model: str) -> int | None:
    """The tokens that `model` takes at most, None where that is not known.

    `model` is a `model_name` of the proxy that this process runs, of whose deployments the smallest
    window counts, or a model of LiteLLM with or without its provider. A deployment's window is what the
    operator says in its entry, `model_info.max_input_tokens`, else LiteLLM's number.
    """
    deployments = _deployments(model)
    windows = [_window(deployment) for deployment in deployments] if deployments else [_listed(model)]
    return min((window for window in windows if window is not None), default=None)


def _window(deployment: Mapping[str, Any]) -> int | None:
    configured = _tokens(deployment.get("model_info"))
    return configured if configured is not None else _listed(str(deployment["litellm_params"].get("model")))


def _listed(model: str) -> int | None:
    """What LiteLLM's price list says of a model, which may stand there without its provider."""
    import litellm

    windows = [_tokens(litellm.model_cost.get(name)) for name in (model, model.rpartition("/")[2])]
    return min((window for window in windows if window is not None), default=None)


def _deployments(model: str) -> list[Mapping[str, Any]]:
    proxy_server = sys.modules.get("litellm.proxy.proxy_server")
    router = getattr(proxy_server, "llm_router", None)
    return list(router.get_model_list(model_name=model) or ()) if router is not None else []


def _tokens(known: Mapping[str, Any] | None) -> int | None:
    window = (known or {}).get("max_input_tokens")
    return window if isinstance(window, int) and window > 0 else None
