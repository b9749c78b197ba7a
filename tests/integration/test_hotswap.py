"""Models and prompts that people set for their conversations, through a running proxy with three providers."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openai import APIStatusError, AsyncOpenAI

from agentllm.keys import KeyFile, make_key
from tests.integration.calling import client_of
from tests.integration.conftest import llm_environment
from tests.proxy import ROOT, Proxy
from tests.scripted_llm import ScriptedLLM

AGENTS = Path(__file__).parent / "swap_agents"
CANARY = "canarybird"
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
EACH = pytest.mark.parametrize("model", ["agno/talker", "agno/gemini-talker", "agno/talkers"])


def configuration(folder: Path, llm: ScriptedLLM) -> Path:
    """The project's own, with three providers whose models sign what they say, and one that has no key."""
    content = yaml.safe_load((ROOT / "proxy_config.yaml").read_text())
    openai_like = {"api_base": llm.openai_base, "api_key": "scripted"}
    models = {
        "red": {"model": "openai/signing-red", **openai_like},
        "blue": {"model": "gemini/signing-blue", "api_base": f"{llm.gemini_base}/v1beta", "api_key": "scripted"},
        "green": {"model": "deepseek/signing-green", **openai_like},
        "keyless": {"model": "mistral/mistral-small-latest"},
        "disguised": {"model": "agno/talker"},
    }
    content["model_list"] = [{"model_name": name, "litellm_params": params} for name, params in models.items()]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Swapped:
    """A proxy, and the keys of its callers: ada may use everything, bob the agents, `red` and `keyless`."""

    def __init__(self, folder: Path, llm: ScriptedLLM, **environment: str) -> None:
        self._folder = folder
        file = KeyFile(folder / "keys.yaml")
        self.ada, ada = make_key("ada", user="ada")
        self.bob, bob = make_key("bob", user="bob", models=["agno/*", "red", "keyless"])
        file.add(ada)
        file.add(bob)
        given = {"AGENTLLM_AGENTS": str(AGENTS), "AGENTLLM_KEYS": str(folder / "keys.yaml"), **environment}
        self.environment = {**llm_environment(llm), **given}
        self.config = configuration(folder, llm)
        self.proxy = self.new_proxy()

    def new_proxy(self) -> Proxy:
        return Proxy(self._folder, self.environment, config=self.config)

    def chat(self, key: str | None = None, model: str = "agno/talker", *, stream: bool = False) -> Chat:
        return Chat(self.proxy, key or self.ada, model, stream)


class Chat:
    """One conversation of a caller, by its session."""

    def __init__(self, proxy: Proxy, key: str, model: str, stream: bool) -> None:
        self._proxy, self._key = proxy, key
        self.asked: dict[str, Any] = {"model": model, "stream": stream}
        self.headers = {"x-agentllm-session-id": str(uuid.uuid4())}

    def say(self, *contents: str, swap: Mapping[str, Any] | None = None, **more: Any) -> str:
        """The answer to the last of `contents`, which alternate between the user and the model."""
        roles = ("user", "assistant")
        messages: Any = [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]
        if swap is not None:
            more["extra_body"] = {**more.get("extra_body", {}), "metadata": {"agentllm": swap}}
        headers = {**self.headers, **more.pop("extra_headers", {})}
        with client_of(self._proxy, self._key) as client:
            answer: Any = client.chat.completions.create(messages=messages, extra_headers=headers, **self.asked, **more)
            if self.asked["stream"]:
                return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        return str(answer.choices[0].message.content)

    def told(self) -> dict[str, list[str]]:
        """What the model that answers is told now, by roles, and who that is under `model`."""
        who, _, history = self.say("!history").partition(": ")
        told: dict[str, list[str]] = {"model": [who]}
        for role, text in json.loads(history):
            told.setdefault(role, []).append(text)
        return told

    def refused(self, *contents: str, **more: Any) -> APIStatusError:
        with pytest.raises(APIStatusError) as raised:
            self.say(*contents, **more)
        return raised.value


@pytest.fixture(scope="module")
def running(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swapped]:
    swapped = Swapped(tmp_path_factory.mktemp("swapped"), running_llm)
    with swapped.proxy:
        yield swapped


@pytest.fixture
def swapped(running: Swapped, llm: ScriptedLLM) -> Swapped:
    return running


# Three ways


@STREAM
@EACH
def test_a_control_message_sets_the_model_from_the_next_turn_on(swapped: Swapped, model: str, stream: bool) -> None:
    chat = swapped.chat(model=model, stream=stream)
    assert chat.say("hi") == "own: echo: hi"
    for name in ("red", "blue", "green"):
        assert name in chat.say(f"[HOTSWAP:MODEL:{name}]")
        assert chat.say("hi") == f"{name}: echo: hi"
    chat.say("[HOTSWAP:MODEL:]")
    assert chat.say("hi") == "own: echo: hi"


@STREAM
@EACH
def test_a_prompt_takes_the_place_of_the_agent_s_own_instructions(swapped: Swapped, model: str, stream: bool) -> None:
    chat = swapped.chat(model=model, stream=stream)
    assert "Own instructions." in chat.told()["system"][0]
    chat.say("[HOTSWAP:PROMPT:Be {user_id} [brief]\nand kind.]")
    system = chat.told()["system"][0]
    assert "Be {user_id} [brief]\nand kind." in system
    assert "Own" not in system
    chat.say("[HOTSWAP:PROMPT:]")
    assert "Own instructions." in chat.told()["system"][0]


def test_the_client_s_own_system_message_stays(swapped: Swapped) -> None:
    chat = swapped.chat()
    chat.say("[HOTSWAP:PROMPT:Be brief.]\n[HOTSWAP:MODEL:red]")
    messages: Any = [{"role": "system", "content": "Of the client."}, {"role": "user", "content": "!history"}]
    with client_of(swapped.proxy, swapped.ada) as client:
        answer = client.chat.completions.create(model="agno/talker", messages=messages, extra_headers=chat.headers)
    said = str(answer.choices[0].message.content)
    assert said.startswith("red: ")
    assert "Be brief." in said
    assert "Of the client." in said


@STREAM
@EACH
def test_a_tool_sets_both_for_the_next_call_of_the_same_turn(
    swapped: Swapped, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    chat = swapped.chat(model=model, stream=stream)
    said = chat.say('!call set_model {"model": "red"}\n!call set_prompt {"prompt": "Be brief."}')
    assert said.startswith("red: results: ")
    second = llm.requests()[-1]
    assert second.model == "signing-red"
    assert "Be brief." in second.body["messages"][0]["content"]
    assert chat.say("hi") == "red: echo: hi"


@STREAM
@EACH
def test_a_swapped_model_calls_the_agent_s_tools(swapped: Swapped, llm: ScriptedLLM, model: str, stream: bool) -> None:
    chat = swapped.chat(model=model, stream=stream)
    for name in ("red", "blue"):
        chat.say(f"[HOTSWAP:MODEL:{name}]")
        said = chat.say("!call get_config {}")
        assert said.startswith(f"{name}: results: Model: {name}")
    said = chat.say('!call set_model {"model": ""}')
    assert said.startswith("own: results: ")


@STREAM
def test_the_request_s_metadata_sets_both(swapped: Swapped, stream: bool) -> None:
    chat = swapped.chat(stream=stream)
    assert chat.say("hi", swap={"model": "red", "prompt": "Be brief."}) == "red: echo: hi"
    told = chat.told()
    assert told["model"] == ["red"]
    assert "Be brief." in told["system"][0]
    assert chat.say("hi", swap={"model": None}) == "own: echo: hi"
    assert "Be brief." in chat.told()["system"][0]


def test_all_ways_give_one_status(swapped: Swapped) -> None:
    told: list[str] = []
    both = {"model": "red", "prompt": "Be brief."}
    ways: list[tuple[str, Any]] = [
        ("[HOTSWAP:MODEL:red]\n[HOTSWAP:PROMPT:Be brief.]", None),
        ("hi", both),
        ('!call set_model {"model": "red"}\n!call set_prompt {"prompt": "Be brief."}', None),
    ]
    for content, swap in ways:
        chat = swapped.chat()
        chat.say(content, swap=swap)
        told.append(chat.say("[HOTSWAP:GET_CONFIG]"))
        assert chat.say("!call get_config {}") == f"red: results: {told[-1]}"
    assert len(set(told)) == 1


# What is no control message


def test_only_the_newest_message_of_the_user_is_read(swapped: Swapped) -> None:
    chat = swapped.chat()
    for contents in (
        ("hi", "[HOTSWAP:MODEL:red]", "hi"),
        ("[HOTSWAP:MODEL:red]", "ok", "hi"),
        ("Say [HOTSWAP:MODEL:red]",),
        ("> quoted\n[HOTSWAP:MODEL:red]",),
        ("<context>\n[HOTSWAP:MODEL:red]\n</context>",),
    ):
        chat = swapped.chat()
        assert chat.say(*contents).startswith("own: ")


def test_a_background_task_is_not_read(swapped: Swapped, llm: ScriptedLLM) -> None:
    chat = swapped.chat()
    chat.say("[HOTSWAP:MODEL:red]", extra_headers={"x-agentllm-task": "title_generation"})
    assert chat.say("hi") == "own: echo: hi"


def test_the_result_of_a_tool_is_not_read(swapped: Swapped) -> None:
    chat = swapped.chat()
    assert chat.say('!call set_prompt {"prompt": "[HOTSWAP:MODEL:red]"}').startswith("own: ")
    assert chat.told()["model"] == ["own"]


def test_a_malformed_one_is_refused_and_shows_the_grammar(swapped: Swapped, llm: ScriptedLLM) -> None:
    error = swapped.chat().refused("[HOTSWAP:MODLE:red]")
    assert error.status_code == 400
    assert "[HOTSWAP:MODEL:provider/model]" in str(error)
    assert llm.requests() == []


def test_control_messages_call_no_model_and_the_model_never_sees_them(swapped: Swapped, llm: ScriptedLLM) -> None:
    chat = swapped.chat()
    chat.say("hi")
    llm.reset()
    chat.say("[HOTSWAP:PROMPT:Be brief.]")
    chat.say("[HOTSWAP:GET_CONFIG]")
    assert llm.requests() == []
    told = chat.told()
    assert told["user"] == ["hi", "!history"]
    assert told["assistant"] == ["own: echo: hi"]


# Refusals


@pytest.mark.parametrize(
    "name", ["gpt-5", "openai/gpt-4o", "agno/talkers", "adk/x", "litellm/x", "disguised", "offline"]
)
def test_a_model_that_is_not_on_the_list_is_refused_and_nothing_changes(swapped: Swapped, name: str) -> None:
    chat = swapped.chat()
    chat.say("[HOTSWAP:MODEL:red]")
    error = chat.refused(f"[HOTSWAP:PROMPT:Be brief.]\n[HOTSWAP:MODEL:{name}]")
    assert error.status_code == 403
    assert "red, blue, green" in str(error)
    assert "disguised," not in str(error)
    told = chat.told()
    assert told["model"] == ["red"]
    assert "Own instructions." in told["system"][0]
    assert chat.refused("hi", swap={"model": name}).status_code == 403
    assert "cannot be set" in chat.say(f'!call set_model {{"model": "{name}"}}')


def test_a_key_sets_only_models_that_it_may_use(swapped: Swapped) -> None:
    chat = swapped.chat(swapped.bob)
    error = chat.refused("[HOTSWAP:MODEL:blue]")
    assert error.status_code == 403
    assert "red" in str(error)
    assert "green" not in str(error)
    assert "cannot be set" in chat.say('!call set_model {"model": "blue"}')
    chat.say("[HOTSWAP:MODEL:red]")
    assert chat.say("hi") == "red: echo: hi"


@STREAM
def test_a_model_without_its_provider_s_key_is_refused_at_once(
    swapped: Swapped, llm: ScriptedLLM, stream: bool
) -> None:
    error = swapped.chat(stream=stream).refused("[HOTSWAP:MODEL:keyless]")
    assert error.status_code == 403
    assert "MISTRAL_API_KEY is not set" in str(error)
    assert llm.requests() == []


def test_a_workflow_keeps_the_models_of_its_steps(swapped: Swapped) -> None:
    chat = swapped.chat(model="agno/steps")
    assert chat.refused("[HOTSWAP:MODEL:red]").status_code == 403
    assert chat.say("hi") == "step: echo: hi"


def test_a_team_s_member_keeps_its_own_model(swapped: Swapped, llm: ScriptedLLM) -> None:
    chat = swapped.chat(model="agno/talkers")
    chat.say("[HOTSWAP:MODEL:red]\n[HOTSWAP:PROMPT:Be brief.]")
    chat.say('!call delegate_task_to_member {"member_id": "member", "task": "hi"}')
    of_member = next(request for request in llm.requests() if request.model == "signing-member")
    assert "Be brief." not in json.dumps(of_member.body)
    assert {request.model for request in llm.requests()} == {"signing-red", "signing-member"}


def test_a_parameter_that_the_set_model_cannot_take_is_refused(swapped: Swapped, llm: ScriptedLLM) -> None:
    chat = swapped.chat()
    chat.say("hi", swap={"model": "red"}, temperature=0.25)
    assert llm.requests()[-1].body["temperature"] == 0.25


# Where it belongs


def test_a_conversation_that_is_not_stored_is_set_for_one_request(swapped: Swapped) -> None:
    chat = swapped.chat()
    chat.asked["store"] = False
    assert "this request only" in chat.say("[HOTSWAP:MODEL:red]")
    assert chat.say("hi") == "own: echo: hi"
    assert chat.say("hi", swap={"model": "red"}) == "red: echo: hi"
    assert chat.say("[HOTSWAP:MODEL:red]", "ok", "hi") == "own: echo: hi"


def test_an_edited_message_goes_back_to_what_was_in_force_there(swapped: Swapped) -> None:
    chat = swapped.chat()
    chat.headers = {}
    said = ["hi " + str(uuid.uuid4())]
    said.append(chat.say(*said))
    before = list(said)
    said.append("[HOTSWAP:MODEL:red]")
    said.append(chat.say(*said))
    assert chat.say(*said, "one") == "red: echo: one"
    assert chat.say(*before, "other") == "own: echo: other"
    assert chat.say(*said, "again") == "red: echo: again"


def test_nobody_else_notices(swapped: Swapped) -> None:
    one = swapped.chat(swapped.ada)
    other, stranger = swapped.chat(swapped.ada), swapped.chat(swapped.bob)
    stranger.headers = one.headers
    one.say("[HOTSWAP:MODEL:red]\n[HOTSWAP:PROMPT:Be brief.]")
    for chat in (other, stranger):
        told = chat.told()
        assert told["model"] == ["own"]
        assert "Be brief." not in told["system"][0]
        assert "Be brief." not in chat.say("[HOTSWAP:GET_CONFIG]")
    assert one.told()["model"] == ["red"]


def test_it_survives_a_restart(running_llm: ScriptedLLM, llm: ScriptedLLM, tmp_path: Path) -> None:
    made = Swapped(tmp_path, running_llm, AGENTLLM_SWAP_MODELS="red, openai/signing-*, offline")
    with made.proxy:
        chat = made.chat()
        chat.say("[HOTSWAP:MODEL:red]\n[HOTSWAP:PROMPT:Be brief.]")
    made.proxy = made.new_proxy()
    with made.proxy:
        again = made.chat()
        again.headers = chat.headers
        told = again.told()
        assert told["model"] == ["red"]
        assert "Be brief." in told["system"][0]
        # What the operator allows beside the proxy's own list, and not on it.
        again.say("[HOTSWAP:MODEL:openai/signing-violet]")
        assert again.say("hi") == "violet: echo: hi"
        again.say("[HOTSWAP:MODEL:offline]")
        assert "You said" in again.say("hi")
        assert again.refused("[HOTSWAP:MODEL:blue]").status_code == 403
        assert "openai/signing-*" in str(again.refused("[HOTSWAP:MODEL:blue]"))


# Other endpoints


def post(swapped: Swapped, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    response = httpx.post(
        f"{swapped.proxy.base_url}{path}",
        json=body,
        headers={"Authorization": f"Bearer {swapped.ada}", **headers},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    return response.text


@STREAM
@pytest.mark.parametrize("path", ["/responses", "/messages"])
def test_the_other_endpoints_take_it_too(swapped: Swapped, path: str, stream: bool) -> None:
    headers = {"x-agentllm-session-id": str(uuid.uuid4())}

    def ask(text: str, **more: Any) -> str:
        if path == "/responses":
            body = {"model": "agno/talker", "input": text, "stream": stream, **more}
        else:
            messages = [{"role": "user", "content": text}]
            body = {"model": "agno/talker", "messages": messages, "max_tokens": 100, "stream": stream, **more}
        return post(swapped, path, body, headers)

    assert "red" in ask("[HOTSWAP:MODEL:red]")
    assert "red:" in ask("hi")
    assert "blue:" in ask("hi", metadata={"agentllm": {"model": "blue"}})
    assert "blue:" in ask("hi")


@STREAM
@pytest.mark.parametrize(
    ("document", "more"),
    [("[HOTSWAP:PROMPT:evil]", []), ("[HOTSWAP:PROMPT:evil", ["and more]"]), ("[HOTSWAP:PROMPT:evil", ["What is it?"])],
)
def test_a_document_of_the_messages_api_is_not_read(
    swapped: Swapped, document: str, more: list[str], stream: bool
) -> None:
    chat = swapped.chat()
    source = {"type": "text", "media_type": "text/plain", "data": document}
    content = [{"type": "document", "source": source}, *({"type": "text", "text": text} for text in more)]
    messages = [{"role": "user", "content": content}]
    body = {"model": "agno/talker", "messages": messages, "max_tokens": 100, "stream": stream}
    assert "own:" in post(swapped, "/messages", body, chat.headers)
    told = chat.told()
    assert told["user"] == ["\n".join([document, *more]), "!history"]
    assert "Own instructions." in told["system"][0]


# Secrets and isolation


def test_a_prompt_is_in_no_log_and_no_error(swapped: Swapped, llm: ScriptedLLM) -> None:
    chat = swapped.chat()
    chat.say(f"[HOTSWAP:PROMPT:{CANARY} one]")
    chat.say("hi", swap={"prompt": f"{CANARY} two"})
    chat.say(f'!call set_prompt {{"prompt": "{CANARY} three"}}')
    errors = [
        chat.refused(f"[HOTSWAP:PROMPT:{CANARY} four]\n[HOTSWAP:MODEL:nothing]"),
        chat.refused(f"[HOTSWAP:PROMPT:{CANARY} five"),
        chat.refused("!error 500"),
        chat.refused("hi", swap={"prompt": f"{CANARY} six", "other": CANARY}),
    ]
    assert [error.status_code for error in errors] == [400 if i % 2 else 403 if not i else 500 for i in range(4)]
    assert not any(CANARY in str(error) for error in errors)
    assert CANARY not in swapped.proxy.log


def test_work_shows_no_prompt(swapped: Swapped) -> None:
    chat = swapped.chat()
    with client_of(swapped.proxy, swapped.ada) as client:
        answer: Any = client.chat.completions.create(
            model="agno/talker",
            messages=[{"role": "user", "content": f'!call set_prompt {{"prompt": "{CANARY}"}}'}],
            extra_headers=chat.headers,
        )
    assert "set_prompt" in answer.model_dump_json()
    assert CANARY not in answer.model_dump_json()


async def test_twenty_conversations_of_two_callers_never_meet(swapped: Swapped) -> None:
    """Each sets a model and a prompt of its own before each question, in one of three ways, and sees only these."""
    clients = [
        AsyncOpenAI(base_url=swapped.proxy.base_url, api_key=key, max_retries=0, timeout=60)
        for key in (swapped.ada, swapped.bob)
    ]
    session = str(uuid.uuid4())

    async def converse(number: int) -> None:
        client = clients[number % 2]
        headers = {"x-agentllm-session-id": f"{session}-{number // 2}"}  # a session's id is no caller's alone
        agent = ("agno/talker", "agno/gemini-talker")[number // 2 % 2]

        async def say(content: str, **more: Any) -> str:
            answer: Any = await client.chat.completions.create(
                model=agent, messages=[{"role": "user", "content": content}], extra_headers=headers, **more
            )
            return str(answer.choices[0].message.content)

        for turn in range(6):
            model = ("red", "blue", "green")[(number + turn) % 3] if number % 2 == 0 else ("red", "")[turn % 2]
            prompt = f"prompt-{number}-{turn}."
            if turn % 3 == 0:
                await say(f"[HOTSWAP:MODEL:{model}]\n[HOTSWAP:PROMPT:{prompt}]")
                said = await say("!history")
            elif turn % 3 == 1:
                said = await say("!history", extra_body={"metadata": {"agentllm": {"model": model, "prompt": prompt}}})
            else:
                calls = [("set_model", {"model": model}), ("set_prompt", {"prompt": prompt})]
                await say("\n".join(f"!call {name} {json.dumps(arguments)}" for name, arguments in calls))
                said = await say("!history")
            who, _, history = said.partition(": ")
            system = json.loads(history)[0][1]
            assert who == (model or "own")
            assert prompt in system
            assert system.count("prompt-") == 1

    try:
        await asyncio.gather(*(converse(number) for number in range(20)))
    finally:
        for client in clients:
            await client.close()
