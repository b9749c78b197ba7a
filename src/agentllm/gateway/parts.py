"""The content of a message: its text, and the pictures, sounds and files in its parts.

Errors name the part and what is wrong with it, never what is in it.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentllm.core import Media
from agentllm.errors import InvalidRequest
from agentllm.gateway.media_types import TYPES, guessed, is_text, kind_of, named, recognized
from agentllm.gateway.part_forms import (
    DOCUMENT_MARK,
    MEDIA_PARTS,
    MEDIA_ROLES,
    TEXT_PARTS,
    Given,
    given_in,
    is_url,
    part_type,
    unsupported,
)

MOST_BYTES = 20 * 2**20
"""Bytes of one part. Gemini takes a request of up to 20 MB with its parts in it, OpenAI a picture of as much."""

MOST_BYTES_OF_REQUEST = 50 * 2**20
"""Bytes of all parts of a request; what OpenAI takes in one."""

MOST_MEDIA = 500
"""Pictures, sounds and files of a request; as many pictures as OpenAI takes in one."""

_BASE64 = ";base64"


@dataclass(frozen=True, slots=True)
class Content:
    """A message's content; the texts of several parts stand in lines of their own.

    `document_at` as in `agentllm.core.Message`.
    """

    text: str = ""
    media: tuple[Media, ...] = ()
    document_at: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was found at a URL; `mime_type` is what its server says, where it says anything."""

    data: bytes
    mime_type: str | None = None


class Parts:
    """Reads the contents of one request's messages, within the limits of all of them together.

    `fetched` is what was found at the URLs among them.
    """

    def __init__(self, fetched: Mapping[str, Fetched] | None = None) -> None:
        self._fetched = fetched or {}
        self._bytes = 0
        self._count = 0

    def content(self, raw: object, role: str, place: str) -> Content:
        """The content `raw` of a message with that role, which stands at `place`.

        Raises:
            InvalidRequest: it cannot be read, or is of a kind that agents here cannot take.
        """
        if raw is None:
            return Content()
        if isinstance(raw, str):
            return Content(text_of(raw, place))
        if not isinstance(raw, Sequence):
            raise InvalidRequest(f"{place} must be a string or a list of parts.", param=place)
        texts: list[str] = []
        media: list[Media] = []
        document_at = None
        for index, part in enumerate(raw):
            read = self._part(part, role, f"{place}[{index}]")
            if isinstance(read, Media):
                media.append(read)
            else:
                if document_at is None and read.startswith(DOCUMENT_MARK):
                    document_at = sum(len(text) + 1 for text in texts)
                texts.append(read.removeprefix(DOCUMENT_MARK))
        return Content("\n".join(texts), tuple(media), document_at)

    def _part(self, raw: object, role: str, place: str) -> str | Media:
        kind = part_type(raw)
        if isinstance(raw, Mapping) and kind in TEXT_PARTS:
            return text_of(raw.get("text") or raw.get("refusal") or "", place)
        if not isinstance(raw, Mapping) or kind not in MEDIA_PARTS:
            raise unsupported(kind, place)
        if role not in MEDIA_ROLES:
            raise InvalidRequest(
                f"{place} is of the type {kind!r} in a message of the role {role!r}; pictures, sounds and files "
                f"can be in messages of the roles {' and '.join(MEDIA_ROLES)} only.",
                param=place,
            )
        return self._media(given_in(raw, kind, place))

    def _media(self, given: Given) -> Media:
        self._count += 1
        if self._count > MOST_MEDIA:
            raise InvalidRequest(
                f"{given.place} is beyond the {MOST_MEDIA} pictures, sounds and files that one request may hold. "
                "Send fewer.",
                param=given.place,
            )
        data, declared = self._data(given)
        mime_type = _type_of(data, declared, given)
        return Media(kind_of(mime_type), mime_type, data, given.name)

    def _data(self, given: Given) -> tuple[bytes, str | None]:
        """The bytes, and of what type they are said to be."""
        value, place = given.value, given.place
        if not isinstance(value, str) or not value:
            raise InvalidRequest(f"{place} must be a text: a data URL, or an https URL.", param=place)
        scheme = value[:6].lower()
        if scheme.startswith("data:"):
            declared, encoded = _data_url(value, place)
            return self._decoded(encoded, place), declared or given.mime_type
        if is_url(value):
            return self._found_at(value, place)
        if not given.bare or "://" in value[:32]:
            raise InvalidRequest(
                f"{place} is neither a data URL nor an https URL. Send the bytes as 'data:<type>;base64,…'.",
                param=place,
            )
        return self._decoded(value, place), given.mime_type

    def _found_at(self, url: str, place: str) -> tuple[bytes, str | None]:
        found = self._fetched.get(url)
        if found is None:
            raise InvalidRequest(
                f"{place} is a URL, and URLs are not fetched here. Send the bytes as a data URL, or have the operator "
                "set AGENTLLM_FETCH_URLS=1.",
                param=place,
            )
        self._count_bytes(len(found.data), place)
        return found.data, recognized(found.data) or found.mime_type

    def _decoded(self, encoded: str, place: str) -> bytes:
        self._count_bytes(len(encoded) * 3 // 4 - encoded[-2:].count("="), place)
        try:
            data = binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            raise InvalidRequest(
                f"{place} is not base64 of the standard alphabet, with padding and without white space.", param=place
            ) from None
        if not data:
            raise InvalidRequest(f"{place} holds no bytes.", param=place)
        return data

    def _count_bytes(self, size: int, place: str) -> None:
        if size > MOST_BYTES:
            raise InvalidRequest(
                f"{place} has {_in_mib(size)}; {_in_mib(MOST_BYTES)} are the limit of one part. Send a smaller one.",
                param=place,
            )
        self._bytes += size
        if self._bytes > MOST_BYTES_OF_REQUEST:
            raise InvalidRequest(
                f"The pictures, sounds and files up to {place} have {_in_mib(self._bytes)}; "
                f"{_in_mib(MOST_BYTES_OF_REQUEST)} are the limit of a request. Send fewer or smaller ones.",
                param=place,
            )


def text_of(raw: object, place: str) -> str:
    """`raw`, which must be a text that can be stored.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(raw, str):
        raise InvalidRequest(f"{place} must be a string.", param=place)
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{place} holds half of a character, a lone surrogate.", param=place) from None
    return raw


def _data_url(url: str, place: str) -> tuple[str, str]:
    """What a data URL says that it is, and its base64."""
    head, comma, encoded = url[len("data:") :].partition(",")
    if not comma or not head.lower().endswith(_BASE64):
        raise InvalidRequest(f"{place} is a data URL without base64; write 'data:<type>;base64,…'.", param=place)
    return head[: -len(_BASE64)].partition(";")[0].strip(), encoded


def _type_of(data: bytes, declared: str | None, given: Given) -> str:
    """The type of `data`: what it is said to be, which its bytes must not belie, or else what it is found to be."""
    said, found = named(declared), recognized(data)
    mime_type = said or found or guessed(data, given.name)
    if mime_type is None or kind_of(mime_type) != (given.kind or kind_of(mime_type)) or not _is_taken(mime_type):
        takes = ", ".join(name for name, kind in TYPES.items() if given.kind in (None, kind))
        raise InvalidRequest(
            f"{given.place} is of the type {mime_type or declared or 'unknown'!r:.80}; it must be one of {takes}"
            f"{'' if given.kind else ', or text of any kind'}.",
            param=given.place,
        )
    if found != mime_type and (found or not is_text(mime_type)):
        raise InvalidRequest(
            f"{given.place} is said to be {mime_type}, and its bytes are {found or 'something else'}. "
            "Send what it is as what it is.",
            param=given.place,
        )
    return mime_type


def _is_taken(mime_type: str) -> bool:
    return mime_type in TYPES or is_text(mime_type)


def _in_mib(size: int) -> str:
    return f"{size / 2**20:.4g} MiB"
