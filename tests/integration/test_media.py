"""Pictures, sounds and files through the running proxy, to the models' wires and back to the client."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from openai import BadRequestError, OpenAI

from agentllm.conversations.archive import Archive
from agentllm.conversations.records import StoredTurn
from tests.gateway.pictures import GIF, JPEG, PDF, PNG, WAV, data_url, encoded, file, picture, sound, text
from tests.integration.agents.painter import PICTURE_URL, SOUND_URL
from tests.integration.agents.painter import PNG as PAINTED
from tests.integration.agents.painter import WAV as RUNG
from tests.integration.conftest import llm_environment
from tests.integration.stored import sqlite_url
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed", "agno/team", "agno/flow"])
SETTLE_SECONDS = 0.3
"""In which what is logged beside an answer is in the log."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fetching")


@pytest.fixture(scope="module")
def fetching(running_llm: ScriptedLLM, folder: Path) -> Iterator[Proxy]:
    """A proxy that fetches URLs, and whose store can be looked into."""
    environment = {**llm_environment(running_llm), "AGENTLLM_FETCH_URLS": "1", "LITELLM_LOG": "INFO"}
    with Proxy(folder, environment) as running:
        yield running


@pytest.fixture
def fetcher(fetching: Proxy) -> Iterator[OpenAI]:
    """A client of that proxy."""
    with OpenAI(base_url=fetching.base_url, api_key=fetching.key, max_retries=0, timeout=30) as openai:
        yield openai


def user(*parts: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "content": [text(part) if isinstance(part, str) else part for part in parts]}


def assistant(said: str) -> dict[str, Any]:
    return {"role": "assistant", "content": said}


def ask(client: OpenAI, *messages: dict[str, Any], model: str = "agno/echo", **more: Any) -> str:
    """The text of a plain or streamed answer."""
    answer: Any = client.chat.completions.create(model=model, messages=list(messages), **more)  # type: ignore[arg-type]
    if not more.get("stream"):
        return str(answer.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def bytes_sent(llm: ScriptedLLM) -> list[bytes]:
    """What the newest request to a model held, of whichever format, in order."""
    found: list[bytes] = []

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            if "mime_type" in value and "data" in value:
                found.append(base64.urlsafe_b64decode(value["data"]))
            elif "format" in value and "data" in value:
                found.append(base64.b64decode(value["data"]))
            else:
                for item in value.values():
                    look(item)
        elif isinstance(value, str) and value.startswith("data:"):
            found.append(base64.b64decode(value.partition(",")[2]))

    look({key: value for key, value in llm.requests()[-1].body.items() if key in ("messages", "contents")})
    return found


def session() -> dict[str, str]:
    return {"x-agentllm-session-id": str(uuid.uuid4())}


# To the models


@STREAM
@MODELS
def test_what_comes_with_a_question_reaches_the_model(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script("A dot.", times=None)
    assert ask(client, user("see", picture(), sound(), file()), model=model, stream=stream) == "A dot."
    assert sorted(bytes_sent(llm)) == sorted([PNG, WAV, PDF])


@STREAM
def test_a_picture_without_a_word_is_a_question(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    ask(client, user("", picture()), stream=stream)
    (message,) = llm.requests()[-1].body["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": data_url(PNG, "image/png")},
        {"type": "image_url", "image_url": data_url(PNG, "image/png")},
        {"type": "input_file", "file_data": encoded(PNG), "filename": "a.png"},
    ],
)
def test_the_forms_of_the_responses_api_are_taken_too(client: OpenAI, llm: ScriptedLLM, part: dict[str, Any]) -> None:
    ask(client, user({"type": "input_text", "text": "see"}, part))
    assert bytes_sent(llm) == [PNG]


def test_pictures_and_files_reach_a_model_from_the_responses_api(client: OpenAI, llm: ScriptedLLM) -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": data_url(PNG, "image/png")},
        {"type": "input_file", "file_data": data_url(PDF, "application/pdf"), "filename": "a.pdf"},
    ]
    client.responses.create(model="agno/echo", input=[{"role": "user", "content": parts}])  # type: ignore[list-item,misc]
    assert sorted(bytes_sent(llm)) == sorted([PNG, PDF])
    with pytest.raises(BadRequestError) as raised:
        client.responses.create(model="agno/echo", input=[{"role": "user", "content": [sound()]}])  # type: ignore[list-item,misc]
    assert "input_audio" in raised.value.message


def test_pictures_and_documents_reach_a_model_from_the_messages_api(proxy: Proxy, llm: ScriptedLLM) -> None:
    def block(kind: str, mime_type: str, data: bytes) -> dict[str, Any]:
        return {"type": kind, "source": {"type": "base64", "media_type": mime_type, "data": encoded(data)}}

    def post(*content: dict[str, Any]) -> httpx.Response:
        return httpx.post(
            f"{proxy.base_url}/messages",
            json={"model": "agno/echo", "max_tokens": 99, "messages": [{"role": "user", "content": content}]},
            headers={"x-api-key": proxy.key},
            timeout=30,
        )

    shown = post(text("see"), block("image", "image/png", PNG), block("document", "application/pdf", PDF))
    assert shown.status_code == 200
    assert sorted(bytes_sent(llm)) == sorted([PNG, PDF])
    refused = post(text("see"), {"type": "search_result"})
    assert refused.status_code == 400
    assert "search_result" in refused.text


def test_the_offline_model_says_that_it_cannot_see_a_picture(client: OpenAI, llm: ScriptedLLM) -> None:
    said = ask(client, user("what is this?", picture()), model="agno/painter")
    assert "1 picture" in said


# Remembered


@STREAM
@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
def test_a_session_remembers_a_picture(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    chat = session()
    ask(client, user("see", picture()), model=model, stream=stream, extra_headers=chat)
    ask(client, user("what was it?"), model=model, stream=stream, extra_headers=chat)
    assert bytes_sent(llm) == [PNG]


def test_a_transcript_with_pictures_goes_on_where_it_was_and_only_the_new_one_is_stored(
    fetcher: OpenAI, folder: Path, llm: ScriptedLLM
) -> None:
    mark = uuid.uuid4().hex
    first = user(f"see {mark}", picture())
    llm.script("A dot.", "Another.")
    answer = ask(fetcher, first)
    second = user("and this", picture(JPEG, "image/jpeg"))
    ask(fetcher, first, assistant(answer), second)
    assert bytes_sent(llm) == [PNG, JPEG]
    (turns,) = conversations(folder, mark)
    assert [[item.data for item in message.media] for turn in turns for message in turn.input] == [[PNG], [JPEG]]


def test_another_picture_under_the_same_words_is_another_conversation(
    fetcher: OpenAI, folder: Path, llm: ScriptedLLM
) -> None:
    mark = uuid.uuid4().hex
    llm.script("A dot.", "Another.")
    answer = ask(fetcher, user(mark, picture()))
    ask(fetcher, user(mark, picture(JPEG, "image/jpeg")), assistant(answer), user("and?"))
    assert bytes_sent(llm) == [JPEG]
    assert len(conversations(folder, mark)) == 2


def test_what_open_webui_sends_again_is_stored_once(fetcher: OpenAI, folder: Path, llm: ScriptedLLM) -> None:
    mark = uuid.uuid4().hex

    def place(message: str, parent: str) -> dict[str, str]:
        return {
            "x-openwebui-chat-id": mark,
            "x-agentllm-message-id": message,
            "x-agentllm-parent-message-id": parent,
        }

    first = user(mark, picture())
    answer = ask(fetcher, first, extra_headers=place("a", ""))
    ask(fetcher, first, assistant(answer), user("and?"), extra_headers=place("b", "a"))
    assert bytes_sent(llm) == [PNG]
    (turns,) = conversations(folder, mark)
    assert [[len(message.media) for message in turn.input] for turn in turns] == [[1], [0]]


def conversations(folder: Path, mark: str) -> list[list[StoredTurn]]:
    """The turns of each conversation that begins with `mark`."""
    with Archive(sa.make_url(sqlite_url(folder / "data"))) as archive:
        all_turns = [[dated.turn for dated in archive.turns(one.id)] for one in archive.conversations()]
    return [turns for turns in all_turns if mark in turns[0].input[0].content]


# From an agent


@STREAM
def test_a_picture_and_a_sound_that_the_agent_makes_reach_the_client_once(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    chat = session()
    for request in ("Paint a picture of a dot.", "Ring the bell."):
        answer: Any = client.chat.completions.create(
            model="agno/painter",
            messages=[{"role": "user", "content": request}],
            stream=stream,
            extra_headers=chat,
        )
        pieces = (
            [chunk.choices[0].delta for chunk in answer if chunk.choices] if stream else [answer.choices[0].message]
        )
        images = [image for piece in pieces for image in getattr(piece, "images", None) or ()]
        sounds = [sound for piece in pieces if (sound := getattr(piece, "audio", None))]
        if request.startswith("Paint"):
            assert [image["image_url"]["url"] for image in images] == [data_url(PAINTED, "image/png")]
            assert sounds == []
        else:
            assert images == []
            (made,) = (sound if isinstance(sound, dict) else sound.model_dump() for sound in sounds)
            assert base64.b64decode(made["data"]) == RUNG
            assert made["transcript"] == "ding"


@STREAM
def test_what_is_elsewhere_goes_out_as_a_link_a_picture_among_the_images_and_a_sound_in_the_text(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    question = user(f"Browse the web. {uuid.uuid4()}")
    answer: Any = client.chat.completions.create(model="agno/painter", messages=[question], stream=stream)  # type: ignore[list-item]
    pieces = [chunk.choices[0].delta for chunk in answer if chunk.choices] if stream else [answer.choices[0].message]
    images = [image for piece in pieces for image in getattr(piece, "images", None) or ()]
    assert images == [{"type": "image_url", "image_url": {"url": PICTURE_URL}, "index": 0}]
    text = "".join(piece.content or "" for piece in pieces)
    assert f"Sound: {SOUND_URL}" in text.splitlines()
    assert PICTURE_URL not in text


@STREAM
def test_a_link_to_a_picture_is_text_where_the_endpoint_has_no_place_for_it(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    answer: Any = client.responses.create(model="agno/painter", input="Browse the web.", stream=stream)
    answer = list(answer)[-1].response if stream else answer
    assert {item.type for item in answer.output} == {"message"}
    assert {f"Picture: {PICTURE_URL}", f"Sound: {SOUND_URL}"} <= set(answer.output_text.splitlines())


def test_a_transcript_with_links_goes_on_where_it_was(fetcher: OpenAI, folder: Path, llm: ScriptedLLM) -> None:
    question = user(f"Browse the web. {uuid.uuid4()}")
    answer = ask(fetcher, question, model="agno/painter")
    assert SOUND_URL in answer
    ask(fetcher, question, assistant(answer), user("And now?"), model="agno/painter")
    (turns,) = conversations(folder, question["content"][0]["text"])
    assert len(turns) == 2


# Refused


@STREAM
@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"type": "video_url", "video_url": {"url": "x"}}, "video_url"),
        ({"type": "audio_url", "audio_url": {"url": "x"}}, "audio_url"),
        ({"type": "document", "source": {}}, "document"),
        ({"type": "unheard_of"}, "unheard_of"),
        ({"type": None}, "None"),
        (picture(b"<svg/>", "image/svg+xml"), "image/svg+xml"),
        (picture(JPEG), "image/jpeg"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_id"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "AGENTLLM_FETCH_URLS"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "base64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_part_that_cannot_be_taken_is_named(
    client: OpenAI, llm: ScriptedLLM, part: dict[str, Any], named: str, stream: bool
) -> None:
    with pytest.raises(BadRequestError) as raised:
        ask(client, user("see", part), stream=stream)
    assert raised.value.status_code == 400
    assert named in raised.value.message
    assert "messages[0].content[1]" in raised.value.message
    assert llm.requests() == []


def test_a_picture_that_google_does_not_take_is_refused_for_its_models_alone(client: OpenAI, llm: ScriptedLLM) -> None:
    assert ask(client, user("see", picture(GIF, "image/gif")))
    with pytest.raises(BadRequestError) as raised:
        ask(client, user("see", picture(GIF, "image/gif")), model="agno/gemini-echo")
    assert "image/gif" in raised.value.message


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_media_of_others_than_users_are_refused(client: OpenAI, llm: ScriptedLLM, role: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        ask(client, {"role": role, "content": [picture()]}, user("see"))
    assert repr(role) in raised.value.message


@STREAM
@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.png",
        "https://localhost/a.png",
        "https://[::1]/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/a.png",
        "http://example.org/a.png",
        "https://me:secret@example.org/a.png",
        "https://example.org:8443/a.png",
    ],
)
def test_nothing_that_is_not_public_is_fetched(fetcher: OpenAI, llm: ScriptedLLM, url: str, stream: bool) -> None:
    with pytest.raises(BadRequestError) as raised:
        ask(fetcher, user("see", {"type": "image_url", "image_url": {"url": url}}), stream=stream)
    assert "messages[0].content[1].image_url.url" in raised.value.message
    assert "secret" not in raised.value.message
    assert llm.requests() == []


def test_nothing_of_what_is_sent_is_in_an_error_or_in_the_log(fetching: Proxy, llm: ScriptedLLM) -> None:
    mark = f"tweety{uuid.uuid4().hex}"
    secret = base64.b64encode(f"xx{mark}xx{mark}xx".encode()).decode()
    core = secret[4:-8]
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{secret}"}},
        {"type": "image_url", "image_url": {"url": f"data:image/{mark};base64"}},
        {"type": "image_url", "image_url": {"url": f"https://{mark}.invalid/{mark}.png"}},
        {"type": "image_url", "image_url": {"url": f"https://127.0.0.1/{mark}.png"}},
        {"type": "input_audio", "input_audio": {"data": secret, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{secret}", "filename": f"{mark}.pdf"}},
        {"type": "file", "file": {"file_id": mark}},
        {"type": mark[:6], "data": secret},
        picture(PNG + mark.encode()),
        file(PDF + mark.encode(), name=f"{mark}.pdf"),
    ]
    for part in parts:
        for stream in (False, True):
            response = httpx.post(
                f"{fetching.base_url}/chat/completions",
                json={"model": "agno/gemini-echo", "stream": stream, "messages": [user("see", part)]},
                headers={"Authorization": f"Bearer {fetching.key}"},
                timeout=30,
            )
            assert response.status_code in (200, 400)
            assert core not in response.text
            assert mark not in response.text
    time.sleep(SETTLE_SECONDS)
    log = fetching.log
    assert mark not in log
    assert core not in log
    assert encoded(PNG)[:40] not in log


@STREAM
@pytest.mark.parametrize(
    "content", [[], [[]], [None], ["text"], [1], {"type": "text"}, 5, [{"type": {}}], [{}]], ids=json.dumps
)
def test_content_of_any_form_never_crashes(proxy: Proxy, llm: ScriptedLLM, content: object, stream: bool) -> None:
    for role in ("user", "assistant", "system", "tool"):
        messages = [{"role": role, "content": content}, {"role": "user", "content": "hi"}]
        response = httpx.post(
            f"{proxy.base_url}/chat/completions",
            json={"model": "agno/echo", "stream": stream, "messages": messages},
            headers={"Authorization": f"Bearer {proxy.key}"},
            timeout=30,
        )
        assert response.status_code in (200, 400), response.text
