"""The events of one ADK run as events of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.adk.events.event import Event as AdkEvent
from google.genai import types

from agentllm.core import Event, FinishReason, Media, Message, Reasoning, Shown, Text, ToolCall, Turn
from agentllm.errors import AgentFailed, ModelFailed
from agentllm.runtimes.adk.calls import Calls
from agentllm.runtimes.adk.messages import call_of, messages_of, result_text, text_of
from agentllm.runtimes.adk.work import WorkOfRun

_ASKS_PERSON = frozenset({"adk_request_credential", "adk_request_confirmation", "adk_request_input"})
_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "JAILBREAK",
    }
)
"""Google's words for an answer, or a question, that was held back."""


@dataclass(slots=True)
class _Streamed:
    """What one agent has said in pieces, of a response of its model that ends with all of it at once."""

    id: str = ""
    text: str = ""
    thought: str = ""


class Told:
    """What a run has told so far.

    `messages` is what it adds to the conversation, `calls` are those for the client. What an agent says
    after a tool, or after another agent, begins a paragraph.
    """

    def __init__(self, turn: Turn, agent: str, calls: Calls) -> None:
        self.messages: list[Message] = []
        self.calls: list[ToolCall] = []
        self.is_over = False
        """Whether nothing more may run before the client has run its tools."""
        self.work = WorkOfRun(agent, (tool.name for tool in turn.client_tools))
        self._turn = turn
        self._agent = agent
        self._models = calls
        self._client_tools = {tool.name for tool in turn.client_tools}
        self._streamed: dict[str, _Streamed] = {}
        self._text = ""
        self._speaker: str | None = None
        self._reason: FinishReason = "stop"
        self._code = ""
        self._is_shown = False

    @property
    def reason(self) -> FinishReason:
        return "tool_calls" if self.calls else self._reason

    def pieces(self, event: AdkEvent) -> Iterator[Event]:
        """What `event` is to a client.

        Raises:
            AgentFailed: the agent asks for what nobody can give it here.
        """
        if event.author == "user" and not event.get_function_responses():
            return
        parts = (event.content.parts if event.content else None) or []
        if event.partial:
            # What runs beside others is told when it is whole, or their words would mix.
            yield from self._partial(event, parts) if event.branch is None else ()
            return
        yield from self._said(event, parts)
        yield from self._shown(parts)
        yield from self._called(event)
        usage = self._models.usage
        self._models.count(event)
        if event.usage_metadata is not None or self._models.usage != usage:
            yield self._models.usage
        self.messages.extend(messages_of(event, self._agent))
        yield from self._summed_up(event)

    def raise_if_incomplete(self) -> None:
        """
        Raises:
            ModelFailed: the model's answer is empty or broke off, which providers do not report as errors.
            AgentFailed: the agent has said nothing, and asked no model.
        """
        if self.calls or self._reason != "stop":
            return
        model = self._models.model
        if self._code and self._code != "MODEL_RETURNED_NO_CONTENT":
            raise ModelFailed(f"The language model {model!r} broke off in the middle of its answer: {self._code}.")
        if self._text or self._is_shown:
            return
        if model is None:
            raise AgentFailed(f"The agent {self._turn.agent!r} returned an empty answer.")
        raise ModelFailed(f"The language model {model!r} returned an empty answer.")

    def _partial(self, event: AdkEvent, parts: Iterable[types.Part]) -> Iterator[Event]:
        streamed = self._streamed.setdefault(event.author, _Streamed())
        if streamed.id != event.id:
            self._streamed[event.author] = streamed = _Streamed(event.id)
        for part in parts:
            if part.text and part.thought:
                streamed.thought += part.text
                yield Reasoning(part.text)
            elif part.text:
                streamed.text += part.text
                yield self._spoken(event, part.text)

    def _said(self, event: AdkEvent, parts: list[types.Part]) -> Iterator[Event]:
        """What of a whole response was not said in pieces before."""
        streamed = self._streamed.get(event.author, _Streamed())
        thought = "".join(part.text for part in parts if part.text and part.thought)
        if thought and thought not in streamed.thought and event.id != streamed.id:
            yield Reasoning(thought)
        text = text_of(parts)
        if text and text in streamed.text:
            streamed.text = streamed.text.replace(text, "", 1)
        elif text and not (event.id == streamed.id and streamed.text):
            yield self._spoken(event, text)
        if event.content is not None and event.content.role == "user":
            return
        self._end(event)

    def _spoken(self, event: AdkEvent, text: str) -> Text:
        begins = self._speaker != event.author and self._text and not self._text[-1].isspace()
        self._speaker = event.author
        said = f"\n\n{text}" if begins else text
        self._text += said
        return Text(said)

    def _end(self, event: AdkEvent) -> None:
        """How a response of a model ended; an agent's own event ends well."""
        reason = event.finish_reason.name if event.finish_reason else ""
        self._code = str(getattr(event.error_code, "name", event.error_code) or "")
        words = {reason, self._code}
        self._reason = "length" if "MAX_TOKENS" in words else "content_filter" if words & _FILTERED else "stop"

    def _shown(self, parts: Iterable[types.Part]) -> Iterator[Shown]:
        for part in parts:
            blob = part.inline_data
            kind = (blob.mime_type or "").partition("/")[0] if blob else ""
            if blob is not None and blob.data and kind in ("image", "audio"):
                self._is_shown = True
                yield Shown(Media("image" if kind == "image" else "audio", blob.mime_type or "", blob.data))

    def _called(self, event: AdkEvent) -> Iterator[Event]:
        calls, responses = event.get_function_calls(), event.get_function_responses()
        if any(call.name in _ASKS_PERSON for call in calls):
            raise AgentFailed(
                f"The agent {self._turn.agent!r} stopped to ask for an approval, a sign-in or an input, which cannot "
                "be given here; its tools must not need one."
            )
        yield from self.work.of(event)
        for_client = [call_of(call) for call in calls if call.name in self._client_tools]
        self.is_over = (bool(for_client) and len(for_client) == len(calls)) or bool(self.calls and responses)
        self.calls += for_client
        if calls or responses:
            self._speaker = None

    def _summed_up(self, event: AdkEvent) -> Iterator[Event]:
        """The results of tools that ADK takes for the answer itself."""
        if not event.actions.skip_summarization or self.calls:
            return
        text = "\n\n".join(filter(None, (result_text(response) for response in event.get_function_responses())))
        if text:
            author = {"author": event.author} if event.author != self._agent else None
            self.messages.append(Message("assistant", text, provider_data=author))
            yield self._spoken(event, text)
