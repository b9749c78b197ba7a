"""What the model says when nothing is scripted; it follows from the request alone.

The model's id decides first: `tokens-<n>` says n tokens at once, `live-<n>-<rate>` says n tokens at
that many a second, and `signing-<name>` puts `<name>: ` before what it says. Then the last user
message, whose lines may be directives:

    !call <tool> <json>     call a tool (a line for each; once, then the results are told)
    !tokens <n>             say n numbered tokens
    !think <text>           reason with these words first
    !delay <s>  !pace <n>   wait before the first token; say n tokens a second
    !error <status> [<s>]   fail with this HTTP status (and Retry-After)
    !cut <n>                cut the connection after n tokens
    !endless  !empty  !malformed
    !history                all messages of the request, as JSON pairs of role and text

Otherwise: after tool results `results: <a>; <b>`; asked "what did I say" it lists all user
messages as `you said: <a> | <b>`; else `echo: <last user message>`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from functools import lru_cache

from tests.scripted_llm.asking import Ask
from tests.scripted_llm.replies import HttpError, Reply, ToolCall, numbered_tokens, split_tokens

_MODEL = re.compile(r"(?:tokens-(?P<at_once>\d{1,6})|live-(?P<live>\d{1,6})-(?P<rate>\d{1,4}))$")
_SIGNING = re.compile(r"signing-(\w+)$")
_DIRECTIVE = re.compile(r"^!(\w+)[ \t]*(.*)$", re.MULTILINE)
_RECALL = re.compile(r"what did i say|what have i said", re.IGNORECASE)


def default_reply(ask: Ask) -> Reply:
    """The answer to `ask` where no scripted one is waiting."""
    by_model = reply_of_model(ask.model)
    if by_model is not None:
        return by_model
    reply = Reply(text=_answer(ask))
    for name, argument in _DIRECTIVE.findall(ask.last_user_message):
        directive = _DIRECTIVES.get(name)
        if directive is not None:
            reply = directive(reply, argument.strip(), ask)
    signing = _SIGNING.search(ask.model)
    return dataclasses.replace(reply, text=f"{signing[1]}: {reply.text}") if signing and reply.text else reply


@lru_cache(maxsize=64)
def reply_of_model(model: str) -> Reply | None:
    """What a model with a telling id says; None for other ids."""
    found = _MODEL.search(model)
    if found is None:
        return None
    if found["at_once"]:
        return Reply(tokens=numbered_tokens(int(found["at_once"])))
    return Reply(tokens=numbered_tokens(int(found["live"])), token_delay=1 / max(1, int(found["rate"])))


def _answer(ask: Ask) -> str:
    if ask.tool_results:
        return "results: " + "; ".join(ask.tool_results)
    if _RECALL.search(ask.last_user_message):
        return "you said: " + " | ".join(ask.user_messages)
    return f"echo: {ask.last_user_message}"


def _call(reply: Reply, argument: str, ask: Ask) -> Reply:
    if ask.tool_results:
        return reply
    name, _, arguments = argument.partition(" ")
    if name not in ask.tools:
        return dataclasses.replace(reply, text=f"no tool {name!r}; tools: {', '.join(ask.tools)}")
    call = ToolCall(name, arguments.strip() or "{}")
    return dataclasses.replace(reply, text="", tool_calls=(*reply.tool_calls, call))


def _error(reply: Reply, argument: str, _ask: Ask) -> Reply:
    status, _, seconds = argument.partition(" ")
    error = HttpError(int(status), retry_after=int(seconds) if seconds else None)
    return dataclasses.replace(reply, error=error)


def _history(reply: Reply, _argument: str, ask: Ask) -> Reply:
    pairs = [[said.role, said.text] for said in ask.messages]
    return dataclasses.replace(reply, text=json.dumps(pairs, ensure_ascii=False))


_DIRECTIVES: dict[str, Callable[[Reply, str, Ask], Reply]] = {
    "call": _call,
    "error": _error,
    "history": _history,
    "tokens": lambda reply, n, _: dataclasses.replace(reply, text="", tokens=numbered_tokens(int(n))),
    "think": lambda reply, text, _: dataclasses.replace(reply, reasoning=split_tokens(text)),
    "delay": lambda reply, seconds, _: dataclasses.replace(reply, first_delay=float(seconds)),
    "pace": lambda reply, rate, _: dataclasses.replace(reply, token_delay=1 / float(rate)),
    "cut": lambda reply, n, _: dataclasses.replace(reply, cut_after=int(n)),
    "endless": lambda reply, *_: dataclasses.replace(reply, endless=True),
    "empty": lambda reply, *_: dataclasses.replace(reply, text="", tokens=()),
    "malformed": lambda reply, *_: dataclasses.replace(reply, malformed=True),
}
