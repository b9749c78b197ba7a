"""Runs turns inside stored conversations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace

from agentllm.conversations.growing import GrowingAnswer
from agentllm.conversations.identity import conversation_id, load_secret
from agentllm.conversations.locks import Locks
from agentllm.conversations.memory import within
from agentllm.conversations.position import INSTRUCTION_ROLES, Asked
from agentllm.conversations.records import Status, messages_of
from agentllm.conversations.results import check_results, followed_by, in_order
from agentllm.conversations.store import Begun, Place, Store
from agentllm.conversations.urls import process_locks, store_url
from agentllm.core import ClientCalls, Event, Finished, Message, Runtime, Text, Turn, Work
from agentllm.errors import AgentLLMError, InvalidRequest, MalformedAnswer, StoreUnavailable
from agentllm.settings import Settings


def open_conversations(settings: Settings) -> Conversations:
    """The conversations that the settings name, whose store and key are made where they are missing.

    Raises:
        ConfigurationError: they can be neither read nor made.
    """
    configured = settings.secret.get_secret_value() if settings.secret else None
    secret = load_secret(settings.data_dir, configured)
    url = store_url(settings)
    store = Store(url)
    store.create()
    return Conversations(store, secret, Locks(process_locks(url)), history_turns=settings.history_turns)


class Conversations:
    """The conversations of all callers of one process."""

    def __init__(self, store: Store, secret: bytes, locks: Locks, *, history_turns: int) -> None:
        self._store = store
        self._secret = secret
        self._history_turns = history_turns
        self._locks = locks

    @property
    def store(self) -> Store:
        """Where they are kept, for what is kept beside them."""
        return self._store

    @property
    def locks(self) -> Locks:
        """What keeps the turns of one conversation apart."""
        return self._locks

    @property
    def secret(self) -> bytes:
        """The key of digests that no one else can make."""
        return self._secret

    async def warm_up(self) -> None:
        """Read from the store once, so that the first turn need not wait for that.

        Raises:
            StoreUnavailable: it could not be read.
        """
        await self._store.warm_up()

    def close(self) -> None:
        """Write what is still to be written, and let go of the store and its locks; no turn may run any more."""
        self._store.close()
        self._locks.close()

    async def run(self, runtime: Runtime, turn: Turn) -> AsyncGenerator[Event, None]:
        """Run `turn` at its place in its caller's conversation.

        The agent is given the last turns before the new messages. What was asked is written before the
        agent runs, the whole turn is on disk before `Finished` is yielded. A turn that ends before is kept
        as interrupted, with what was said of its answer, or as failed where nothing was, or nothing in
        the form that was asked for. One that was refused before anything ran, where something is pending, is
        kept nowhere, and leaves that open. Turns of one conversation run one after another.

        A turn without a place is run as it is, and nothing is read or stored.

        Raises:
            StoreUnavailable: before anything ran, or in place of `Finished`.
            InvalidRequest: it goes on after an answer that is not known, or brings results of tools that do not fit.
            AlreadyDecided: it decides what was decided before.
            ConversationBusy: too many turns of this conversation wait already.
            AgentLLMError: the turn failed.
        """
        if turn.place is None:
            said = _said(turn)
            check_results((), said)
            alone = replace(turn, messages=(*_instructions(turn), *in_order(said)))
            async with contextlib.aclosing(runtime.run(alone)) as events:
                async for event in events:
                    yield event
            return
        place, asked = await self._find(turn)
        async with self._locks.hold(place.conversation):
            window = runtime.memory.turns or self._history_turns
            begun = await self._store.begin(place, asked, window=window, answer_id=turn.id)
            placed = _placed(turn, place, begun, runtime.memory.tokens)
            async with contextlib.aclosing(self._stored(runtime, placed, begun)) as events:
                async for event in events:
                    yield event

    async def _find(self, turn: Turn) -> tuple[Place, Asked]:
        """The conversation of `turn`: that of the answer it goes on after, its session's, that which its transcript
        goes on with, or a new one."""
        assert turn.place is not None
        owner = json.dumps(turn.caller.principal)
        session, after = turn.place.session, turn.place.after
        begin = conversation_id(self._secret, turn.caller, turn.agent, session)
        ids = (turn.place.message_id, turn.place.parent_id, after)
        asked = Asked(begin, _said(turn), *ids, appends=session is not None)
        if after is not None:
            conversation = await self._store.conversation_of(after, owner, turn.agent)
            if conversation is None:
                raise InvalidRequest(
                    f"There is no answer {after!r} of the model {turn.agent!r} for this caller to go on after. "
                    "Send the whole conversation instead.",
                    param="previous_response_id",
                )
        elif session is not None:
            conversation = begin
        else:
            digests = list(asked.digests())
            found = await self._store.conversation_with(digests) if digests else None
            conversation = found or secrets.token_hex(32)
        return Place(conversation, owner, turn.agent, session), asked

    async def _stored(self, runtime: Runtime, turn: Turn, begun: Begun) -> AsyncGenerator[Event, None]:
        answer = GrowingAnswer(self._store, begun)
        is_finished = was_stopped = was_malformed = ran_nothing = False
        try:
            async with contextlib.aclosing(runtime.run(turn)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        answer.add(event.text)
                    elif isinstance(event, Work):
                        answer.note(event)
                    elif isinstance(event, ClientCalls):
                        answer.calls = event.calls
                    elif isinstance(event, Finished):
                        output = (*begun.position.prompt, *event.messages) if begun.position.new else event.messages
                        await self._store.finish(
                            begun,
                            output=output,
                            answer=answer.text,
                            calls=answer.calls,
                            state=event.state,
                            pending=event.pending,
                            swap=event.swap if event.swap is not None else turn.swap,
                        )
                        is_finished = True
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            was_stopped = True
            raise
        except AgentLLMError as error:
            was_malformed = isinstance(error, MalformedAnswer)
            ran_nothing = error.ran_nothing and not answer.has_grown
            raise
        finally:
            answer.close()
            if not is_finished:
                has_answer = answer.has_grown and not was_malformed
                status: Status = "interrupted" if was_stopped or has_answer else "failed"
                with contextlib.suppress(StoreUnavailable):
                    if ran_nothing and begun.pending is not None:
                        await self._store.take_back(begun)
                    else:
                        await self._store.give_up(begun, status, answer.text, answer.done)


def _placed(turn: Turn, place: Place, begun: Begun, tokens: int | None) -> Turn:
    position = begun.position
    instructions = _instructions(turn)
    new: tuple[Message, ...] = (*position.new, *position.prompt)
    path = within(tokens, position.path, (*instructions, *new))
    before = tuple(messages_of(path))
    said = in_order((*before, *new)) if begun.pending is None else followed_by(before, new)
    state = position.parent.state if position.parent else None
    return replace(
        turn,
        conversation=place.conversation,
        messages=(*instructions, *said),
        state=state,
        pending=begun.pending,
        swap=position.parent.swap if position.parent else turn.swap,
    )


def _instructions(turn: Turn) -> tuple[Message, ...]:
    return tuple(message for message in turn.messages if message.role in INSTRUCTION_ROLES)


def _said(turn: Turn) -> tuple[Message, ...]:
    return tuple(message for message in turn.messages if message.role not in INSTRUCTION_ROLES)
