"""Which request it is: the digests of a caller's key, and of what was asked under it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from agentllm.core import Caller, Turn

_NOT_ASKED = frozenset({"id", "caller", "stream", "conversation", "state", "pending", "swap"})
"""Fields of a turn that differ between two requests for the same answer, or that are found out later."""


def key_digest(secret: bytes, caller: Caller, key: str) -> str:
    """What stands for `key` where `caller` says it: HMAC-SHA256 under `secret`, in hex.

    The same key of another caller is another one, and neither can be told from it.
    """
    return _hmac(secret, json.dumps(["idempotency key", caller.principal, key]))


def asked_digest(secret: bytes, turn: Turn) -> str:
    """What stands for all of `turn` that shapes its answer: agent, messages, parameters, tools, form and place.

    Whether it is streamed does not: the same events make either answer. HMAC-SHA256 under `secret`, in hex.
    """
    asked = {field.name: getattr(turn, field.name) for field in fields(turn) if field.name not in _NOT_ASKED}
    return _hmac(secret, json.dumps(asked, sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value) if isinstance(value, Mapping) else list(value)


def _hmac(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
