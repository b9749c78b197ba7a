"""Messages as events of an ADK session, and back."""

from __future__ import annotations

from google.adk.events.event import Event
from google.genai import types

from agentllm.conversations.records import from_json, to_json
from agentllm.core import Media, Message, ToolCall
from agentllm.runtimes.adk.messages import events_of, invocation_of, messages_of


def said(event: Event, agent: str = "agent") -> list[Message]:
    return list(messages_of(event, agent))


def event(*parts: types.Part, author: str = "agent", role: str = "model") -> Event:
    return Event(author=author, content=types.Content(role=role, parts=list(parts)))


def test_an_event_comes_back_as_it_was_through_the_store() -> None:
    events = [
        event(
            types.Part(text="thinking", thought=True, thought_signature=b"\x00\xff1"),
            types.Part(text="let me see"),
            types.Part(
                function_call=types.FunctionCall(id="c1", name="add", args={"a": 1}), thought_signature=b"\xfe\x01"
            ),
            author="sub",
        ),
        event(
            types.Part(function_response=types.FunctionResponse(id="c1", name="add", response={"sum": [1, 2]})),
            author="sub",
            role="user",
        ),
        event(types.Part(executable_code=types.ExecutableCode(code="1+1", language=types.Language.PYTHON))),
        event(types.Part(text="two")),
    ]
    kept = [message for one in events for message in said(one)]
    stored = from_json(to_json(tuple(kept)))
    again = events_of(stored, "agent")
    assert [one.author for one in again] == ["sub", "sub", "agent", "agent"]
    assert [one.content for one in again] == [one.content for one in events]


def test_each_message_of_the_user_begins_an_invocation() -> None:
    events = events_of([Message("user", "1"), Message("assistant", "a"), Message("user", "2")], "agent")
    assert events[0].invocation_id == events[1].invocation_id != events[2].invocation_id
    assert invocation_of(events) == events[2].invocation_id


def test_results_of_one_message_s_calls_are_one_event_and_the_client_s_are_the_user_s() -> None:
    calls = (ToolCall("c1", "weather", "{}"), ToolCall("c2", "add", "not JSON"))
    messages = [
        Message("user", "?"),
        Message("assistant", "", calls),
        Message("tool", '{"t": 3}', tool_call_id="c1"),
        Message("tool", "plain", tool_call_id="c2"),
    ]
    *_, asked, results = events_of(messages, "agent")
    assert [call.args for call in asked.get_function_calls()] == [{}, {"arguments": "not JSON"}]
    assert results.author == "user"
    assert [(r.name, r.response) for r in results.get_function_responses()] == [
        ("weather", {"t": 3}),
        ("add", {"result": "plain"}),
    ]


def test_media_of_the_user_and_of_tools_stand_beside_the_text() -> None:
    picture = Media("image", "image/png", b"png", "a.png")
    [user] = events_of([Message("user", "see", media=(picture,))], "agent")
    assert user.content is not None
    assert [part.inline_data and part.inline_data.data for part in user.content.parts or ()] == [None, b"png"]
    [tool] = events_of([Message("tool", "ok", tool_call_id="c", name="draw", media=(picture,))], "agent")
    [response] = tool.get_function_responses()
    assert response.parts is not None
    assert response.parts[0].inline_data is not None
    assert response.parts[0].inline_data.data == b"png"


def test_pictures_of_the_model_and_events_without_content_are_not_kept() -> None:
    blob = types.Blob(mime_type="image/png", data=b"png")
    assert said(event(types.Part(inline_data=blob), types.Part(text="here"))) == [Message("assistant", "here")]
    assert said(event(types.Part(text="hm", thought=True))) == []
    assert said(Event(author="agent")) == []
