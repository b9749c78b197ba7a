"""Parts of A2A's messages in OpenAI's form, which the gateway's limits are those of."""

from __future__ import annotations

import pytest
from a2a.types import Message, Part
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from agentllm.a2a.messages import content_of, media_parts, without_bytes
from agentllm.core import Media
from agentllm.errors import InvalidRequest
from agentllm.gateway.parts import Content, Parts


def value(text: str) -> Value:
    return json_format.Parse(text, Value())


def read(*parts: Part) -> Content:
    """As the gateway reads them."""
    return Parts().content(content_of(Message(parts=parts)), "user", "message.parts")


def test_texts_stand_in_lines_of_their_own() -> None:
    assert read(Part(text="one"), Part(text="two")).text == "one\ntwo"


def test_data_is_told_as_json_with_whole_numbers() -> None:
    text = '{"a": [1, 2.5, {"b": "é"}]}'
    assert read(Part(data=value(text))).text == text


@pytest.mark.parametrize("declared", ["application/pdf", ""])
def test_a_file_keeps_its_bytes_its_type_and_its_name(declared: str) -> None:
    content = read(Part(raw=b"%PDF-1.7", media_type=declared, filename="a.pdf"))
    assert content.media == (Media("file", "application/pdf", b"%PDF-1.7", "a.pdf"),)


def test_a_file_of_another_type_than_it_says_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read(Part(raw=b"%PDF-1.7", media_type="image/png"))


def test_a_url_is_refused_where_nothing_is_fetched() -> None:
    with pytest.raises(InvalidRequest):
        read(Part(url="https://example.org/a.png", media_type="image/png"))


def test_the_history_of_a_task_names_files_and_does_not_hold_them() -> None:
    message = Message(parts=[Part(text="see"), Part(raw=b"12345", media_type="image/png", filename="a.png")])
    without_bytes(message)
    assert message.parts[0].text == "see"
    assert message.parts[1].WhichOneof("content") == "text"
    assert all(part in message.parts[1].text for part in ("a.png", "image/png", "5"))


def test_what_is_said_in_a_sound_stands_beside_it() -> None:
    sound, said = media_parts(Media("audio", "audio/wav", b"RIFF"), "ding")
    assert (sound.raw, sound.media_type, said.text) == (b"RIFF", "audio/wav", "ding")
