"""The scripted model as LiteLLM reaches it."""

from tests.llm.unified.conftest import closed_connections, llm, running

__all__ = ["closed_connections", "llm", "running"]
