"""A runtime around another: what is set when, what of it is told, and that nothing is set by halves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from agentllm.core import Caller, Change, Event, Finished, Message, Place, Swap, Text, Turn, Usage, Work
from agentllm.errors import AgentFailed, InvalidRequest, SwapRefused
from agentllm.hotswap.in_force import IN_FORCE, in_force
from agentllm.hotswap.swapping import Swapping, keeps_its_models
from agentllm.hotswap.tools import get_config, set_model, set_prompt
from tests.conversations.speaking import Script, Speaking

TURN = Turn("t", "demo", Caller("key"), (Message("user", "hi"),), place=Place())


class Allowing:
    """Allows `red` and `blue`, which are called `color/…` in full, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def allow(self, model: str) -> str:
        return self.allow_now(model)

    def allow_now(self, model: str) -> str:
        self.asked.append(model)
        name = model.removeprefix("color/")
        if name not in ("red", "blue"):
            raise SwapRefused("no")
        return f"color/{name}"


async def told(turn: Turn) -> AsyncGenerator[Event, None]:
    """Says what is in force, and what it is given of the conversation."""
    yield Text(f"{in_force().model} {in_force().prompt} {[message.content for message in turn.messages]}")
    yield Finished("stop")


async def run(turn: Turn, script: Script = told, policy: Allowing | None = None, **more: Any) -> list[Event]:
    swapping = Swapping(Speaking(script), policy or Allowing(), **more)
    return [event async for event in swapping.run(turn)]


def said(*contents: str, **more: Any) -> Turn:
    roles: Any = ("user", "assistant")
    messages = tuple(Message(roles[i % 2], content) for i, content in enumerate(contents))
    return replace(TURN, messages=messages, **more)


async def test_a_control_message_is_answered_without_the_runtime() -> None:
    text, usage, finished = await run(said("[HOTSWAP:MODEL:red]"), script=None)  # type: ignore[arg-type]
    assert isinstance(text, Text)
    assert "color/red" in text.text
    assert usage == Usage()
    assert finished == Finished("stop", swap=Swap("color/red"))


async def test_what_a_turn_stood_at_stays_when_a_control_message_comes_between() -> None:
    pending, state = {"waits": 1}, {"count": 2}
    last = (await run(said("[HOTSWAP:GET_CONFIG]", pending=pending, state=state)))[-1]
    assert last == Finished("stop", state=state, pending=pending)


async def test_all_that_a_request_sets_is_in_force_in_its_order() -> None:
    changes = (Change("model", "red"), Change("prompt", " a "))
    text, finished = await run(said("hi", changes=changes))
    assert text == Text("color/red a ['hi']")
    assert finished == Finished("stop", swap=Swap("color/red", "a"))
    events = await run(said("[HOTSWAP:MODEL:blue]\n[HOTSWAP:PROMPT:]", changes=changes))
    assert events[-1] == Finished("stop", swap=Swap("color/blue"))


async def test_of_what_is_refused_nothing_is_set() -> None:
    with pytest.raises(SwapRefused):
        await run(said("[HOTSWAP:PROMPT:a]\n[HOTSWAP:MODEL:green]"))
    with pytest.raises(InvalidRequest):
        await run(said("hi", changes=(Change("prompt", "a" * 40_000),)))


async def test_what_was_set_before_is_in_force_and_checked_again_for_this_caller() -> None:
    policy = Allowing()
    events = await run(said("hi", swap=Swap("color/red", "a")), policy=policy)
    assert events == [Text("color/red a ['hi']"), Finished("stop")]
    assert policy.asked == ["color/red"]
    with pytest.raises(SwapRefused):
        await run(said("hi", swap=Swap("color/green")))
    assert (await run(said("[HOTSWAP:MODEL:]", swap=Swap("color/green"))))[-1] == Finished("stop", swap=Swap())


async def test_where_nothing_is_set_nothing_is_checked() -> None:
    policy = Allowing()
    assert (await run(said("hi"), policy=policy))[-1] == Finished("stop")
    assert policy.asked == []


async def test_the_runtime_does_not_see_control_messages() -> None:
    text, _ = await run(said("one", "two", "[HOTSWAP:MODEL:red]", "Model: red", "three"))
    assert text == Text("None None ['one', 'two', 'three']")


async def test_tools_set_what_is_in_force_from_then_on() -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text(f"{in_force()}")
        yield Text(await asyncio.to_thread(set_model, "red", "color"))
        set_prompt(" Be brief. ")
        yield Text(f"{in_force()}")
        yield Text(set_model("green"))
        yield Text(get_config())
        yield Text(set_model(""))
        yield Finished("stop")

    *texts, finished = await run(TURN, script)
    before, _, after, refused, config, cleared = [text.text for text in texts if isinstance(text, Text)]
    assert before == str(Swap())
    assert after == str(Swap("color/red", "Be brief."))
    assert refused == "no"
    assert "color/red" in config
    assert "Be brief." in config
    assert "own" in cleared
    assert finished == Finished("stop", swap=Swap(None, "Be brief."))


async def test_tools_of_no_turn_change_nothing() -> None:
    assert set_model("red") == set_prompt("a") == get_config()
    assert in_force() == Swap()


async def test_work_is_told_without_prompts() -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        for name in ("set_prompt", "get_config", "look_up"):
            yield Work("1", "tool", name, "finished", {"prompt": "secret"}, "secret")
        yield Finished("stop")

    one, two, other, _ = await run(TURN, script)
    assert "secret" not in f"{one}{two}"
    assert other == Work("1", "tool", "look_up", "finished", {"prompt": "secret"}, "secret")


async def test_a_turn_that_fails_sets_nothing_and_leaves_nothing_in_force() -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        set_prompt("a")
        yield Text("half")
        raise AgentFailed("no")

    with pytest.raises(AgentFailed):
        await run(TURN, script)
    assert IN_FORCE.get() is None


async def test_turns_at_once_in_one_context_do_not_meet() -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        for _ in range(3):
            yield Text(str(in_force().prompt))
        yield Finished("stop")

    prompts = ("a", "b")
    turns = [Swapping(Speaking(script), Allowing()).run(said("hi", swap=Swap(None, prompt))) for prompt in prompts]
    for _ in range(3):
        assert [await anext(turn) for turn in turns] == [Text(prompt) for prompt in prompts]
    for turn in turns:
        await turn.aclose()


@pytest.mark.parametrize("turn", [said("[HOTSWAP:MODEL:red]"), said("hi", changes=(Change("prompt", "a"),))])
async def test_what_keeps_its_models_is_not_swapped(turn: Turn) -> None:
    with pytest.raises(SwapRefused):
        await run(turn, keeps_its_models=True)
    assert (await run(said("[HOTSWAP:GET_CONFIG]"), keeps_its_models=True))[-1] == Finished("stop")


def test_a_runtime_can_be_swapped_unless_it_says_otherwise() -> None:
    class Fixed(Speaking):
        keeps_its_models = True

    assert not keeps_its_models(Speaking())
    assert keeps_its_models(Fixed())
