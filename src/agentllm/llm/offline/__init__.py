"""The model that needs no network: it calls tools, recalls what was said, and says what it is."""

from agentllm.llm.offline.model import NOTICE, PROVIDER_VARIABLES, OfflineModel, Reply

__all__ = ["NOTICE", "PROVIDER_VARIABLES", "OfflineModel", "Reply"]
