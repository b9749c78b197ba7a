"""Asks the person what an agent wants to know before it goes on, and reads what was decided."""

from agentllm.runtimes.questions.asking import Asking
from agentllm.runtimes.questions.calls import ASK_USER

__all__ = ["ASK_USER", "Asking"]
