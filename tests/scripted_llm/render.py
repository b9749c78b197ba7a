"""Answers as frames of either wire; what is said again is not rendered again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tests.scripted_llm import gemini_wire, openai_wire
from tests.scripted_llm.answers import Answer, Ending, Frame, answer_to
from tests.scripted_llm.asking import Ask, RefusedError
from tests.scripted_llm.http import Response
from tests.scripted_llm.replies import HttpError, Reply


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format."""

    error_frame: Callable[[HttpError | RefusedError, float], Frame]
    frames: Callable[[Answer, Ask], Iterator[Frame]]


OPENAI = Wire(openai_wire.error_frame, openai_wire.frames)
GEMINI = Wire(gemini_wire.error_frame, gemini_wire.frames)


def respond(wire: Wire, ask: Ask, reply: Reply, on_end: Callable[[bool, int], None]) -> Response:
    """`reply` as the response to `ask`."""
    if reply.error is not None:
        return Response([wire.error_frame(reply.error, reply.first_delay)], on_end=on_end)
    if reply.cut_after == 0:
        return Response([Frame(reply.first_delay, b"")], "reset", on_end)
    answer = answer_to(ask, reply)
    rendered: Iterable[Frame]
    if answer.endless:
        rendered = wire.frames(answer, ask)
    else:
        rendered = _rendered(wire, answer, ask.model, ask.stream, ask.include_usage)
    return Response(_with_fresh_id(rendered), _ending(answer), on_end)


def _ending(answer: Answer) -> Ending:
    cut = answer.cut_after is not None and (answer.endless or answer.cut_after <= len(answer.tokens))
    return "closed" if cut else "orderly"


@lru_cache(maxsize=128)
def _rendered(wire: Wire, answer: Answer, model: str, stream: bool, include_usage: bool) -> tuple[Frame, ...]:
    """All frames of `answer`; those of one moment are one."""
    ask = Ask(model, (), stream=stream, include_usage=include_usage)
    merged: list[list[Frame]] = []
    for frame in wire.frames(answer, ask):
        if merged and merged[-1][0].at == frame.at:
            merged[-1].append(frame)
        else:
            merged.append([frame])
    return tuple(Frame(same[0].at, b"".join(f.data for f in same), sum(f.tokens for f in same)) for same in merged)


def _with_fresh_id(frames: Iterable[Frame]) -> Iterator[Frame]:
    fresh = openai_wire.fresh_id()
    for frame in frames:
        yield Frame(frame.at, frame.data.replace(openai_wire.ID_FIELD, fresh), frame.tokens)
