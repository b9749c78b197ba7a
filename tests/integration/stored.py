"""What a store of conversations holds, read from the database beside the proxies that use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from agentllm.conversations.archive import Archive
from agentllm.conversations.records import StoredTurn

Stored = Mapping[tuple[str, str], list[StoredTurn]]


def sqlite_url(data: Path) -> str:
    """The store of a proxy whose data directory is `data`."""
    return f"sqlite:///{data / 'agentllm.sqlite3'}"


def stored(url: str) -> Stored:
    """All turns in the order they began, by the last part of their caller and their session."""
    with Archive(sa.make_url(url)) as archive:
        found = archive.conversations()
        turns = {(one.caller[-1], one.session or ""): [dated.turn for dated in archive.turns(one.id)] for one in found}
        assert len(turns) == len(found), "a session has two conversations"
        return turns


def is_one_branch(turns: list[StoredTurn]) -> bool:
    """Whether each turn follows the one before it."""
    return [turn.parent for turn in turns] == [None, *(turn.id for turn in turns[:-1])]


def said(turn: StoredTurn) -> str:
    """What the person said in a turn of one message."""
    (message,) = turn.input
    assert message.role == "user"
    return message.content
