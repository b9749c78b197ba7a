"""Approvals through running proxies: what is asked, who decides, and that nothing runs before."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI

from tests.integration.calling import Pair, Said, asked, client_of, of_message, shared
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STREAM = pytest.mark.parametrize("stream", [False, True])
MODEL = "gpt-approving"

WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASK_USER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "ask_user",
        "description": "Ask the user clarifying questions before continuing.",
        "parameters": {
            "type": "object",
            "properties": {"questions": {"type": "array", "items": {"type": "object"}}, "allow_other": {}},
        },
    },
}
DEPLOY, DELETE = ToolCall("deploy", '{"version": "1.2"}', "call-1"), ToolCall("deploy", '{"version": "0"}', "call-2")
SEND = ToolCall("send", '{"text": "hello"}', "call-3")
LOOK = ToolCall("look", '{"what": "the log"}', "call-4")
FORECAST = ToolCall("weather", "{}", "call-5")
QUESTION: dict[str, Any] = {"role": "user", "content": "ship it"}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def pair(running_pair: Pair) -> Pair:
    """The two proxies, with nothing done yet."""
    running_pair.did.write_text("")
    return running_pair


@pytest.fixture(scope="module")
def proxy(running_pair: Pair) -> Proxy:
    return running_pair.one


@pytest.fixture
def there(pair: Pair) -> Iterator[OpenAI]:
    """A client of another process with the same store."""
    with client_of(pair.other) as client:
        yield client


@pytest.fixture
def bob(pair: Pair) -> Iterator[OpenAI]:
    with client_of(pair.one, pair.key_of_bob) as client:
        yield client


def calling(llm: ScriptedLLM, *calls: ToolCall, said: str = "", then: Sequence[str] = ("All is done.",)) -> None:
    """Have the model call tools, and then say something."""
    llm.script(Reply(said, tool_calls=calls), *then, model=MODEL)


def ask(client: OpenAI, messages: list[dict[str, Any]] | None = None, *, stream: bool = False, **more: Any) -> Said:
    body = {"model": "agno/approving", "messages": messages or [QUESTION], **more}
    if not stream:
        return of_message(client.chat.completions.create(**body))
    said = Said()
    for chunk in client.chat.completions.create(**body, stream=True):
        said.take(chunk)
    return said


def replied(said: Said, text: str) -> list[dict[str, Any]]:
    """The transcript of a question in words, and the person's next message."""
    return [QUESTION, {"role": "assistant", "content": said.text}, {"role": "user", "content": text}]


def refusal(client: OpenAI, messages: list[dict[str, Any]], **more: Any) -> int:
    with pytest.raises(APIStatusError) as raised:
        ask(client, messages, **more)
    return raised.value.status_code


# In words


@STREAM
def test_the_question_is_asked_in_words_and_a_yes_runs_the_tool(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool
) -> None:
    calling(llm, DEPLOY, said="Here we go.")
    said = ask(client, stream=stream)
    assert said.text.startswith("Here we go.\n\n")
    assert all(part in said.text for part in ("deploy", '"1.2"', "yes"))
    assert (said.calls, said.reason, pair.done) == ([], "stop", [])
    done = ask(client, replied(said, "Yes, please."), stream=stream)
    assert (done.text, done.reason, pair.done) == ("All is done.", "stop", ["deployed 1.2"])
    assert asked(llm) == [("user", "ship it"), ("assistant", "Here we go. deploy"), ("tool", "deployed 1.2")]


async def test_the_async_client_is_asked_too(aclient: AsyncOpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY)
    body: dict[str, Any] = {"model": "agno/approving", "messages": [QUESTION]}
    said = of_message(await aclient.chat.completions.create(**body))
    body["messages"] = replied(said, "yes")
    done = of_message(await aclient.chat.completions.create(**body))
    assert (done.text, pair.done) == ("All is done.", ["deployed 1.2"])


@STREAM
@pytest.mark.parametrize("answer", ["no", "Which cluster is that?", "yes, but on Monday"])
def test_anything_but_a_clear_yes_runs_nothing_and_the_model_is_told_the_words(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool, answer: str
) -> None:
    calling(llm, DEPLOY, then=["As you wish."])
    said = ask(client, stream=stream)
    assert ask(client, replied(said, answer), stream=stream).text == "As you wish."
    assert pair.done == []
    role, told = asked(llm)[-1]
    assert role == "tool"
    assert answer == "no" or answer in told


@STREAM
@pytest.mark.parametrize("has_session", [True, False])
def test_a_refused_swap_leaves_the_question_open(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, has_session: bool, stream: bool
) -> None:
    calling(llm, DEPLOY)
    more: dict[str, Any] = {"extra_headers": {"x-agentllm-session-id": str(uuid.uuid4())}} if has_session else {}
    said = ask(client, stream=stream, **more)
    refused_metadata = {"metadata": {"agentllm": {"model": "nope"}}}
    for text, body, status in (
        ("[HOTSWAP:MODEL:nope]", {}, 403),
        ("[HOTSWAP:X", {}, 400),
        ("yes", refused_metadata, 403),
    ):
        messages = [{"role": "user", "content": text}] if has_session else replied(said, text)
        assert refusal(client, messages, stream=stream, extra_body=body, **more) == status
    assert pair.done == []
    messages = [{"role": "user", "content": "yes"}] if has_session else replied(said, "yes")
    assert ask(client, messages, stream=stream, **more).text == "All is done."
    assert pair.done == ["deployed 1.2"]


def test_a_yes_counts_once(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, then=["All is done.", "Again?"])
    messages = replied(ask(client), "yes")
    assert [ask(client, messages).text for _ in range(2)] == ["All is done.", "Again?"]
    assert pair.done == ["deployed 1.2"]


@STREAM
def test_what_was_done_is_remembered_though_the_model_failed_after_it(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool
) -> None:
    calling(llm, DEPLOY, then=[])
    llm.script(Reply.failing(500), model=MODEL)
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    ask(client, extra_headers=session, stream=stream)
    with pytest.raises(APIError):
        ask(client, [{"role": "user", "content": "yes"}], extra_headers=session, stream=stream)
    assert pair.done == ["deployed 1.2"]
    ask(client, [{"role": "user", "content": "go on"}], extra_headers=session, stream=stream)
    done = [("user", "ship it"), ("assistant", "deploy"), ("tool", "deployed 1.2")]
    assert asked(llm) == [*done, ("user", "yes"), ("user", "go on")]


@STREAM
def test_a_tool_that_ran_before_the_model_failed_is_remembered(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool
) -> None:
    calling(llm, LOOK, said="Looking.", then=[])
    llm.script(Reply.failing(500), model=MODEL)
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    with pytest.raises(APIError):
        ask(client, extra_headers=session, stream=stream)
    assert pair.done == ["looked at the log"]
    ask(client, [{"role": "user", "content": "go on"}], extra_headers=session, stream=stream)
    conversation = [(role, text.rpartition(". ")[2]) for role, text in asked(llm)]
    assert conversation == [
        ("user", "ship it"),
        ("assistant", "look"),
        ("tool", "looked at the log"),
        ("user", "go on"),
    ]


def test_what_was_done_is_remembered_afterwards(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, then=["All is done.", "You are welcome."])
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    for said in ("ship it", "yes", "thanks"):
        ask(client, [{"role": "user", "content": said}], extra_headers=session)
    assert asked(llm) == [
        ("user", "ship it"),
        ("assistant", "deploy"),
        ("tool", "deployed 1.2"),
        ("user", "yes"),
        ("assistant", "All is done."),
        ("user", "thanks"),
    ]


def test_what_needs_no_approval_has_run_before(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, LOOK, DEPLOY)
    said = ask(client)
    assert pair.done == ["looked at the log"]
    ask(client, replied(said, "yes"))
    assert pair.done == ["looked at the log", "deployed 1.2"]


def test_values_are_asked_for_until_they_fit(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, SEND)
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    said = ask(client, extra_headers=session)
    assert all(name in said.text for name in ("`to`", "`copies`", "hello"))
    for wrong in ("ada", "to: ada\ncopies: many"):
        again = ask(client, [{"role": "user", "content": wrong}], extra_headers=session)
        assert "`copies`" in again.text
        assert again.reason == "stop"
    assert (len(llm.requests()), pair.done) == (1, [])
    done = ask(client, [{"role": "user", "content": "to: ada\ncopies: 2"}], extra_headers=session)
    assert (done.text, pair.done) == ("All is done.", ["sent hello to ada, 2 copies"])


# Who decides


def test_it_may_be_decided_in_another_process(client: OpenAI, there: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY)
    assert ask(there, replied(ask(client), "yes")).text == "All is done."
    assert pair.done == ["deployed 1.2"]


def test_it_may_be_decided_after_a_restart(running_llm: ScriptedLLM, llm: ScriptedLLM, tmp_path: Path) -> None:
    calling(llm, DEPLOY)
    did = tmp_path / "did"
    did.touch()
    environment = {**llm_environment(running_llm), **shared(tmp_path), "AGENTLLM_KEYS": ""}
    with Proxy(tmp_path / "first", environment) as first, client_of(first) as client:
        messages = replied(ask(client), "yes")
        first.kill()
    assert did.read_text() == ""
    with Proxy(tmp_path / "second", environment) as second, client_of(second) as client:
        assert ask(client, messages).text == "All is done."
    assert did.read_text() == "deployed 1.2\n"


@pytest.mark.parametrize("headers", [{}, {"x-agentllm-session-id": "the same for both"}])
def test_somebody_else_decides_nothing_and_learns_nothing(
    client: OpenAI, bob: OpenAI, pair: Pair, llm: ScriptedLLM, headers: dict[str, str]
) -> None:
    calling(llm, DEPLOY, then=["Done what?", "All is done."])
    said = ask(client, extra_headers=headers)
    transcript = replied(said, "yes")
    ask(bob, transcript[-1:] if headers else transcript, extra_headers=headers)
    assert pair.done == []
    assert not any("call" in role or "deployed" in text for role, text in asked(llm))
    ask(client, transcript, extra_headers=headers)
    assert pair.done == ["deployed 1.2"]


@STREAM
def test_words_are_no_answer_where_json_was_asked_for(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool
) -> None:
    calling(llm, DEPLOY)
    with pytest.raises(Exception, match="deploy") as raised:
        ask(client, stream=stream, response_format={"type": "json_object"})
    assert "response_format" in str(raised.value)
    assert pair.done == []


# As calls


@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_it_may_write_the_arguments_again_in_its_own_way(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, separators: tuple[str, str]
) -> None:
    calling(llm, LOOK, DEPLOY)
    said = ask(client, tools=[WEATHER])
    for call in said.calls:
        arguments = json.loads(call["function"]["arguments"])
        call["function"]["arguments"] = json.dumps(arguments, separators=separators)
    assert ask(client, said.answered(QUESTION, '{"accepted": true}'), tools=[WEATHER]).text == "All is done."
    assert "deployed 1.2" in pair.done
    assert ("tool", "deployed 1.2") in asked(llm)


@STREAM
def test_a_client_with_tools_is_sent_a_call_that_it_accepts(
    client: OpenAI, there: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool
) -> None:
    calling(llm, DEPLOY, FORECAST)
    said = ask(client, tools=[WEATHER], stream=stream)
    assert (sorted(said.names), said.reason, pair.done) == (["deploy", "weather"], "tool_calls", [])
    arguments = {call["function"]["name"]: call["function"]["arguments"] for call in said.calls}
    assert json.loads(arguments["deploy"]) == {"version": "1.2"}
    results = {"deploy": '{"accepted": true}', "weather": "cold"}
    transcript = said.answered(QUESTION, *(results[name] for name in said.names))
    assert ask(there, transcript, tools=[WEATHER], stream=stream).text == "All is done."
    assert pair.done == ["deployed 1.2"]
    assert sorted(asked(llm)[-2:]) == [("tool", "cold"), ("tool", "deployed 1.2")]


@pytest.mark.parametrize("result", ['{"accepted": false, "note": "not today"}', 'no tool "deploy"; not today'])
def test_whatever_else_it_answers_refuses(client: OpenAI, pair: Pair, llm: ScriptedLLM, result: str) -> None:
    calling(llm, DEPLOY, then=["As you wish."])
    said = ask(client, tools=[WEATHER])
    assert ask(client, said.answered(QUESTION, result), tools=[WEATHER]).text == "As you wish."
    assert pair.done == []
    assert "not today" in asked(llm)[-1][1]


def test_several_are_decided_together_each_by_itself(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, DELETE)
    said = ask(client, tools=[WEATHER])
    whole = said.answered(QUESTION, '{"accepted": true}', '{"accepted": false}')
    assert refusal(client, whole[:-1], tools=[WEATHER]) == 400
    assert pair.done == []
    ask(client, whole, tools=[WEATHER])
    assert pair.done == ["deployed 1.2"]


def test_a_second_acceptance_is_refused_and_runs_nothing(
    client: OpenAI, there: OpenAI, pair: Pair, llm: ScriptedLLM
) -> None:
    calling(llm, DEPLOY)
    transcript = ask(client, tools=[WEATHER]).answered(QUESTION, '{"accepted": true}')
    ask(client, transcript, tools=[WEATHER])
    for other in (client, there):
        assert refusal(other, transcript, tools=[WEATHER]) == 409
    assert pair.done == ["deployed 1.2"]
    assert len(llm.requests()) == 2


def test_a_message_instead_of_an_answer_approves_nothing(client: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, then=["As you wish."])
    said = ask(client, tools=[WEATHER])
    instead = [QUESTION, said.message, {"role": "user", "content": "yes"}]
    assert ask(client, instead, tools=[WEATHER]).text == "As you wish."
    assert refusal(client, said.answered(QUESTION, '{"accepted": true}'), tools=[WEATHER]) == 409
    assert pair.done == []


def test_somebody_else_s_acceptance_runs_nothing(client: OpenAI, bob: OpenAI, pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, then=["What?", "All is done."])
    transcript = ask(client, tools=[WEATHER]).answered(QUESTION, '{"accepted": true}')
    assert ask(bob, transcript, tools=[WEATHER]).text == "What?"
    assert pair.done == []
    assert [role for role, _ in asked(llm)] == ["user", "user"]
    ask(client, transcript, tools=[WEATHER])
    assert pair.done == ["deployed 1.2"]


# In Open WebUI


class Chat:
    """A chat of Open WebUI; an answer with calls is gone on with under the same message id."""

    def __init__(self, proxy: Proxy, *, chat: str | None = None) -> None:
        self._proxy = proxy
        self._headers = {
            "Authorization": f"Bearer {proxy.key}",
            "x-openwebui-chat-id": chat or str(uuid.uuid4()),
            "x-openwebui-user-id": "ada",
            "x-agentllm-task": "",
        }
        self.messages: list[dict[str, Any]] = []
        self._answer, self._parent = "", ""

    def say(self, text: str) -> Said:
        self._parent, self._answer = self._answer, str(uuid.uuid4())
        self.messages.append({"role": "user", "content": text})
        return self._post()

    def answer(self, said: Said, result: str, proxy: Proxy | None = None) -> Said:
        """The panel's answer, sent on by `proxy` where another one is to get it."""
        self.messages.append({"role": "tool", "tool_call_id": said.calls[0]["id"], "content": result})
        return self._post(proxy)

    def choose(self, said: Said, *labels: str, proxy: Proxy | None = None) -> Said:
        return self.answer(said, chosen(said, *labels), proxy)

    def _post(self, proxy: Proxy | None = None) -> Said:
        body = {
            "model": "agno/approving",
            "stream": True,
            "messages": self.messages,
            "tools": [WEATHER, ASK_USER],
        }
        ids = {"x-agentllm-message-id": self._answer, "x-agentllm-parent-message-id": self._parent}
        url = f"{(proxy or self._proxy).base_url}/chat/completions"
        said = Said()
        with httpx.stream("POST", url, json=body, headers={**self._headers, **ids}, timeout=30) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    _take(said, json.loads(line.removeprefix("data: ")))
        self.messages.append({key: value for key, value in said.message.items() if value})
        return said


def _take(said: Said, chunk: dict[str, Any]) -> None:
    from openai.types.chat import ChatCompletionChunk

    if "choices" in chunk:
        said.take(ChatCompletionChunk.model_validate(chunk))


def chosen(said: Said, *labels: str) -> str:
    """What Open WebUI sends when the person has chosen an option for each question."""
    answers = {}
    for question, label in zip(questions(said), labels, strict=True):
        index, option = next((i, one) for i, one in enumerate(question["options"]) if one["label"] == label)
        answers[question["id"]] = {"type": "option", "option_index": index, **option}
    return json.dumps({"status": "answered", "answers": answers})


def questions(said: Said) -> list[dict[str, Any]]:
    (call,) = said.calls
    assert (call["function"]["name"], said.reason) == ("ask_user", "tool_calls")
    asked_: list[dict[str, Any]] = json.loads(call["function"]["arguments"])["questions"]
    return asked_


def test_its_own_panel_asks_and_decides(pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, said="Here we go.", then=["All is done.", "You are welcome."])
    chat = Chat(pair.one)
    said = chat.say("ship it")
    (question,) = questions(said)
    assert "deploy" in question["question"]
    assert "1.2" in question["question"]
    assert pair.done == []
    done = chat.choose(said, "Allow", proxy=pair.other)
    assert (done.text, done.reason, pair.done) == ("All is done.", "stop", ["deployed 1.2"])
    chat.say("thanks")
    assert asked(llm) == [
        ("user", "ship it"),
        ("assistant", "Here we go. deploy"),
        ("tool", "deployed 1.2"),
        ("assistant", "All is done."),
        ("user", "thanks"),
    ]


@pytest.mark.parametrize(
    "result", ["Error: tool call rejected by user.", '{"status": "cancelled", "answers": {}, "timed_out": true}']
)
def test_a_closed_panel_refuses(pair: Pair, llm: ScriptedLLM, result: str) -> None:
    calling(llm, DEPLOY, then=["As you wish."])
    chat = Chat(pair.one)
    assert chat.answer(chat.say("ship it"), result).text == "As you wish."
    assert pair.done == []


def test_several_are_asked_in_one_panel(pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY, DELETE)
    chat = Chat(pair.one)
    chat.choose(chat.say("ship it"), "Do not run it", "Allow")
    assert pair.done == ["deployed 0"]


def test_values_are_typed_into_the_panel(pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, SEND)
    chat = Chat(pair.one)
    said = chat.say("ship it")
    for copies in ("many", "2"):
        ids = [question["id"] for question in questions(said)]
        typed = [{"type": "other", "text": text} for text in ("ada", copies)]
        said = chat.answer(said, json.dumps({"status": "answered", "answers": dict(zip(ids, typed, strict=True))}))
    assert (said.text, pair.done) == ("All is done.", ["sent hello to ada, 2 copies"])


def test_a_chat_that_is_not_kept_says_that_it_cannot_ask(pair: Pair, llm: ScriptedLLM) -> None:
    calling(llm, DEPLOY)
    headers = {"Authorization": f"Bearer {pair.one.key}", "x-openwebui-chat-id": "temporary:1"}
    body = {"model": "agno/approving", "messages": [QUESTION], "tools": [ASK_USER]}
    answer = httpx.post(f"{pair.one.base_url}/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 400
    assert "temporary" in answer.json()["error"]["message"]
    assert pair.done == []


@STREAM
@pytest.mark.parametrize("more", [{}, {"tools": [WEATHER]}])
def test_so_does_a_request_that_is_not_stored(
    client: OpenAI, pair: Pair, llm: ScriptedLLM, stream: bool, more: dict[str, Any]
) -> None:
    calling(llm, DEPLOY)
    with pytest.raises(Exception, match="deploy") as raised:
        ask(client, stream=stream, store=False, **more)
    assert "store" in str(raised.value)
    assert pair.done == []
