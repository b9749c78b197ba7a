"""Reading requests of Gemini's generateContent; refusing what the real API refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from tests.scripted_llm.asking import Ask, RefusedError, Said
from tests.scripted_llm.replies import JsonObject

SIGNATURE = "c2NyaXB0ZWQ="
"""The thought signature of every function call; models `gemini-3…` want it back."""

_KEYS = """
    cachedContent contents generationConfig labels model safetySettings serviceTier store
    systemInstruction toolConfig tools
"""
_KNOWN = frozenset(_KEYS.split())
_OTHER_FORMS = {"function_call": "functionCall", "function_response": "functionResponse"}
"""Google takes the names of fields in both forms; LiteLLM sends these."""

_CONTENT_ROLES = {None: "user", "user": "user", "function": "user", "model": "assistant"}


def read_generate(headers: Mapping[str, str], query_key: str | None, model: str, body: object, *, stream: bool) -> Ask:
    """The request, if the real API would take it.

    Raises:
        RefusedError: it would not.
    """
    _authenticate(headers.get("x-goog-api-key") or query_key)
    if not isinstance(body, dict):
        raise RefusedError("Invalid JSON payload received.")
    for key in body:
        if key not in _KNOWN:
            raise RefusedError(f'Invalid JSON payload received. Unknown name "{key}": Cannot find field.')
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise RefusedError("* GenerateContentRequest.contents: contents is not specified")
    _check_calls(contents)
    if "gemini-3" in model:
        _check_signatures(contents)
    config = body.get("generationConfig") or {}
    return Ask(
        model=model,
        messages=tuple(_messages(body.get("systemInstruction"), contents)),
        tools=_tools(body.get("tools") or ()),
        stream=stream,
        include_usage=True,
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
    )


def _authenticate(key: str | None) -> None:
    if not key:
        raise RefusedError("Method doesn't allow unregistered callers.", status=403)
    if key.startswith("bad"):
        raise RefusedError("API key not valid. Please pass a valid API key.")


def _parts(content: Any) -> Sequence[JsonObject]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) and part for part in parts):
        raise RefusedError("* GenerateContentRequest.contents.parts: contents.parts must not be empty.")
    return [{_OTHER_FORMS.get(name, name): value for name, value in part.items()} for part in parts]


def _check_calls(contents: Sequence[Any]) -> None:
    """Every turn of calls is answered by the next turn, and only such turns are."""
    waiting: list[str] = []
    for content in contents:
        if isinstance(content, dict) and content.get("role") not in _CONTENT_ROLES:
            raise RefusedError("Please use a valid role: user, model.")
        parts = _parts(content)
        answers = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if sorted(answers) != sorted(waiting):
            raise RefusedError(
                "Please ensure that the number of function response parts is equal to the number of function call"
                " parts of the function call turn."
            )
        waiting = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        if waiting and content.get("role") != "model":
            raise RefusedError("Please ensure that function call turn comes from the model.")
    if waiting:
        raise RefusedError("Please ensure that function call turn is followed by a function response turn.")


def _check_signatures(contents: Sequence[Any]) -> None:
    """The first call of each step since the last user text carries its thought signature."""
    for content in reversed(contents):
        parts = _parts(content)
        if content.get("role") != "model" and any("text" in part for part in parts):
            return
        calls = [part for part in parts if "functionCall" in part]
        if calls and calls[0].get("thoughtSignature", calls[0].get("thought_signature")) != SIGNATURE:
            raise RefusedError("Function call is missing a thought_signature in functionCall parts.")


def _messages(system: Any, contents: Sequence[Any]) -> list[Said]:
    said: list[Said] = []
    if isinstance(system, dict):
        said.append(Said("system", _text(_parts(system))))
    for content in contents:
        parts = _parts(content)
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        said += [Said("tool", _result(result)) for result in results]
        text = _text(parts)
        if text or not results:
            said.append(Said(_CONTENT_ROLES[content.get("role")], text))
    return said


def _result(result: JsonObject) -> str:
    """The text of a result in the form that the SDK, Agno and LiteLLM give it, else the object as it is."""
    response = result.get("response") or {}
    names = ("result", "output", "content")
    only = next((response[name] for name in names if name in response), None) if len(response) == 1 else None
    return str(response if only is None else only)


def _text(parts: Sequence[JsonObject]) -> str:
    shown = []
    for part in parts:
        if "text" in part and not part.get("thought"):
            shown.append(str(part["text"]))
        elif "inlineData" in part or "fileData" in part:
            shown.append("[file]")
    return "\n".join(shown)


def _tools(tools: Sequence[JsonObject]) -> tuple[str, ...]:
    lists = (tool.get("functionDeclarations") or tool.get("function_declarations") or () for tool in tools)
    return tuple(declared["name"] for declared in chain.from_iterable(lists))
