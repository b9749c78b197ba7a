"""Agents over A2A, through a running proxy and the SDK's own client: both versions, tasks and callers."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError, InvalidParamsError, TaskNotCancelableError, TaskNotFoundError
from google.protobuf.json_format import MessageToDict

from agentllm.keys import KeyFile, make_key
from tests.integration.calling import asked
from tests.integration.checks import WITHIN
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy, clean_environment
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

pytestmark = pytest.mark.timeout(300)

VERSION = pytest.mark.parametrize("version", ["1.0", "0.3"])
WAIT = 60.0
ENDED = (TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELED)


@dataclass(frozen=True)
class Place:
    """A running proxy with keys of three people, and what the agent `approving` has done."""

    proxy: Proxy
    ada: str
    bob: str
    poor: str
    did: Path

    def url(self, agent: str) -> str:
        return f"{self.proxy.url}/agentllm/a2a/{agent}"


def environment_of(folder: Path, llm: ScriptedLLM) -> dict[str, str]:
    shared = {"AGENTLLM_KEYS": str(folder / "keys.yaml"), "APPROVING_DID": str(folder / "did")}
    return {**llm_environment(llm), **shared, "AGENTLLM_SWAP_MODELS": "openai/*"}


@pytest.fixture(scope="module")
def place(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("a2a")
    (folder / "did").touch()
    file, keys = KeyFile(folder / "keys.yaml"), {}
    for name, limits in {"ada": {}, "bob": {}, "poor": {"models": ["agno/team"], "rpm": 2}}.items():
        keys[name], key = make_key(name, user=name, **limits)  # type: ignore[arg-type]
        file.add(key)
    with Proxy(folder, environment_of(folder, running_llm)) as proxy:
        yield Place(proxy, did=folder / "did", **keys)


@dataclass
class Told:
    """What a client is told of a task, put together as the protocol says."""

    task: Task = field(default_factory=Task)
    texts: list[str] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)
    work: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.artifacts.values())

    @property
    def said(self) -> str:
        """The text of the last state."""
        return "".join(part.text for part in self.task.status.message.parts)

    @property
    def state(self) -> int:
        return self.states[-1]

    def take(self, response: StreamResponse) -> None:
        match response.WhichOneof("payload"):
            case "task":
                self.task.CopyFrom(response.task)
                self.states.append(response.task.status.state)
                self.metadata = MessageToDict(response.task.metadata).get("agentllm", {})
                for artifact in response.task.artifacts:
                    self.artifacts[artifact.artifact_id] = "".join(part.text for part in artifact.parts)
            case "status_update":
                update = response.status_update
                self.task.id, self.task.context_id = update.task_id, update.context_id
                self.task.status.CopyFrom(update.status)
                self.states.append(update.status.state)
                self.metadata = MessageToDict(update.metadata).get("agentllm", {})
                if update.status.state == TaskState.TASK_STATE_WORKING and "work" in self.metadata:
                    self.work.append(self.metadata["work"])
            case "artifact_update":
                update_of = response.artifact_update
                text = "".join(part.text for part in update_of.artifact.parts)
                self.texts.append(text)
                key = update_of.artifact.artifact_id
                self.artifacts[key] = self.artifacts.get(key, "") * update_of.append + text


def message(text: str, *, context: str = "", task: str = "") -> SendMessageRequest:
    made = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)])
    made.context_id, made.task_id = context, task
    return SendMessageRequest(message=made)


def of_version(card: AgentCard, version: str) -> AgentCard:
    """`card` as one that speaks only that version."""
    spoken = [one for one in card.supported_interfaces if one.protocol_version == version]
    del card.supported_interfaces[:]
    card.supported_interfaces.extend(spoken)
    return card


@asynccontextmanager
async def client_of(
    place: Place, agent: str, key: str | None = None, *, version: str = "1.0", stream: bool = True, **more: Any
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key or place.ada}", **more.pop("headers", {})}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        card = of_version(await A2ACardResolver(http, place.url(agent)).get_agent_card(), version)
        yield ClientFactory(ClientConfig(httpx_client=http, streaming=stream, **more)).create(card)


async def send(client: Client, text: str, **where: str) -> Told:
    told = Told()
    async with asyncio.timeout(WAIT):
        async for response in client.send_message(message(text, **where)):
            told.take(response)
    return told


def new() -> str:
    return uuid.uuid4().hex


async def until(client: Client, task_id: str, *states: int) -> Task:
    """The task, once it is in one of those states."""
    async with asyncio.timeout(WAIT):
        while (task := await client.get_task(GetTaskRequest(id=task_id))).status.state not in states:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return task


# Cards


async def test_a_card_is_read_without_a_key_and_leads_to_the_agent(place: Place) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        card = await A2ACardResolver(http, place.url("echo")).get_agent_card()
    assert (card.name, card.capabilities.streaming) == ("echo", True)
    assert {one.protocol_version for one in card.supported_interfaces} == {"1.0", "0.3"}
    assert {one.url for one in card.supported_interfaces} == {place.url("echo")}
    assert card.security_schemes["bearer"].http_auth_security_scheme.scheme == "bearer"
    assert [skill.description for skill in card.skills] == ["Says what it was told, through OpenAI's API."]


async def test_there_is_no_card_of_an_agent_that_is_not_there(place: Place) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        response = await http.get(f"{place.url('nobody')}/.well-known/agent-card.json")
        assert response.status_code == 404
        assert "nobody" in response.json()["error"]["message"]


# Messages


@VERSION
async def test_a_message_is_answered_whole(place: Place, llm: ScriptedLLM, version: str) -> None:
    llm.script(Reply("Hello, Ada."), model="gpt-scripted")
    async with client_of(place, "echo", version=version, stream=False) as client:
        told = await send(client, "hi")
    assert (told.text, told.state) == ("Hello, Ada.", TaskState.TASK_STATE_COMPLETED)
    assert [len(artifact.parts) for artifact in told.task.artifacts] == [1]
    assert told.metadata["usage"]["completion_tokens"] > 0
    assert told.metadata["finish_reason"] == "stop"
    assert asked(llm) == [("user", "hi")]


@VERSION
async def test_a_stream_tells_the_answer_piece_by_piece(place: Place, llm: ScriptedLLM, version: str) -> None:
    async with client_of(place, "echo", version=version) as client:
        told = await send(client, "!pace 50\n!tokens 40")
    whole = " ".join(f"w{number}" for number in range(40))
    *pieces, last = told.texts
    assert len(pieces) > 4
    assert "".join(pieces) == last == told.text == whole
    assert told.states[0] == TaskState.TASK_STATE_SUBMITTED
    assert told.state == TaskState.TASK_STATE_COMPLETED


async def test_rest_is_served_too(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply("by REST"), Reply("and again"), model="gpt-scripted")
    rest = ["HTTP+JSON"]
    async with client_of(place, "echo", supported_protocol_bindings=rest) as client:
        told = await send(client, "hi")
        assert told.text == "by REST"
        again = await client.get_task(GetTaskRequest(id=told.task.id))
        assert again.status.state == TaskState.TASK_STATE_COMPLETED
    async with client_of(place, "echo", version="0.3", stream=False, supported_protocol_bindings=rest) as client:
        assert (await send(client, "hi")).text == "and again"


@VERSION
async def test_a_task_is_found_again(place: Place, version: str) -> None:
    async with client_of(place, "echo", version=version) as client:
        told = await send(client, "remember this")
        task = await client.get_task(GetTaskRequest(id=told.task.id))
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert [part.text for message in task.history for part in message.parts] == ["remember this"]
    assert "".join(part.text for artifact in task.artifacts for part in artifact.parts) == told.text


async def test_a_context_goes_on(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply("one"), Reply("two"), model="gpt-scripted")
    context = new()
    async with client_of(place, "echo") as client:
        first = await send(client, "first", context=context)
        second = await send(client, "second", context=first.task.context_id)
    assert first.task.context_id == second.task.context_id == context
    assert first.task.id != second.task.id
    assert asked(llm) == [("user", "first"), ("assistant", "one"), ("user", "second")]


async def test_a_message_without_a_context_begins_one(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply("one"), Reply("two"), model="gpt-scripted")
    async with client_of(place, "echo") as client:
        contexts = {(await send(client, "hi")).task.context_id for _ in range(2)}
    assert len(contexts) == 2
    assert asked(llm) == [("user", "hi")]


async def test_what_tools_do_is_told_without_arguments_and_results(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall("add", '{"a": 40, "b": 2}', "call-1")), "It is 42.", model="gpt-tooled")
    async with client_of(place, "tooled") as client:
        told = await send(client, "add")
        task = await client.get_task(GetTaskRequest(id=told.task.id))
    assert [(work["name"], work["status"]) for work in told.work] == [("add", "started"), ("add", "finished")]
    assert told.text == "It is 42."
    assert all("arguments" not in work and "result" not in work for work in told.work)
    kept = MessageToDict(task.metadata)["agentllm"]
    assert [work["status"] for work in kept["work"]] == ["finished"]


async def test_a_picture_is_taken_and_kept_out_of_the_history(place: Place, llm: ScriptedLLM) -> None:
    png = (Path(__file__).parent / "agents" / "painter.py").read_text().split('b64decode(\n    "')[1].split('"')[0]
    request = message("look")
    request.message.parts.append(Part(raw=base64.b64decode(png), media_type="image/png", filename="dot.png"))
    told = Told()
    async with client_of(place, "echo") as client:
        async for response in client.send_message(request):
            told.take(response)
    assert told.state == TaskState.TASK_STATE_COMPLETED
    sent = llm.requests()[-1].body["messages"][-1]["content"]
    assert any(part["type"] == "image_url" for part in sent)
    history = told.task.history[0]
    assert history.parts[0].text == "look"
    assert "dot.png" in history.parts[1].text


async def test_a_message_s_metadata_sets_model_and_prompt_for_its_context(place: Place, llm: ScriptedLLM) -> None:
    request = message("hi", context=new())
    request.message.metadata.update({"agentllm": {"model": "openai/gpt-4o", "prompt": "Be kind."}})
    async with client_of(place, "echo") as client:
        responses = [response async for response in client.send_message(request)]
        (sent,) = llm.requests()
        assert sent.model == "gpt-4o"
        assert sent.body["messages"][0]["content"] == "Be kind."
        await send(client, "and now?", context=request.message.context_id)
        assert llm.requests()[-1].model == "gpt-4o"
        await send(client, "and elsewhere?")
        assert llm.requests()[-1].model == "gpt-scripted"
    assert "Be kind." not in str(responses[-1])


# What goes wrong


async def test_a_failed_task_tells_the_error_and_its_status(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply.failing(401), model="gpt-scripted")
    async with client_of(place, "echo") as client:
        told = await send(client, "hi")
    assert told.state == TaskState.TASK_STATE_FAILED
    assert told.metadata["error"]["status"] == 401
    assert told.said
    assert "Traceback" not in told.said


async def test_a_message_that_says_nothing_makes_no_task(place: Place) -> None:
    async with client_of(place, "echo") as client:
        before = (await client.list_tasks(ListTasksRequest())).total_size
        with pytest.raises(InvalidParamsError):
            await send(client, " ")
        assert (await client.list_tasks(ListTasksRequest())).total_size == before


@VERSION
async def test_a_file_that_is_not_what_it_says_is_refused(place: Place, version: str) -> None:
    request = message("look")
    request.message.parts.append(Part(raw=b"no picture", media_type="image/png"))
    async with client_of(place, "echo", version=version) as client:
        with pytest.raises(A2AError):
            async for _ in client.send_message(request):
                pass


@pytest.mark.parametrize("key", ["sk-wrong", ""])
async def test_a_wrong_key_is_refused(place: Place, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        for path in ("", "/message:send", "/tasks"):
            response = await http.post(place.url("echo") + path, json=body)
            assert response.status_code == 401
        assert (await http.get(f"{place.url('echo')}/tasks/x")).status_code == 401


async def test_a_key_reaches_only_the_agents_whose_models_it_is_for(place: Place) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}, "model": "agno/team"}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {place.poor}"}, timeout=30) as http:
        refused = await http.post(f"{place.url('echo')}?model=agno/team", json=body)
        assert refused.status_code in (401, 403)
        assert (await http.post(place.url("team"), json=body)).status_code == 200


async def test_a_key_may_send_as_often_as_its_rate_allows(place: Place, llm: ScriptedLLM) -> None:
    async with client_of(place, "team", place.poor) as client:
        for _ in range(2):
            assert (await send(client, "hi")).state == TaskState.TASK_STATE_COMPLETED
        with pytest.raises(A2AError):
            await send(client, "hi")


async def test_an_agent_that_is_not_there_is_not_found(place: Place) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {place.ada}"}, timeout=30) as http:
        response = await http.post(place.url("nobody"), json={})
        assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


async def test_what_is_no_request_is_answered_as_json_rpc_has_it(place: Place) -> None:
    headers = {"Authorization": f"Bearer {place.ada}", "A2A-Version": "1.0"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        broken = await http.post(place.url("echo"), content=b"{not json of secret-7261")
        unknown = await http.post(place.url("echo"), json={"jsonrpc": "2.0", "id": 1, "method": "secret-7261"})
        wrong = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": "secret-7261"}}
        badly = await http.post(place.url("echo"), json=wrong)
    assert [one.json()["error"]["code"] for one in (broken, unknown, badly)] == [-32700, -32601, -32602]
    assert "secret-7261" not in place.proxy.log


# Whose tasks they are


async def test_two_callers_with_one_context_never_meet(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply("for ada"), Reply("for bob"), model="gpt-scripted")
    context = new()
    async with client_of(place, "echo") as ada, client_of(place, "echo", place.bob) as bob:
        of_ada = await send(ada, "secret of ada", context=context)
        of_bob = await send(bob, "and I?", context=context)
        assert asked(llm) == [("user", "and I?")]
        for client, other in ((bob, of_ada), (ada, of_bob)):
            with pytest.raises(TaskNotFoundError):
                await client.get_task(GetTaskRequest(id=other.task.id))
            with pytest.raises(TaskNotFoundError):
                await client.cancel_task(CancelTaskRequest(id=other.task.id))
            with pytest.raises(TaskNotFoundError):
                await send(client, "hi", task=other.task.id, context=context)
        listed = await bob.list_tasks(ListTasksRequest(context_id=context, include_artifacts=True))
    assert [task.id for task in listed.tasks] == [of_bob.task.id]
    assert "secret of ada" not in place.proxy.log


async def test_a_task_is_found_at_its_own_agent_only(place: Place) -> None:
    async with client_of(place, "echo") as echo, client_of(place, "team") as team:
        told = await send(echo, "hi")
        with pytest.raises(TaskNotFoundError):
            await team.get_task(GetTaskRequest(id=told.task.id))


async def test_a_person_that_a_front_end_forwards_has_their_own_tasks(place: Place) -> None:
    async with (
        client_of(place, "echo", Proxy.key, headers={"x-openwebui-user-id": "carol"}) as carol,
        client_of(place, "echo", Proxy.key, headers={"x-openwebui-user-id": "dave"}) as dave,
    ):
        told = await send(carol, "hi")
        assert (await carol.get_task(GetTaskRequest(id=told.task.id))).id == told.task.id
        with pytest.raises(TaskNotFoundError):
            await dave.get_task(GetTaskRequest(id=told.task.id))


async def test_twenty_contexts_at_once_do_not_mix(place: Place, llm: ScriptedLLM) -> None:
    async def talk(number: int) -> None:
        key, context = (place.ada, place.bob)[number % 2], f"context-{number // 2}-{run}"
        async with client_of(place, "echo", key, version=("1.0", "0.3")[number // 2 % 2]) as client:
            for turn in range(3):
                told = await send(client, f"I am {number} in turn {turn} of {run}", context=context)
                assert told.state == TaskState.TASK_STATE_COMPLETED

    run = new()
    async with asyncio.timeout(120):
        await asyncio.gather(*map(talk, range(20)))
    seen = [[m["content"] for m in request.body["messages"] if m["role"] == "user"] for request in llm.requests()]
    assert len(seen) == 60
    for said in seen:
        assert len({text.partition(" in turn ")[0] for text in said}) == 1
        assert [text.partition(" in turn ")[2] for text in said] == [f"{n} of {run}" for n in range(len(said))]


# Tasks that end early


@VERSION
async def test_a_task_that_is_canceled_stops_its_agent(place: Place, llm: ScriptedLLM, version: str) -> None:
    told, asked_at = Told(), 0.0
    async with client_of(place, "echo", version=version) as client, client_of(place, "echo", version=version) as other:
        async for response in client.send_message(message("!pace 20\n!tokens 200")):
            told.take(response)
            if len(told.texts) == 3:
                asked_at = time.monotonic()
                canceled = await other.cancel_task(CancelTaskRequest(id=told.task.id))
                assert canceled.status.state == TaskState.TASK_STATE_CANCELED
        assert told.state == TaskState.TASK_STATE_CANCELED
        (request,) = await llm.wait_for_async(lambda seen: len(seen) == 1 and not seen[0].open)
        assert request.disconnected_at is not None
        assert request.disconnected_at - asked_at < WITHIN
        task = await other.get_task(GetTaskRequest(id=told.task.id))
        assert task.status.state == TaskState.TASK_STATE_CANCELED
        assert [len(artifact.parts) for artifact in task.artifacts] == [1]
        with pytest.raises(TaskNotCancelableError):
            await other.cancel_task(CancelTaskRequest(id=told.task.id))


async def test_a_client_that_leaves_does_not_lose_the_task(place: Place) -> None:
    told = Told()
    async with client_of(place, "echo") as client:
        async for response in client.send_message(message("!pace 50\n!tokens 50")):
            told.take(response)
            if told.texts:
                break
    async with client_of(place, "echo") as client:
        task = await until(client, told.task.id, *ENDED)
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.artifacts[0].parts[0].text.endswith("w49")


# Approvals


async def test_an_approval_is_asked_for_and_the_next_message_of_the_task_gives_it(
    place: Place, llm: ScriptedLLM
) -> None:
    deploy = ToolCall("deploy", '{"version": "1.2"}', "call-1")
    llm.script(Reply("Here we go.", tool_calls=(deploy,)), "All is done.", model="gpt-approving")
    place.did.write_text("")
    async with client_of(place, "approving") as client:
        told = await send(client, "ship it")
        assert told.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert "deploy" in told.said
        assert place.did.read_text() == ""
        waiting = await client.get_task(GetTaskRequest(id=told.task.id))
        assert waiting.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        done = await send(client, "yes", task=told.task.id, context=told.task.context_id)
        task = await client.get_task(GetTaskRequest(id=told.task.id))
    assert (done.state, done.text) == (TaskState.TASK_STATE_COMPLETED, "All is done.")
    assert place.did.read_text() == "deployed 1.2\n"
    assert [m.parts[0].text for m in task.history if m.role == Role.ROLE_USER] == ["ship it", "yes"]


async def test_a_message_beside_the_task_approves_nothing(place: Place, llm: ScriptedLLM) -> None:
    deploy = ToolCall("deploy", '{"version": "1.3"}', "call-1")
    llm.script(Reply("", tool_calls=(deploy,)), "As you wish.", model="gpt-approving")
    place.did.write_text("")
    async with client_of(place, "approving") as client:
        told = await send(client, "ship it")
        await client.cancel_task(CancelTaskRequest(id=told.task.id))
        other = await send(client, "yes", context=told.task.context_id)
    assert (other.state, other.text) == (TaskState.TASK_STATE_COMPLETED, "As you wish.")
    assert place.did.read_text() == ""


async def test_a_yes_to_a_task_runs_only_what_that_task_asked_about(place: Place, llm: ScriptedLLM) -> None:
    calls = [ToolCall("deploy", f'{{"version": "{version}"}}', version) for version in ("AAA", "BBB")]
    llm.script(Reply.calling(calls[0]), Reply.calling(calls[1]), "All is done.", model="gpt-approving")
    place.did.write_text("")
    async with client_of(place, "approving") as client:
        one = await send(client, "deploy AAA", context=new())
        other = await send(client, "deploy BBB", context=one.task.context_id)
        assert one.state == other.state == TaskState.TASK_STATE_INPUT_REQUIRED
        stale = await send(client, "yes", task=one.task.id, context=one.task.context_id)
        assert (stale.state, stale.metadata["error"]["status"]) == (TaskState.TASK_STATE_FAILED, 409)
        assert place.did.read_text() == ""
        done = await send(client, "yes", task=other.task.id)
    assert (done.state, done.text) == (TaskState.TASK_STATE_COMPLETED, "All is done.")
    assert place.did.read_text() == "deployed BBB\n"


@pytest.mark.parametrize(("refused", "status"), [("[HOTSWAP:MODEL:nope]", 403), ("[HOTSWAP:X", 400)])
async def test_a_refused_swap_is_told_and_the_task_goes_on_waiting(
    place: Place, llm: ScriptedLLM, refused: str, status: int
) -> None:
    deploy = ToolCall("deploy", '{"version": "1.5"}', "call-1")
    llm.script(Reply.calling(deploy), "All is done.", model="gpt-approving")
    place.did.write_text("")
    async with client_of(place, "approving") as client:
        waiting = await send(client, "ship it", context=new())
        told = await send(client, refused, task=waiting.task.id)
        assert (told.state, told.metadata["error"]["status"]) == (TaskState.TASK_STATE_INPUT_REQUIRED, status)
        assert "Nothing was changed" in told.said
        done = await send(client, "yes", task=waiting.task.id)
    assert (done.state, done.text) == (TaskState.TASK_STATE_COMPLETED, "All is done.")
    assert place.did.read_text() == "deployed 1.5\n"


async def test_a_control_message_beside_a_task_that_waits_approves_nothing_and_ends(
    place: Place, llm: ScriptedLLM
) -> None:
    deploy = ToolCall("deploy", '{"version": "1.4"}', "call-1")
    llm.script(Reply.calling(deploy), "All is done.", model="gpt-approving")
    place.did.write_text("")
    async with client_of(place, "approving") as client:
        waiting = await send(client, "ship it", context=new())
        config = await send(client, "[HOTSWAP:GET_CONFIG]", context=waiting.task.context_id)
        assert config.state == TaskState.TASK_STATE_COMPLETED
        with pytest.raises(A2AError):
            await send(client, "yes", task=config.task.id)
        assert place.did.read_text() == ""
        done = await send(client, "yes", task=waiting.task.id)
    assert (done.state, done.text) == (TaskState.TASK_STATE_COMPLETED, "All is done.")
    assert place.did.read_text() == "deployed 1.4\n"


# Repeated requests


async def test_a_request_that_is_repeated_under_its_key_runs_no_agent_again(place: Place, llm: ScriptedLLM) -> None:
    llm.script(Reply("once"), Reply("twice"), model="gpt-scripted")
    async with client_of(place, "echo", headers={"Idempotency-Key": new()}) as client:
        first, second = [await send(client, "hi") for _ in range(2)]
    assert first.text == second.text == "once"
    assert first.task.context_id == second.task.context_id
    assert len(llm.requests()) == 1


# Restarts


async def test_tasks_outlive_the_proxy_and_those_that_ran_are_failed(running_llm: ScriptedLLM, tmp_path: Path) -> None:
    running_llm.reset()
    (tmp_path / "did").touch()
    running_llm.script(Reply.calling(ToolCall("deploy", '{"version": "2"}', "call-1")), "Done.", model="gpt-approving")
    environment = environment_of(tmp_path, running_llm)
    key = Proxy.key
    with Proxy(tmp_path, environment) as proxy:
        place = Place(proxy, key, key, key, tmp_path / "did")
        async with client_of(place, "echo") as client:
            done = await send(client, "hi")
        async with client_of(place, "approving") as client:
            waiting = await send(client, "ship it")
        broken = Told()
        async with client_of(place, "echo") as client:
            async for response in client.send_message(message("!pace 20\n!tokens 200")):
                broken.take(response)
                if len(broken.texts) == 2:
                    break
        proxy.kill()
    with Proxy(tmp_path, environment) as proxy:
        place = Place(proxy, key, key, key, tmp_path / "did")
        async with client_of(place, "echo") as client:
            assert (await client.get_task(GetTaskRequest(id=done.task.id))).artifacts[0].parts[0].text == done.text
        async with client_of(place, "echo") as client:
            task = await until(client, broken.task.id, *ENDED)
            assert task.status.state == TaskState.TASK_STATE_FAILED
            assert task.status.message.parts[0].text
        async with client_of(place, "approving") as client:
            went_on = await send(client, "yes", task=waiting.task.id)
        assert (went_on.state, went_on.text) == (TaskState.TASK_STATE_COMPLETED, "Done.")
        assert json.dumps("deployed 2") in json.dumps(place.did.read_text().splitlines())


# Without the extra


def test_without_the_extra_the_proxy_serves_chats_as_ever(running_llm: ScriptedLLM, tmp_path: Path) -> None:
    running_llm.reset()
    (tmp_path / "did").touch()
    (tmp_path / "sitecustomize.py").write_text('import sys\n\nsys.modules["a2a"] = None\n')
    environment = {**environment_of(tmp_path, running_llm), "PYTHONPATH": str(tmp_path)}
    headers = {"Authorization": f"Bearer {Proxy.key}"}
    with Proxy(tmp_path, environment) as proxy, httpx.Client(base_url=proxy.url, headers=headers, timeout=30) as http:
        body = {"model": "agno/echo", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert http.get("/agentllm/a2a/echo/.well-known/agent-card.json").status_code == 404
        assert http.post("/agentllm/a2a/echo", json={}).status_code in (404, 405)
    program = Path(sys.executable).with_name("agentllm")
    arguments = [str(program), "hotswap", "--url", proxy.url, "--config"]
    done = subprocess.run(
        arguments, env=clean_environment(PYTHONPATH=str(tmp_path)), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "agentllm[a2a]" in done.stderr
