"""One run for all requests of a caller that come with one key."""

from __future__ import annotations

import logging
import time
from asyncio import create_task, wait
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias, cast

from agentllm.conversations import Conversations
from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.core import Event, Finished, Runtime, Turn
from agentllm.errors import AnswerLost, InvalidRequest, KeyReused, StoreUnavailable
from agentllm.idempotency.asked import asked_digest, key_digest
from agentllm.idempotency.entry import MOST_KEPT, Entry, Status
from agentllm.idempotency.events import error_from_json, error_to_json, from_json, to_json
from agentllm.idempotency.ledger import Ledger
from agentllm.idempotency.memory import Memory
from agentllm.idempotency.run import Run

log = logging.getLogger("agentllm.idempotency")

Begin: TypeAlias = Callable[[Runtime], AsyncGenerator[Event, None]]
"""Begins a turn with the runtime that it is given in place of the agent's own."""

_LOST = {
    "interrupted": "The first request with this Idempotency-Key was interrupted before its answer was whole, and "
    "what its agent did is not done again. See what it did, and send a request with a new key.",
    "unkept": f"The first request with this Idempotency-Key was answered, but its answer is too long to be kept, with "
    f"more than {MOST_KEPT} characters. Send a new key to have it answered anew.",
    "deleted": "The conversation of the first request with this Idempotency-Key was deleted, and its answer with it. "
    "Send a new key to have it answered anew.",
    "running": "The first request with this Idempotency-Key is still being answered by another process. "
    "Repeat the request later, with the same key.",
}


class Idempotency:
    """The keys of one process. What belongs to a stored conversation is shared with the others and outlives them;
    what belongs to none is known to this process alone.

    To be used on one event loop.
    """

    def __init__(self, ledger: Ledger, secret: bytes) -> None:
        self._ledger = ledger
        self._secret = secret
        self._memory = Memory()
        self._runs: dict[str, Run] = {}

    @classmethod
    def beside(cls, conversations: Conversations) -> Idempotency:
        """That of the store, the locks and the secret of `conversations`; nothing is opened for it."""
        return cls(Ledger(conversations.store.database, conversations.locks.across), conversations.secret)

    @asynccontextmanager
    async def join(
        self, key: str, turn: Turn, runtime: Runtime, begin: Begin, *, patience: float
    ) -> AsyncIterator[Run]:
        """The run of `key`, which `begin` begins if this request is the first; to be read within the block.

        The run is stopped when the last block is left that reads it. `patience` is in seconds, for an answer
        that another process works on. `entry` of the run has the answer's id and time.

        Raises:
            KeyReused: the key was used for another request within 24 hours.
        """
        asked = asked_digest(self._secret, turn)
        run = await self._find(key_digest(self._secret, turn.caller, key), asked)
        if run is None:
            entry = Entry(key_digest(self._secret, turn.caller, key), asked, turn.id, int(time.time()))
            run = self._runs[entry.key] = Run(entry)
            run.task = create_task(self._work(run, _Watched(runtime), begin, turn, patience))
        run.readers += 1
        try:
            await run.is_settled.wait()
            yield run
        finally:
            run.readers -= 1
            if not run.readers:
                await run.stop()

    async def _find(self, key: str, asked: str) -> Run | None:
        """The run of this process to join, None where there is none."""
        while (run := self._runs.get(key)) is not None:
            if run.is_stopped:
                await wait({run.task})
            elif run.entry.asked == asked:
                return run
            else:
                await run.is_settled.wait()
                if self._runs.get(key) is run:
                    raise _reused()
        return None

    async def _work(self, run: Run, runtime: _Watched, begin: Begin, turn: Turn, patience: float) -> None:
        """Tell `run` what the first request with its key got, or have it answered if it is the first."""
        error: Exception | None = None
        is_stored = turn.place is not None
        try:
            if (found := await self._claim(run.entry, is_stored=is_stored, patience=patience)) is not None:
                error = _tell(run, found)
            else:
                run.is_settled.set()
                await self._answer(run, runtime, begin, is_stored=is_stored)
        except Exception as failure:
            error = failure
        finally:
            if self._runs.get(run.entry.key) is run:
                del self._runs[run.entry.key]
            run.end(error)

    async def _claim(self, entry: Entry, *, is_stored: bool, patience: float) -> Entry | None:
        found = self._memory.get(entry.key)
        if found is None and is_stored:
            found = await self._ledger.claim(entry, patience=patience)
        elif found is None:
            found = await self._ledger.read(entry.key)
            found = None if found is None or found.is_over(entry.created) else found
        if found is not None and found.asked != entry.asked:
            raise _reused()
        return found

    async def _answer(self, run: Run, runtime: _Watched, begin: Begin, *, is_stored: bool) -> None:
        """Run the agent; what comes of it is kept before the last event is told."""
        kept = False
        try:
            async with aclosing(begin(cast("Runtime", runtime))) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        kept = True
                        await self._keep(_ended(run, "complete", event), is_stored=is_stored)
                    run.tell(event)
        except Exception as error:
            if not kept:
                kept = True
                has_begun = runtime.has_begun and (run.events or not isinstance(error, InvalidRequest))
                ended = replace(_ended(run, "failed"), error=error_to_json(error)) if has_begun else None
                await self._keep(ended or run.entry, is_stored=is_stored)
            raise
        finally:
            if not kept:
                ended = replace(run.entry, status="interrupted") if runtime.has_begun else run.entry
                await self._keep(ended, is_stored=is_stored)

    async def _keep(self, entry: Entry, *, is_stored: bool) -> None:
        """Keep what came of a claim, or release it where it is still running, as nothing was done."""
        if not is_stored:
            if entry.status != "running":
                self._memory.put(entry)
            return
        try:
            await (self._ledger.release(entry) if entry.status == "running" else self._ledger.end(entry))
        except StoreUnavailable:
            log.error("the answer of turn %s could not be kept for its Idempotency-Key", entry.answer_id)


class _Watched:
    """A runtime that notes when it begins with a turn, and is the agent's own in all else."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        self.has_begun = True
        return self._runtime.run(turn)


def _ended(run: Run, status: Status, *last: Event) -> Entry:
    events = to_json((*run.events, *last))
    if len(events) <= MOST_KEPT:
        return replace(run.entry, status=status, events=events)
    return replace(run.entry, status="unkept" if status == "complete" else status)


def _tell(run: Run, found: Entry) -> Exception | None:
    """Tell `run` all that was kept; returns the error that it ended with."""
    run.entry = found
    if found.status not in ("complete", "failed"):
        return AnswerLost(_LOST[found.status])
    for event in from_json(found.events or "[]"):
        run.tell(event)
    return None if found.error is None else error_from_json(found.error)


def _reused() -> KeyReused:
    return KeyReused(
        f"This Idempotency-Key was used for another request within the last {KEPT_SECONDS // 3_600} hours. "
        "Send the request with a new key, or the first one again as it was."
    )
