"""Where requests stand, through the running proxy: what the model is asked must be the branch that the person sees.

A chat is held as Open WebUI does it: each request has all messages of the branch, with the answers
that were really given, and the ids of the answer to be and of the one before.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from openai import AsyncOpenAI, OpenAI

from agentllm.conversations.locks import QUEUE, RETRY_AFTER
from agentllm.conversations.records import CONTINUE
from agentllm.keys import KeyFile, make_key
from tests.conversations.disk import rows
from tests.integration.conftest import llm_environment
from tests.integration.stored import sqlite_url
from tests.openwebui import captured
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

Said = tuple[str, str]
"""Who says what: a message's role and text."""

STREAM = pytest.mark.parametrize("stream", [False, True])
CALL, RESULT = ("assistant", 'add({"a": 20, "b": 22})'), ("tool", "42")
GO_ON = ("user", CONTINUE.content)
WITHOUT_TRACE = "of this nothing may be stored"
HISTORY_TURNS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A running proxy, its store, and the keys of two people."""

    proxy: Proxy
    store: sa.URL
    keys: tuple[str, str]

    def stored(self, text: str = "") -> int:
        """How many turns are stored that hold `text`."""
        found = rows(self.store, "SELECT input, output, answer, message_id FROM turns")
        return sum(text in str(row) for row in found)


@pytest.fixture(scope="module")
def place(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("positions")
    keys = KeyFile(folder / "keys.yaml")
    (adas, ada), (bobs, bob) = make_key("ada", user="ada"), make_key("bob", user="bob")
    keys.add(ada)
    keys.add(bob)
    with Proxy(folder, {**llm_environment(running_llm), "AGENTLLM_KEYS": str(folder / "keys.yaml")}) as proxy:
        yield Place(proxy, sa.make_url(sqlite_url(folder / "data")), (adas, bobs))


@pytest.fixture(scope="module")
def proxy(place: Place) -> Proxy:
    return place.proxy


def seen(llm: ScriptedLLM) -> list[Said]:
    """What the model was asked last, a call of a tool as its name and arguments."""

    def text(message: Mapping[str, Any]) -> str:
        calls = [f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls") or ()]
        return " ".join(filter(None, [message.get("content"), *calls])).strip()

    return [(message["role"], text(message)) for message in llm.requests()[-1].body["messages"]]


def as_messages(said: Sequence[Said]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in said]


def talk(*texts: str) -> list[Said]:
    """A transcript: the person and the assistant in turns."""
    return [("assistant" if index % 2 else "user", text) for index, text in enumerate(texts)]


def send(
    proxy: Proxy, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *,
    until: str | None = None, timeout: float = 30,
) -> str:  # fmt: skip
    """The text of an answer, plain or streamed; with `until` the client leaves as soon as it has read that."""
    with httpx.stream(
        "POST",
        f"{proxy.base_url}/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {proxy.key}", **(headers or {})},
        timeout=timeout,
    ) as response:
        if response.status_code != 200 or not body.get("stream"):
            whole = json.loads(response.read())
            assert response.status_code == 200, whole
            return str(whole["choices"][0]["message"]["content"])
        text = ""
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: ")).get("choices") or ()
                text += "".join(choice["delta"].get("content") or "" for choice in choices)
            if until is not None and until in text:
                break
        return text


def ask(
    client: OpenAI, said: str | Sequence[Said], headers: Mapping[str, str] | None = None, *,
    model: str = "agno/echo", **more: Any,
) -> str:  # fmt: skip
    """The answer to one new message, or to a transcript."""
    messages: Any = as_messages([("user", said)] if isinstance(said, str) else said)
    answer = client.chat.completions.create(model=model, messages=messages, extra_headers=headers, **more)
    return str(answer.choices[0].message.content)


def new_session() -> dict[str, str]:
    return {"x-agentllm-session-id": str(uuid.uuid4())}


@dataclass(slots=True)
class Node:
    """An answer in a chat, and what was asked for it; `before` is the id of the answer before."""

    question: str
    before: str
    answer: str


class Chat:
    """A chat of Open WebUI: a tree of answers by their ids, of which a person sees one branch at a time.

    `system` is sent before each branch.
    """

    def __init__(self, proxy: Proxy, model: str = "agno/echo", *, chat: str | None = None, **headers: str) -> None:
        self._proxy = proxy
        self._model = model
        self._headers = {"x-openwebui-chat-id": chat or str(uuid.uuid4()), "x-openwebui-user-id": "ada", **headers}
        self.nodes: dict[str, Node] = {}
        self.system = ""

    def ask(
        self, question: str, after: str = "", *, asked: str | None = None, answer_id: str | None = None, **more: Any
    ) -> str:
        """The id of the answer to a question after another answer, or at the beginning.

        The question is sent as `asked` while it is the newest, as with the text of a file around it.
        """
        return self._fill(answer_id or str(uuid.uuid4()), Node(question, after, ""), asked or question, **more)

    def again(self, answer: str, **more: Any) -> str:
        """Have the question of an answer answered again, or by another model."""
        node = self.nodes[answer]
        return self.ask(node.question, node.before, **more)

    def more_of(self, answer: str) -> None:
        """Have an answer continued."""
        node = self.nodes[answer]
        self._fill(answer, node, node.question, (("assistant", node.answer),))

    def shown(self, answer: str) -> list[Said]:
        """The branch that ends with an answer."""
        if not answer:
            return []
        node = self.nodes[answer]
        said = [*self.shown(node.before), ("user", node.question), ("assistant", node.answer)]
        return [(role, text.strip()) for role, text in said if text]

    def _fill(
        self, answer: str, node: Node, asked: str, begun: Sequence[Said] = (), *,
        model: str | None = None, until: str | None = None, timeout: float = 30,
    ) -> str:  # fmt: skip
        self.nodes[answer] = node
        system = [("system", self.system)] if self.system else []
        messages = as_messages([*system, *self.shown(node.before), ("user", asked), *begun])
        body = {"model": model or self._model, "stream": True, "messages": messages}
        ids = {"x-agentllm-message-id": answer, "x-agentllm-parent-message-id": node.before, "x-agentllm-task": ""}
        node.answer += send(self._proxy, body, {**self._headers, **ids}, until=until, timeout=timeout)
        return answer


# Real requests of Open WebUI


MODELS = {"agno/release-manager": "agno/echo", "langgraph/plain": "agno/routed", "small/title-model": "agno/echo"}
STOPPED = 13
"""The number of the request whose answer the person stopped."""


def test_the_requests_of_open_webui_see_the_branch_that_the_person_sees(place: Place, llm: ScriptedLLM) -> None:
    """All of them in order, background tasks too; their later ones hold what was really answered."""
    answers: dict[str, str] = {}
    before: dict[str, str] = {}
    asked: dict[int, list[Said]] = {}
    stored = place.stored()

    def with_real_answers(messages: Sequence[Mapping[str, Any]], parent: str) -> list[dict[str, Any]]:
        real = []
        for message in reversed(messages):
            if message["role"] == "assistant":
                real.append({**message, "content": answers[parent]})
                parent = before[parent]
            else:
                real.append({**message})
        return real[::-1]

    for request in captured():
        answer, parent = request.headers["x-agentllm-message-id"], request.headers["x-agentllm-parent-message-id"]
        body = {**request.body, "model": MODELS[request.body["model"]]}
        requests = len(llm.requests())
        if request.task:
            send(place.proxy, body, request.headers)
            assert len(llm.requests()) == requests
            continue
        body["messages"] = with_real_answers(body["messages"], answer if answer in answers else parent)
        before[answer] = parent
        until = None
        if request.number == STOPPED:
            llm.script(Reply("and on it goes ", endless=True))
            until = "goes and"
        answers[answer] = send(place.proxy, body, request.headers, until=until)
        assert len(llm.requests()) == requests + 1
        asked[request.number] = seen(llm)

    one, edited = (talk(text, f"echo: {text}") for text in ("hello turn one", "hello edited one"))
    file, file_again = (r.body["messages"][-1]["content"].strip() for r in captured() if r.number in (18, 22))
    assert "PINEAPPLE" in file
    assert [role for role, _ in asked[34]] == ["user", "assistant", "tool"]
    assert asked.pop(34)[1][1].startswith("echo: askme ask_user(")
    assert asked == {
        2: one[:1],
        5: [*one, ("user", "and turn two")],
        7: [*one, ("user", "and turn two")],
        9: edited[:1],
        13: [*edited, ("user", "longrun please")],
        18: talk(file),
        22: talk(file, f"echo: {file}", file_again),
        26: talk("hello both"),
        27: talk("hello both"),
        33: talk("askme"),
    }
    assert place.stored() - stored == len(asked) + 1

    stopped = next(request for request in captured() if request.number == STOPPED)
    so_far = [*edited, *talk("longrun please", answers[stopped.headers["x-agentllm-message-id"]].strip())]
    next_ids = {
        "x-agentllm-message-id": "the next",
        "x-agentllm-parent-message-id": stopped.headers["x-agentllm-message-id"],
    }
    body = {"model": "agno/echo", "stream": True, "messages": as_messages([*so_far, ("user", "go on")])}
    send(place.proxy, body, {**stopped.headers, **next_ids})
    assert seen(llm) == [*so_far, ("user", "go on")]


# Chats with the ids of their messages


def test_a_chat_sees_each_of_its_branches(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    second = chat.ask("two", first)
    assert seen(llm) == talk("one", "echo: one", "two")
    llm.script("another answer")
    other = chat.again(second)
    assert seen(llm) == talk("one", "echo: one", "two")
    edited = chat.ask("one, edited")
    assert seen(llm) == talk("one, edited")
    for answer in (other, edited, second, first):
        chat.ask("and now?", answer)
        assert seen(llm) == [*chat.shown(answer), ("user", "and now?")]


def test_an_answer_is_continued_and_then_is_one(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    llm.script(" and more", " and yet more")
    chat.more_of(first)
    assert seen(llm) == [*talk("one", "echo: one"), GO_ON]
    chat.more_of(first)
    assert seen(llm) == [*talk("one", "echo: one"), GO_ON, ("assistant", "and more"), GO_ON]
    assert chat.nodes[first].answer == "echo: one and more and yet more"
    chat.ask("two", first)
    assert [said for said in seen(llm) if said != GO_ON] == [
        ("user", "one"),
        ("assistant", "echo: one"),
        ("assistant", "and more"),
        ("assistant", "and yet more"),
        ("user", "two"),
    ]


def test_a_stopped_answer_counts_as_far_as_the_person_has_it(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    llm.script(Reply("and on it goes ", endless=True))
    stopped = chat.ask("two", first, until="goes and")
    chat.ask("three", stopped)
    assert seen(llm) == [*chat.shown(stopped), ("user", "three")]
    chat.again(stopped)
    assert seen(llm) == talk("one", "echo: one", "two")
    before = chat.shown(stopped)
    chat.more_of(stopped)
    assert seen(llm) == [*before, GO_ON]
    chat.ask("four", stopped)
    said = seen(llm)
    assert said[:3] == talk("one", "echo: one", "two")
    assert "".join(text for role, text in said[3:-1] if role == "assistant").split() == (
        chat.nodes[stopped].answer.split()
    )


def test_a_stop_before_the_first_word_leaves_the_question(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    llm.script(Reply("late", first_delay=20))
    with pytest.raises(httpx.ReadTimeout):
        chat.ask("two", first, answer_id="stopped", timeout=0.5)
    llm.wait_for(lambda requests: not any(request.open for request in requests))
    chat.ask("three", "stopped")
    assert seen(llm) == [*talk("one", "echo: one", "two"), ("user", "three")]
    chat.again("stopped")
    assert seen(llm) == talk("one", "echo: one", "two")


def test_a_failed_answer_leaves_the_question(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    llm.script(Reply.failing(500))
    with pytest.raises(AssertionError, match="scripted error"):
        chat.ask("two", first, answer_id="failed")
    chat.ask("three", "failed")
    assert seen(llm) == [*talk("one", "echo: one", "two"), ("user", "three")]


def test_the_text_of_a_file_is_remembered_with_the_question_it_came_with(proxy: Proxy, llm: ScriptedLLM) -> None:
    """Open WebUI sends it with the newest question only."""
    chat = Chat(proxy)
    llm.script("It is a pineapple.", "It is ripe.")
    first = chat.ask("what is it?", asked="<context>a pineapple</context>\n\nwhat is it?")
    second = chat.ask("and how?", first)
    assert seen(llm) == talk("<context>a pineapple</context>\n\nwhat is it?", "It is a pineapple.", "and how?")
    chat.ask("thanks", second)
    assert [role for role, _ in seen(llm)] == ["user", "assistant", "user", "assistant", "user"]


def test_two_agents_in_a_chat_see_the_answer_that_the_person_went_on_from(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    llm.script("of the first", "of the second")
    first = chat.ask("one")
    second = chat.again(first, model="agno/routed")
    assert seen(llm) == talk("one")
    for answer in (first, second):
        for model in ("agno/echo", "agno/routed"):
            chat.ask("two", answer, model=model)
            assert seen(llm) == [*chat.shown(answer), ("user", "two")]


def test_a_temporary_chat_sees_its_messages_and_leaves_nothing(place: Place, llm: ScriptedLLM) -> None:
    chat = Chat(place.proxy, chat="temporary:socket")
    before = place.stored()
    first = chat.ask(WITHOUT_TRACE)
    chat.ask("two", first)
    assert seen(llm) == [*chat.shown(first), ("user", "two")]
    Chat(place.proxy, chat="temporary:socket").ask("of another temporary chat of the same tab")
    assert seen(llm) == talk("of another temporary chat of the same tab")
    assert (place.stored(), place.stored(WITHOUT_TRACE)) == (before, 0)


def test_an_answer_that_the_person_changed_counts_as_they_see_it(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    second = chat.ask("two", first)
    chat.nodes[second].answer = "changed"
    third = chat.ask("three", second)
    assert seen(llm) == talk("one", "echo: one", "two", "changed", "three")
    chat.ask("four", third)
    assert seen(llm) == [*chat.shown(third), ("user", "four")]
    chat.nodes[first].answer = "changed as well"
    chat.ask("five", third)
    assert seen(llm) == [*chat.shown(third), ("user", "five")]


def test_a_changed_answer_is_continued_as_the_person_sees_it(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    chat.nodes[first].answer = "changed"
    llm.script(" and more")
    chat.more_of(first)
    assert seen(llm) == [*talk("one", "changed"), GO_ON]
    chat.ask("two", first)
    assert [said for said in seen(llm) if said != GO_ON] == [
        *talk("one", "changed"),
        ("assistant", "and more"),
        ("user", "two"),
    ]


@pytest.mark.parametrize("parent", ["unknown", "of another chat"])
def test_after_an_unknown_answer_the_transcript_counts(proxy: Proxy, llm: ScriptedLLM, parent: str) -> None:
    Chat(proxy).ask("somewhere else", answer_id="of another chat")
    chat = Chat(proxy)
    first = chat.ask("one")
    chat.nodes[parent] = Node("imported", first, "from elsewhere")
    chat.ask("two", parent)
    assert seen(llm) == [*talk("one", "echo: one", "imported", "from elsewhere"), ("user", "two")]


def test_a_long_chat_is_seen_from_its_end(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    answer = ""
    for number in range(HISTORY_TURNS + 3):
        answer = chat.ask(f"question {number}", answer)
    chat.ask("last", answer)
    assert seen(llm) == [*chat.shown(answer)[-2 * HISTORY_TURNS :], ("user", "last")]
    changed = chat.nodes[answer].before
    chat.nodes[changed].answer = "changed"
    chat.ask("last", answer)
    assert seen(llm)[-7:] == [*chat.shown(answer)[-6:], ("user", "last")]
    assert not [text for _, text in seen(llm) if text in ("question 0", f"echo: question {HISTORY_TURNS + 1}")]


def test_the_instructions_of_a_chat_are_of_one_request(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy, "agno/tooled")
    chat.system = "Be brief."
    with_a_tool(llm)
    first = chat.ask("20 + 22?")
    chat.system = "Be polite."
    chat.ask("two", first)
    assert seen(llm)[0][1] == "Be polite."
    assert seen(llm)[1:] == [*USED, ("user", "two")]


# What only the agent saw


def with_a_tool(llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=20, b=22)), "It is 42.")


USED = [("user", "20 + 22?"), CALL, RESULT, ("assistant", "It is 42.")]


def test_a_tool_s_use_is_seen_on_its_branch_by_the_messages_ids(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy, "agno/tooled")
    with_a_tool(llm)
    first = chat.ask("20 + 22?")
    second = chat.ask("and before?", first)
    assert seen(llm) == [*USED, ("user", "and before?")]
    chat.again(second)
    assert seen(llm) == [*USED, ("user", "and before?")]
    edited = chat.ask("20 + 23?")
    assert seen(llm) == talk("20 + 23?")
    chat.ask("and before?", edited)
    assert seen(llm) == [*chat.shown(edited), ("user", "and before?")]
    chat.ask("back again", second)
    assert seen(llm) == [*USED, *chat.shown(second)[2:], ("user", "back again")]
    chat.nodes[second].answer = "changed"
    third = chat.ask("three", second)
    assert seen(llm) == [*USED, *talk("and before?", "changed", "three")]
    chat.nodes[first].answer = "It is 43."
    chat.ask("four", third)
    assert seen(llm) == [*chat.shown(third), ("user", "four")]


def test_a_tool_s_use_is_seen_where_its_answer_was_continued(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy, "agno/tooled")
    with_a_tool(llm)
    first = chat.ask("20 + 22?")
    llm.script(" Really.")
    chat.more_of(first)
    assert seen(llm) == [*USED, GO_ON]
    chat.ask("two", first)
    assert seen(llm) == [*USED, GO_ON, ("assistant", "Really."), ("user", "two")]


def test_a_branch_has_the_tool_s_use_of_an_answer_on_it_that_was_continued(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy, "agno/tooled")
    with_a_tool(llm)
    first = chat.ask("20 + 22?")
    second = chat.ask("two", first)
    as_it_was = chat.nodes[first].answer
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=1)), " Really.")
    chat.more_of(first)
    more = [*USED, GO_ON, ("assistant", 'add({"a": 1, "b": 1})'), ("tool", "2"), ("assistant", "Really.")]
    third = chat.ask("three", second)
    assert seen(llm) == [*more, *chat.shown(second)[2:], ("user", "three")]
    chat.ask("four", third)
    assert seen(llm) == [*more, *chat.shown(third)[2:], ("user", "four")]
    chat.again(second)
    assert seen(llm) == [*more, ("user", "two")]
    chat.nodes[first].answer = as_it_was
    chat.ask("five", third)
    assert seen(llm) == [*USED, *chat.shown(third)[2:], ("user", "five")]


def test_a_tool_s_use_is_seen_in_its_session(client: OpenAI, llm: ScriptedLLM) -> None:
    session = new_session()
    with_a_tool(llm)
    ask(client, "20 + 22?", session, model="agno/tooled")
    ask(client, "and before?", session, model="agno/tooled")
    assert seen(llm) == [*USED, ("user", "and before?")]


@pytest.mark.parametrize("session", [None, "x-agentllm-session-id", "x-openwebui-chat-id"])
def test_a_tool_s_use_is_seen_by_a_transcript(client: OpenAI, llm: ScriptedLLM, session: str | None) -> None:
    headers = {session: str(uuid.uuid4())} if session else {}
    question = f"20 + 22, {uuid.uuid4()}?"
    with_a_tool(llm)
    ask(client, question, headers, model="agno/tooled")
    ask(client, talk(question, "It is 42.", "two"), headers, model="agno/tooled")
    assert seen(llm) == [("user", question), *USED[1:], ("user", "two")]
    ask(client, talk(question, "It is 42.", "two", "echo: two", "three"), headers, model="agno/tooled")
    assert seen(llm) == [("user", question), *USED[1:], *talk("two", "echo: two", "three")]
    for edited in (talk("20 + 23?", "It is 42.", "two"), talk(question, "It is 43.", "two")):
        ask(client, edited, headers, model="agno/tooled")
        assert seen(llm) == edited


def test_a_question_that_open_webui_asks_the_person_is_part_of_the_turn(proxy: Proxy, llm: ScriptedLLM) -> None:
    """Its answer comes as a tool's result, for the same message as the turn before."""
    chat = {"x-openwebui-chat-id": str(uuid.uuid4())}
    turns = [request for request in captured() if request.number in (33, 34)]
    with_a_tool(llm)
    ids = {"x-agentllm-message-id": "first", "x-agentllm-parent-message-id": ""}
    send(proxy, {"model": "agno/tooled", "messages": as_messages(talk("20 + 22?"))}, {**chat, **ids})
    ids = {"x-agentllm-message-id": "second", "x-agentllm-parent-message-id": "first"}
    for turn in turns:
        messages = [*as_messages(talk("20 + 22?", "It is 42.")), *turn.body["messages"]]
        answer = send(proxy, {"model": "agno/tooled", "messages": messages}, {**chat, **ids})
        assert seen(llm)[: len(USED)] == USED
        assert [role for role, _ in seen(llm)[len(USED) :]] == [m["role"] for m in turn.body["messages"]]
    before = seen(llm)
    ids = {"x-agentllm-message-id": "third", "x-agentllm-parent-message-id": "second"}
    messages = [*messages, *as_messages([("assistant", answer), ("user", "thanks")])]
    send(proxy, {"model": "agno/tooled", "messages": messages}, {**chat, **ids})
    assert seen(llm) == [*before, ("assistant", answer), ("user", "thanks")]


# Sessions


NAMED = pytest.mark.parametrize(
    "by", ["x-agentllm-session-id", "x-openwebui-chat-id", "x-litellm-session-id", "metadata.session_id"]
)


def named(by: str, session: str) -> dict[str, Any]:
    """What names a session in a request of OpenAI's client."""
    if by == "metadata.session_id":
        return {"extra_body": {"metadata": {"session_id": session}}}
    return {"headers": {by: session}}


@NAMED
def test_what_is_new_follows_what_was_said_before(client: OpenAI, llm: ScriptedLLM, by: str) -> None:
    session = str(uuid.uuid4())
    for text in ("one", "two"):
        ask(client, text, **named(by, session))
    ask(client, [("user", "three"), ("user", "and four")], **named(by, session))
    assert seen(llm) == [*talk("one", "echo: one", "two", "echo: two", "three"), ("user", "and four")]
    ask(client, "one", **named(by, str(uuid.uuid4())))
    assert seen(llm) == talk("one")


def test_the_same_session_is_meant_in_whichever_way_it_is_named(client: OpenAI, llm: ScriptedLLM) -> None:
    session = str(uuid.uuid4())
    for by in ("metadata.session_id", "x-litellm-session-id", "x-openwebui-chat-id", "x-agentllm-session-id"):
        ask(client, by, **named(by, session))
    assert [text for role, text in seen(llm) if role == "user"] == [
        "metadata.session_id",
        "x-litellm-session-id",
        "x-openwebui-chat-id",
        "x-agentllm-session-id",
    ]


@NAMED
def test_a_transcript_wins_from_where_it_parts(client: OpenAI, llm: ScriptedLLM, by: str) -> None:
    where = named(by, str(uuid.uuid4()))
    for text in ("one", "two", "three"):
        ask(client, text, **where)
    parted = talk("one", "echo: one", "two", "otherwise", "four")
    ask(client, parted, **where)
    assert seen(llm) == parted
    ask(client, "five", **where)
    assert seen(llm) == [*parted, *talk("", "echo: four", "five")[1:]]


@NAMED
def test_a_transcript_leads_back_to_an_older_branch(client: OpenAI, llm: ScriptedLLM, by: str) -> None:
    where = named(by, str(uuid.uuid4()))
    with_a_tool(llm)
    ask(client, "20 + 22?", model="agno/tooled", **where)
    ask(client, "two", model="agno/tooled", **where)
    ask(client, talk("something else"), model="agno/tooled", **where)
    back = talk("20 + 22?", "It is 42.", "another two")
    ask(client, back, model="agno/tooled", **where)
    assert seen(llm) == [*USED, ("user", "another two")]
    ask(client, "three", model="agno/tooled", **where)
    assert seen(llm) == [*USED, *talk("another two", "echo: another two", "three")]
    ask(client, talk("20 + 22?", "It is 42.", "two", "echo: two", "four"), model="agno/tooled", **where)
    assert seen(llm) == [*USED, *talk("two", "echo: two", "four")]


def test_a_transcript_that_ends_with_an_answer_has_it_continued(client: OpenAI, llm: ScriptedLLM) -> None:
    session = new_session()
    ask(client, "one", session)
    llm.script(" and more")
    ask(client, talk("one", "echo: one"), session)
    assert seen(llm) == [*talk("one", "echo: one"), GO_ON]
    ask(client, talk("one", "echo: one and more", "two"), session)
    assert [said for said in seen(llm) if said != GO_ON][-1] == ("user", "two")


def test_what_was_said_of_a_stopped_answer_is_remembered(proxy: Proxy, client: OpenAI, llm: ScriptedLLM) -> None:
    session = new_session()
    llm.script(Reply("and on it goes ", endless=True))
    body = {"model": "agno/echo", "stream": True, "messages": as_messages(talk("one"))}
    heard = send(proxy, body, session, until="goes and")
    ask(client, "two", session)
    question, stopped, new = seen(llm)
    assert (question, stopped[0], new) == (("user", "one"), "assistant", ("user", "two"))
    assert stopped[1].startswith(heard.strip())
    ask(client, talk("one", heard, "three"), session)
    assert seen(llm) == talk("one", heard.strip(), "three")


@STREAM
@NAMED
def test_what_is_not_to_be_stored_is_not(place: Place, client: OpenAI, llm: ScriptedLLM, by: str, stream: bool) -> None:
    where = named(by, str(uuid.uuid4()))
    ask(client, "one", **where)
    before = place.stored()
    body = {"model": "agno/echo", "store": False, "stream": stream, **where.get("extra_body", {})}
    for said in (talk(WITHOUT_TRACE), talk(WITHOUT_TRACE, f"echo: {WITHOUT_TRACE}", "two")):
        send(place.proxy, {**body, "messages": as_messages(said)}, where.get("headers"))
        assert seen(llm) == said
    assert (place.stored(), place.stored(WITHOUT_TRACE)) == (before, 0)
    ask(client, "two", **where)
    assert seen(llm) == talk("one", "echo: one", "two")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_are_of_one_request(client: OpenAI, llm: ScriptedLLM, role: str) -> None:
    session = new_session()
    ask(client, [(role, "Be brief."), ("user", "one")], session)
    brief = seen(llm)
    assert [text for _, text in brief] == ["Be brief.", "one"]
    ask(client, [(role, "Be polite."), ("user", "two")], session)
    assert [text for _, text in seen(llm)] == ["Be polite.", "one", "echo: one", "two"]
    assert seen(llm)[0][0] == brief[0][0] != "user"
    ask(client, [(role, "Sing."), *talk("one", "echo: one", "other two")], session)
    assert [text for _, text in seen(llm)] == ["Sing.", "one", "echo: one", "other two"]
    ask(client, "three", session)
    assert seen(llm) == talk("one", "echo: one", "other two", "echo: other two", "three")


def test_instructions_do_not_part_a_chat(proxy: Proxy, client: OpenAI, llm: ScriptedLLM) -> None:
    question = f"20 + 22, {uuid.uuid4()}?"
    with_a_tool(llm)
    ask(client, [("system", "Be brief."), ("user", question)], model="agno/tooled")
    ask(client, [("system", "Be polite."), *talk(question, "It is 42.", "two")], model="agno/tooled")
    assert seen(llm)[1:] == [("user", question), *USED[1:], ("user", "two")]


# Several requests at once


async def until_begun(proxy: Proxy, turns: int) -> None:
    """Wait until the proxy has begun with so many turns since it started; they then run, or wait in that order."""
    async with asyncio.timeout(60):
        while begun(proxy) < turns:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


def begun(proxy: Proxy) -> int:
    return len(re.findall(r"turn \S+ of agent \S+ begins\n", proxy.log))


@STREAM
async def test_requests_at_once_are_answered_in_order_and_too_many_are_refused(
    proxy: Proxy, aclient: AsyncOpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    session = new_session()
    allowed = QUEUE + 1
    before = begun(proxy)
    llm.script(Reply("echo: 0", first_delay=4))

    async def post(text: str) -> httpx.Response:
        body = {"model": "agno/echo", "stream": stream, "messages": as_messages(talk(text))}
        return await http.post(
            f"{proxy.base_url}/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {proxy.key}", **session},
        )

    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(timeout=30, limits=limits) as http:
        running = []
        for number in range(allowed):
            running.append(asyncio.create_task(post(str(number))))
            await until_begun(proxy, before + number + 1)
        for _ in range(2):
            refused = await post("too many")
            assert refused.status_code == 429, refused.text
            assert refused.headers["retry-after"] == str(RETRY_AFTER)
            error = refused.json()["error"]
            assert set(error) >= {"message", "type", "param", "code"}
            assert "busy" in error["message"]
            assert error["code"] == "429"
        assert len(llm.requests()) == 1, "the first turn was over too soon for this test"
        answered = [response.status_code for response in await asyncio.gather(*running)]
    assert answered == [200] * allowed
    requests = llm.requests()
    assert [request.body["messages"][-1]["content"] for request in requests] == [str(n) for n in range(allowed)]
    assert all(one.finished_at and one.finished_at < after.started_at for one, after in pairwise(requests))
    await aclient.chat.completions.create(
        model="agno/echo", messages=[{"role": "user", "content": "and on"}], extra_headers=session
    )
    texts = [text for number in range(allowed) for text in (str(number), f"echo: {number}")]
    assert seen(llm) == talk(*texts, "and on")


async def test_who_leaves_while_waiting_is_not_run(proxy: Proxy, aclient: AsyncOpenAI, llm: ScriptedLLM) -> None:
    session = new_session()
    before = begun(proxy)
    llm.script(Reply("echo: one", first_delay=1))

    async def turn(text: str) -> None:
        await aclient.chat.completions.create(
            model="agno/echo", messages=[{"role": "user", "content": text}], extra_headers=session
        )

    first = asyncio.create_task(turn("one"))
    await until_begun(proxy, before + 1)
    waiting = [asyncio.create_task(turn(text)) for text in ("two", "three")]
    await until_begun(proxy, before + 3)
    waiting[0].cancel()
    await asyncio.gather(first, waiting[1])
    assert seen(llm) == talk("one", "echo: one", "three")


async def test_branches_of_a_chat_at_once_are_all_kept(proxy: Proxy, llm: ScriptedLLM) -> None:
    chat = Chat(proxy)
    first = chat.ask("one")
    others = await asyncio.gather(*(asyncio.to_thread(chat.ask, f"two, {n}", first) for n in range(8)))
    for answer in others:
        chat.ask("three", answer)
        assert seen(llm) == [*chat.shown(answer), ("user", "three")]


# Whose they are


def test_equal_ids_of_two_people_never_meet(place: Place, llm: ScriptedLLM) -> None:
    """Forwarded by a front end, or with keys of their own; after an answer that is another's, the transcript counts."""
    adas, bobs = ({"Authorization": f"Bearer {key}"} for key in place.keys)
    for id_, (ada, bob) in {
        "forwarded": ({"x-openwebui-user-id": "ada"}, {"x-openwebui-user-id": "bob"}),
        "keys": (adas, bobs),
        "key and forwarded": (adas, {"x-openwebui-user-id": "ada"}),
    }.items():
        hers, his = (Chat(place.proxy, "agno/tooled", chat=id_, **headers) for headers in (ada, bob))
        with_a_tool(llm)
        hers.ask("20 + 22?", answer_id=f"{id_}, answer")
        his.nodes[f"{id_}, answer"] = hers.nodes[f"{id_}, answer"]
        his.ask("two", f"{id_}, answer")
        assert seen(llm) == talk("20 + 22?", "It is 42.", "two")
        hers.ask("two", f"{id_}, answer")
        assert seen(llm) == [*USED, ("user", "two")]


def test_equal_ids_of_two_agents_never_meet(client: OpenAI, llm: ScriptedLLM) -> None:
    session = new_session()
    models = ("agno/echo", "agno/routed", "agno/tooled")
    for model in models:
        ask(client, f"to {model}", session, model=model)
    for model in models:
        ask(client, "two", session, model=model)
        assert seen(llm) == talk(f"to {model}", f"echo: to {model}", "two")


@pytest.mark.parametrize("headers", [{}, {"x-agentllm-session-id": "shared"}, {"x-litellm-session-id": "shared, too"}])
def test_equal_transcripts_of_two_people_never_meet(place: Place, llm: ScriptedLLM, headers: dict[str, str]) -> None:
    adas, bobs = ({"Authorization": f"Bearer {key}", **headers} for key in place.keys)
    question = f"20 + 22, {uuid.uuid4()}?"

    def say(said: Sequence[Said], headers: Mapping[str, str]) -> None:
        send(place.proxy, {"model": "agno/tooled", "messages": as_messages(said)}, headers)

    with_a_tool(llm)
    say(talk(question), adas)
    say(talk(question, "It is 42.", "two"), bobs)
    assert seen(llm) == talk(question, "It is 42.", "two")
    say(talk(question, "It is 42.", "two"), adas)
    assert seen(llm) == [("user", question), *USED[1:], ("user", "two")]
