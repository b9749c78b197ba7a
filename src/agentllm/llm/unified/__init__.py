"""One agent for the models of every provider: a plain loop of model calls and tools over LiteLLM.

Importing this loads neither LiteLLM nor a framework; building an agent loads LiteLLM.
"""

from agentllm.llm.unified.agent import UnifiedAgent
from agentllm.llm.unified.asked import Answer, Asked, UnifiedEvent

__all__ = ["Answer", "Asked", "UnifiedAgent", "UnifiedEvent"]
