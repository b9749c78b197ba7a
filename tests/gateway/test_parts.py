"""The content of a message: what its parts hold, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Media
from agentllm.errors import InvalidRequest
from agentllm.gateway import parts
from agentllm.gateway.chat_parts import prepare_parts
from agentllm.gateway.media_types import recognized
from agentllm.gateway.part_forms import DOCUMENT_MARK, MEDIA_PARTS, TEXT_PARTS, urls_in
from agentllm.gateway.parts import Content, Fetched, Parts
from tests.gateway.pictures import ALL, GIF, JPEG, MP3, PDF, PNG, WAV, data_url, encoded, file, picture, sound, text

URL = "https://example.org/a.png"


def read(*content: object, role: str = "user", fetched: dict[str, Fetched] | None = None) -> Content:
    return Parts(fetched).content(list(content), role, "messages[0].content")


def media_of(part: object) -> Media:
    (media,) = read(part).media
    return media


def refused(*content: object, role: str = "user") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        read(*content, role=role)
    return raised.value


# What they hold


def test_the_texts_stand_in_lines_and_the_media_beside_them_in_order() -> None:
    content = read(text("see"), picture(), {"type": "input_text", "text": "and hear"}, sound())
    assert content.text == "see\nand hear"
    assert [item.kind for item in content.media] == ["image", "audio"]


def test_a_part_of_each_kind_is_read() -> None:
    assert media_of(picture()) == Media("image", "image/png", PNG)
    assert media_of(sound()) == Media("audio", "audio/wav", WAV)
    assert media_of(sound(MP3, "mp3")) == Media("audio", "audio/mpeg", MP3)
    assert media_of(file()) == Media("file", "application/pdf", PDF, "a.pdf")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": data_url(PNG, "image/png")},
        {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png"), "detail": "low"}},
        {"type": "input_image", "image_url": data_url(PNG, "image/png"), "detail": "auto"},
        {"type": "image_url", "image_url": f"DATA:Image/PNG;charset=utf-8;BASE64,{encoded(PNG)}"},
        {"type": "image_url", "image_url": f"data:;base64,{encoded(PNG)}"},
        {"type": "image_url", "image_url": f"data:application/octet-stream;base64,{encoded(PNG)}"},
    ],
)
def test_a_picture_may_be_given_in_several_forms(part: object) -> None:
    assert media_of(part) == Media("image", "image/png", PNG)


@pytest.mark.parametrize(
    ("part", "mime_type", "name"),
    [
        ({"type": "file", "file": {"file_data": encoded(PDF)}}, "application/pdf", None),
        (
            {"type": "input_file", "file_data": data_url(PDF, "application/x-pdf"), "filename": ""},
            "application/pdf",
            None,
        ),
        ({"type": "input_file", "file_data": encoded(b"a,b"), "filename": "t.csv"}, "text/csv", "t.csv"),
        ({"type": "input_file", "file_data": encoded(b"plain")}, "text/plain", None),
        (file(b"{}", "application/json", "a.json"), "application/json", "a.json"),
        (file(b"a: 1", "application/x-yaml", None), "text/yaml", None),
        (file(b"x", "text/x-anything; charset=latin-1", None), "text/x-anything", None),
    ],
)
def test_a_file_s_type_is_what_it_is_said_to_be_or_else_what_it_is(
    part: object, mime_type: str, name: str | None
) -> None:
    media = media_of(part)
    assert (media.kind, media.mime_type, media.name) == ("file", mime_type, name)


def test_a_document_that_litellm_made_a_picture_is_a_file() -> None:
    assert media_of(picture(PDF, "application/pdf")) == Media("file", "application/pdf", PDF)


def test_a_file_that_is_a_picture_is_a_picture() -> None:
    assert media_of(file(PNG, "image/png", "a.png")) == Media("image", "image/png", PNG, "a.png")


@pytest.mark.parametrize(("mime_type", "data"), ALL.items())
def test_the_first_bytes_tell_the_type(mime_type: str, data: bytes) -> None:
    assert recognized(data) == mime_type


@pytest.mark.parametrize("data", [b"", b"R", b"RIFF", b"\xff", b"\xff\xfea\x00", "é".encode(), b"\xff\xfb"])
def test_what_is_none_of_them_is_not_taken_for_one(data: bytes) -> None:
    assert recognized(data) == ("audio/mpeg" if data == b"\xff\xfb" else None)


def test_parts_of_a_tool_s_result_may_hold_pictures() -> None:
    assert read(picture(), role="tool").media == (Media("image", "image/png", PNG),)


def test_what_was_fetched_from_a_url_is_what_its_bytes_say() -> None:
    part = {"type": "image_url", "image_url": {"url": URL}}
    for told in ("image/png", "image/jpeg", "text/html", None):
        assert read(part, fetched={URL: Fetched(PNG, told)}).media == (Media("image", "image/png", PNG),)
    document = {"type": "file", "file": {"file_id": URL, "filename": "a.txt"}}
    found = read(document, fetched={URL: Fetched(b"hi", "text/plain; charset=utf-8")})
    assert found.media == (Media("file", "text/plain", b"hi", "a.txt"),)


def test_the_urls_of_a_request_are_found_with_their_places() -> None:
    messages = [
        {"role": "system", "content": "https://no.example"},
        {"role": "user", "content": [text("https://no.example"), {"type": "image_url", "image_url": {"url": URL}}]},
        {"role": "tool", "content": [{"type": "input_file", "file_url": "HTTPS://b.example"}, picture(), sound()]},
        {"role": "assistant", "content": [{"type": "image_url", "image_url": "https://no.example"}]},
        {
            "role": "user",
            "content": ["odd", {"type": "file", "file": 1}, {"type": "input_audio", "input_audio": {}}, {}],
        },
        "odd",
    ]
    assert urls_in(messages) == {
        URL: "messages[1].content[1].image_url.url",
        "HTTPS://b.example": "messages[2].content[0].file_url",
    }
    assert urls_in("https://no.example") == urls_in(None) == {}


# What is wrong with them


def test_an_unknown_type_is_named() -> None:
    error = refused(text("a"), {"type": "video_url", "video_url": {"url": URL}})
    assert "'video_url'" in error.message
    assert error.param == "messages[0].content[1]"


@pytest.mark.parametrize("part", ["text", 1, None, [], {}, {"type": None}, {"type": ["text"]}, {"type": {}}])
def test_what_is_no_part_is_refused(part: object) -> None:
    assert refused(part).param == "messages[0].content[0]"


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_only_users_and_tools_give_media(role: str) -> None:
    error = refused(picture(), role=role)
    assert repr(role) in error.message
    assert "'image_url'" in error.message


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "image_url"}, ".image_url"),
        ({"type": "image_url", "image_url": {"url": None}}, ".image_url.url"),
        ({"type": "image_url", "image_url": ""}, ".image_url"),
        ({"type": "image_url", "image_url": "a.png"}, ".image_url"),
        ({"type": "image_url", "image_url": "file:///etc/passwd"}, ".image_url"),
        ({"type": "image_url", "image_url": "data:image/png,abc"}, ".image_url"),
        ({"type": "image_url", "image_url": "data:image/png;base64"}, ".image_url"),
        ({"type": "image_url", "image_url": "data:image/png;base64,"}, ".image_url"),
        ({"type": "image_url", "file_id": "file-1"}, ".file_id"),
        ({"type": "input_image", "file_id": "file-1"}, ".file_id"),
        ({"type": "input_audio"}, ".input_audio"),
        ({"type": "input_audio", "input_audio": {"data": encoded(WAV)}}, ".input_audio.format"),
        ({"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "flac"}}, ".input_audio.format"),
        ({"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": ["wav"]}}, ".input_audio.format"),
        ({"type": "input_audio", "input_audio": {"data": 1, "format": "wav"}}, ".input_audio.data"),
        ({"type": "file", "file": {"file_id": "file-1"}}, ".file.file_id"),
        ({"type": "file", "file": {"filename": "a.pdf"}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": encoded(PDF), "filename": 1}}, ".file.filename"),
        ({"type": "file", "file": {"file_data": encoded(PDF), "filename": "a\n.pdf"}}, ".file.filename"),
        ({"type": "file", "file": {"file_data": encoded(PDF), "filename": "a" * 256}}, ".file.filename"),
        ({"type": "input_file", "file_id": "file-1"}, ".file_id"),
    ],
)
def test_what_cannot_be_read_is_said_by_its_place(part: object, place: str) -> None:
    assert refused(part).param == f"messages[0].content[0]{place}"


@pytest.mark.parametrize("encoded", ["a", "aaa", "aa==a", "aa a", "aGk\n", "aGk=\n", "a-_b", "é===", "====", "aGk"])
def test_base_64_is_strict(encoded: str) -> None:
    assert refused({"type": "image_url", "image_url": f"data:image/png;base64,{encoded}"})


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (picture(JPEG), "image/jpeg"),
        (picture(b"nothing of the kind"), "image/png"),
        (picture(PDF), "application/pdf"),
        (sound(MP3), "audio/mpeg"),
        (file(PNG), "image/png"),
        (file(PNG, "text/plain"), "image/png"),
    ],
)
def test_bytes_that_belie_their_type_are_refused(part: object, named: str) -> None:
    assert named in refused(part).message


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (picture(b"<svg/>", "image/svg+xml"), "image/svg+xml"),
        (picture(b"\xfe\xfe", ""), "unknown"),
        (file(b"PK\x03\x04", "application/zip"), "application/zip"),
        (file(b"OggS", "audio/ogg", "a.ogg"), "audio/ogg"),
        (file(b"\xfe\xfe", "application/octet-stream", None), "application/octet-stream"),
    ],
)
def test_a_type_that_is_not_taken_is_named(part: object, named: str) -> None:
    assert named in refused(part).message


def test_a_url_is_refused_with_the_setting_that_allows_it() -> None:
    for url in (URL, "http://example.org/a.png"):
        error = refused({"type": "image_url", "image_url": {"url": url}})
        assert "AGENTLLM_FETCH_URLS" in error.message
        assert "example.org" not in error.message


def test_the_bytes_of_a_part_and_of_a_request_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", len(PNG))
    assert media_of(picture()).data == PNG
    assert "limit of one part" in refused(picture(PNG + b"x")).message
    monkeypatch.setattr(parts, "MOST_BYTES_OF_REQUEST", 2 * len(PNG))
    assert len(read(picture(), picture()).media) == 2
    assert (
        refused(picture(), picture(), file(b"x", "text/plain", None)).param == "messages[0].content[2].file.file_data"
    )
    too_large = {URL: Fetched(PNG + b"x")}
    with pytest.raises(InvalidRequest):
        read({"type": "image_url", "image_url": URL}, fetched=too_large)


def test_too_large_a_part_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", 3)
    assert "limit of one part" in refused({"type": "image_url", "image_url": "data:image/png;base64,????????"}).message


def test_the_limit_of_bytes_counts_all_messages_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES_OF_REQUEST", len(PNG))
    reader = Parts()
    reader.content([picture()], "user", "messages[0].content")
    with pytest.raises(InvalidRequest):
        reader.content([picture()], "user", "messages[2].content")


def test_the_number_of_media_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_MEDIA", 2)
    assert refused(picture(), picture(), picture()).param == "messages[0].content[2].image_url.url"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([URL, data_url(GIF, "image/gif")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["url", "data", "format", "file_data", "file_id", "file_url", "filename", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
odd_parts = json_values | st.fixed_dictionaries(
    {"type": st.sampled_from([*TEXT_PARTS, *MEDIA_PARTS]) | json_values},
    optional=dict.fromkeys(
        ("text", "refusal", "image_url", "input_audio", "file", "file_data", "file_id"), json_values
    ),
)


def refusal(read: Callable[[], object]) -> str | None:
    """The place of what is refused; None where nothing is."""
    try:
        read()
    except InvalidRequest as error:
        return error.param or ""
    return None


@given(st.lists(odd_parts, max_size=4), st.sampled_from(["user", "assistant", "tool", "system"]))
def test_no_content_crashes(content: list[Any], role: str) -> None:
    urls_in([{"role": role, "content": content}])
    place = refusal(lambda: read(*content, role=role))
    assert place is None or place.startswith("messages[0].content")


@given(st.lists(odd_parts, max_size=4), st.sampled_from(["acompletion", "aresponses", "anthropic_messages", "x"]))
def test_no_content_crashes_before_litellm_reads_it(content: list[Any], call_type: str) -> None:
    message = {"role": "user", "content": content}
    place = refusal(lambda: prepare_parts({"messages": [message, 1], "input": [message, "x"]}, call_type))
    assert place is None or place.startswith(("messages[0].content", "input[0].content"))


# On their way through LiteLLM


def prepared(*content: object) -> list[Any]:
    data = {"messages": [{"role": "user", "content": list(content)}]}
    prepare_parts(data, "acompletion")
    found: Any = data["messages"][0]["content"]
    return list(found)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_text", "text": "hi"},
        {"type": "refusal", "refusal": "no"},
        {"type": "input_image", "image_url": data_url(PNG, "image/png")},
        {"type": "input_file", "file_data": encoded(PDF), "filename": "a.pdf"},
        picture(),
        sound(),
        file(),
    ],
)
def test_parts_in_the_form_of_the_responses_api_are_the_same_in_that_of_chat_completions(part: dict[str, Any]) -> None:
    (made,) = prepared(dict(part))
    assert made["type"] in ("text", "image_url", "input_audio", "file")
    assert read(made) == read(part)


def test_a_file_s_url_becomes_its_id_as_litellm_has_it() -> None:
    (made,) = prepared({"type": "input_file", "file_url": URL, "filename": "a.pdf"})
    assert read(made, fetched={URL: Fetched(PDF)}).media == (Media("file", "application/pdf", PDF, "a.pdf"),)


@pytest.mark.parametrize("part", [{"type": "video_url"}, "text", {"type": "tool_result"}])
def test_an_unknown_part_is_refused_by_its_place_before_litellm_refuses_it(part: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        prepared(text("a"), part)
    assert raised.value.param == "messages[0].content[1]"


@pytest.mark.parametrize("part", [{"type": "input_audio"}, {"type": "input_image", "file_id": "f"}, {"type": "odd"}])
def test_what_litellm_would_leave_out_of_a_response_is_refused(part: object) -> None:
    with pytest.raises(InvalidRequest):
        prepare_parts({"input": [{"role": "user", "content": [part]}]}, "aresponses")


def test_what_reaches_an_agent_of_a_response_is_left_as_it_is() -> None:
    message = {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_file", "file_id": URL}]}
    prepare_parts({"input": [message]}, "aresponses")
    prepare_parts({"input": "a text"}, "aresponses")
    assert message["content"] == [{"type": "input_text", "text": "a"}, {"type": "input_file", "file_id": URL}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "search_result", "source": "x"},
        {"type": "image_url", "image_url": URL},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": []}},
        {"type": "image"},
        "text",
    ],
)
def test_what_litellm_would_leave_out_of_a_message_in_anthropic_s_form_is_refused(part: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        prepare_parts({"messages": [{"role": "user", "content": [part]}]}, "anthropic_messages")
    assert (raised.value.param or "").startswith("messages[0].content[0]")


def test_a_document_of_text_in_anthropic_s_form_becomes_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a fact"}
    kept = [{"type": "image", "source": {"type": "base64"}}, {"type": "tool_result", "content": [{"type": "image"}]}]
    message = {"role": "user", "content": [{"type": "document", "source": source}, *kept]}
    prepare_parts({"messages": [message]}, "anthropic_messages")
    assert message["content"] == [{"type": "text", "text": f"{DOCUMENT_MARK}a fact"}, *kept]


@pytest.mark.parametrize(
    ("given", "said", "document_at"),
    [(["a document"], "a fact", 0), (["what is", "it?", "a document", "x"], "what is\nit?\na fact\nx", 12)],
)
def test_a_document_reaches_an_agent_as_it_is_and_is_told_from_what_the_user_wrote(
    given: list[str], said: str, document_at: int
) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a fact"}
    document = {"type": "document", "source": source}
    content: list[Any] = [document if one == "a document" else text(one) for one in given]
    prepare_parts({"messages": [{"role": "user", "content": content}]}, "anthropic_messages")
    assert read(*content) == Content(said, document_at=document_at)
