"""The shapes of requests' bodies, as far as LiteLLM relies on them before an agent is reached, or once it answered.

It reads a body as if it had the documented form, and answers any other with status 500, or with a
traceback in the message; /v1/responses repeats most of it in the answer. What an agent itself
needs of a request is checked where it is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

import litellm
from litellm.llms.anthropic.common_utils import (
    strip_empty_content_blocks_from_anthropic_messages as says_something,
)

from agentllm.core import Role
from agentllm.errors import InvalidRequest

MOST_STOPS = 4
"""Sequences that end an answer, as OpenAI takes them; LiteLLM drops the others without a word, on /v1/messages too."""

_NAMES: Mapping[type, str] = {
    str: "a string",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


@dataclass(frozen=True)
class Shape:
    """What a value must be: of one of `types`, one of `values` where there are any, a list of `items`, an object
    with `fields`.

    A field that is missing or null is fine unless it is `required`.
    """

    types: tuple[type, ...]
    items: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    values: tuple[str, ...] = ()

    def check(self, value: object, place: str) -> None:
        """See that `value`, which stands at `place`, has this shape.

        Raises:
            InvalidRequest: it has not.
        """
        if type(value) not in self.types:
            names = dict.fromkeys(_NAMES[kind] for kind in self.types)
            raise InvalidRequest(f"{place} must be {' or '.join(names)}.", param=place)
        if self.values and value not in self.values:
            raise InvalidRequest(f"{place} is {value!r:.80}; it must be one of {', '.join(self.values)}.", param=place)
        if isinstance(value, list) and self.items is not None:
            for index, item in enumerate(value):
                self.items.check(item, f"{place}[{index}]")
        elif isinstance(value, dict):
            self.check_fields(value, f"{place}.")

    def check_fields(self, value: Mapping[str, object], prefix: str = "") -> None:
        """See that the fields of an object have their shapes.

        Raises:
            InvalidRequest: one has not.
        """
        for name, shape in self.fields.items():
            if (found := value.get(name)) is not None:
                shape.check(found, f"{prefix}{name}")
            elif name in self.required:
                raise InvalidRequest(f"{prefix}{name} is missing.", param=f"{prefix}{name}")


def _object(*required: str, **fields: Shape) -> Shape:
    return Shape((dict,), fields=fields, required=frozenset(required))


def _list(items: Shape) -> Shape:
    return Shape((list,), items=items)


_TEXT = Shape((str,))
_FLAG = Shape((bool,))
_NUMBER = Shape((int, float))
_ANY_OBJECT = _object()
_PARTS = Shape((str, list), items=_object(type=_TEXT))
_CHOICE = Shape((str, dict))
_TOOL_CALL = _object(id=_TEXT, function=_object(name=_TEXT))

_COMMON: Mapping[str, Shape] = {"stream": _FLAG, "metadata": _ANY_OBJECT, "timeout": _NUMBER}
_CHAT = _object(
    messages=_list(
        _object("role", role=Shape((str,), values=get_args(Role)), content=_PARTS, tool_calls=_list(_TOOL_CALL))
    ),
    tools=_list(_object(type=_TEXT, function=_object(name=_TEXT))),
    tool_choice=_CHOICE,
    response_format=_ANY_OBJECT,
    stream_options=_ANY_OBJECT,
    store=_FLAG,
    **_COMMON,
)
_RESPONSES = _object(
    input=Shape((str, list), items=_object(role=_TEXT, type=_TEXT, content=_PARTS, call_id=_TEXT, name=_TEXT)),
    instructions=_TEXT,
    tools=_list(_object(type=_TEXT, name=_TEXT, parameters=_ANY_OBJECT)),
    tool_choice=_CHOICE,
    text=_object(format=_ANY_OBJECT),
    reasoning=_ANY_OBJECT,
    temperature=_NUMBER,
    top_p=_NUMBER,
    max_output_tokens=Shape((int,)),
    parallel_tool_calls=_FLAG,
    previous_response_id=_TEXT,
    store=_FLAG,
    truncation=Shape((str,), values=("auto", "disabled")),
    user=_TEXT,
    **_COMMON,
)
_MESSAGES = _object(
    messages=_list(
        _object(
            "role",
            role=_TEXT,
            content=Shape(
                (str, list),
                items=_object(type=_TEXT, text=_TEXT, source=_ANY_OBJECT, id=_TEXT, name=_TEXT, tool_use_id=_TEXT),
            ),
        ),
    ),
    system=_PARTS,
    stop_sequences=_list(_TEXT),
    tools=_list(_object(name=_TEXT, input_schema=_ANY_OBJECT)),
    tool_choice=_object("type", type=Shape((str,), values=("auto", "any", "tool", "none")), name=_TEXT),
    thinking=_object(type=_TEXT, budget_tokens=_NUMBER),
    **{**_COMMON, "metadata": _object(user_id=_TEXT)},
)
_COMPLETION = _object(
    tools=_list(_ANY_OBJECT),
    tool_choice=_CHOICE,
    response_format=_ANY_OBJECT,
    stream_options=_ANY_OBJECT,
    store=_FLAG,
    **_COMMON,
)
_BY_CALL: Mapping[str, Shape] = {
    "text_completion": _COMPLETION,
    "atext_completion": _COMPLETION,
    "completion": _CHAT,
    "acompletion": _CHAT,
    "responses": _RESPONSES,
    "aresponses": _RESPONSES,
    "anthropic_messages": _MESSAGES,
}


def check_shape(data: Mapping[str, object], call_type: object) -> None:
    """See that a request's body has the shape of its endpoint; `call_type` is LiteLLM's name of what that calls.

    Raises:
        InvalidRequest: it has not, and the message names the first place; or a number in it is none of JSON's,
            or there are more texts to stop at than LiteLLM passes on, or it is one of /v1/messages that says
            nothing, or of /v1/completions that an agent cannot answer, or names another provider to ask.
    """
    if (shape := _BY_CALL.get(str(call_type))) is None:
        return
    shape.check_fields(data)
    for name, value in data.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"{name} is {value}; it must be a finite number.", param=name)
    _check_stops(data, "stop_sequences" if shape is _MESSAGES else "stop")
    if shape is _MESSAGES and "messages" in data:
        _check_says_something(data["messages"])
    if shape in (_CHAT, _COMPLETION) and data.get("custom_llm_provider") is not None:
        raise InvalidRequest(
            "'custom_llm_provider' is set; the name in 'model' says who answers. Leave it out.",
            param="custom_llm_provider",
        )
    if shape is _COMPLETION:
        _check_prompt(data.get("prompt"))
        _check_texts_only(data)


def _check_says_something(messages: object) -> None:
    if not isinstance(messages, list) or not says_something(messages):
        raise InvalidRequest("'messages' says nothing; add a message with a text.", param="messages")


def _check_texts_only(data: Mapping[str, object]) -> None:
    """LiteLLM would fail on messages, lose the calls of tools, and pass over the rest."""
    for name, is_set in {"messages": "messages" in data, "tools": bool(data.get("tools"))}.items():
        if is_set:
            raise InvalidRequest(
                f"{name!r} is set, and /v1/completions has texts only. Send the request to /v1/chat/completions.",
                param=name,
            )
    for name, unset in {"best_of": 1, "echo": False, "suffix": ""}.items():
        if (value := data.get(name)) not in (None, unset) and not litellm.drop_params:
            raise InvalidRequest(f"{name!r} is {value!r:.80}; agents do not know it. Leave it out.", param=name)


def _check_stops(data: Mapping[str, object], name: str) -> None:
    stops = data.get(name)
    if isinstance(stops, list) and len(stops) > MOST_STOPS and not litellm.disable_stop_sequence_limit:
        raise InvalidRequest(
            f"{name!r} holds {len(stops)} texts; {MOST_STOPS} are the limit. Send fewer, or have the operator set "
            "`disable_stop_sequence_limit: true` in the proxy's litellm_settings, which leaves it to the model.",
            param=name,
        )


def _check_prompt(prompt: object) -> None:
    """See that it is one text: LiteLLM would make one conversation of several.

    Raises:
        InvalidRequest: it is not.
    """
    prompts = prompt if isinstance(prompt, list) else [prompt]
    if prompt is None or not prompts:
        raise InvalidRequest("'prompt' is missing; send a text.", param="prompt")
    if not all(isinstance(one, str) for one in prompts):
        raise InvalidRequest("'prompt' must be a text; agents read no tokens.", param="prompt")
    if len(prompts) > 1:
        raise InvalidRequest(
            f"'prompt' holds {len(prompts)} texts; an agent answers one. Send a request for each.", param="prompt"
        )
    if not prompts[0]:
        raise InvalidRequest("'prompt' is an empty text; say something in it.", param="prompt")
