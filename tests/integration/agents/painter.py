"""An agent that makes a picture and a sound, and needs no model for it."""

import base64
import io
import wave

from agno.agent import Agent
from agno.media import Audio, Image
from agno.tools.function import ToolResult

from agentllm.llm.offline import OfflineModel

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


PICTURE_URL = "https://example.org/dot.png"
SOUND_URL = "https://example.org/ding.mp3"


def a_sound() -> bytes:
    """One sample of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 24_000, 1, "NONE", ""))
        writer.writeframes(b"\x00\x00")
    return file.getvalue()


WAV = a_sound()


def paint() -> ToolResult:
    """Paint a picture of a dot."""
    return ToolResult(content="A dot.", images=[Image(content=PNG, mime_type="image/png")])


def ring() -> ToolResult:
    """Ring the bell."""
    return ToolResult(content="Ding.", audios=[Audio(content=WAV, mime_type="audio/wav", transcript="ding")])


def browse() -> ToolResult:
    """Browse the web."""
    return ToolResult(content="Found.", images=[Image(url=PICTURE_URL)], audios=[Audio(url=SOUND_URL)])


def painter() -> Agent:
    """Paints, rings a bell, and browses the web."""
    return Agent(name="painter", model=OfflineModel(), tools=[paint, ring, browse], telemetry=False)


__all__ = ["painter"]
