"""The parameters of a request: those that are taken, and those that are refused.

`docs/parameters.md` says of every parameter of OpenAI's API what happens to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from litellm.litellm_core_utils.reasoning_effort_utils import reasoning_effort_from_thinking_budget

from agentllm.core import Effort, OutputFormat, Parameters, ServiceTier, Verbosity
from agentllm.errors import InvalidRequest, UnsupportedParameter
from agentllm.runtimes.schemas import check_schema

ALLOWED = ("reasoning_effort", "thinking", "verbosity", "response_format")
"""Parameters that LiteLLM gives a custom provider only where the deployment allows it to (`allowed_openai_params`)."""

_NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_INTEGERS = ("max_tokens", "seed")
_EVERY_TIER = ("auto", "default", "standard_only")
"""OpenAI's and Anthropic's words for the tier that every model has."""

_FORMAT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SCHEMA = "response_format.json_schema"

Word = TypeVar("Word", bound=str)


def parameters_of(raw: Mapping[str, Any], agent: str, *, drop: bool) -> Parameters:
    """What `raw`, a request's parameters as LiteLLM gives them, set for the agent's model.

    With `drop` those that no agent can serve are ignored, except those that ask for another answer:
    more than one, or one with probabilities.

    Raises:
        InvalidRequest: a value is of the wrong kind, or more is asked for than an agent gives.
        UnsupportedParameter: no agent can do what it asks for.
    """
    _refuse_other_answers(raw)
    if not drop:
        _refuse_unsupported(raw, agent)
    values: dict[str, Any] = {name: _number(raw, name) for name in _NUMBERS}
    values |= {name: _integer(raw, name) for name in _INTEGERS}
    return Parameters(
        **values,
        stop=_stop(raw.get("stop")),
        reasoning_effort=_effort(raw),
        verbosity=_word("verbosity", raw.get("verbosity"), get_args(Verbosity)),
        service_tier=_service_tier(raw.get("service_tier")),
    )


def output_format_of(raw: Mapping[str, Any]) -> OutputFormat | None:
    """The form of the answer that `response_format` asks for; None for text.

    Raises:
        InvalidRequest: it is none, or its schema cannot be checked against.
    """
    asked = raw.get("response_format")
    if asked is None:
        return None
    kind = asked.get("type") if isinstance(asked, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if kind != "json_schema":
        raise InvalidRequest(
            "'response_format' must be an object of the type text, json_object or json_schema.",
            param="response_format",
        )
    return _schema_format(asked.get("json_schema"))


def _schema_format(raw: object) -> OutputFormat:
    if not isinstance(raw, Mapping):
        raise InvalidRequest(f"{_SCHEMA} must be an object.", param=_SCHEMA)
    name, schema, strict, description = (raw.get(key) for key in ("name", "schema", "strict", "description"))
    if not isinstance(name, str) or not _FORMAT_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{_SCHEMA}.name must be 1 to 64 letters, digits, underscores or dashes.", param=f"{_SCHEMA}.name"
        )
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{_SCHEMA}.schema must be a JSON schema, an object.", param=f"{_SCHEMA}.schema")
    if strict is not None and not isinstance(strict, bool):
        raise InvalidRequest(f"{_SCHEMA}.strict must be true or false.", param=f"{_SCHEMA}.strict")
    if description is not None and not isinstance(description, str):
        raise InvalidRequest(f"{_SCHEMA}.description must be a string.", param=f"{_SCHEMA}.description")
    check_schema(schema, f"{_SCHEMA}.schema")
    return OutputFormat(schema, name, bool(strict), description)


def _refuse_other_answers(raw: Mapping[str, Any]) -> None:
    n = raw.get("n")
    if n is not None and (n != 1 or isinstance(n, bool)):
        raise InvalidRequest(
            f"'n' is {n!r}; an agent gives one answer, so it must be 1. Send the request again for another.", param="n"
        )
    for name in ("logprobs", "top_logprobs"):
        if raw.get(name):
            raise InvalidRequest(f"{name!r} is set; agents give no probabilities of tokens. Leave it out.", param=name)


def _refuse_unsupported(raw: Mapping[str, Any], agent: str) -> None:
    asked = {
        "audio": raw.get("audio") is not None,
        "function_call": raw.get("function_call") not in (None, "auto", "none"),
        "functions": bool(raw.get("functions")),
        "logit_bias": bool(raw.get("logit_bias")),
        "modalities": raw.get("modalities") not in (None, [], ["text"]),
        "moderation": raw.get("moderation") is not None,
        "prediction": raw.get("prediction") is not None,
        "web_search_options": raw.get("web_search_options") is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise UnsupportedParameter(name, agent)


def _effort(raw: Mapping[str, Any]) -> Effort | None:
    """OpenAI's `reasoning_effort`, or Anthropic's `thinking` in LiteLLM's measure of its budgets."""
    asked, thinking = raw.get("reasoning_effort"), raw.get("thinking")
    if isinstance(asked, Mapping):  # as LiteLLM has what came with a summary
        asked = asked.get("effort")
    if asked is None and isinstance(thinking, Mapping):
        budget = thinking.get("budget_tokens")
        if thinking.get("type") == "disabled":
            return "none"
        return reasoning_effort_from_thinking_budget(budget) if isinstance(budget, int) else None
    return _word("reasoning_effort", asked, get_args(Effort))


def _service_tier(asked: object) -> ServiceTier | None:
    return None if asked in _EVERY_TIER else _word("service_tier", asked, get_args(ServiceTier))


def _word(name: str, value: object, words: Sequence[Word]) -> Word | None:
    if value is None:
        return None
    found = next((word for word in words if word == value), None)
    if found is None:
        raise InvalidRequest(f"{name!r} is {value!r}; it must be one of {', '.join(words)}.", param=name)
    return found


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"{name!r} is {value!r}; it must be a number.", param=name)


def _integer(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidRequest(f"{name!r} is {value!r}; it must be a whole number.", param=name)
    if name == "max_tokens" and value is not None and value < 1:
        raise InvalidRequest(f"{name!r} is {value}; it must be at least 1.", param=name)
    return value


def _stop(raw: object) -> tuple[str, ...] | None:
    if raw is None:
        return None
    texts = (raw,) if isinstance(raw, str) else raw
    if isinstance(texts, Sequence) and texts and all(isinstance(text, str) and text for text in texts):
        return tuple(texts)
    raise InvalidRequest(f"'stop' is {raw!r}; it must be a text or a list of texts.", param="stop")
