"""Open WebUI's dialect: what its headers and background requests look like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from agentllm.core import Message

CHAT_ID_HEADER = "x-openwebui-chat-id"

TASK_HEADER = "x-agentllm-task"
CONNECTION_CHAT_ID_HEADER = "x-agentllm-chat-id"
MESSAGE_ID_HEADER = "x-agentllm-message-id"
PARENT_ID_HEADER = "x-agentllm-parent-message-id"
"""The last four are not of Open WebUI itself: its connection settings can be told to send them."""

_PREFIX = "x-openwebui-"
_AUTH_HEADER = "x-openwebui-auth-type"

TaskKind: TypeAlias = Literal[
    "title_generation",
    "tags_generation",
    "follow_up_generation",
    "query_generation",
    "image_prompt_generation",
    "autocomplete_generation",
    "emoji_generation",
    "moa_response_generation",
    "function_calling",
    "context_compaction",
    "memory_review",
    "other",
]
"""Open WebUI's names for what it asks beside the turns of a chat; "other" is one that is not known here."""

RESPONSES_MARK = "\n\nResponses from models: "
"""What stands before the answers that Open WebUI wants merged into one."""

_KINDS: Mapping[str, TaskKind] = {kind: kind for kind in get_args(TaskKind) if kind != "other"}

_KIND_BY_KEY: Mapping[str, TaskKind] = {
    "title": "title_generation",
    "tags": "tags_generation",
    "follow_ups": "follow_up_generation",
    "queries": "query_generation",
    "prompt": "image_prompt_generation",
    "text": "autocomplete_generation",
}
_WANTED_JSON = re.compile(rf'\{{\s*"({"|".join(_KIND_BY_KEY)})"\s*:')

_BEGIN = "### Task:"
_HISTORY_MARKS = ("<chat_history>", "### Chat History:")
_FILE_MARK = "<context>"
"""A turn with a file begins as a task does and has the file's text behind this."""

_FIXED_PROMPTS: tuple[tuple[TaskKind, str, str], ...] = (
    ("emoji_generation", "Your task is to reflect the speaker's likely facial expression", "Message: ```"),
    ("moa_response_generation", "You have been provided with a set of responses from various models", RESPONSES_MARK),
    ("function_calling", "Available Tools: ", "Your task is to choose and return the correct tool(s)"),
    ("context_compaction", f"{_BEGIN}\nSummarize the conversation history", "### Messages Being Compacted:"),
    ("memory_review", "You are Open WebUI's private memory reviewer.", ""),
)
"""Prompts without the chat's history: how the first message begins and what else it holds."""


@dataclass(frozen=True, slots=True)
class Task:
    """A background request: `prompt` is its last message, with the chat's history in it where the kind has one."""

    kind: TaskKind
    prompt: str


def chat_id(headers: Mapping[str, str]) -> str | None:
    """The chat that a request belongs to."""
    return headers.get(CHAT_ID_HEADER) or headers.get(CONNECTION_CHAT_ID_HEADER) or None


def is_temporary(chat: str | None) -> bool:
    """Whether it is a chat that Open WebUI keeps nothing of; all such chats of one browser tab share an id."""
    return chat is not None and chat.startswith(("temporary:", "local:"))


def adds_tools(headers: Mapping[str, str]) -> bool:
    """Whether the tools of the request are those that Open WebUI sends with every one from its own pages.

    What a program sends through Open WebUI's API are its own.
    """
    if headers.get(_AUTH_HEADER) == "api_key":
        return False
    connection = (TASK_HEADER, CONNECTION_CHAT_ID_HEADER, MESSAGE_ID_HEADER, PARENT_ID_HEADER)
    return any(name.startswith(_PREFIX) or name in connection for name in headers)


def background_task(
    headers: Mapping[str, str], messages: Sequence[Message], *, stream: bool, tools: bool
) -> Task | None:
    """The task that Open WebUI asks for beside the turns of a chat (a title, tags and the like), None for a turn.

    What is certain comes first: the task's name in a header; then a header for the answer's message
    id that is empty in a chat, because only turns have an answer to fill; then the shape of the
    request. `tools` is whether it brings any.
    """
    prompt = messages[-1].content if messages else ""
    if name := headers.get(TASK_HEADER):
        return Task(_KINDS.get(name) or _kind(messages) or "other", prompt)
    if headers.get(MESSAGE_ID_HEADER) == "" and _in_chat(headers):
        return Task(_kind(messages) or "other", prompt)
    kind = None if tools else _kind_by_shape(messages, stream=stream, in_chat=_in_chat(headers))
    return Task(kind, prompt) if kind else None


def _in_chat(headers: Mapping[str, str]) -> bool:
    return chat_id(headers) is not None


def _kind(messages: Sequence[Message]) -> TaskKind | None:
    return _fixed_kind(messages) or (_wanted(messages[-1].content) if messages else None)


def _kind_by_shape(messages: Sequence[Message], *, stream: bool, in_chat: bool) -> TaskKind | None:
    """The kind that a request without telling headers must be of.

    Outside of a chat, where Open WebUI sends autocompletion and anybody else sends what they like,
    the prompt must also ask for one of Open WebUI's own JSON answers.
    """
    fixed = _fixed_kind(messages)
    if fixed and (not stream or fixed == "moa_response_generation"):
        return fixed
    if stream or len(messages) != 1 or messages[0].role != "user" or not _has_history(messages[0].content):
        return None
    return _wanted(messages[0].content) or ("other" if in_chat else None)


def _fixed_kind(messages: Sequence[Message]) -> TaskKind | None:
    """The kind of one of Open WebUI's fixed prompts, which are one user message or a system message before it."""
    if [message.role for message in messages] not in (["user"], ["system", "user"]):
        return None
    first = messages[0].content
    return next((kind for kind, begin, held in _FIXED_PROMPTS if first.startswith(begin) and held in first), None)


def _has_history(prompt: str) -> bool:
    instructions = _instructions(prompt)
    return prompt.startswith(_BEGIN) and len(instructions) < len(prompt) and _FILE_MARK not in instructions


def _wanted(prompt: str) -> TaskKind | None:
    """The kind whose JSON form the prompt's instructions prescribe."""
    found = _WANTED_JSON.search(_instructions(prompt))
    return _KIND_BY_KEY[found[1]] if found else None


def _instructions(prompt: str) -> str:
    """The prompt without the chat's history."""
    ends = [prompt.find(mark) for mark in _HISTORY_MARKS if mark in prompt]
    return prompt[: min(ends)] if ends else prompt
