"""Pictures, sounds and files: what reaches a model's wire, and what a run shows of those that it makes."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from agno.agent import Agent
from agno.exceptions import ModelProviderError
from agno.media import Audio, File, Image
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.openai import OpenAIResponses
from agno.models.response import ModelResponse
from agno.run.agent import RunOutput
from agno.team import Team
from agno.tools import tool
from agno.tools.function import ToolResult
from agno.workflow import Step, StepInput, StepOutput, Workflow

from agentllm.core import Decision, Event, Link, Media, Message, Shown, ToolCall
from agentllm.errors import InvalidRequest
from agentllm.llm.offline import OfflineModel
from agentllm.runtimes.agno.media import Exhibits, refuse_untaken, to_agno_media
from agentllm.runtimes.agno.messages import from_agno, to_agno
from agentllm.runtimes.tool_media import FROM_TOOL, with_media_of_tools
from tests.gateway.pictures import GIF, MP3, PDF, PNG, WAV, data_url, encoded
from tests.runtimes.agno.conftest import gemini_model, openai_model, routed_model
from tests.runtimes.agno.spoken import HOME, Spoken, agent, answer, calling, finished, run, text_of, turn
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.usefixtures("provider")

PICTURE = Media("image", "image/png", PNG)
SOUND = Media("audio", "audio/wav", WAV)
MP3_SOUND = Media("audio", "audio/mpeg", MP3)
DOCUMENT = Media("file", "application/pdf", PDF, "a.pdf")
OTHER = PNG + b"other"

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
OPENAI_MODELS = pytest.mark.parametrize("make", [openai_model, routed_model], ids=["openai", "router"])


def asking(text: str, *media: Media) -> Message:
    return Message("user", text, media=media)


def shown(events: list[Event]) -> list[Media | Link]:
    return [event.media for event in events if isinstance(event, Shown)]


def bytes_shown(events: list[Event]) -> list[bytes]:
    return [media.data for media in shown(events) if isinstance(media, Media)]


# What reaches a model


def openai_parts(llm: ScriptedLLM) -> list[Any]:
    """The contents of the users' messages of the last call."""
    return [message["content"] for message in llm.requests()[-1].body["messages"] if message["role"] == "user"]


def gemini_parts(llm: ScriptedLLM) -> list[Any]:
    return [content["parts"] for content in llm.requests()[-1].body["contents"] if content["role"] == "user"]


IMAGE_PART = {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png")}}


@STREAM
@OPENAI_MODELS
def test_media_reach_openai_s_wire_whole(llm: ScriptedLLM, stream: bool, make: Callable[[], Model]) -> None:
    who = Agent(model=make(), telemetry=False)
    HOME.run(run(who, turn(asking("see", PICTURE, SOUND, MP3_SOUND, DOCUMENT), stream=stream)))
    (content,) = openai_parts(llm)
    assert sorted(part["type"] for part in content) == ["file", "image_url", "input_audio", "input_audio", "text"]
    assert IMAGE_PART in content
    assert {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}} in content
    assert {"type": "input_audio", "input_audio": {"data": encoded(MP3), "format": "mp3"}} in content
    file = {"filename": "a.pdf", "file_data": data_url(PDF, "application/pdf")}
    assert {"type": "file", "file": file} in content


@STREAM
def test_media_reach_gemini_s_wire_whole(llm: ScriptedLLM, stream: bool) -> None:
    who = Agent(model=gemini_model(), telemetry=False)
    HOME.run(run(who, turn(asking("see", PICTURE, SOUND, MP3_SOUND, DOCUMENT), stream=stream)))
    (parts,) = gemini_parts(llm)
    assert parts[0] == {"text": "see"}
    assert [part["inlineData"]["mime_type"] for part in parts[1:]] == [
        "image/png",
        "audio/wav",
        "audio/mp3",
        "application/pdf",
    ]
    assert [base64.urlsafe_b64decode(part["inlineData"]["data"]) for part in parts[1:]] == [PNG, WAV, MP3, PDF]


def test_a_picture_without_a_word_goes_without_an_empty_text(llm: ScriptedLLM) -> None:
    said = (asking("", PICTURE), Message("assistant", "a dot"), asking("", DOCUMENT))
    HOME.run(run(Agent(model=openai_model(), telemetry=False), turn(*said)))
    first, newest = openai_parts(llm)
    assert first == [IMAGE_PART]
    assert [part["type"] for part in newest] == ["file"]
    HOME.run(run(Agent(model=gemini_model(), telemetry=False), turn(*said)))
    assert [list(part) for parts in gemini_parts(llm) for part in parts] == [["inlineData"], ["inlineData"]]


@pytest.mark.parametrize("model", ["openai", "gemini"])
def test_media_of_earlier_messages_stand_where_they_were(llm: ScriptedLLM, model: str) -> None:
    who = Agent(model=openai_model() if model == "openai" else gemini_model(), telemetry=False)
    said = (asking("look", PICTURE), Message("assistant", "a dot"), "what was it?")
    HOME.run(run(who, turn(*said)))
    if model == "openai":
        assert openai_parts(llm) == [[{"type": "text", "text": "look"}, IMAGE_PART], "what was it?"]
    else:
        first, newest = gemini_parts(llm)
        assert [list(part) for part in first] == [["text"], ["inlineData"]]
        assert newest == [{"text": "what was it?"}]


def test_a_team_s_leader_is_given_the_media(llm: ScriptedLLM) -> None:
    member = Agent(name="member", model=openai_model(), telemetry=False)
    team = Team(name="team", model=openai_model(), members=[member], telemetry=False)
    HOME.run(run(team, turn(asking("look", PICTURE))))
    assert openai_parts(llm) == [[{"type": "text", "text": "look"}, IMAGE_PART]]


@STREAM
def test_a_workflow_s_steps_are_given_the_media(llm: ScriptedLLM, stream: bool) -> None:
    seen: list[list[bytes | None]] = []

    def count(given: StepInput) -> StepOutput:
        seen.append([item.content for item in (*(given.images or ()), *(given.audio or ()), *(given.files or ()))])
        return StepOutput(content="counted")

    who = Agent(name="step", model=openai_model(), telemetry=False)
    flow = Workflow(name="flow", steps=[Step(name="1", executor=count), Step(name="2", agent=who)], telemetry=False)
    events = HOME.run(run(flow, turn(asking("look", PICTURE, SOUND, DOCUMENT), stream=stream)))
    assert seen == [[PNG, WAV, PDF]]
    (content,) = openai_parts(llm)
    assert {part["type"] for part in content} == {"text", "image_url", "input_audio", "file"}
    assert shown(events) == []


def test_the_pictures_of_a_tool_s_result_follow_it_as_from_a_user(llm: ScriptedLLM) -> None:
    said = (
        "photograph it",
        Message("assistant", "", (ToolCall("1", "photograph", "{}"), ToolCall("2", "photograph", "{}"))),
        Message("tool", "done", tool_call_id="1", name="photograph", media=(PICTURE,)),
        Message("tool", "done", tool_call_id="2", name="photograph"),
    )
    HOME.run(run(Agent(model=openai_model(), telemetry=False), turn(*said)))
    roles = [message["role"] for message in llm.requests()[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    assert openai_parts(llm)[-1] == [{"type": "text", "text": FROM_TOOL}, IMAGE_PART]


def test_an_agent_that_keeps_media_from_its_model_gives_them_to_its_tools(llm: ScriptedLLM) -> None:
    seen: list[Any] = []

    def look(images: list[Image] | None = None) -> str:
        """Look."""
        seen.append([image.content for image in images or ()])
        return "a dot"

    who = Agent(model=openai_model(), tools=[look], send_media_to_model=False, telemetry=False)
    HOME.run(run(who, turn(asking("earlier", PICTURE), Message("assistant", "a"), asking("!call look", PICTURE))))
    assert openai_parts(llm) == ["earlier", "!call look"]
    assert seen == [[PNG]]


def test_a_type_that_google_s_models_do_not_take_is_named(llm: ScriptedLLM) -> None:
    moving = Media("image", "image/gif", GIF)
    HOME.run(run(Agent(model=openai_model(), telemetry=False), turn(asking("look", moving))))
    with pytest.raises(InvalidRequest) as raised:
        HOME.run(run(Agent(model=gemini_model(), telemetry=False), turn(asking("look", moving))))
    assert "image/gif" in raised.value.message
    assert len(llm.requests()) == 1


def test_a_sound_is_refused_where_agno_would_leave_it_out() -> None:
    refuse_untaken(OpenAIResponses(id="gpt"), [PICTURE, DOCUMENT])
    with pytest.raises(InvalidRequest) as raised:
        refuse_untaken(OpenAIResponses(id="gpt"), [PICTURE, SOUND])
    assert "audio/wav" in raised.value.message


@pytest.mark.parametrize(
    ("mime_type", "sent"), [("text/x-rust", "text/plain"), ("text/csv", "text/csv"), ("application/json", None)]
)
def test_a_text_that_agno_has_no_name_for_is_plain(mime_type: str, sent: str | None) -> None:
    made: File = to_agno_media([Media("file", mime_type, b"x", "x")])["files"][0]
    assert made.mime_type == (sent or mime_type)


def test_messages_without_media_are_left_as_they_are() -> None:
    said = [Message("user", "hi"), Message("tool", "x", tool_call_id="1"), Message("user", "ho", media=(PICTURE,))]
    assert with_media_of_tools(said) == said
    assert to_agno(Message("assistant")).content is None


@STREAM
async def test_the_offline_model_says_what_came_and_that_it_cannot_see_it(stream: bool) -> None:
    who = Agent(model=OfflineModel(), telemetry=False)
    said = text_of(await run(who, turn(asking("what is this?", PICTURE, SOUND, DOCUMENT, PICTURE), stream=stream)))
    assert "2 pictures" in said
    assert "1 sound" in said
    assert "1 file" in said
    assert text_of(await run(who, turn(asking("", PICTURE), stream=stream)))


# What a run shows


@dataclass
class Painter(OfflineModel):
    """Says `says`, with these media in the answer, whole or in as many pieces as there are."""

    says: str = "Here."
    images: list[Image] = field(default_factory=list)
    audio: list[Audio] = field(default_factory=list)
    asked: int = 0

    async def ainvoke(self, *_: object, **__: object) -> ModelResponse:
        made = ModelResponse(role="assistant", content=self.says or None, images=self.images or None)
        made.audio = self.audio[0] if self.audio else None
        return made

    async def ainvoke_stream(self, *_: object, **__: object) -> AsyncIterator[ModelResponse]:
        yield ModelResponse(content=self.says or None)
        for image in self.images:
            yield ModelResponse(images=[image])
        for piece in self.audio:
            yield ModelResponse(audio=piece)


def picture(data: bytes = PNG) -> Image:
    return Image(content=data, mime_type="image/png")


@STREAM
async def test_a_picture_that_the_model_makes_is_shown_once(stream: bool) -> None:
    events = await run(Agent(model=Painter(images=[picture()]), telemetry=False), turn("paint", stream=stream))
    assert shown(events) == [PICTURE]
    assert text_of(events) == "Here."
    assert finished(events).messages == (Message("assistant", "Here."),)


@STREAM
async def test_each_of_several_pictures_is_shown_in_order(stream: bool) -> None:
    who = Agent(model=Painter(images=[picture(), picture(OTHER)]), telemetry=False)
    assert bytes_shown(await run(who, turn("paint", stream=stream))) == [PNG, OTHER]


@STREAM
async def test_each_of_a_member_s_several_pictures_is_shown(stream: bool) -> None:
    painter = Agent(name="painter", id="painter", model=Painter(images=[picture(), picture(OTHER)]), telemetry=False)
    leader = Spoken.of(calling("delegate_task_to_member", '{"member_id": "painter", "task": "paint"}'), answer("Done."))
    team = Team(name="team", model=leader, members=[painter], telemetry=False)
    assert bytes_shown(await run(team, turn("paint", stream=stream))) == [PNG, OTHER]


@dataclass
class Retried(OfflineModel):
    """Paints two pictures and calls a tool, then fails; tried again, paints two others."""

    calls: list[int] = field(default_factory=list)

    async def ainvoke(self, *_: object, **__: object) -> ModelResponse:
        self.calls.append(len(self.calls))
        number = self.calls[-1]
        if number == 1:
            raise ModelProviderError("overloaded", 503)
        images = [picture(f"{number}{name}".encode()) for name in "ab"]
        call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        return ModelResponse(role="assistant", content="Here.", images=images, tool_calls=[] if number else [call])


async def test_a_plain_run_that_is_tried_again_shows_the_pictures_of_its_last_try() -> None:
    def look() -> str:
        """Look."""
        return "a dot"

    who = Agent(model=Retried(), tools=[look], retries=1, delay_between_retries=0, telemetry=False)
    assert bytes_shown(await run(who, turn("paint"))) == [b"2a", b"2b"]


@STREAM
async def test_an_answer_that_is_a_picture_alone_is_not_empty(stream: bool) -> None:
    events = await run(Agent(model=Painter(says="", images=[picture()]), telemetry=False), turn("x", stream=stream))
    assert shown(events) == [PICTURE]
    assert text_of(events) == ""


@STREAM
async def test_a_sound_that_the_model_makes_is_shown_with_what_is_said_in_it(stream: bool) -> None:
    sound = Audio(content=WAV, mime_type="audio/wav", transcript="ding")
    events = await run(Agent(model=Painter(says="", audio=[sound]), telemetry=False), turn("sing", stream=stream))
    assert [event for event in events if isinstance(event, Shown)] == [Shown(SOUND, "ding")]
    assert finished(events).messages == (Message("assistant", "ding"),)


async def test_a_sound_in_pieces_of_base_64_is_shown_whole_as_one_that_can_be_played() -> None:
    pieces = [
        Audio(id="a", content=encoded(samples).encode(), mime_type="pcm16", transcript=word)
        for samples, word in ((b"\x01\x00", "one"), (b"\x02\x00\x03\x00", " two"))
    ]
    who = Agent(model=Painter(says="", audio=pieces), telemetry=False)
    events = await run(who, turn("sing", stream=True))
    (sound,) = (event for event in events if isinstance(event, Shown))
    assert isinstance(sound.media, Media)
    assert (sound.media.mime_type, sound.transcript) == ("audio/wav", "one two")
    with wave.open(io.BytesIO(sound.media.data)) as played:
        assert (played.getframerate(), played.getnchannels(), played.getsampwidth()) == (24_000, 1, 2)
        assert played.readframes(9) == b"\x01\x00\x02\x00\x03\x00"


def paint() -> ToolResult:
    """Paint a picture."""
    return ToolResult(content="painted", images=[picture()], audios=[Audio(content=WAV, mime_type="audio/wav")])


@STREAM
async def test_what_a_tool_makes_is_shown_once_and_the_model_sees_it(stream: bool) -> None:
    painter, model = agent(calling("paint"), answer("Done."), tools=[paint])
    events = await run(painter, turn("paint", stream=stream))
    assert shown(events) == [PICTURE, SOUND]
    assert [image.content for image in model.asked[-1][-1].images or ()] == [PNG]
    assert all(not message.media for message in finished(events).messages)


async def test_what_a_tool_makes_is_shown_before_the_answer_ends() -> None:
    painter, _ = agent(calling("paint"), answer("Done."), tools=[paint])
    events = await run(painter, turn("paint", stream=True))
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("Shown") < kinds.index("Text")


@STREAM
async def test_what_a_team_s_member_makes_is_shown_once(stream: bool) -> None:
    painter, _ = agent(calling("paint"), answer("Painted."), tools=[paint])
    painter.name, painter.id = "painter", "painter"
    leader = Spoken.of(calling("delegate_task_to_member", '{"member_id": "painter", "task": "paint"}'), answer("Done."))
    team = Team(name="team", model=leader, members=[painter], telemetry=False)
    assert shown(await run(team, turn("paint", stream=stream))) == [PICTURE, SOUND]


@STREAM
async def test_what_a_workflow_s_steps_make_is_shown_once(stream: bool) -> None:
    painter = Agent(name="painter", model=Painter(images=[picture()]), telemetry=False)
    teller, _ = agent("It is a dot.")
    flow = Workflow(name="flow", steps=[Step(name="1", agent=painter), Step(name="2", agent=teller)], telemetry=False)
    events = await run(flow, turn("paint", stream=stream))
    assert shown(events) == [PICTURE]
    assert text_of(events) == "It is a dot."


@STREAM
async def test_what_came_with_the_question_is_not_shown_again(stream: bool) -> None:
    def give_back(images: list[Image] | None = None) -> ToolResult:
        """Give back what was given."""
        return ToolResult(content="here", images=list(images or ()))

    giver, _ = agent(calling("give_back"), answer("Done."), tools=[give_back])
    assert shown(await run(giver, turn(asking("give it back", PICTURE), stream=stream))) == []


@STREAM
async def test_what_is_elsewhere_is_shown_once_as_a_link_and_not_fetched(stream: bool) -> None:
    asked: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("connection")
        writer.close()

    def photograph() -> ToolResult:
        """Photograph it."""
        return ToolResult(content="done", images=[Image(url=url)], audios=[Audio(url=url, transcript="click")])

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
        who, _ = agent(calling("photograph"), calling("photograph"), answer(""), tools=[photograph])
        events = await run(who, turn("photograph it", stream=stream))
    found = [event for event in events if isinstance(event, Shown)]
    assert found == [Shown(Link("image", url)), Shown(Link("audio", url), "click")]
    assert text_of(events) == ""
    assert not asked


@STREAM
async def test_a_link_to_a_picture_of_the_model_is_shown(stream: bool) -> None:
    who = Agent(model=Painter(images=[Image(url="https://example.org/a.png")]), telemetry=False)
    assert shown(await run(who, turn("paint", stream=stream))) == [Link("image", "https://example.org/a.png")]


def test_a_data_url_is_shown_as_what_it_holds() -> None:
    url = data_url(PNG, "image/png")
    found = Exhibits("run").of([Image(url=url), Image(content=PNG), Audio(url=data_url(MP3, "audio/mpeg"))])
    assert [event.media for event in found] == [PICTURE, MP3_SOUND]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "/tmp/a.png",
        "javascript:alert(1)",
        "https://example.org/a.png) and more",
        "https://example.org/a\nb",
        "data:image/png;base64,%%%",
        "data:image/svg+xml,<svg/>",
        "ftp://example.org/a.png",
        "",
    ],
)
def test_a_url_that_is_none_of_the_web_is_not_shown(url: str) -> None:
    assert list(Exhibits("run").of([Image(url=url), Audio(url=url)])) == []


def test_what_is_not_here_is_not_shown() -> None:
    output = RunOutput(images=[Image(filepath="/etc/hostname")], audio=[Audio(content=b"", id="x")])
    assert list(Exhibits("run").of_output(output)) == []


@STREAM
async def test_what_an_approved_tool_makes_is_shown(stream: bool) -> None:
    who, _ = agent(calling("paint"), answer("Done."), tools=[tool(requires_confirmation=True)(paint)])
    before = turn("paint", stream=stream)
    events = await run(who, before)
    assert shown(events) == []
    ended = finished(events)
    approved = replace(
        before,
        id="next",
        messages=(*before.messages, *ended.messages),
        pending=ended.pending,
        decisions=(Decision("call_paint", approved=True),),
    )
    assert shown(await run(who, approved)) == [PICTURE, SOUND]


@pytest.mark.parametrize(
    ("audio", "mime_type"),
    [
        (Audio(content=encoded(WAV).encode()), "audio/wav"),
        (Audio(content=encoded(MP3).encode()), "audio/mpeg"),
        (Audio(content=b"\x00\x00", mime_type="audio/L16;codec=pcm;rate=24000"), "audio/wav"),
        (Audio(content=MP3, mime_type="audio/mp3"), "audio/mp3"),
    ],
)
def test_a_sound_s_type_is_told_where_the_provider_does_not_say(audio: Audio, mime_type: str) -> None:
    (sound,) = Exhibits("run").of([audio])
    assert isinstance(sound.media, Media)
    assert sound.media.mime_type == mime_type


def test_what_is_kept_of_a_message_has_no_media() -> None:
    message = AgnoMessage(role="user", content="look", images=[picture()])
    assert from_agno(message) == Message("user", "look")
