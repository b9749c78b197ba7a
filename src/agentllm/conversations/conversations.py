"""Runs turns inside stored conversations."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from agentllm.conversations.identity import conversation_id, load_secret
from agentllm.conversations.locks import Locks
from agentllm.conversations.position import INSTRUCTION_ROLES, Position, locate
from agentllm.conversations.store import Store
from agentllm.core import Event, Finished, Runtime, Text, Turn
from agentllm.settings import Settings


def open_conversations(settings: Settings) -> Conversations:
    """The conversations in the data directory, whose store and key are made where they are missing.

    Raises:
        ConfigurationError: they can be neither read nor made.
    """
    configured = settings.secret.get_secret_value() if settings.secret else None
    secret = load_secret(settings.data_dir, configured)
    store = Store(settings.data_dir)
    store.create()
    return Conversations(store, secret, history_turns=settings.history_turns)


class Conversations:
    """The conversations of all callers of one process."""

    def __init__(self, store: Store, secret: bytes, *, history_turns: int) -> None:
        self._store = store
        self._secret = secret
        self._history_turns = history_turns
        self._locks = Locks()

    async def warm_up(self) -> None:
        """Read from the store once, so that the first turn on this event loop need not wait for that.

        Raises:
            StoreUnavailable: it could not be read.
        """
        await self._store.branch("", turns=1)

    async def close(self) -> None:
        """Close what the running event loop holds open of the store."""
        await self._store.close()

    async def run(self, runtime: Runtime, turn: Turn) -> AsyncGenerator[Event, None]:
        """Run `turn` in the conversation that its session means for its caller.

        The agent is given the last turns of the conversation before the new messages. The turn
        is on disk before `Finished` is yielded. Turns of one conversation run one after another.

        A turn without a session is run as it is, and nothing is read or stored.

        Raises:
            StoreUnavailable: before anything ran, or in place of `Finished`.
            AgentLLMError: the turn failed; nothing of it is stored.
        """
        if turn.session is None:
            async with contextlib.aclosing(runtime.run(turn)) as events:
                async for event in events:
                    yield event
            return
        conversation = conversation_id(self._secret, turn.caller, turn.agent, turn.session)
        async with self._locks.hold(conversation):
            branch = await self._store.branch(conversation, turns=self._history_turns)
            position = locate(branch, turn.messages)
            placed = _place(turn, conversation, position)
            answer: list[str] = []
            async with contextlib.aclosing(runtime.run(placed)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        answer.append(event.text)
                    elif isinstance(event, Finished):
                        await self._store.add(
                            conversation,
                            parent=position.parent,
                            new=position.new,
                            output=event.messages,
                            answer="".join(answer),
                            state=event.state,
                        )
                    yield event


def _place(turn: Turn, conversation: str, position: Position) -> Turn:
    instructions = tuple(message for message in turn.messages if message.role in INSTRUCTION_ROLES)
    remembered = tuple(message for stored in position.remembered for message in stored.messages)
    state = position.remembered[-1].state if position.remembered else None
    return replace(turn, conversation=conversation, messages=(*instructions, *remembered, *position.new), state=state)
