"""What the load generator is asked to do and what it measures; JSON on both ways."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["openai", "agentos"]
Kind = Literal["tokens-20", "tokens-200", "live-200-50"]

KEY = "sk-agno-test-key-12345"
TOKENS: dict[Kind, int] = {"tokens-20": 20, "tokens-200": 200, "live-200-50": 200}


@dataclass(frozen=True, slots=True)
class Target:
    """A model or an agent on a port of 127.0.0.1."""

    dialect: Dialect
    port: int
    model: str


@dataclass(frozen=True, slots=True)
class Job:
    """Load on one target, which must answer each request with exactly `tokens` numbered tokens.

    `clients` connections ask one request after the other, each in a session of its own (or by turns
    in `sessions` of them, whose names begin with `session`; or, without `store`, in none), until
    `seconds` have passed or `requests` have been sent in all; their first requests are spread over
    `ramp` seconds. An answer that takes longer than `timeout` seconds has failed.
    """

    target: Target
    tokens: int
    stream: bool
    clients: int = 1
    seconds: float = 60.0
    requests: int = 1_000_000
    ramp: float = 0.0
    timeout: float = 60.0
    sessions: int = 0
    session: str = ""
    store: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, in seconds; the lists have one entry per good answer, in order of its end.

    `pauses` has the longest time between two pieces of text within each stream.
    """

    elapsed: float
    failed: int
    errors: Sequence[str]
    latencies: Sequence[float]
    first_tokens: Sequence[float]
    pauses: Sequence[float]

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return len(self.latencies) / self.elapsed


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share `q` of `values` does not exceed; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The median; NaN without values."""
    return statistics.median(values) if values else float("nan")
