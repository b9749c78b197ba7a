"""Stored conversations as text for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from agentllm.conversations.archive import Conversation, DatedTurn
from agentllm.conversations.export import openai_message
from agentllm.conversations.records import StoredTurn, swap_to_json
from agentllm.core import Message, Swap

SHORT_ID = 12
"""Digits of an id that are shown in a table."""

SHORT_TEXT = 100
"""Characters of a text that are shown of it."""

_LONGEST_CELL = 40


def table(found: Sequence[Conversation]) -> Iterator[str]:
    """The lines of a table, its head first."""
    rows = [("ID", "CALLER", "AGENT", "SESSION", "CREATED", "LAST TURN", "TURNS", "STATUS"), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def tree(conversation: Conversation, turns: Sequence[DatedTurn], *, full: bool = False) -> Iterator[str]:
    """The lines of a conversation with its turns, branches under the turn where they part; texts whole if `full`."""
    yield f"conversation {conversation.id}"
    yield f"caller       {_plain(conversation.owner) or '-'}"
    yield f"agent        {_plain(conversation.agent) or '-'}"
    yield f"session      {_plain(conversation.session or '-')}"
    yield f"created      {_time(conversation.created_at)}"
    in_force = {dated.turn.id: dated.turn.swap for dated in turns}
    for dated, depth in _walk(turns):
        margin = "  " * depth
        turn = dated.turn
        after = f"  after #{turn.parent}" if turn.parent is not None else ""
        yield ""
        yield f"{margin}#{turn.id}  {_time(dated.created_at)}  {turn.status}{after}"
        for line in _said(turn, full=full):
            yield f"{margin}    {line}"
        if turn.swap != in_force.get(turn.parent or 0, Swap()):
            yield from (f"{margin}    {line}" for line in _set(turn.swap, full=full))


def conversation_json(conversation: Conversation) -> dict[str, object]:
    """The fields of `Conversation`; times as ISO 8601 in UTC."""
    return {
        "id": conversation.id,
        "owner": conversation.owner,
        "caller": list(conversation.caller),
        "agent": conversation.agent,
        "session": conversation.session,
        "created_at": conversation.created_at.isoformat(),
        "last_turn_at": conversation.last_turn_at.isoformat(),
        "turns": conversation.turns,
        "statuses": dict(conversation.statuses),
    }


def turn_json(dated: DatedTurn) -> dict[str, object]:
    """What is stored of a turn, its messages in OpenAI's form."""
    turn = dated.turn
    return {
        "id": turn.id,
        "parent": turn.parent,
        "created_at": dated.created_at.isoformat(),
        "status": turn.status,
        "message_id": turn.message_id,
        "input": [openai_message(message) for message in turn.input],
        "output": [openai_message(message) for message in turn.output],
        "answer": turn.answer,
        "state": turn.state,
        "swap": swap_to_json(turn.swap),
    }


def _walk(turns: Sequence[DatedTurn]) -> Iterator[tuple[DatedTurn, int]]:
    """The turns of a tree with their depth, a whole branch before the next; it grows only where branches part."""
    following: dict[int | None, list[DatedTurn]] = {}
    for dated in turns:
        following.setdefault(dated.turn.parent, []).append(dated)
    waiting = [(dated, 0) for dated in reversed(following.get(None, []))]
    while waiting:
        dated, depth = waiting.pop()
        yield dated, depth
        children = following.get(dated.turn.id, [])
        waiting += [(child, depth + (len(children) > 1)) for child in reversed(children)]


def _said(turn: StoredTurn, *, full: bool) -> Iterator[str]:
    for message in (*turn.input, *turn.said):
        for text in _texts(message):
            if full:
                first, *rest = text.expandtabs().splitlines()
                yield _plain(first)
                yield from (f"  {_plain(line)}" for line in rest)
            else:
                yield _cut(text, SHORT_TEXT)


def _set(swap: Swap, *, full: bool) -> Iterator[str]:
    for name, value in (("model", swap.model), ("prompt", swap.prompt)):
        told = "the agent's own" if value is None else _plain(" ".join(value.split()))
        yield f"from here on the {name} is {told if full else _cut(told, SHORT_TEXT)}"


def _texts(message: Message) -> Iterator[str]:
    if message.content or not (message.tool_calls or message.media):
        yield f"{message.role}: {message.content}"
    for item in message.media:
        name = f" {item.name}" if item.name else ""
        yield f"{message.role} sends {item.kind}{name} ({item.mime_type}, {len(item.data):,} bytes)"
    for call in message.tool_calls:
        yield f"{message.role} calls {call.name}({call.arguments})"


def _row(conversation: Conversation) -> tuple[str, ...]:
    statuses = ", ".join(f"{count} {status}" for status, count in conversation.statuses.items())
    return (
        conversation.id[:SHORT_ID],
        _cut(conversation.owner or "-", _LONGEST_CELL),
        _cut(conversation.agent or "-", _LONGEST_CELL),
        _cut(conversation.session or "-", _LONGEST_CELL),
        _time(conversation.created_at),
        _time(conversation.last_turn_at),
        str(conversation.turns),
        statuses or "-",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _cut(text: str, longest: int) -> str:
    """The beginning of `text` in one line of at most `longest` characters."""
    line = _plain(" ".join(text[: 4 * longest].split()))
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[: longest - 3]}..."


def _plain(text: str) -> str:
    """`text` without what would steer a terminal or cannot be written to it."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
