"""Text out of a repository is untrusted: made fit for one line of an answer here."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime

LINE_LENGTH = 160
MESSAGE_BYTES = 64 * 1024

_MARKDOWN = re.compile(r"[\\\[<]")


def decode(raw: bytes, declared: bytes | None = None) -> str:
    """`raw` as text: UTF-8, else the encoding that its commit declares, else with U+FFFD for what is unreadable.

    Only the first 64 KiB are read.
    """
    raw = raw[:MESSAGE_BYTES]
    for encoding in ("utf-8", (declared or b"utf-8").decode("ascii", "replace")):
        try:
            return raw.decode(encoding)
        except (LookupError, ValueError):
            continue
    return raw.decode("utf-8", "replace")


def one_line(text: str, limit: int = LINE_LENGTH) -> str:
    """`text` without control and direction characters, on one line of at most `limit` characters."""
    visible = "".join(" " if _is_invisible(character) else character for character in text[: 4 * limit])
    line = " ".join(visible.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def quoted(text: str, limit: int = LINE_LENGTH) -> str:
    """`one_line`, with Markdown's links, images and HTML disarmed: an image would be fetched by whoever reads it."""
    return _MARKDOWN.sub(r"\\\g<0>", one_line(text, limit))


def day(timestamp: int) -> date | None:
    """The UTC day of seconds since 1970; None for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(timestamp, UTC).date()
    except (OverflowError, OSError, ValueError):
        return None


def counted(number: int, noun: str) -> str:
    """`1 commit`, `1,234 commits`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
