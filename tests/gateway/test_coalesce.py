"""Coalescing, under a clock that the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Event, Finished, Reasoning, Text, Usage
from agentllm.errors import ModelFailed
from agentllm.gateway.coalesce import HOLD, HOLD_FOR_EACH, LONGEST_HOLD, MOST_GATHERED, coalesce
from agentllm.rests import rest
from tests.virtual_time import run

Script = Sequence[tuple[float, Event]]
"""Events, each with the seconds that pass before it."""


async def scripted(script: Script, *, error: Exception | None = None) -> AsyncGenerator[Event, None]:
    for delay, event in script:
        if delay:
            await asyncio.sleep(delay)
        yield event
    if error is not None:
        raise error


async def _collect(script: Script, error: Exception | None = None) -> list[tuple[float, Event]]:
    clock = asyncio.get_running_loop().time
    return [(clock(), event) async for event in coalesce(scripted(script, error=error))]


def collect(script: Script) -> list[tuple[float, Event]]:
    """The events that come out, each with its time, to the microsecond."""
    return [(round(time, 6), event) for time, event in run(_collect(script))]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def test_the_first_text_goes_out_at_once() -> None:
    assert collect([(0.5, Text("a")), (0.001, Text("b")), (9, Text("c"))])[0] == (0.5, Text("a"))


def test_the_first_text_goes_out_before_the_agent_is_asked_for_more() -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def burst() -> AsyncGenerator[Event, None]:
            for letter in "abc":
                log.append(f"made {letter}")
                yield Text(letter)

        async for event in coalesce(burst()):
            assert isinstance(event, Text)
            log.append(f"sent {event.text}")
        return log

    assert run(main()) == ["made a", "sent a", "made b", "made c", "sent bc"]


def test_text_that_gathers_within_the_hold_goes_out_as_one_piece() -> None:
    out = collect([(0, Text("a")), *[(0.004, Text("b"))] * 4, (1, Text("c"))])
    assert [event for _, event in out] == [Text("a"), Text("bbbb"), Text("c")]
    assert out[1][0] == (HOLD)


def test_text_after_a_pause_is_not_held_back() -> None:
    out = collect([(0, Text("a")), (HOLD + 0.001, Text("b"))])
    assert out[1] == (HOLD + 0.001, Text("b"))


def test_no_text_is_held_longer_than_the_hold() -> None:
    out = collect([(0.003, Text("x"))] * 100)
    arrived = [0.003 * (i + 1) for i in range(100)]
    sent = 0
    for time, event in out:
        assert isinstance(event, Text)
        assert time - arrived[sent] <= HOLD + 1e-9
        sent += len(event.text)
    assert sent == 100


def test_pieces_are_at_least_the_hold_apart() -> None:
    times = [time for time, _ in collect([(0.003, Text("x"))] * 100)]
    assert all(later - earlier >= HOLD - 1e-9 for earlier, later in pairwise(times[:-1]))


@pytest.mark.parametrize(
    ("streams", "hold"), [(1, HOLD), (10, HOLD), (30, 30 * HOLD_FOR_EACH), (63, LONGEST_HOLD), (200, LONGEST_HOLD)]
)
def test_many_streams_send_less_often(streams: int, hold: float) -> None:
    script = [(0.003, Text("x"))] * 200

    async def main() -> list[list[tuple[float, Event]]]:
        return await asyncio.gather(*(_collect(script) for _ in range(streams)))

    for out in run(main()):
        assert text_of([event for _, event in out]) == "x" * 200
        later = [time for time, _ in out][1:-1]  # the first holds begin before all streams are there
        assert all(b - a == pytest.approx(hold, abs=0.004) for a, b in pairwise(later))


async def _gathering(seconds: float, reads: list[float]) -> AsyncGenerator[Event, None]:
    """A thousand characters a second that gather while they are not read; `reads` gets the times of reading."""
    clock = asyncio.get_running_loop().time
    begun, read = clock(), 0
    while read < seconds * 1000:
        await asyncio.sleep(max(0.0, begun + (read + 1) / 1000 - clock()))
        new = int((clock() - begun) * 1000 + 0.5) - read
        reads.append(clock())
        read += new
        yield Text("x" * new)
        await rest()
    yield Finished("stop")


def _gathered(streams: int) -> list[tuple[list[tuple[float, Event]], list[float]]]:
    async def stream() -> tuple[list[tuple[float, Event]], list[float]]:
        reads: list[float] = []
        clock = asyncio.get_running_loop().time
        return [(clock(), event) async for event in coalesce(_gathering(2.0, reads))], reads

    async def main() -> list[tuple[list[tuple[float, Event]], list[float]]]:
        return await asyncio.gather(*(stream() for _ in range(streams)))

    return run(main())


def test_of_many_streams_what_gathers_is_read_about_once_for_each_piece() -> None:
    for out, reads in _gathered(40):
        assert len(text_of([event for _, event in out])) >= 2000
        pieces = [time for time, event in out if isinstance(event, Text)]
        assert all(b - a == pytest.approx(40 * HOLD_FOR_EACH, abs=0.004) for a, b in pairwise(pieces[1:-1]))
        after_the_start = [sum(time > 0.2 for time in times) for times in (reads, pieces)]
        assert after_the_start[0] <= after_the_start[1] + 2


def test_of_few_streams_what_gathers_is_read_as_it_comes() -> None:
    for _, reads in _gathered(2):
        assert len(reads) >= 1900


def test_streams_that_say_nothing_hold_nobody_back() -> None:
    async def main() -> list[tuple[float, Event]]:
        silent = [coalesce(scripted([(0, Text("a")), (60, Text("b"))])) for _ in range(40)]
        for stream in silent:
            await anext(stream)
        await asyncio.sleep(1)
        out = await _collect([(0.003, Text("x"))] * 30)
        for stream in silent:
            await stream.aclose()
        return out

    times = [time for time, _ in run(main())]
    assert all(b - a == pytest.approx(HOLD, abs=0.004) for a, b in pairwise(times[:-1]))


@pytest.mark.parametrize("other", [Usage(1, 1), Finished("stop"), Reasoning("hm")])
def test_another_kind_of_event_flushes_what_is_held(other: Event) -> None:
    out = collect([(0, Text("a")), (0.001, Text("b")), (0.001, other)])
    assert out == [(0, Text("a")), (0.002, Text("b")), (0.002, other)]


def test_the_first_text_after_reasoning_goes_out_at_once() -> None:
    out = collect([(0, Reasoning("hm")), (0.001, Text("a"))])
    assert out[1] == (0.001, Text("a"))


def test_events_of_one_kind_that_are_not_text_are_neither_joined_nor_held() -> None:
    out = collect([(0, Text("a")), (0.001, Usage(1, 1)), (0.001, Usage(2, 2))])
    assert out[1:] == [(0.001, Usage(1, 1)), (0.002, Usage(2, 2))]


def test_an_error_comes_after_all_that_was_said_before_it() -> None:
    async def main() -> tuple[list[Event], float]:
        seen: list[Event] = []

        async def read() -> None:
            async for event in coalesce(scripted([(0, Text("a")), (0.001, Text("b"))], error=ModelFailed("no"))):
                seen.append(event)  # noqa: PERF401 - a comprehension would lose what came before the error

        with pytest.raises(ModelFailed):
            await read()
        return seen, asyncio.get_running_loop().time()

    assert run(main()) == ([Text("a"), Text("b")], 0.001)


def test_an_error_without_any_event_is_raised() -> None:
    with pytest.raises(ModelFailed):
        run(_collect([], ModelFailed("no")))


def test_no_events_give_no_events() -> None:
    assert collect([]) == []


def test_a_slow_reader_gets_everything_that_gathered_in_one_piece() -> None:
    async def main() -> list[Event]:
        seen = []
        async for event in coalesce(scripted([(0.001, Text("x"))] * 50)):
            seen.append(event)
            await asyncio.sleep(1)
        return seen

    assert run(main()) == [Text("x"), Text("x" * 49)]


def test_an_agent_that_outruns_its_reader_waits_for_it() -> None:
    async def main() -> int:
        made = 0

        async def endless() -> AsyncGenerator[Event, None]:
            nonlocal made
            while True:
                made += 1
                yield Text("x" * 1_000)

        stream = coalesce(endless())
        await anext(stream)
        await asyncio.sleep(60)
        gathered = made
        await stream.aclose()
        return gathered

    assert run(main()) * 1_000 <= 2 * MOST_GATHERED


def test_closing_closes_the_agent_at_once() -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def waiting() -> AsyncGenerator[Event, None]:
            try:
                yield Text("a")
                await asyncio.sleep(3_600)
            finally:
                log.append(f"closed at {asyncio.get_running_loop().time()}")

        stream = coalesce(waiting())
        await anext(stream)
        await stream.aclose()
        return log

    assert run(main()) == ["closed at 0.0"]


events = st.one_of(
    st.text(min_size=1, max_size=3).map(Text),
    st.text(min_size=1, max_size=3).map(Reasoning),
    st.integers(0, 9).map(lambda tokens: Usage(tokens, tokens)),
)
scripts = st.lists(st.tuples(st.sampled_from([0, 0.001, 0.019, 0.02, 0.021, 0.5]), events), max_size=40)


@given(scripts)
def test_nothing_is_lost_or_reordered(script: Script) -> None:
    def joined(sequence: Sequence[Event]) -> list[Event]:
        whole: list[Event] = []
        for event in sequence:
            last = whole[-1] if whole else None
            if isinstance(event, Text) and isinstance(last, Text):
                whole[-1] = Text(last.text + event.text)
            elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
                whole[-1] = Reasoning(last.text + event.text)
            else:
                whole.append(event)
        return whole

    assert joined([event for _, event in collect(script)]) == joined([event for _, event in script])
