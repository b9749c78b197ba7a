"""The types of pictures, sounds and files that agents take, and what their bytes tell of them."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["image", "audio", "file"]

TYPES: Mapping[str, Kind] = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/gif": "image",
    "image/webp": "image",
    "audio/wav": "audio",
    "audio/mpeg": "audio",
    "application/pdf": "file",
    "application/json": "file",
}
"""What both OpenAI's and Google's models take, with GIF, which only OpenAI's do; and all kinds of text."""

AUDIO_BY_FORMAT: Mapping[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""By OpenAI's names for them."""

_NAMES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "application/x-pdf": "application/pdf",
    "application/csv": "text/csv",
    "application/xml": "text/xml",
    "application/rtf": "text/rtf",
    "application/yaml": "text/yaml",
    "application/x-yaml": "text/yaml",
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "application/x-python": "text/x-python",
}
_UNKNOWN = frozenset({"", "application/octet-stream", "binary/octet-stream"})

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def named(declared: str | None) -> str | None:
    """The usual name of a type, without its parameters; None where it says nothing."""
    bare = (declared or "").partition(";")[0].strip().lower()
    return None if bare in _UNKNOWN else _NAMES.get(bare, bare)


def recognized(data: bytes) -> str | None:
    """The type that the first bytes tell; None where they tell none, as those of a text."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if _begins_mp3_frame(data):
        return "audio/mpeg"
    return next((mime_type for beginning, mime_type in _BEGINNINGS if data.startswith(beginning)), None)


def guessed(data: bytes, name: str | None) -> str | None:
    """The type that a file's name tells, or that of a plain text where it is one."""
    by_name = named(mimetypes.guess_type(name)[0]) if name else None
    if by_name is not None:
        return by_name
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return "text/plain"


def kind_of(mime_type: str) -> Kind:
    family = mime_type.partition("/")[0]
    return "image" if family == "image" else "audio" if family == "audio" else "file"


def is_text(mime_type: str) -> bool:
    """Whether it is a text of some kind, whose bytes do not tell which."""
    return mime_type.startswith("text/") or mime_type == "application/json"


def _begins_mp3_frame(data: bytes) -> bool:
    """Eleven bits that are set, a version that exists, and layer 3."""
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2 and data[1] & 0x18 != 0x08
