"""Requests that are repeated under their key: one run, one answer, whoever asks again and in whichever process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from agentllm.conversations.archive import Archive
from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.conversations.upkeep import forget_answers
from agentllm.core import Caller, Event, Place, Turn
from agentllm.errors import AgentFailed, AnswerLost, ConversationBusy, InvalidRequest, KeyReused, StoreUnavailable
from agentllm.idempotency import idempotency as module
from tests.conversations.disk import change, find_the_table, lose_the_table, rows
from tests.conversations.speaking import Speaking, break_off, echo, fail
from tests.idempotency.conftest import Start
from tests.idempotency.process import Answered, Gated, leave, soon, turn, until

STATUSES = "SELECT status FROM answers"


async def refuse(turn: Turn) -> AsyncGenerator[Event, None]:
    """Does not take the request."""
    for event in list[Event]():
        yield event
    raise InvalidRequest("no")


async def hang(turn: Turn) -> AsyncGenerator[Event, None]:
    """Says nothing, for ever."""
    for event in list[Event]():
        yield event
    await asyncio.Event().wait()


def same(one: Answered, other: Answered) -> bool:
    return (one.id, one.created, one.text, one.is_finished) == (other.id, other.created, other.text, other.is_finished)


def is_lost(answered: Answered) -> bool:
    return isinstance(answered.error, AnswerLost) and not answered.text


class TestRepeated:
    async def test_it_gets_the_first_one_s_answer_and_runs_nothing(self, start: Start) -> None:
        runtime = Speaking()
        process = start(runtime)
        first = await process.ask(turn(1))
        assert (first.id, first.text, first.is_finished) == ("turn-1", "HI", True)
        assert abs(first.created - time.time()) < 60
        assert same(await process.ask(turn(2)), first)
        assert len(runtime.turns) == 1

    async def test_so_it_does_in_another_process(self, start: Start) -> None:
        first = await start(Speaking()).ask(turn(1))
        other = Speaking()
        assert same(await start(other).ask(turn(2)), first)
        assert other.turns == []

    async def test_whether_it_is_streamed_may_change(self, start: Start) -> None:
        process = start(Speaking())
        first = await process.ask(turn(1, stream=True))
        assert same(await process.ask(turn(2, stream=False)), first)

    async def test_the_turn_is_stored_once(self, start: Start, url: sa.URL) -> None:
        process = start(Speaking())
        for number in (1, 2, 3):
            await process.ask(turn(number))
        assert rows(url, "SELECT answer FROM turns") == [("HI",)]

    async def test_a_key_is_its_caller_s_own(self, start: Start) -> None:
        runtime = Speaking()
        process = start(runtime)
        await process.ask(turn(1))
        assert (await process.ask(turn(2, caller=Caller("key-of-bob")))).id == "turn-2"
        again = turn(3, caller=Caller("another key of ada", user="ada"))
        assert (await process.ask(again)).id == "turn-1"
        assert len(runtime.turns) == 2

    async def test_another_key_is_another_request(self, start: Start) -> None:
        runtime = Speaking()
        process = start(runtime)
        assert (await process.ask(turn(1), "one")).id != (await process.ask(turn(2), "two")).id
        assert len(runtime.turns) == 2

    async def test_after_a_day_it_is_a_new_request(self, start: Start, url: sa.URL) -> None:
        runtime = Speaking()
        process = start(runtime)
        await process.ask(turn(1))
        change(url, f"UPDATE answers SET created = created - {KEPT_SECONDS} - 1")
        assert (await process.ask(turn(2, "something else"))).id == "turn-2"
        assert len(runtime.turns) == 2


class TestJoined:
    """A request that comes while the first one is being answered."""

    async def test_it_has_the_running_answer_from_its_beginning(self, start: Start) -> None:
        gate = Gated()
        runtime = Speaking(gate)
        process = start(runtime)
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        second, so_far = process.asking(turn(2))
        await soon(so_far.has_some)
        assert so_far.text == "first "
        gate.go.set()
        assert same(await first, await second)
        assert (await second).text == "first second"
        assert len(runtime.turns) == 1

    async def test_the_run_goes_on_for_it_when_the_first_one_s_client_leaves(self, start: Start) -> None:
        gate = Gated()
        process = start(Speaking(gate))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        second, so_far = process.asking(turn(2))
        await soon(so_far.has_some)
        await leave(first)
        gate.go.set()
        assert (await second).text == "first second"
        assert (await process.ask(turn(3))).text == "first second"

    async def test_with_nobody_left_the_run_is_stopped_and_not_begun_again(self, start: Start) -> None:
        gate = Gated()
        runtime = Speaking(gate)
        process = start(runtime)
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        second, so_far = process.asking(turn(2))
        await soon(so_far.has_some)
        await leave(second)
        assert runtime.closed == 0
        await leave(first)
        assert runtime.closed == 1
        assert is_lost(await process.ask(turn(3)))
        assert is_lost(await start(Speaking()).ask(turn(4)))
        assert len(runtime.turns) == 1

    async def test_it_gets_the_error_that_the_run_ends_with(self, start: Start) -> None:
        gate = Gated()

        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            async for event in gate(turn):
                yield event
                if gate.go.is_set():
                    raise AgentFailed("no")

        process = start(Speaking(script))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        second, so_far = process.asking(turn(2))
        await soon(so_far.has_some)
        gate.go.set()
        assert (await first).error is (await second).error
        assert isinstance((await second).error, AgentFailed)

    async def test_it_waits_for_another_process_that_runs_it(self, start: Start) -> None:
        gate, other = Gated(), Speaking()
        first, _ = start(Speaking(gate)).asking(turn(1))
        await soon(gate.begun)
        second, so_far = start(other).asking(turn(2))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(so_far.has_some.wait(), 0.1)
        gate.go.set()
        assert same(await first, await second)
        assert other.turns == []

    async def test_it_waits_no_longer_than_it_may(self, start: Start) -> None:
        gate = Gated()
        first, _ = start(Speaking(gate)).asking(turn(1))
        await soon(gate.begun)
        assert is_lost(await start(Speaking()).ask(turn(2), patience=0.05))
        gate.go.set()
        assert (await first).is_finished

    async def test_of_many_at_once_in_two_processes_one_runs(self, start: Start) -> None:
        runtimes = Speaking(), Speaking()
        processes = [start(runtime) for runtime in runtimes]
        got = await asyncio.gather(*(processes[number % 2].ask(turn(number)) for number in range(20)))
        assert sum(len(runtime.turns) for runtime in runtimes) == 1
        assert all(same(one, got[0]) for one in got)
        assert got[0].text == "HI"


class TestDiffering:
    """A key that comes with another request."""

    @pytest.mark.parametrize(
        "other",
        [turn(2, "ho"), turn(2, place=Place(session="another")), turn(2, place=None)],
        ids=["said", "place", "nothing stored"],
    )
    async def test_it_is_refused_and_runs_nothing(self, other: Turn, start: Start) -> None:
        runtime = Speaking()
        process = start(runtime)
        first = await process.ask(turn(1))
        assert isinstance((await process.ask(other)).error, KeyReused)
        assert isinstance((await start(runtime).ask(other)).error, KeyReused)
        assert same(await process.ask(turn(3)), first)
        assert len(runtime.turns) == 1

    async def test_it_is_refused_at_once_while_the_first_one_runs(self, start: Start) -> None:
        gate = Gated()
        process = start(Speaking(gate))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        assert isinstance((await process.ask(turn(2, "ho"))).error, KeyReused)
        assert isinstance((await start(Speaking()).ask(turn(2, "ho"))).error, KeyReused)
        gate.go.set()
        assert (await first).text == "first second"

    async def test_two_that_come_at_once_are_told_apart(self, start: Start) -> None:
        process = start(Speaking())
        got = await asyncio.gather(process.ask(turn(1)), process.ask(turn(2, "ho")), process.ask(turn(3)))
        assert [one.text for one in got] == ["HI", "", "HI"]
        assert isinstance(got[1].error, KeyReused)

    async def test_a_repeat_that_comes_with_it_is_still_answered(self, start: Start) -> None:
        process = start(Speaking())
        first = await process.ask(turn(1))
        refused, repeated = await asyncio.gather(process.ask(turn(2, "ho")), process.ask(turn(3)))
        assert isinstance(refused.error, KeyReused)
        assert same(repeated, first)


class TestFailed:
    @pytest.mark.parametrize(("script", "said"), [(fail, ""), (break_off, "half an ans")], ids=["at once", "later"])
    async def test_what_failed_in_the_agent_fails_again_and_is_not_run_again(
        self, script: object, said: str, start: Start
    ) -> None:
        runtime = Speaking(script)  # type: ignore[arg-type]  # one of two functions
        process = start(runtime)
        first = await process.ask(turn(1))
        for repeated in (await process.ask(turn(2)), await start(runtime).ask(turn(3))):
            assert (repeated.id, repeated.text, repeated.is_finished) == ("turn-1", said, False)
            assert repeated.error is not None
            assert first.error is not None
            assert repeated.error.message == first.error.message
            assert (repeated.error.status, repeated.error.type) == (first.error.status, first.error.type)
        assert len(runtime.turns) == 1

    async def test_what_the_agent_does_not_take_may_be_sent_again(self, start: Start) -> None:
        runtime = Speaking(refuse)
        process = start(runtime)
        assert isinstance((await process.ask(turn(1))).error, InvalidRequest)
        runtime.script = echo
        assert (await process.ask(turn(2, "something else"))).text == "SOMETHING ELSE"

    async def test_while_the_store_is_down_nothing_is_run_and_the_key_stays_free(
        self, start: Start, url: sa.URL
    ) -> None:
        runtime = Speaking()
        process = start(runtime)
        await process.ask(turn(0), "another")
        lose_the_table(url)
        assert isinstance((await process.ask(turn(1))).error, StoreUnavailable)
        find_the_table(url)
        assert (await process.ask(turn(2))).id == "turn-2"
        assert len(runtime.turns) == 2

    async def test_a_conversation_that_is_busy_leaves_the_key_free(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime = Speaking()
        process = start(runtime)
        monkeypatch.setattr(process.conversations.locks, "_queue", 0)
        gate = Gated()
        runtime.script = gate
        first, _ = process.asking(turn(1), "one")
        await soon(gate.begun)
        assert isinstance((await process.ask(turn(2, "ho"), "two")).error, ConversationBusy)
        gate.go.set()
        await first
        runtime.script = echo
        assert (await process.ask(turn(3, "ho"), "two")).text == "HO"

    async def test_a_client_that_leaves_before_the_agent_began_leaves_the_key_free(
        self, start: Start, url: sa.URL
    ) -> None:
        runtime = Speaking(Gated())
        process = start(runtime)
        first, _ = process.asking(turn(1), "one")
        assert isinstance(runtime.script, Gated)
        await soon(runtime.script.begun)
        waiting, _ = process.asking(turn(2, "ho"), "two")
        await until(lambda: rows(url, "SELECT 1 FROM answers WHERE answer_id = 'turn-2'"))
        await leave(waiting)
        runtime.script.go.set()
        await first
        runtime.script = echo
        assert (await process.ask(turn(3, "ho"), "two")).id == "turn-3"

    async def test_a_client_that_leaves_an_agent_that_said_nothing_yet_has_the_key_spent(self, start: Start) -> None:
        runtime = Speaking(hang)
        process = start(runtime)
        first, _ = process.asking(turn(1))
        await until(lambda: runtime.turns)
        await leave(first)
        assert is_lost(await process.ask(turn(2)))

    async def test_where_the_answer_cannot_be_kept_it_is_given_and_then_lost(
        self, start: Start, url: sa.URL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("agentllm.idempotency.ledger.END_PATIENCE", 0.0)
        gate = Gated()
        process = start(Speaking(gate))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        change(url, "ALTER TABLE answers RENAME TO lost")
        gate.go.set()
        assert (await first).text == "first second"
        assert (await first).is_finished
        change(url, "ALTER TABLE lost RENAME TO answers")
        assert is_lost(await process.ask(turn(2)))
        assert "turn-1" in caplog.text
        assert "second" not in caplog.text


class TestUnstored:
    """A request of which nothing may be stored."""

    async def test_its_answer_is_known_to_its_process_alone(self, start: Start, url: sa.URL) -> None:
        runtime = Speaking()
        process = start(runtime)
        first = await process.ask(turn(1, place=None))
        assert same(await process.ask(turn(2, place=None)), first)
        assert len(runtime.turns) == 1
        assert rows(url, "SELECT * FROM answers") == []
        assert (await start(runtime).ask(turn(3, place=None))).id == "turn-3"

    async def test_its_failure_too(self, start: Start, url: sa.URL) -> None:
        runtime = Speaking(break_off)
        process = start(runtime)
        await process.ask(turn(1, place=None))
        repeated = await process.ask(turn(2, place=None))
        assert (repeated.text, type(repeated.error)) == ("half an ans", AgentFailed)
        assert len(runtime.turns) == 1
        assert rows(url, "SELECT * FROM answers") == []

    async def test_its_key_is_no_other_request_s(self, start: Start) -> None:
        process = start(Speaking())
        await process.ask(turn(1, place=None))
        assert isinstance((await process.ask(turn(2))).error, KeyReused)

    async def test_after_a_day_it_is_forgotten(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        process = start(Speaking())
        await process.ask(turn(1, place=None))
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + KEPT_SECONDS + 2)
        assert (await process.ask(turn(2, place=None))).id == "turn-2"


class TestKept:
    """What is on disk, and for how long."""

    async def test_the_text_goes_with_its_conversation_and_the_key_stays_spent(self, start: Start, url: sa.URL) -> None:
        runtime = Speaking()
        process = start(runtime)
        await process.ask(turn(1, "canary"))
        with Archive(url) as archive:
            (conversation,) = archive.conversations()
            archive.delete(conversation.id)
        assert rows(url, "SELECT status, conversation, events, error FROM answers") == [("deleted", None, None, None)]
        assert is_lost(await process.ask(turn(2, "canary")))
        assert len(runtime.turns) == 1

    async def test_the_text_of_an_answer_whose_conversation_goes_meanwhile_is_not_kept(
        self, start: Start, url: sa.URL
    ) -> None:
        gate = Gated()
        process = start(Speaking(gate))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        with Archive(url) as archive:
            (conversation,) = archive.conversations()
            archive.delete(conversation.id)
        gate.go.set()
        assert isinstance((await first).error, StoreUnavailable)
        assert rows(url, "SELECT status, events, error FROM answers") == [("deleted", None, None)]
        assert is_lost(await process.ask(turn(2)))

    async def test_conversations_that_are_too_old_take_their_answers_along(self, start: Start, url: sa.URL) -> None:
        await start(Speaking()).ask(turn(1))
        with Archive(url) as archive:
            (conversation,) = archive.conversations()
            archive.prune(conversation.last_turn_at + timedelta(seconds=2), most=10)
        assert rows(url, "SELECT status, events FROM answers") == [("deleted", None)]

    async def test_answers_are_removed_after_a_day(self, start: Start, url: sa.URL) -> None:
        process = start(Speaking())
        await process.ask(turn(1, "old"), "old")
        change(url, f"UPDATE answers SET created = created - {KEPT_SECONDS} - 2")
        await process.ask(turn(2, "new"), "new")
        assert await forget_answers(url) == 1
        assert rows(url, "SELECT answer_id FROM answers") == [("turn-2",)]
        assert await forget_answers(url) == 0

    async def test_neither_the_key_nor_what_was_asked_is_on_disk(self, start: Start, url: sa.URL) -> None:
        await start(Speaking()).ask(turn(1, "canary"), "the key itself")
        ((key, asked),) = rows(url, "SELECT key, asked FROM answers")
        assert {len(str(key)), len(str(asked))} == {64}
        assert not any("key itself" in str(row) for row in rows(url, "SELECT * FROM answers"))

    async def test_an_answer_that_is_too_long_is_given_while_it_comes_and_not_kept(
        self, start: Start, url: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_KEPT", 20)
        gate = Gated()
        process = start(Speaking(gate))
        first, _ = process.asking(turn(1))
        await soon(gate.begun)
        second, _ = process.asking(turn(2))
        gate.go.set()
        assert (await first).text == (await second).text == "first second"
        assert rows(url, "SELECT status, events FROM answers") == [("unkept", None)]
        assert is_lost(await process.ask(turn(3)))

    async def test_the_end_of_a_process_is_known_for_one(self, start: Start, url: sa.URL) -> None:
        await start(Speaking()).ask(turn(1))
        change(url, "UPDATE answers SET status = 'running', events = NULL")
        runtime = Speaking()
        assert is_lost(await start(runtime).ask(turn(2)))
        assert rows(url, STATUSES) == [("interrupted",)]
        assert runtime.turns == []
