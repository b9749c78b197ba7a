"""Pictures, sounds and files in results of tools, which models take from a user only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agentllm.core import Media, Message

FROM_TOOL = "This came with the results of the tools."
"""What a model is told with the pictures, sounds and files of tools."""


def with_media_of_tools(messages: Iterable[Message]) -> list[Message]:
    """`messages`, with the pictures, sounds and files of tools' results in a message of the user behind them."""
    told: list[Message] = []
    of_tools: tuple[Media, ...] = ()
    for message in messages:
        if of_tools and message.role != "tool":
            told.append(Message("user", FROM_TOOL, media=of_tools))
            of_tools = ()
        is_with_media = message.role == "tool" and message.media
        of_tools += message.media if is_with_media else ()
        told.append(replace(message, media=()) if is_with_media else message)
    return [*told, Message("user", FROM_TOOL, media=of_tools)] if of_tools else told
