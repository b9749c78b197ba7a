"""Turns put straight into a store: of whom, where and when they are needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from agentllm.conversations.position import Asked
from agentllm.conversations.store import Begun, Place, Store
from agentllm.core import Message
from tests.conversations.disk import change, rows
from tests.conversations.talk import assistant, user

ADA = ("user", "ada")


async def begin(
    store: Store, conversation: str, said: str, *, caller: Sequence[str] = ADA, agent: str = "demo",
    after: str | None = None, message_id: str | None = None,
) -> Begun:  # fmt: skip
    """Begin a turn of the session `of <conversation>`: after its newest, or after the message `after`, '' for none."""
    place = Place(conversation, json.dumps(caller), agent, f"of {conversation}")
    asked = Asked(conversation, (user(said),), message_id, after, appends=True)
    return await store.begin(place, asked, window=20)


async def tell(
    store: Store, conversation: str, *said: str, caller: Sequence[str] = ADA, agent: str = "demo",
    after: str | None = None, message_id: str | None = None, output: tuple[Message, ...] = (),
) -> list[int]:  # fmt: skip
    """Store a turn for each of `said`, answered in capitals, as `begin` begins it; returns their ids."""
    ids: list[int] = []
    for text in said:
        begun = await begin(store, conversation, text, caller=caller, agent=agent, after=after, message_id=message_id)
        answer = text.upper()
        await store.finish(begun, output=output or (assistant(answer),), answer=answer, state={"said": text})
        ids.append(begun.id)
    return ids


def age(url: sa.URL, conversation: str, *, days: float) -> datetime:
    """Have the conversation and all its turns begun `days` ago; returns when that was."""
    moment = (datetime.now(UTC) - timedelta(days=days)).replace(microsecond=0)
    at = f"{moment:%Y-%m-%d %H:%M:%S}" + ("" if url.get_backend_name() == "sqlite" else "+00:00")
    change(
        url,
        f"UPDATE turns SET created_at = '{at}' WHERE conversation = '{conversation}'",
        f"UPDATE conversations SET created_at = '{at}' WHERE id = '{conversation}'",
    )
    return moment


def left(url: sa.URL) -> list[object]:
    """The ids of the conversations that are stored."""
    return [row[0] for row in rows(url, "SELECT id FROM conversations ORDER BY id")]
