"""The executor of all agents, with runtimes in this process: which updates the events of a turn become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from a2a.client import Client
from a2a.types import CancelTaskRequest, GetTaskRequest, ListTasksRequest, StreamResponse, Task, TaskState
from a2a.utils.errors import InvalidParamsError
from google.protobuf.json_format import MessageToDict

from agentllm.conversations import Conversations
from agentllm.core import (
    Event,
    Finished,
    Media,
    Message,
    Question,
    Questions,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Turn,
    Usage,
    Work,
)
from agentllm.errors import ConversationBusy, ModelFailed
from tests.a2a.here import Here, told
from tests.conversations.speaking import Script, Speaking

BOUND = 30.0
DOT = Media("image", "image/png", b"a dot", "dot.png")


def saying(*events: Event | Exception) -> Script:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    return script


async def run(conversations: Conversations, *events: Event | Exception, stream: bool = True) -> list[StreamResponse]:
    here = await Here.open(conversations, Speaking(saying(*events)))
    async with here.client(stream=stream) as client:
        return await told(client, "hi")


def artifacts(responses: Sequence[StreamResponse]) -> list[tuple[str, bool, bool]]:
    """The texts of the updates of artifacts, whether they are appended, and whether they are the last."""
    updates = [one.artifact_update for one in responses if one.WhichOneof("payload") == "artifact_update"]
    return [("".join(part.text for part in one.artifact.parts), one.append, one.last_chunk) for one in updates]


def states(responses: Sequence[StreamResponse]) -> list[str]:
    found = []
    for one in responses:
        kind = one.WhichOneof("payload")
        if kind in ("task", "status_update"):
            found.append(TaskState.Name(getattr(one, kind).status.state).removeprefix("TASK_STATE_"))
    return found


def last(responses: Sequence[StreamResponse]) -> tuple[str, dict[str, object]]:
    """What the last update of the status says, and its metadata."""
    update = responses[-1].status_update
    text = "".join(part.text for part in update.status.message.parts)
    metadata: dict[str, object] = MessageToDict(update.metadata).get("agentllm", {})
    return text, metadata


async def test_pieces_are_appended_and_the_whole_stands_in_their_place_at_the_end(conversations: Conversations) -> None:
    answer = Finished("stop", (Message("assistant", "Hello!"),))
    responses = await run(conversations, Text("Hel"), Text(""), Text("lo!"), Usage(7, 2), answer)
    assert artifacts(responses) == [("Hel", False, False), ("lo!", True, False), ("Hello!", False, True)]
    assert states(responses) == ["SUBMITTED", "WORKING", "COMPLETED"]


async def test_a_blocking_send_gets_the_task_with_one_part(conversations: Conversations) -> None:
    (response,) = await run(conversations, Text("Hel"), Text("lo!"), Finished("stop"), stream=False)
    (artifact,) = response.task.artifacts
    assert [part.text for part in artifact.parts] == ["Hello!"]


async def test_usage_and_model_are_told_at_the_end(conversations: Conversations) -> None:
    end = Finished("length", model="openai/gpt-4o")
    _, metadata = last(await run(conversations, Text("a"), Usage(7, 2, cost=0.5), end))
    assert metadata["model"] == "openai/gpt-4o"
    assert metadata["finish_reason"] == "length"
    usage = metadata["usage"]
    assert isinstance(usage, dict)
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["cost"]) == (7, 2, 0.5)


async def test_a_picture_is_an_artifact_of_its_own(conversations: Conversations) -> None:
    responses = await run(conversations, Text("See:"), Shown(DOT), Finished("stop"))
    shown = [one.artifact_update.artifact for one in responses if one.artifact_update.artifact.name == "image"]
    assert [(part.raw, part.media_type, part.filename) for part in shown[0].parts] == [
        (b"a dot", "image/png", "dot.png")
    ]


async def test_neither_thoughts_nor_what_tools_are_given_and_give_are_told(conversations: Conversations) -> None:
    work = Work("1", "tool", "look", "started", {"what": "secret-argument"})
    done = Work("1", "tool", "look", "finished", {"what": "secret-argument"}, "secret-result")
    responses = await run(conversations, Reasoning("secret-thought"), work, done, Text("done"), Finished("stop"))
    assert states(responses) == ["SUBMITTED", "WORKING", "WORKING", "WORKING", "COMPLETED"]
    assert "look" in str(responses)
    assert "secret" not in str(responses)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_turn_fails_the_task_with_what_was_said_before(
    conversations: Conversations, stream: bool
) -> None:
    responses = await run(conversations, Text("half"), ModelFailed("It is down.", status=503), stream=stream)
    task = responses[-1].task if not stream else None
    status = task.status if task else responses[-1].status_update.status
    metadata = MessageToDict(task.metadata if task else responses[-1].status_update.metadata)["agentllm"]
    assert status.state == TaskState.TASK_STATE_FAILED
    assert status.message.parts[0].text == "It is down."
    assert metadata["error"]["status"] == 503
    if task:
        assert task.artifacts[0].parts[0].text == "half"


async def test_when_to_try_again_is_told_with_the_error(conversations: Conversations) -> None:
    _, metadata = last(await run(conversations, ConversationBusy(3, retry_after=5)))
    assert metadata["error"] == {"status": 429.0, "type": "rate_limit_error", "retry_after": 5.0}


async def test_a_message_that_cannot_be_read_makes_no_task(conversations: Conversations) -> None:
    runtime = Speaking()
    here = await Here.open(conversations, runtime)
    async with here.client() as client:
        with pytest.raises(InvalidParamsError):
            await told(client, "unreadable")
        assert (await client.list_tasks(ListTasksRequest())).total_size == 0
    assert runtime.turns == []


async def the_task(client: Client) -> Task:
    """The only task there is, once the SDK has stored it."""
    while not (tasks := (await client.list_tasks(ListTasksRequest())).tasks):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return tasks[0]


async def test_a_cancel_stops_the_agent_and_keeps_what_it_said(conversations: Conversations) -> None:
    speaks = asyncio.Event()

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text("I begin")
        speaks.set()
        await asyncio.Event().wait()

    runtime = Speaking(script)
    here = await Here.open(conversations, runtime)
    async with here.client() as client, asyncio.timeout(BOUND):
        sending = asyncio.create_task(told(client, "hi"))
        await speaks.wait()
        canceled = await client.cancel_task(CancelTaskRequest(id=(await the_task(client)).id))
        assert canceled.status.state == TaskState.TASK_STATE_CANCELED
        assert runtime.closed == 1
        assert states(await sending)[-1] == "CANCELED"
        assert [part.text for part in canceled.artifacts[0].parts] == ["I begin"]


DEPLOY = Question("d", "confirmation", "deploy", {"version": "1.2"})


async def deploying(turn: Turn) -> AsyncGenerator[Event, None]:
    """Asks before it deploys what it is told to, and says what was decided."""
    said = turn.messages[-1].content
    if turn.decisions:
        assert turn.pending is not None
        answer = f"{'deployed' if turn.decisions[0].approved else 'not deployed'} {turn.pending['what']}"
        yield Text(answer)
        yield Finished("stop", (Message("tool", answer, tool_call_id="d"), Message("assistant", answer)))
    elif said.startswith("deploy "):
        yield Questions((DEPLOY,))
        called = Message("assistant", tool_calls=(ToolCall("d", "deploy", "{}"),))
        yield Finished("stop", (called,), pending={"what": said.removeprefix("deploy ")})
    else:
        yield Text("heard")
        yield Finished("stop", (Message("assistant", "heard"),))


async def test_a_question_waits_for_the_next_message_of_its_task(conversations: Conversations) -> None:
    here = await Here.open(conversations, Speaking(deploying))
    async with here.client() as client:
        asked = await told(client, "deploy it")
        assert states(asked)[-1] == "INPUT_REQUIRED"
        said, _ = last(asked)
        assert "deploy" in said
        answered = await told(client, "yes", task=asked[0].task.id)
    assert states(answered) == ["WORKING", "COMPLETED"]
    assert artifacts(answered)[-1][0] == "deployed it"
    assert answered[-1].status_update.context_id == asked[0].task.context_id


async def test_a_yes_in_another_task_of_the_context_decides_nothing(conversations: Conversations) -> None:
    runtime = Speaking(deploying)
    here = await Here.open(conversations, runtime)
    async with here.client() as client:
        asked = await told(client, "deploy it")
        beside = await told(client, "yes", context=asked[0].task.context_id)
    assert artifacts(beside)[-1][0] == "heard"
    assert runtime.turns[-1].decisions == ()


async def test_a_yes_to_a_task_decides_its_own_question_and_not_that_of_a_later_one(
    conversations: Conversations,
) -> None:
    runtime = Speaking(deploying)
    here = await Here.open(conversations, runtime)
    async with here.client() as client:
        one = (await told(client, "deploy AAA"))[0].task
        other = (await told(client, "deploy BBB", context=one.context_id))[0].task
        stale = await told(client, "yes", task=one.id)
        assert states(stale) == ["WORKING", "FAILED"]
        assert artifacts(stale) == []
        _, metadata = last(stale)
        error = metadata["error"]
        assert isinstance(error, dict)
        assert error["status"] == 409
        assert not any(turn.decisions for turn in runtime.turns)
        assert (await client.get_task(GetTaskRequest(id=other.id))).status.state == TaskState.TASK_STATE_INPUT_REQUIRED


async def test_a_task_whose_question_the_conversation_went_past_says_so_and_runs_nothing(
    conversations: Conversations,
) -> None:
    runtime = Speaking(deploying)
    here = await Here.open(conversations, runtime)
    async with here.client() as client:
        asked = (await told(client, "deploy it"))[0].task
        await told(client, "never mind", context=asked.context_id)
        stale = await told(client, "yes", task=asked.id)
    assert states(stale) == ["WORKING", "FAILED"]
    assert [turn.messages[-1].content for turn in runtime.turns] == ["deploy it", "never mind"]


@pytest.mark.parametrize("control", ["[HOTSWAP:GET_CONFIG]", "[HOTSWAP:MODEL:red]"])
async def test_a_control_message_beside_a_task_that_waits_is_done_and_leaves_the_question_to_that_task(
    conversations: Conversations, control: str
) -> None:
    here = await Here.open(conversations, Speaking(deploying))
    async with here.client() as client:
        asked = (await told(client, "deploy it"))[0].task
        beside = await told(client, control, context=asked.context_id)
        assert states(beside) == ["SUBMITTED", "WORKING", "COMPLETED"]
        answered = await told(client, "yes", task=asked.id)
    assert artifacts(answered)[-1][0] == "deployed it"


async def test_a_control_message_of_a_task_that_waits_leaves_it_waiting(conversations: Conversations) -> None:
    here = await Here.open(conversations, Speaking(deploying))
    async with here.client() as client:
        asked = (await told(client, "deploy it"))[0].task
        config = await told(client, "[HOTSWAP:GET_CONFIG]", task=asked.id)
        assert states(config) == ["WORKING", "INPUT_REQUIRED"]
        answered = await told(client, "yes", task=asked.id)
    assert artifacts(answered)[-1][0] == "deployed it"


@pytest.mark.parametrize("refused", ["[HOTSWAP:MODEL:green]", "[HOTSWAP:X"])
async def test_a_refused_swap_is_told_and_leaves_the_task_waiting(conversations: Conversations, refused: str) -> None:
    here = await Here.open(conversations, Speaking(deploying))
    async with here.client() as client:
        asked = (await told(client, "deploy it"))[0].task
        told_of = await told(client, refused, task=asked.id)
        assert states(told_of) == ["WORKING", "INPUT_REQUIRED"]
        text, metadata = last(told_of)
        assert "Nothing was changed" in text
        assert "error" in metadata
        beside = await told(client, refused, context=asked.context_id)
        assert states(beside)[-1] == "FAILED"
        answered = await told(client, "yes", task=asked.id)
    assert states(answered) == ["WORKING", "COMPLETED"]
    assert artifacts(answered)[-1][0] == "deployed it"


async def test_a_yes_that_came_too_late_leaves_what_is_asked_now_to_be_decided(conversations: Conversations) -> None:
    here = await Here.open(conversations, Speaking(deploying))
    async with here.client() as client:
        one = (await told(client, "deploy AAA"))[0].task
        other = (await told(client, "deploy BBB", context=one.context_id))[0].task
        assert states(await told(client, "yes", task=one.id))[-1] == "FAILED"
        answered = await told(client, "yes", task=other.id)
    assert artifacts(answered)[-1][0] == "deployed BBB"


async def test_a_task_that_asks_again_is_decided_by_the_answer_to_that(conversations: Conversations) -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        if turn.decisions:
            yield Text(" ".join(str(one.approved) for one in turn.decisions))
            yield Finished("stop")
        else:
            yield Questions((DEPLOY, replace(DEPLOY, id="e")))
            yield Finished("stop", pending={})

    here = await Here.open(conversations, Speaking(script))
    async with here.client() as client:
        task = (await told(client, "deploy both"))[0].task
        assert states(await told(client, "yes", task=task.id))[-1] == "INPUT_REQUIRED"
        answered = await told(client, "no", task=task.id)
    assert artifacts(answered)[-1][0] == "True False"
