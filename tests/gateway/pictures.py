"""Small pictures, sounds and files, whole enough to be told by their first bytes, and parts that hold them."""

from __future__ import annotations

import base64
from typing import Any

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
GIF = b"GIF89a\x01\x00\x01\x00"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
PDF = b"%PDF-1.7\n"

ALL = {
    "image/png": PNG,
    "image/jpeg": JPEG,
    "image/gif": GIF,
    "image/webp": WEBP,
    "audio/wav": WAV,
    "audio/mpeg": MP3,
    "application/pdf": PDF,
}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{encoded(data)}"


def picture(data: bytes = PNG, mime_type: str = "image/png") -> dict[str, Any]:
    """A part as chat completions have it."""
    return {"type": "image_url", "image_url": {"url": data_url(data, mime_type)}}


def sound(data: bytes = WAV, form: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": encoded(data), "format": form}}


def file(data: bytes = PDF, mime_type: str = "application/pdf", name: str | None = "a.pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data_url(data, mime_type), "filename": name}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}
