"""What an agent does while it answers, in the neutral form that clients get it in."""

from __future__ import annotations

from typing import Any

from agentllm.core import Work

WORK = "agentllm_work"
"""The key in `provider_specific_fields`: an object in a chunk, a list of them in a plain answer."""


def work_fields(work: Work) -> dict[str, Any]:
    """`work` as JSON."""
    return {
        "id": work.id,
        "kind": work.kind,
        "name": work.name,
        "status": work.status,
        "arguments": dict(work.arguments),
        "result": work.result,
        "by": work.by,
    }
