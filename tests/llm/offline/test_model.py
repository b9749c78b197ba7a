"""The offline model under a real Agno agent."""

from __future__ import annotations

import asyncio
import copy
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from agno.agent import Agent
from agno.models.message import Message
from agno.models.response import ModelResponse, ToolExecution
from agno.run.agent import ModelRequestCompletedEvent, RunContentEvent, RunOutput, ToolCallCompletedEvent
from hypothesis import given
from hypothesis import strategies as st

from agentllm.llm.offline import NOTICE, OfflineModel, Reply
from agentllm.llm.offline.model import cut

OPENING = f"*{NOTICE}*\n\n"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def next_version() -> str:
    """The next semantic version, from the commits since the last release."""
    return "1.3.0"


def failing() -> str:
    """Cause a failure."""
    raise RuntimeError("the disk is full")


def agent(*tools: Callable[..., Any], model: OfflineModel | None = None, **options: Any) -> Agent:
    return Agent(model=model or OfflineModel(), tools=list(tools), telemetry=False, **options)


async def ask(asked: Agent, *texts: str) -> list[RunOutput]:
    """The runs of a conversation in which the user says `texts`."""
    runs: list[RunOutput] = []
    messages: list[Message] = []
    for text in texts:
        messages.append(Message(role="user", content=text))
        runs.append(await asked.arun(list(messages)))
        messages = [message for message in runs[-1].messages or () if message.role != "system"]
    return runs


@dataclass
class Streamed:
    texts: list[str] = field(default_factory=list)
    tools: list[str | None] = field(default_factory=list)
    completion_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.texts)


async def stream(asked: Agent, text: str) -> Streamed:
    seen = Streamed()
    async for event in asked.arun(text, stream=True, stream_events=True):
        match event:
            case RunContentEvent(content=str(text)) if text:
                seen.texts.append(text)
            case ToolCallCompletedEvent(tool=ToolExecution(tool_name=name)):
                seen.tools.append(name)
            case ModelRequestCompletedEvent(output_tokens=int(tokens)):
                seen.completion_tokens += tokens
    return seen


class TestFirstLine:
    async def test_the_first_answer_begins_with_what_the_model_is(self) -> None:
        (run,) = await ask(agent(), "hello")
        assert str(run.content).startswith(OPENING)

    async def test_later_answers_do_not_repeat_it(self) -> None:
        first, second = await ask(agent(), "hello", "hello again")
        assert NOTICE in str(first.content)
        assert NOTICE not in str(second.content)

    @pytest.mark.parametrize("tools", [(next_version,), (next_version, add)])
    async def test_a_first_turn_with_tools_has_it_once(self, tools: Sequence[Callable[..., Any]]) -> None:
        seen = await stream(agent(*tools), "What is the next version?")
        assert seen.text.count(NOTICE) == 1
        assert seen.text == f"{OPENING}`next_version` says: 1.3.0"

    async def test_a_first_turn_with_tools_has_it_once_without_a_stream_too(self) -> None:
        (run,) = await ask(agent(next_version), "What is the next version?")
        assert run.content == f"{OPENING}`next_version` says: 1.3.0"


class TestTools:
    async def test_a_tool_is_called_with_what_the_message_gives_and_its_result_is_quoted(self) -> None:
        (run,) = await ask(agent(add), "Please add 2 and 40.")
        assert [(tool.tool_name, tool.tool_args) for tool in run.tools or ()] == [("add", {"a": 2, "b": 40})]
        assert str(run.content).endswith("`add` says: 42")

    async def test_two_tools_can_answer_one_message(self) -> None:
        seen = await stream(agent(add, next_version), "Add 1 and 2 and tell me the next version")
        assert sorted(map(str, seen.tools)) == ["add", "next_version"]

    async def test_a_tool_is_called_once_for_a_message_and_again_for_the_next(self) -> None:
        first, second = await ask(agent(add), "add 1 and 2", "add 3 and 4")
        assert [tool.result for tool in first.tools or ()] == ["3"]
        assert [tool.result for tool in second.tools or ()] == ["7"]
        assert second.content == "`add` says: 7"

    async def test_an_argument_that_is_missing_is_asked_for(self) -> None:
        (run,) = await ask(agent(add), "add 2")
        assert not run.tools
        assert "`b`" in str(run.content)

    async def test_the_words_of_a_failed_tool_are_quoted(self) -> None:
        (run,) = await ask(agent(failing), "Call the tool failing")
        assert "the disk is full" in str(run.content)

    async def test_a_result_of_several_lines_is_given_whole(self) -> None:
        def list_tags() -> str:
            """List the tags."""
            return "v1\nv2"

        (run,) = await ask(agent(list_tags), "list the tags")
        assert str(run.content).endswith("`list_tags` says:\n\nv1\nv2")

    async def test_no_tool_is_called_where_none_may_be(self) -> None:
        (run,) = await ask(agent(next_version, tool_choice="none"), "What is the next version?")
        assert not run.tools

    async def test_a_required_call_takes_a_tool_that_can_be_called(self) -> None:
        (run,) = await ask(agent(add, next_version, tool_choice="required"), "hello")
        assert [tool.tool_name for tool in run.tools or ()] == ["next_version"]

    async def test_a_named_tool_is_called_whatever_the_message_says(self) -> None:
        choice = {"type": "function", "function": {"name": "next_version"}}
        (run,) = await ask(agent(add, next_version, tool_choice=choice), "add 1 and 2")
        assert [tool.tool_name for tool in run.tools or ()] == ["next_version"]

    async def test_a_named_tool_that_is_not_offered_is_reported(self) -> None:
        choice = {"type": "function", "function": {"name": "deploy"}}
        (run,) = await ask(agent(add, tool_choice=choice), "hello")
        assert "`deploy`" in str(run.content)


class TestStreams:
    @pytest.mark.parametrize("text", ["hello", "What is the next version?", "add 2", "what did I say?"])
    async def test_a_stream_says_what_the_plain_answer_says(self, text: str) -> None:
        asked = agent(add, next_version)
        (run,) = await ask(asked, text)
        assert (await stream(asked, text)).text == run.content

    async def test_it_comes_word_by_word_and_a_word_is_a_token(self) -> None:
        seen = await stream(agent(), "hello")
        assert len(seen.texts) == len(seen.text.split()) == seen.completion_tokens

    async def test_many_streams_take_turns(self) -> None:
        order: list[int] = []

        async def follow(number: int) -> None:
            async for event in agent().arun("hello", stream=True, stream_events=True):
                order.extend([number] * isinstance(event, RunContentEvent))

        await asyncio.gather(follow(0), follow(1))
        switches = sum(1 for before, after in itertools.pairwise(order) if before != after)
        assert switches > len(order) / 2

    def test_the_synchronous_ways_say_the_same(self) -> None:
        asked = agent(next_version)
        plain = asked.run("What is the next version?").content
        streamed = "".join(
            event.content or ""
            for event in asked.run("What is the next version?", stream=True, stream_events=True)
            if isinstance(event, RunContentEvent)
        )
        assert streamed == plain == f"{OPENING}`next_version` says: 1.3.0"

    async def test_a_pace_is_kept(self) -> None:
        started = time.monotonic()
        seen = await stream(agent(model=OfflineModel(tokens_per_second=500, max_tokens=20)), "hello")
        assert len(seen.texts) == 20
        assert time.monotonic() - started >= 20 / 500


class TestUsage:
    async def test_prompt_and_completion_are_counted_in_words(self) -> None:
        (run,) = await ask(agent(), "one two three")
        assert run.metrics is not None
        assert run.metrics.input_tokens == 3
        assert run.metrics.output_tokens == len(str(run.content).split())
        assert run.metrics.total_tokens == run.metrics.input_tokens + run.metrics.output_tokens

    async def test_a_turn_with_tools_counts_all_its_calls(self) -> None:
        (run,) = await ask(agent(next_version), "What is the next version?")
        assert run.metrics is not None
        words_of_the_call = len(["next_version", "{}"])
        assert run.metrics.output_tokens == len(str(run.content).split()) + words_of_the_call


class Listening(OfflineModel):
    """Hears the raw replies, as the runtime does."""

    def heard_on_a_copy(self) -> tuple[OfflineModel, list[Reply]]:
        heard: list[Reply] = []
        listening = copy.copy(self)
        parse, parse_delta = listening._parse_provider_response, listening._parse_provider_response_delta

        def parsed(response: Reply, **kwargs: Any) -> ModelResponse:
            heard.append(response)
            return parse(response, **kwargs)

        def parsed_delta(response: Reply) -> ModelResponse:
            heard.append(response)
            return parse_delta(response)

        listening._parse_provider_response = parsed  # type: ignore[method-assign]
        listening._parse_provider_response_delta = parsed_delta  # type: ignore[method-assign]
        return listening, heard


@pytest.mark.parametrize("streamed", [True, False])
class TestFinishReasons:
    @staticmethod
    async def reasons(streamed: bool, text: str, *tools: Callable[..., Any], **options: Any) -> list[str]:
        model, heard = Listening(**options).heard_on_a_copy()
        asked = agent(*tools, model=model)
        if streamed:
            await stream(asked, text)
        else:
            await asked.arun(text)
        return [reply.finish_reason for reply in heard if reply.finish_reason is not None]

    async def test_a_whole_answer_stops(self, streamed: bool) -> None:
        assert await self.reasons(streamed, "hello") == ["stop"]

    async def test_a_call_of_a_tool_says_so_and_the_answer_stops(self, streamed: bool) -> None:
        assert await self.reasons(streamed, "next version", next_version) == ["tool_calls", "stop"]

    async def test_a_limit_says_length(self, streamed: bool) -> None:
        assert await self.reasons(streamed, "hello", max_tokens=3) == ["length"]

    async def test_an_answer_that_fits_its_limit_stops(self, streamed: bool) -> None:
        assert await self.reasons(streamed, "hello", max_tokens=10_000) == ["stop"]

    async def test_a_stop_string_stops_before_tools_are_called(self, streamed: bool) -> None:
        assert await self.reasons(streamed, "next version", next_version, stop=["language model"]) == ["stop"]


class TestCutting:
    async def test_the_answer_ends_before_a_stop_string_that_spans_words(self) -> None:
        seen = await stream(agent(model=OfflineModel(stop="no language")), "hello")
        assert seen.text == "*Offline model: "

    async def test_the_answer_has_at_most_max_tokens_words(self) -> None:
        seen = await stream(agent(model=OfflineModel(max_tokens=3)), "hello")
        assert seen.text.split() == ["*Offline", "model:", "no"]

    @given(st.text("ab \n", max_size=40))
    def test_tokens_join_to_the_text(self, text: str) -> None:
        tokens, reason = cut(text, (), None)
        assert "".join(tokens) == text
        assert reason is None

    @given(st.text("ab \n", max_size=40), st.lists(st.text("ab ", max_size=3), max_size=3))
    def test_no_stop_string_is_left_and_nothing_more_is_cut(self, text: str, stop: list[str]) -> None:
        tokens, reason = cut(text, stop, None)
        kept = "".join(tokens)
        assert text.startswith(kept)
        assert not any(string in kept for string in stop if string)
        ended_by = [string for string in stop if string and text[len(kept) :].startswith(string)]
        assert (reason == "stop") == bool(ended_by)
        assert ended_by or kept == text

    @given(st.text("ab \n", max_size=40), st.integers(0, 10))
    def test_a_limit_is_kept_and_said_only_where_it_cut(self, text: str, limit: int) -> None:
        whole, _ = cut(text, (), None)
        tokens, reason = cut(text, (), limit)
        assert tokens == whole[:limit]
        expected: Literal["length"] | None = "length" if len(whole) > limit else None
        assert reason == expected


class TestParameters:
    async def test_the_others_change_nothing(self) -> None:
        model = OfflineModel(temperature=2.0, top_p=0.1, seed=7, presence_penalty=1.0, frequency_penalty=-1.0)
        (with_parameters,) = await ask(agent(model=model), "hello")
        (without,) = await ask(agent(), "hello")
        assert with_parameters.content == without.content


async def test_typographic_quotation_marks_are_read() -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    (run,) = await ask(agent(weather), "What\u2019s the weather in \u201cs\u00e3o paulo\u201d?")
    assert str(run.content).endswith("rain in s\u00e3o paulo")


async def test_texts_in_parts_are_read() -> None:
    parts = [{"type": "text", "text": "What is the next version?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    run = await agent(next_version).arun([Message(role="user", content=parts)])
    assert [tool.tool_name for tool in run.tools or ()] == ["next_version"]
