"""What is kept of a request under its key, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentllm.conversations.schema import KEPT_SECONDS

MOST_KEPT = 8 * 1024 * 1024
"""Characters of an answer's events as JSON; a longer one is given again only while it still comes."""

Status = Literal["running", "complete", "failed", "interrupted", "unkept", "deleted"]
"""How far an answer is: `unkept` is a complete one that is too long, `deleted` one whose conversation is gone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one caller.

    `key` and `asked` are digests of the two and of the request. `answer_id` is the id of the turn that
    came first, `created` when that was, in seconds since 1970. `events` and `error` are JSON, as of
    `agentllm.idempotency.events`.
    """

    key: str
    asked: str
    answer_id: str
    created: int
    status: Status = "running"
    events: str | None = None
    error: str | None = None

    def is_over(self, now: float) -> bool:
        """Whether it was kept for long enough."""
        return self.created < now - KEPT_SECONDS
