"""What a real Open WebUI sent: every request of a few chats, in order, as `data/openwebui_requests.json` holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "data" / "openwebui_requests.json"
_CONNECTION = "x-agentllm-"


@dataclass(frozen=True, slots=True)
class Captured:
    """A request for an answer; names of headers are in lower case, keys and tokens are left out."""

    number: int
    action: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def task(self) -> str:
        """Open WebUI's name of the background task, empty for a turn."""
        return self.headers["x-agentllm-task"]

    @property
    def without_connection_headers(self) -> Mapping[str, str]:
        """The headers of an Open WebUI whose connection has no headers of its own."""
        return {name: value for name, value in self.headers.items() if not name.startswith(_CONNECTION)}

    def __str__(self) -> str:
        return f"{self.number} {self.task or 'turn'}"


def captured() -> list[Captured]:
    """The requests for answers, each with its number in the file; not those for the list of models."""
    return [
        Captured(number, record["after"], _headers(record["headers"]), record["body"])
        for number, record in enumerate(json.loads(_FILE.read_text()))
        if record.get("body")
    ]


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    left_out = ("authorization", "content-type", "user-agent", "x-openwebui-user-jwt")
    return {name.lower(): value for name, value in headers.items() if name.lower() not in left_out}


TASKS = [request for request in captured() if request.task]
TURNS = [request for request in captured() if not request.task]
