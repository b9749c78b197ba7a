"""What the offline model answers: the results of tools, what was said before, calls of tools, or what it can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentllm.core import JsonObject, Media, Message
from agentllm.llm.offline.recall import acknowledge, quote, recall, recall_fact
from agentllm.llm.offline.tools import Call, Tool, Unfilled, asked_for, attempt, closest
from agentllm.llm.offline.words import plain

_CALLED = {"image": "picture", "audio": "sound", "file": "file"}
_UNDERSTOOD = 2_000
_LISTED = 12


@dataclass(frozen=True, slots=True)
class Answer:
    """Text, calls of tools, or both."""

    text: str = ""
    calls: tuple[Call, ...] = ()


def answer(messages: Sequence[Message], tools: Sequence[Tool], tool_choice: str | JsonObject | None) -> Answer:
    """The next message of the conversation `messages`; the same for the same arguments.

    Only the first 2,000 characters of the newest user message are read for what it asks.
    """
    newest = max((place for place in range(len(messages)) if _is_said(messages, place)), default=-1)
    if newest < 0:
        return Answer(_abilities(tools))
    said = _answer(messages, newest, tools, tool_choice)
    unseen = _unseen([item for message in messages[newest:] for item in message.media])
    return Answer(f"{unseen}\n\n{said.text}") if unseen and not said.calls else said


def _is_said(messages: Sequence[Message], place: int) -> bool:
    """Whether the user said it: what a tool made is given to a model as if a user sent it, behind the tool's result."""
    message = messages[place]
    return message.role == "user" and not (message.media and place > 0 and messages[place - 1].role == "tool")


def _unseen(media: Sequence[Media]) -> str:
    """What came beside the text, and that nothing is known of it; empty where nothing came."""
    counts = Counter(item.kind for item in media)
    came = [f"{count} {_CALLED[kind]}{'s' if count > 1 else ''}" for kind, count in counts.items()]
    if not came:
        return ""
    listed = " and ".join(filter(None, [", ".join(came[:-1]), came[-1]]))
    return f"There came {listed} along, which I cannot see, hear or read without a language model."


def _answer(
    messages: Sequence[Message], newest: int, tools: Sequence[Tool], tool_choice: str | JsonObject | None
) -> Answer:
    results = [message for message in messages[newest:] if message.role == "tool"]
    if results:
        return Answer(_report(results, messages))
    text = plain(messages[newest].content[:_UNDERSTOOD])
    earlier = [message.content for message in messages[:newest] if message.role == "user"]
    return _answer_user(text, earlier, tools, tool_choice)


def _answer_user(
    text: str, earlier: Sequence[str], tools: Sequence[Tool], tool_choice: str | JsonObject | None
) -> Answer:
    if tool_choice == "none":
        tools = ()
    elif isinstance(tool_choice, Mapping):
        return _forced(_chosen_name(tool_choice), text, tools)
    elif tool_choice in ("required", "any") and tools:
        asked = asked_for(text, tools) or (closest(text, tools),)
        return _attempted([found for found in asked if found is not None])
    if (recalled := recall(text, earlier)) is not None:
        return Answer(recalled)
    fact = recall_fact(text, earlier)
    if fact is not None and fact[1] is not None:
        return Answer(f"Your {fact[0]}: {fact[1]}.")
    if asked := asked_for(text, tools):
        return _attempted(asked)
    if fact is not None:
        return Answer(f"You have not told me your {fact[0]} in this conversation.")
    heard = f"You said: {quote(text)}" if text.strip() else "Your message has no text."
    return Answer(acknowledge(text) or f"{heard}\n\n{_abilities(tools)}")


def _attempted(found: Sequence[Call | Unfilled]) -> Answer:
    calls = tuple(call for call in found if isinstance(call, Call))
    if calls:
        return Answer(calls=calls)
    return Answer("\n\n".join(_lacking(one) for one in found if isinstance(one, Unfilled)))


def _forced(name: str, text: str, tools: Sequence[Tool]) -> Answer:
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return Answer(f"I was told to call `{name}`, but no such tool is offered to me.")
    return _attempted([attempt(tool, text)])


def _chosen_name(tool_choice: JsonObject) -> str:
    function = tool_choice.get("function")
    return str(function.get("name") if isinstance(function, Mapping) else tool_choice.get("name"))


def _lacking(found: Unfilled) -> str:
    missing = found.missing
    return (
        f"I can call `{found.tool.name}` for that, but its argument `{missing.name}` ({missing.type}) is missing. "
        f"Give it as `{missing.name}=…`."
    )


def _report(results: Sequence[Message], messages: Sequence[Message]) -> str:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return "\n\n".join(
        _told(result.name or names.get(result.tool_call_id or "", "tool"), result.content) for result in results
    )


def _told(name: str, content: str) -> str:
    content = content.strip()
    if not content:
        return f"`{name}` has returned nothing."
    return f"`{name}` says:\n\n{content}" if "\n" in content else f"`{name}` says: {content}"


def _abilities(tools: Sequence[Tool]) -> str:
    recalling = "recall what you said in this conversation (try “what did I say first?”)"
    if not tools:
        return f"Without a language model and without tools I can only {recalling}."
    listed = "\n".join(
        f"- `{tool.name}`: {tool.summary}" if tool.summary else f"- `{tool.name}`" for tool in tools[:_LISTED]
    )
    more = f"\n- and {len(tools) - _LISTED} more" if len(tools) > _LISTED else ""
    return f"I can {recalling} and call these tools when you ask for what they do:\n\n{listed}{more}"
