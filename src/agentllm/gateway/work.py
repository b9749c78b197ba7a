"""What an agent does while it answers, in the neutral form that clients get it in, and in words."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agentllm.core import WORK_ID, Event, Json, Message, Reasoning, Work

WORK = "agentllm_work"
"""The key in `provider_specific_fields`: an object in a chunk, a list of them in a plain answer."""

LONGEST_SHOWN = 2_000
"""Characters of a result, or of one argument, that are shown of it."""

LONGEST_IN_LINE = 80
"""Characters of the arguments that a line has room for."""


def work_fields(work: Work) -> dict[str, Any]:
    """`work` as JSON: a result or an argument that is too long is cut, and says how long it was."""
    return {
        "id": work.id if work.id.startswith(WORK_ID) else WORK_ID + work.id,
        "kind": work.kind,
        "name": work.name,
        "status": work.status,
        "arguments": {shortened(name): _argument(value) for name, value in work.arguments.items()},
        "result": shortened(work.result),
        "by": work.by,
    }


def shortened(text: str) -> str:
    """`text` with at most `LONGEST_SHOWN` of its characters."""
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}… (the first {LONGEST_SHOWN:,} of {len(text):,} characters)"


def _argument(value: Json) -> Json:
    if isinstance(value, str):
        return shortened(value)
    written = json.dumps(value, ensure_ascii=False)
    shown = shortened(written)
    return value if shown == written else shown


def line(work: Work) -> str:
    """`work` in a few words, without a line break."""
    name = " ".join(work.name.split())
    what = name if work.kind == "tool" else f"{work.kind.capitalize()} {name}"
    if work.status == "failed":
        said = f"{what}: failed"
    elif work.status == "finished":
        said = f"{what}: done, {len(work.result):,} characters"
    else:
        said = f"Calling {name}({_brief(work.arguments)})" if work.kind == "tool" else f"{what} is at work"
    return f"{work.by}: {said}" if work.by else said


def _brief(arguments: Mapping[str, Json]) -> str:
    written = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return written if len(written) <= LONGEST_IN_LINE else f"{written[: LONGEST_IN_LINE - 1]}…"


async def with_lines(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """`events`, with a line of reasoning after each piece of work; closing this closes `events`."""
    begins_line = True
    async with aclosing(events):
        async for event in events:
            yield event
            if isinstance(event, Work):
                yield Reasoning(f"{line(event)}\n" if begins_line else f"\n{line(event)}\n")
                begins_line = True
            elif isinstance(event, Reasoning):
                begins_line = event.text.endswith("\n")


async def hiding_work(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """`events` without work; closing this closes `events`."""
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Work):
                yield event


def without_work(messages: Iterable[Message]) -> tuple[Message, ...]:
    """`messages` without the calls and results that an agent's work was shown as.

    The texts before and after such a call are one answer again, as it was given.
    """
    kept: list[Message] = []
    goes_on = False
    for message in messages:
        if message.role == "tool" and _is_of_work(message.tool_call_id):
            continue
        calls = tuple(call for call in message.tool_calls if not _is_of_work(call.id))
        had_work = len(calls) < len(message.tool_calls)
        text = message.content
        if goes_on and message.role == "assistant":
            text = _joined(kept.pop().content, text)
        goes_on = had_work and not calls and bool(text)
        if text or calls or not had_work:
            kept.append(replace(message, content=text, tool_calls=calls))
    return tuple(kept)


def _is_of_work(call_id: str | None) -> bool:
    return call_id is not None and call_id.startswith(WORK_ID)


def _joined(before: str, after: str) -> str:
    """Two texts of one answer, with a paragraph between them where the client has trimmed it away."""
    trimmed = bool(before and after) and not (before[-1].isspace() or after[0].isspace())
    return f"{before}\n\n{after}" if trimmed else before + after
