"""Idempotency: a request that is repeated under its key gets the first one's answer, and no agent runs for it."""

from agentllm.idempotency.idempotency import Idempotency
from agentllm.idempotency.run import Run

__all__ = ["Idempotency", "Run"]
