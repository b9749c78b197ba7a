"""From a reply to an answer: what is really said to one request, token by token, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.scripted_llm.asking import Ask
from tests.scripted_llm.replies import ENDLESS_SECONDS, Finish, Reply, ToolCall, Usage, split_tokens

Ending = Literal["orderly", "reset", "closed"]

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply after the request's limits: every tool call has an id, usage is known."""

    tokens: tuple[str, ...]
    reasoning: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    finish: Finish
    first_delay: float
    token_delay: float
    cut_after: int | None
    malformed: bool
    endless: bool

    @property
    def text(self) -> str:
        """What is said, whole."""
        return "".join(self.tokens)

    @property
    def seconds(self) -> float:
        """From the request to the end of the answer."""
        if self.endless:
            return ENDLESS_SECONDS
        steps = len(self.reasoning) + len(self.tokens)
        return self.first_delay + max(0, steps - 1) * self.token_delay


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes to be sent `at` seconds after the request; `tokens` counts what is said in them."""

    at: float
    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is said in a stream."""

    at: float
    text: str
    reasoning: bool = False


def answer_to(ask: Ask, reply: Reply) -> Answer:
    """What `reply` becomes when it answers `ask`."""
    tokens = reply.tokens or split_tokens(reply.text)
    finish: Finish = reply.finish or ("tool_calls" if reply.tool_calls else "stop")
    stopped = _before_stop(tokens, ask.stop)
    if ask.max_tokens is not None and len(stopped) > ask.max_tokens and not reply.endless:
        stopped, finish = stopped[: ask.max_tokens], reply.finish or "length"
    calls = tuple(ToolCall(c.name, c.arguments, c.id or f"call_{next(_ids):06}") for c in reply.tool_calls)
    return Answer(
        tokens=stopped,
        reasoning=reply.reasoning,
        tool_calls=calls,
        usage=reply.usage or _count(ask, reply, len(stopped) + len(calls)),
        finish=finish,
        first_delay=reply.first_delay,
        token_delay=reply.token_delay or (0.02 if reply.endless else 0.0),
        cut_after=reply.cut_after,
        malformed=reply.malformed,
        endless=reply.endless,
    )


def steps(answer: Answer) -> Iterator[Step]:
    """What a stream says and when: the reasoning, then the tokens, up to a cut."""
    said: Sequence[tuple[str, bool]] = [*((t, True) for t in answer.reasoning), *((t, False) for t in answer.tokens)]
    source = itertools.cycle(said) if answer.endless else iter(said)
    spoken = 0
    for index, (text, reasoning) in enumerate(source):
        at = answer.first_delay + index * answer.token_delay
        if spoken == answer.cut_after or (answer.endless and at > ENDLESS_SECONDS):
            return
        yield Step(at, text, reasoning)
        spoken += not reasoning


def _count(ask: Ask, reply: Reply, said: int) -> Usage:
    asked = sum(len(split_tokens(message.text)) for message in ask.messages)
    return Usage(asked, said + len(reply.reasoning), len(reply.reasoning))


def _before_stop(tokens: tuple[str, ...], stops: Sequence[str]) -> tuple[str, ...]:
    if not stops:
        return tokens
    text = "".join(tokens)
    found = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    if not found:
        return tokens
    kept: list[str] = []
    left = min(found)
    for token in tokens:
        kept.append(token[:left])
        left -= len(token)
        if left <= 0:
            break
    return tuple(token for token in kept if token)
