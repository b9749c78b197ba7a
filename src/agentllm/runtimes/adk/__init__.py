"""Runs agents of Google's ADK; nothing outside this package needs ADK.

Raises:
    ConfigurationError: ADK is not installed.
"""

from __future__ import annotations

import importlib.util

from agentllm.errors import ConfigurationError

if importlib.util.find_spec("google.adk") is None:
    raise ConfigurationError("Agents of ADK need an extra: `pip install 'agentllm[adk]'`.")

from agentllm.runtimes.adk.routed import RoutedLlm
from agentllm.runtimes.adk.runtime import AdkRuntime

__all__ = ["AdkRuntime", "RoutedLlm"]
