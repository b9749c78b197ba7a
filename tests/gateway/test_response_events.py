"""The events of an answer of /v1/responses, as clients get them for those of LiteLLM."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.types.llms.openai import (
    GenericEvent,
    InputTokensDetails,
    OutputTokensDetails,
    ResponseAPIUsage,
    ResponsesAPIResponse,
)

from agentllm.gateway.response_events import ResponseEvents, form


def event(kind: str, **more: Any) -> Any:
    return GenericEvent.model_validate({"type": f"response.{kind}", **more})


def thinks(text: str, item: str = "rs_1", place: int = 0) -> Any:
    return event("reasoning_summary_text.delta", item_id=item, output_index=place, delta=text)


def says(text: str, item: str = "msg_1", place: int = 1) -> Any:
    return event("output_text.delta", item_id=item, output_index=place, delta=text)


def item(item_id: str, kind: str = "message", **more: Any) -> Any:
    return GenericEvent.model_validate({"type": kind, "id": item_id, **more})


def sent(*events: Any) -> list[Any]:
    formed = ResponseEvents()
    return [made for one in events for made in formed.of(one)]


def kinds(events: list[Any]) -> list[str]:
    return [one.type.removeprefix("response.") for one in events]


BEGINS = ["output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"]
ENDS = ["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"]


def test_events_are_numbered_without_a_gap() -> None:
    numbers = [made.sequence_number for made in sent(event("created"), thinks("a"), says("b"), event("other"))]
    assert numbers == list(range(9))


def test_reasoning_is_an_item_with_one_part_which_ends_before_what_follows() -> None:
    events = sent(thinks("a "), thinks("b"), says("c"))
    assert kinds(events) == [*BEGINS, BEGINS[-1], *ENDS, "output_text.delta"]
    assert events[0].item == {"id": "rs_1", "type": "reasoning", "summary": []}
    assert events[5].part == {"type": "summary_text", "text": "a b"}
    assert events[6].item == {"id": "rs_1", "type": "reasoning", "summary": [events[5].part]}
    assert {one.item_id for one in events[1:6]} == {"rs_1"}
    assert {one.summary_index for one in events[1:6]} == {0}


def test_what_litellm_tells_of_the_item_of_reasoning_is_left_out() -> None:
    told = [
        event("output_item.added", item=item("rs_1", "reasoning"), output_index=0),
        event("reasoning_summary_text.done", item_id="rs_1", output_index=0, text="a"),
        event("reasoning_summary_part.done", item_id="rs_1", output_index=0),
        event("output_item.done", item=item("rs_1", "reasoning"), output_index=0),
    ]
    assert sent(*told) == []


def test_reasoning_after_other_output_is_an_item_of_its_own() -> None:
    events = sent(thinks("a"), says("b"), thinks("c"), says("d"))
    begun = [one.item["id"] for one in events if one.type.endswith("added") and hasattr(one, "item")]
    assert begun[0] == "rs_1"
    assert begun[1].startswith("rs_")
    assert begun[1] != "rs_1"
    assert [one.output_index for one in events if one.type.endswith("delta")] == [0, 1, 2, 1]


def test_a_call_s_end_has_its_name() -> None:
    added = event("output_item.added", item=item("fc_1", "function_call", name="weather"), output_index=5)
    done = event("function_call_arguments.done", item_id="fc_1", output_index=5, arguments="{}")
    events = sent(added, done)
    assert [one.output_index for one in events] == [0, 0]
    assert events[1].name == "weather"


def test_text_has_no_logprobs() -> None:
    (said,) = sent(says("a"))
    assert said.logprobs == []


def test_an_answer_ends_with_what_was_streamed_in_its_order() -> None:
    output: list[Any] = [
        {"type": "reasoning", "id": "rs_1", "content": []},
        {"type": "message", "id": "msg_1"},
        {"type": "new"},
    ]
    answer = ResponsesAPIResponse(id="resp_1", created_at=0, output=output)
    *_, last = sent(says("a"), thinks("b"), event("completed", response=answer))
    assert last.response.output == [
        {"type": "message", "id": "msg_1"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "b"}]},
        {"type": "new"},
    ]


@pytest.mark.parametrize("given", [False, True])
def test_usage_has_its_details(given: bool) -> None:
    read, written = InputTokensDetails(cached_tokens=3), OutputTokensDetails(reasoning_tokens=4)
    details: dict[str, Any] = {"input_tokens_details": read, "output_tokens_details": written} if given else {}
    usage = ResponseAPIUsage(input_tokens=5, output_tokens=6, total_tokens=11, **details)
    answer = ResponsesAPIResponse(id="resp_1", created_at=0, output=[], usage=usage)
    form(answer)
    assert answer.usage is not None
    told = answer.usage.model_dump(exclude_unset=True)
    assert told["input_tokens_details"] == {"cached_tokens": 3 if given else 0, "cache_write_tokens": 0}
    assert told["output_tokens_details"] == {"reasoning_tokens": 4 if given else 0}


def test_a_whole_answer_s_reasoning_is_a_summary() -> None:
    content = [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]
    output: list[Any] = [{"type": "reasoning", "id": "rs_1", "content": content}, {"type": "message", "id": "msg_1"}]
    answer = ResponsesAPIResponse(id="resp_1", created_at=0, output=output)
    form(answer)
    assert answer.output == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "ab"}]},
        {"type": "message", "id": "msg_1"},
    ]
