"""What the scripted model can be told to answer; the same dataclasses in tests and in the server."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
Finish = Literal["stop", "length", "tool_calls", "content_filter"]

ENDLESS_SECONDS = 60.0
"""An endless reply ends by itself after this time."""

_TOKEN = re.compile(r"\s*\S+|\s+$")


def split_tokens(text: str) -> tuple[str, ...]:
    """The tokens that the server makes of `text`: words, each with the white space before it."""
    return tuple(_TOKEN.findall(text))


def numbered_tokens(count: int) -> tuple[str, ...]:
    """What the models `tokens-<count>` and `live-<count>-<rate>` say: `w0 w1 w2 …`."""
    return tuple(f" w{i}" if i else "w0" for i in range(count))


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as OpenAI means them: `completion` includes `reasoning`, `prompt` includes `cached`."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; `arguments` is JSON text. Without an `id` the server makes a fresh one."""

    name: str
    arguments: str = "{}"
    id: str | None = None

    @classmethod
    def of(cls, name: str, **arguments: object) -> ToolCall:
        """A call with these arguments."""
        return cls(name, json.dumps(arguments))


@dataclass(frozen=True, slots=True)
class HttpError:
    """An answer with an error status; `retry_after` is the header's seconds."""

    status: int
    message: str = "scripted error"
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the model.

    `tokens` says how `text` is to be streamed, otherwise `split_tokens(text)` does. With neither
    the answer is empty. `max_tokens` and `stop` of the request are honoured as a model would.
    Without `usage` the counts are words asked and tokens said.

    Delays are in seconds. A plain answer takes as long as the streamed one would. The times of
    tokens are absolute, so that lateness does not add up.

    `cut_after` ends the connection without an orderly end: 0 resets it before anything is sent,
    n > 0 closes it after n tokens (a plain answer: in the middle of the body). `malformed` sends
    broken JSON: as the body, or as the line after the first token. `endless` repeats the tokens
    for `ENDLESS_SECONDS`, 20 ms apart where `token_delay` is 0.
    """

    text: str = ""
    tokens: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish: Finish | None = None
    first_delay: float = 0.0
    token_delay: float = 0.0
    error: HttpError | None = None
    cut_after: int | None = None
    malformed: bool = False
    endless: bool = False

    @classmethod
    def calling(cls, *calls: ToolCall) -> Reply:
        """An answer that only calls tools."""
        return cls(tool_calls=calls)

    @classmethod
    def failing(cls, status: int, message: str = "scripted error", *, retry_after: int | None = None) -> Reply:
        """An answer with an HTTP error status."""
        return cls(error=HttpError(status, message, retry_after))


@dataclass(frozen=True, slots=True)
class Rule:
    """A scripted reply and what it waits for: a model id, a piece of the last user message.

    It is used `times` times, for ever where that is None.
    """

    reply: Reply
    model: str | None = None
    contains: str | None = None
    times: int | None = 1


def rule_to_json(rule: Rule) -> JsonObject:
    """`rule` as a JSON object."""
    return dataclasses.asdict(rule)


def rule_from_json(data: Mapping[str, Any]) -> Rule:
    """The rule that `rule_to_json` wrote.

    Raises:
        TypeError, KeyError: `data` is something else.
    """
    reply = dict(data["reply"])
    reply["tokens"] = tuple(reply["tokens"])
    reply["reasoning"] = tuple(reply["reasoning"])
    reply["tool_calls"] = tuple(ToolCall(**call) for call in reply["tool_calls"])
    reply["usage"] = Usage(**reply["usage"]) if reply["usage"] else None
    reply["error"] = HttpError(**reply["error"]) if reply["error"] else None
    return Rule(Reply(**reply), data["model"], data["contains"], data["times"])
