"""A language model server that says what a test tells it to, over the real wire formats.

`with ScriptedLLM() as llm:` runs it as a process of its own; see `client`.
"""

from tests.scripted_llm.client import CapturedRequest, ScriptedLLM
from tests.scripted_llm.replies import HttpError, Reply, ToolCall, Usage, split_tokens

__all__ = ["CapturedRequest", "HttpError", "Reply", "ScriptedLLM", "ToolCall", "Usage", "split_tokens"]
