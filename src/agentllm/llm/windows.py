"""How many tokens a model takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any


def context_window(model: str) -> int | None:
    """The tokens that `model` takes at most, None where that is not known.

    `model` is a `model_name` of the proxy that this process runs, of whose deployments the smallest
    window counts, or a model of LiteLLM with or without its provider. The numbers are LiteLLM's.
    """
    import litellm

    windows = [window for name in _names(model) if (window := _tokens(litellm.model_cost.get(name)))]
    return min(windows, default=None)


def _names(model: str) -> Iterator[str]:
    """What LiteLLM's price list may call the model."""
    deployed = [str(found["litellm_params"].get("model")) for found in _deployments(model)]
    for name in deployed or [model]:
        yield name
        yield name.rpartition("/")[2]


def _deployments(model: str) -> list[Mapping[str, Any]]:
    proxy_server = sys.modules.get("litellm.proxy.proxy_server")
    router = getattr(proxy_server, "llm_router", None)
    return list(router.get_model_list(model_name=model) or ()) if router is not None else []


def _tokens(known: Mapping[str, Any] | None) -> int | None:
    window = (known or {}).get("max_input_tokens")
    return window if isinstance(window, int) else None
