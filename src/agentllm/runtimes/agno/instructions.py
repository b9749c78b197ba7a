"""What a request adds to the instructions of an agent."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from agno.agent import Agent
from agno.models.message import Message as AgnoMessage
from agno.team import Team

from agentllm.core import Turn


def add_instructions(agent: Agent | Team, turn: Turn, wanted: str) -> None:
    """The client's system messages, and what is `wanted` of the answer, join the agent's own.

    Some providers keep only one system message.
    """
    texts = [m.content for m in turn.messages if m.role in ("system", "developer") and m.content]
    texts += [wanted] if wanted else []
    if not texts:
        return
    if agent.system_message is None:
        agent.additional_context = "\n\n".join(filter(None, [agent.additional_context, *texts]))
    else:
        agent.system_message = _joined(agent.system_message, "\n\n".join(texts))


def _joined(own: Any, text: str) -> Any:
    """An agent's own system message, in any of the forms that Agno takes, with `text` after it."""
    if isinstance(own, str):
        return f"{own}\n\n{text}"
    if isinstance(own, AgnoMessage):
        return own.model_copy(update={"content": f"{own.get_content_string()}\n\n{text}"})
    if inspect.iscoroutinefunction(own):

        @functools.wraps(own)
        async def joined_later(*args: Any, **kwargs: Any) -> str:
            return f"{await own(*args, **kwargs)}\n\n{text}"

        return joined_later

    @functools.wraps(own)
    def joined(*args: Any, **kwargs: Any) -> str:
        return f"{own(*args, **kwargs)}\n\n{text}"

    return joined
