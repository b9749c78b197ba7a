"""Requests with an Idempotency-Key: where it is given."""

from __future__ import annotations

from collections.abc import Mapping

from agentllm.errors import InvalidRequest

HEADER = "idempotency-key"
LONGEST_KEY = 255


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The key that the request came with, None where it has none.

    Raises:
        InvalidRequest: it has not 1 to 255 printable characters.
    """
    key = headers.get(HEADER)
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise InvalidRequest(
            f"The header Idempotency-Key has {len(key)} characters; it must have 1 to {LONGEST_KEY}, "
            "all of them printable.",
            param=HEADER,
        )
    return key
