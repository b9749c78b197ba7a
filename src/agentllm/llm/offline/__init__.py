"""The model that needs no network: it calls tools, recalls what was said, and says what it is."""

from agentllm.llm.offline.model import NOTICE, OfflineModel, Reply

__all__ = ["NOTICE", "OfflineModel", "Reply"]
