"""Answers as they go over the wire, kept as text files, and how they are compared with them."""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx

SNAPSHOTS = Path(__file__).parents[1] / "data" / "wire"

RENEW = "RENEW_WIRE_SNAPSHOTS"
"""The environment variable that, set to 1, has the snapshots written anew: look at their diff before you keep them."""

_CHANGING = {"created": 0, "system_fingerprint": None, "expires_at": 0}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID = re.compile(r"\b(call|chatcmpl|work_call|ask|question)[_-][0-9A-Za-z_-]*\d[0-9A-Za-z_-]*")


def check_wire(name: str, answer: httpx.Response) -> None:
    """Compare an answer, its ids and times made equal, with the snapshot `name`, or write that where `RENEW` says so.

    Raises:
        AssertionError: they differ; the message has the lines that do.
    """
    path = SNAPSHOTS / name
    found = wire_text(answer)
    if os.environ.get(RENEW) == "1":
        path.write_text(found, encoding="utf-8")
        return
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(kept.splitlines(), found.splitlines(), f"kept {name}", "found", lineterm="")
    assert found == kept, "\n".join([*lines, f"If this is as it should be, run the test again with {RENEW}=1."])


def wire_text(answer: httpx.Response) -> str:
    """The status, the content type and the body, in which what differs from run to run is the same."""
    kind = answer.headers["content-type"].partition(";")[0]
    head = f"HTTP {answer.status_code} {kind}\n\n"
    if kind != "text/event-stream":
        return f"{head}{json.dumps(_steady(answer.json()), indent=2, ensure_ascii=False)}\n"
    events: list[str | dict[str, Any]] = []
    for event in answer.text.split("\n\n"):
        data = event.removeprefix("data: ")
        if not data or event.startswith(":"):
            continue
        chunk = data if data == "[DONE]" else _steady(json.loads(data))
        if not (events and _join(events[-1], chunk)):
            events.append(chunk)
    return head + "".join(f"data: {e if isinstance(e, str) else json.dumps(e, ensure_ascii=False)}\n\n" for e in events)


def _join(before: Any, chunk: Any) -> bool:
    """Add the text of `chunk` to `before` where both are text alone: how it is cut depends on the time."""
    if not isinstance(before, dict) or not isinstance(chunk, dict):
        return False
    first, second = _text_delta(before), _text_delta(chunk)
    if first is None or second is None or set(second) != {"content"}:
        return False
    first["content"] += second["content"]
    return True


def _text_delta(chunk: dict[str, Any]) -> dict[str, Any] | None:
    choices = chunk.get("choices") or [{}]
    delta = choices[0].get("delta")
    is_text = isinstance(delta, dict) and delta.get("content") and set(delta) <= {"content", "role"}
    return delta if is_text and not choices[0].get("finish_reason") else None


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _CHANGING[key] if key in _CHANGING else _steady(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, str):
        return _ID.sub(r"\1_ID", _UUID.sub("UUID", value))
    return value
