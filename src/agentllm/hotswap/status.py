"""What is in force, in the words that people get of it everywhere: in chats, from tools, on the command line."""

from __future__ import annotations

from agentllm.core import Swap

LONGEST_SHOWN = 2_000
"""Characters of a prompt that are shown of it."""

_OWN = "the agent's own"


def status(swap: Swap, *, is_stored: bool) -> str:
    """Which model and which prompt are in force, and whether they are the agent's own or set.

    What is set is so for the conversation where it `is_stored`, else for the one request.
    """
    where = "set for this conversation" if is_stored else "set for this request only, as nothing is stored"
    model = f"{swap.model} ({where})" if swap.model else _OWN
    if not swap.prompt:
        return f"Model: {model}\nPrompt: {_OWN}"
    return f"Model: {model}\nPrompt ({where}):\n{_shown(swap.prompt)}"


def _shown(prompt: str) -> str:
    if len(prompt) <= LONGEST_SHOWN:
        return prompt
    return f"{prompt[:LONGEST_SHOWN]}… (the first {LONGEST_SHOWN:,} of {len(prompt):,} characters)"
