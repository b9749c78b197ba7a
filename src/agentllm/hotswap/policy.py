"""Which models may be set: what the rest of hot-swap asks, and the operator's part of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from agentllm.errors import SwapRefused

MOST_LISTED = 50
"""Models that a refusal names."""


class Policy(Protocol):
    """What one caller may set."""

    async def allow(self, model: str) -> str:
        """The one name of `model`.

        Raises:
            SwapRefused: the caller may not set it; the message says why and lists what can be set.
        """
        ...

    def allow_now(self, model: str) -> str:
        """The same for code that cannot wait, on the loop of the proxy or on any other thread."""
        ...


def matches(model: str, patterns: Iterable[str]) -> bool:
    """Whether one of `patterns`, in which `*` stands for anything, is for `model`; letters of either case differ."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def refused(model: str, why: str, allowed: Sequence[str]) -> SwapRefused:
    """The error for `model`, with what can be set instead."""
    shown = model if len(model) <= 80 else f"{model[:80]}…"
    listed = ", ".join(allowed[:MOST_LISTED]) or "none"
    more = f" and {len(allowed) - MOST_LISTED} more" if len(allowed) > MOST_LISTED else ""
    return SwapRefused(f"The model {shown!r} cannot be set: {why}. Nothing was changed. Models here: {listed}{more}.")
