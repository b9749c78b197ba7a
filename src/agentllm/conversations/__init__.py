"""Conversations: whose they are, what is remembered of them, and that what is answered is stored."""

from agentllm.conversations.conversations import Conversations, open_conversations

__all__ = ["Conversations", "open_conversations"]
