"""What LiteLLM leaves open is closed after each test."""

from tests.llm.unified.conftest import closed_connections

__all__ = ["closed_connections"]
