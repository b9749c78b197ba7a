"""Pictures, sounds and files between AgentLLM's form and Agno's, and what of them goes to a model."""

from __future__ import annotations

import binascii
import contextlib
import io
import re
import wave
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from agno.media import Audio, File, Image
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run.team import TeamRunOutput
from agno.workflow import StepOutput

from agentllm.core import Link, Media, Shown
from agentllm.errors import InvalidRequest
from agentllm.runtimes.agno.results import Output

_CONTENT = (agent_events.RunContentEvent, team_events.RunContentEvent)
_RETURNED = (agent_events.ToolCallCompletedEvent, team_events.ToolCallCompletedEvent)

_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
_GOOGLE_MP3 = "audio/mp3"
_AGNO_FILES = frozenset(File.valid_mime_types())

_WEB = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
"""A URL that clients may be given: no file of this machine, and nothing that could end the text around it."""

_RATE = 24_000
"""Samples a second of a sound that says nothing of it; what OpenAI's and Google's models make."""

_REFUSED = {
    "agno.models.google": frozenset({"image/gif"}),
    "agno.models.openai.responses": frozenset({"audio"}),
    "agno.models.anthropic": frozenset({"audio"}),
    "agno.models.ollama": frozenset({"audio", "file"}),
}
"""Kinds or types by the module of a model's class: Google's API refuses its, Agno leaves out the others."""


def to_agno_media(media: Iterable[Media]) -> dict[str, Any]:
    """`media` as `images`, `audio` and `files` of an Agno message or run; what there is none of is left out."""
    given: dict[str, list[Any]] = {}
    for item in media:
        if item.kind == "image":
            given.setdefault("images", []).append(Image(content=item.data, mime_type=item.mime_type))
        elif item.kind == "audio":
            mime_type = _GOOGLE_MP3 if item.mime_type == "audio/mpeg" else item.mime_type
            sound = Audio(content=item.data, mime_type=mime_type, format=_FORMATS.get(item.mime_type))
            given.setdefault("audio", []).append(sound)
        else:
            mime_type = item.mime_type if item.mime_type in _AGNO_FILES else "text/plain"
            given.setdefault("files", []).append(File(content=item.data, mime_type=mime_type, filename=item.name))
    return given


def refuse_untaken(model: Model, media: Iterable[Media]) -> None:
    """Refuse what the classes of Agno are known to lose on its way to the model, or its provider to refuse.

    Raises:
        InvalidRequest: a picture, sound or file is of a type that the model does not take.
    """
    modules = tuple(kind.__module__ for kind in type(model).__mro__)
    of_class = (kinds for module, kinds in _REFUSED.items() if any(own.startswith(module) for own in modules))
    refused = frozenset[str]().union(*of_class)
    for item in media:
        if item.kind in refused or item.mime_type in refused:
            raise InvalidRequest(
                f"The model {model.id!r} of this agent does not take what a message holds of the kind {item.kind!r} "
                f"and the type {item.mime_type}. Leave it out, or send it as another type.",
                param="messages",
            )


def without_empty_text(message: dict[str, Any]) -> dict[str, Any]:
    """A message in OpenAI's format without the text that Agno writes beside media where there is none."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [part for part in content if part != {"type": "text", "text": ""}]
    return {**message, "content": kept or content}


def drop_empty_texts(contents: list[Any]) -> list[Any]:
    """Contents in Google's format without such a text, which Google refuses."""
    for content in contents:
        if len(content.parts) > 1:
            content.parts = [part for part in content.parts if part.text != "" or part.thought_signature]
    return contents


class Exhibits:
    """What a run has shown so far: each picture and sound once, however often Agno tells of it.

    What came with the question, or before it, is not shown again. What is given as a URL is shown as a link; it is
    not fetched. `made` are the pictures of the models' answers by the ids of their messages, as in `Calls.pictures`.
    """

    def __init__(
        self, run_id: str, given: Iterable[Media] = (), made: Mapping[str, Sequence[Image]] | None = None
    ) -> None:
        self._run_id = run_id
        self._made = {} if made is None else made
        self._seen: set[bytes | Link] = {item.data for item in given}
        self.is_shown = False

    def of_event(self, event: Any) -> Iterable[Shown]:
        """The pictures and sounds that an event of the run itself has whole.

        A model's sound comes in pieces, and is whole at the end only.
        """
        if isinstance(event, _CONTENT):
            return self.of([event.image]) if event.image is not None and event.run_id == self._run_id else ()
        if isinstance(event, _RETURNED) and event.run_id == self._run_id:
            return self.of([*(event.images or ()), *(event.audio or ())])
        return ()

    def of_output(self, output: Output) -> Iterator[Shown]:
        """All pictures and sounds of a run that has ended, first those of team members."""
        for member in output.member_responses if isinstance(output, TeamRunOutput) else ():
            yield from self.of_output(member)
        for message in output.messages or ():
            yield from self.of(self._made.get(message.id))
            if message.role == "tool":  # one that a person approved, of whose media Agno tells nowhere else
                yield from self.of([*(message.images or ()), *(message.audio or ())])
        yield from self.of(output.images)
        yield from self.of(output.audio)
        if output.response_audio is not None:
            yield from self.of([output.response_audio])

    def of_steps(self, steps: Iterable[StepOutput | list[StepOutput]] | None) -> Iterator[Shown]:
        """All pictures and sounds that the steps of a workflow made, or passed on."""
        for step in steps or ():
            if isinstance(step, list):
                yield from self.of_steps(step)
                continue
            yield from self.of_steps(step.steps)
            yield from self.of([*(step.images or ()), *(step.audio or ())])

    def of(self, found: Iterable[Any] | None) -> Iterator[Shown]:
        """Those of `found` that were not shown yet and whose bytes are here, or which are on the web."""
        for item in found or ():
            shown = _picture(item) if isinstance(item, Image) else _sound(item) if isinstance(item, Audio) else None
            if shown is None:
                continue
            known_by = shown.media if isinstance(shown.media, Link) else shown.media.data
            if known_by not in self._seen:
                self._seen.add(known_by)
                self.is_shown = True
                yield shown


def transcript_of(message: AgnoMessage) -> str:
    """What is said in the sound that a message of the model is."""
    return (message.audio_output.transcript or "") if message.audio_output is not None else ""


def _picture(image: Image) -> Shown | None:
    data, mime_type = _content(image)
    if not data:
        return _linked("image", image.url)
    mime_type = mime_type or f"image/{image.format.lower() if image.format else 'png'}"
    return Shown(Media("image", mime_type, data))


def _sound(audio: Audio) -> Shown | None:
    content, mime_type = _content(audio)
    if not content:
        return _linked("audio", audio.url, audio.transcript or "")
    data = _decoded(content)
    if mime_type.lower().startswith(("audio/l16", "audio/pcm", "pcm")):
        data, mime_type = _as_wav(data, audio), "audio/wav"
    elif "/" not in mime_type:
        mime_type = "audio/wav" if data[:4] == b"RIFF" else "audio/mpeg"
    return Shown(Media("audio", mime_type, data), audio.transcript or "")


def _linked(kind: Literal["image", "audio"], url: str | None, transcript: str = "") -> Shown | None:
    return Shown(Link(kind, url), transcript) if url and _WEB.fullmatch(url) else None


def _content(item: Image | Audio) -> tuple[bytes, str]:
    """The bytes that are here, also those of a data URL, and their type where that is said."""
    head, _, data = (item.url or "").partition(",")
    if head.startswith("data:") and head.endswith(";base64"):
        with contextlib.suppress(binascii.Error):
            return binascii.a2b_base64(data), head.removeprefix("data:").partition(";")[0]
    return item.content or b"", item.mime_type or ""


def _decoded(content: bytes) -> bytes:
    """The bytes of a sound, which Agno keeps of OpenAI's models as they come: as base64, of one piece or of several."""
    try:
        pieces = [piece + b"=" * (-len(piece) % 4) for piece in content.split(b"=") if piece]
        return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except binascii.Error:
        return content


def _as_wav(samples: bytes, audio: Audio) -> bytes:
    """Bare samples of 16 bits with the head that lets a player know what they are."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(audio.channels or 1)
        writer.setsampwidth(2)
        writer.setframerate(audio.sample_rate or _RATE)
        writer.writeframes(samples)
    return file.getvalue()
