"""The `agent.json` of packages of ADK, made from where ADK's server is reached."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from agentllm.catalog.discovery import ROOT_AGENT
from agentllm.catalog.loading import import_file
from agentllm.errors import ConfigurationError
from agentllm.runtimes import ADK_MISSING, is_of_adk

CARD = "agent.json"


def write_cards(folder: Path, public_url: str) -> list[Path]:
    """Write the card of every package in `folder`, a folder of agents of ADK, and return where.

    Raises:
        ConfigurationError: there is no such package, the URL is none, or ADK is not installed.
        Exception: whatever a package raises.
    """
    if not public_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{public_url!r} is no URL. Give that of ADK's server, such as http://localhost:8000.")
    written = []
    for path in sorted(folder.glob("*/agent.py")):
        root: Any = getattr(_imported(path), ROOT_AGENT, None)
        if is_of_adk(root):
            from agentllm.runtimes.adk.card import card_of

            place = path.with_name(CARD)
            place.write_text(f"{json.dumps(card_of(root, path.parent.name, public_url), indent=2)}\n", encoding="utf-8")
            written.append(place)
    if not written:
        raise ConfigurationError(f"There is no package with a {ROOT_AGENT} of ADK in {str(folder)!r}.")
    return written


def _imported(path: Path) -> ModuleType:
    try:
        return import_file(path.resolve())
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("google.adk"):
            raise ConfigurationError(ADK_MISSING) from None
        raise
