"""The forms of parts: where each has its bytes or its URL, in chat completions and in the Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agentllm.errors import InvalidRequest
from agentllm.gateway.media_types import AUDIO_BY_FORMAT, Kind

LONGEST_NAME = 255
"""Characters of a file's name, as most file systems have it."""

Part = Literal["image_url", "input_image", "input_audio", "file", "input_file"]

DOCUMENT_MARK = "\u2063\u2064"
"""What the text of a document begins with on its way through LiteLLM, which has no other part for it than the user's
own text: two characters that nobody sees, so they do no harm where LiteLLM falls back to a model that is no agent."""

TEXT_PARTS = ("text", "input_text", "output_text", "refusal")
MEDIA_PARTS: tuple[Part, ...] = get_args(Part)
MEDIA_ROLES = ("user", "tool")


@dataclass(frozen=True, slots=True)
class Given:
    """What a part gives: `value` is a URL, or base64 where it may be `bare`; `place` is where it stands, and `kind`
    all that it may be."""

    place: str
    value: object
    kind: Kind | None = None
    bare: bool = False
    mime_type: str | None = None
    name: str | None = None


def given_in(raw: Mapping[str, Any], kind: Part, place: str) -> Given:
    """What a part gives, in the form of chat completions or in that of the Responses API.

    An `image_url` may be of any kind: LiteLLM makes one of each document that comes to /v1/messages.

    Raises:
        InvalidRequest: it has another form.
    """
    if kind in ("image_url", "input_image"):
        _refuse_id(raw, place)
        inner = raw.get("image_url")
        if isinstance(inner, Mapping):
            return Given(f"{place}.image_url.url", inner.get("url"))
        return Given(f"{place}.image_url", inner)
    if kind == "input_audio":
        inner, place = _object(raw, "input_audio", place)
        said = _audio_type(inner.get("format"), place)
        return Given(f"{place}.data", inner.get("data"), "audio", bare=True, mime_type=said)
    inner, place = _object(raw, "file", place) if kind == "file" else (raw, place)
    name = _name(inner.get("filename"), f"{place}.filename")
    for key in ("file_url", "file_id"):  # LiteLLM makes the URL of a file its id
        if isinstance(url := inner.get(key), str) and is_url(url):
            return Given(f"{place}.{key}", url, name=name)
    _refuse_id(inner, place)
    return Given(f"{place}.file_data", inner.get("file_data"), bare=True, name=name)


def _object(raw: Mapping[str, Any], key: str, place: str) -> tuple[Mapping[str, Any], str]:
    inner = raw.get(key)
    if not isinstance(inner, Mapping):
        raise InvalidRequest(f"{place}.{key} must be an object.", param=f"{place}.{key}")
    return inner, f"{place}.{key}"


def _refuse_id(raw: Mapping[str, Any], place: str) -> None:
    if raw.get("file_id") is not None:
        raise InvalidRequest(
            f"{place}.file_id names a file that was uploaded elsewhere, and no files are kept here. "
            "Send its bytes in the part itself.",
            param=f"{place}.file_id",
        )


def _audio_type(raw: object, place: str) -> str:
    found = AUDIO_BY_FORMAT.get(raw) if isinstance(raw, str) else None
    if found is None:
        raise InvalidRequest(
            f"{place}.format is {raw!r:.40}; it must be {' or '.join(AUDIO_BY_FORMAT)}.", param=f"{place}.format"
        )
    return found


def _name(raw: object, place: str) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or len(raw) > LONGEST_NAME or not raw.isprintable():
        raise InvalidRequest(
            f"{place} must be a text of at most {LONGEST_NAME} characters that can be printed.", param=place
        )
    return raw or None


def is_url(value: str) -> bool:
    return value[:8].lower().startswith(("https://", "http://"))


def urls_in(messages: object) -> dict[str, str]:
    """The URLs in the parts of `messages` that may hold media, and the place of each; parts that cannot be read
    are passed over."""
    return {given.value: given.place for given in _all_given_in(messages) if isinstance(given.value, str)}


def _all_given_in(messages: object) -> Iterator[Given]:
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return
    for number, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, Sequence) or isinstance(content, str) or message.get("role") not in MEDIA_ROLES:
            continue
        for index, part in enumerate(content):
            kind = part_type(part)
            if isinstance(part, Mapping) and kind in MEDIA_PARTS:
                try:
                    given = given_in(part, kind, f"messages[{number}].content[{index}]")
                except InvalidRequest:
                    continue
                if isinstance(given.value, str) and is_url(given.value):
                    yield given


def part_type(raw: object) -> Any:
    """What a part says that it is; what it is in Python where it is no part at all."""
    return raw.get("type") if isinstance(raw, Mapping) else type(raw).__name__


def unsupported(kind: object, place: str) -> InvalidRequest:
    """The error of a part that is of no type that is known here."""
    return InvalidRequest(
        f"{place} is of the type {kind!r:.80}; agents here take parts of the types text, "
        f"{', '.join(MEDIA_PARTS[:-1])} and {MEDIA_PARTS[-1]}.",
        param=place,
    )
