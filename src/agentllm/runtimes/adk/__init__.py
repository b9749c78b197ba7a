"""Runs agents of Google's ADK; nothing outside this package needs ADK.

Raises:
    ConfigurationError: ADK is not installed.
"""

from __future__ import annotations

import importlib.util

from agentllm.errors import ConfigurationError
from agentllm.runtimes import ADK_MISSING

if importlib.util.find_spec("google.adk") is None:
    raise ConfigurationError(ADK_MISSING)

from agentllm.runtimes.adk.routed import RoutedLlm
from agentllm.runtimes.adk.runtime import AdkRuntime

__all__ = ["AdkRuntime", "RoutedLlm"]
