"""What generation of Gemini a model's name stands for, and what its API can do; needs none of Google's packages."""

from __future__ import annotations

import re
from typing import Literal

from agentllm.core import Effort

Level = Literal["minimal", "low", "medium", "high"]

_VERSION = re.compile(r"(?:^|/)gemini-(\d+)(?:\.(\d+))?(?=-|$)")
_NEWEST = (99, 0)
"""What an alias such as `gemini-flash-latest` stands for."""

_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEVELS: dict[Effort, Level] = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_LEAST_OF_PRO = 128
"""Tokens that Gemini 2.5 Pro thinks at least; its thinking cannot be turned off."""


def takes_tools_with_json(model: str) -> bool:
    """Whether the model takes tools in a request that asks for JSON, as those since Gemini 3 do.

    Google answers others "Function calling with a response mime type: 'application/json' is unsupported".
    """
    return _version(model) >= (3, 0)


def thinking(model: str, effort: Effort) -> tuple[Literal["level"], Level] | tuple[Literal["budget"], int] | None:
    """The thinking level or the budget of tokens that `effort` is for the model; None where it cannot think.

    As Google maps OpenAI's `reasoning_effort` (https://ai.google.dev/gemini-api/docs/openai, "Thinking"). More
    than "high" is its "high". Where thinking cannot be turned off, "none" is the least there is.
    """
    version = _version(model)
    if version >= (3, 0):
        least_is_low = effort in ("none", "minimal") and "flash" not in model
        return "level", "low" if least_is_low else _LEVELS[effort]
    if version >= (2, 5):
        return "budget", _LEAST_OF_PRO if effort == "none" and "-pro" in model else _BUDGETS[effort]
    return None


def _version(model: str) -> tuple[int, int]:
    if "gemma" in model:
        return (0, 0)
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST
