"""The parameters of a request: which are taken, and which are refused."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Effort, OutputFormat, Parameters
from agentllm.errors import InvalidRequest, UnsupportedParameter
from agentllm.gateway.parameters import output_format_of, parameters_of

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def taken(*, drop: bool = False, **raw: Any) -> Parameters:
    return parameters_of(raw, "demo", drop=drop)


def form_of(**json_schema: Any) -> OutputFormat | None:
    return output_format_of({"response_format": {"type": "json_schema", "json_schema": json_schema}})


# Parameters


def test_parameters_are_read() -> None:
    assert taken(
        temperature=0.5,
        top_p=1,
        max_tokens=7,
        stop=["a", "b"],
        seed=0,
        presence_penalty=-1,
        frequency_penalty=0.25,
        reasoning_effort="low",
        verbosity="high",
        service_tier="flex",
    ) == Parameters(0.5, 1, 7, ("a", "b"), 0, -1, 0.25, "low", "high", "flex")


def test_what_has_no_meaning_for_a_model_is_ignored() -> None:
    assert (
        taken(
            unknown="x",
            n=1,
            logprobs=False,
            top_logprobs=0,
            store=True,
            metadata={"a": "b"},
            user="eve",
            safety_identifier="s",
            prompt_cache_key="k",
            prompt_cache_options={"mode": "explicit"},
            prompt_cache_retention="24h",
            stream_options={"include_usage": True},
            modalities=["text"],
            functions=[],
            function_call="auto",
            logit_bias={},
            service_tier="auto",
        )
        == Parameters()
    )


def test_one_stop_may_stand_alone() -> None:
    assert taken(stop="a").stop == ("a",)


@pytest.mark.parametrize("tier", ["auto", "default", "standard_only", None])
def test_the_tier_that_every_model_has_is_no_tier(tier: str | None) -> None:
    assert taken(service_tier=tier).service_tier is None


@pytest.mark.parametrize("effort", get_args(Effort))
def test_every_effort_is_taken_alone_and_with_a_summary(effort: str) -> None:
    assert taken(reasoning_effort=effort).reasoning_effort == effort
    assert taken(reasoning_effort={"effort": effort, "summary": "auto"}).reasoning_effort == effort


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "enabled", "budget_tokens": 1_024}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, "high"),
        ({"type": "adaptive"}, None),
        ("on", None),
    ],
)
def test_the_thinking_of_anthropic_s_api_is_an_effort(thinking: Any, effort: str | None) -> None:
    assert taken(thinking=thinking).reasoning_effort == effort
    assert taken(thinking=thinking, reasoning_effort="minimal").reasoning_effort == "minimal"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("top_p", [1]),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("seed", "x"),
        ("stop", []),
        ("stop", [""]),
        ("stop", ""),
        ("stop", [1]),
        ("stop", 1),
        ("stop", {"a": 1}),
        ("reasoning_effort", "much"),
        ("reasoning_effort", 1),
        ("reasoning_effort", {"effort": []}),
        ("verbosity", "loud"),
        ("service_tier", "gold"),
        ("service_tier", ["flex"]),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        taken(**{name: value})
    assert raised.value.param == name


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 2), ("n", 0), ("n", -1), ("n", "2"), ("n", True), ("n", 1.5), ("logprobs", True), ("top_logprobs", 3)],
)
def test_more_than_one_answer_or_probabilities_are_refused_also_where_parameters_are_dropped(
    name: str, value: Any, drop: bool
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        taken(drop=drop, **{name: value})
    assert raised.value.param == name


UNSUPPORTED: list[tuple[str, Any]] = [
    ("audio", {"voice": "alloy", "format": "wav"}),
    ("function_call", {"name": "f"}),
    ("functions", [{"name": "f"}]),
    ("logit_bias", {"50256": -100}),
    ("modalities", ["text", "audio"]),
    ("moderation", {"model": "omni-moderation-latest"}),
    ("prediction", {"type": "content", "content": "x"}),
    ("web_search_options", {}),
]


@pytest.mark.parametrize(("name", "value"), UNSUPPORTED)
def test_what_no_agent_can_do_is_refused_by_name_or_dropped(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        taken(**{name: value})
    assert raised.value.param == name
    assert taken(drop=True, **{name: value}) == Parameters()


# The form of the answer


@pytest.mark.parametrize("raw", [None, {"type": "text"}])
def test_text_is_no_form(raw: object) -> None:
    assert output_format_of({"response_format": raw}) is None
    assert output_format_of({}) is None


def test_any_object_is_a_form_without_a_schema() -> None:
    assert output_format_of({"response_format": {"type": "json_object"}}) == OutputFormat()


def test_a_schema_comes_with_its_name_and_how_strict_it_is() -> None:
    assert form_of(name="city", schema=SCHEMA) == OutputFormat(SCHEMA, "city")
    assert form_of(name="city", schema=SCHEMA, strict=True, description="d") == OutputFormat(SCHEMA, "city", True, "d")
    assert form_of(name="city", schema=SCHEMA, strict=None, description=None) == OutputFormat(SCHEMA, "city")


@pytest.mark.parametrize("raw", ["json", [], {}, {"type": "xml"}, {"type": ["text"]}, {"type": "json_schema"}, 1])
def test_an_unknown_form_is_refused(raw: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        output_format_of({"response_format": raw})
    assert (raised.value.param or "").startswith("response_format")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": None}, "name"),
        ({"name": "a city"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"schema": None}, "schema"),
        ({"schema": []}, "schema"),
        ({"schema": True}, "schema"),
        ({"schema": {"type": "text"}}, "schema"),
        ({"schema": {"$ref": "https://elsewhere.invalid"}}, "schema"),
        ({"strict": "yes"}, "strict"),
        ({"description": 1}, "description"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        form_of(**{"name": "city", "schema": SCHEMA, **change})
    assert raised.value.param == f"response_format.json_schema.{place}"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "n logprobs top_logprobs stop seed temperature max_tokens reasoning_effort thinking verbosity service_tier audio"
    " modalities logit_bias functions function_call web_search_options response_format"
)
almost_forms = st.fixed_dictionaries({"type": st.just("json_schema"), "json_schema": json})


@given(st.dictionaries(st.sampled_from(NAMES.split()), json), st.booleans())
def test_whatever_is_sent_is_read_or_one_of_our_errors(raw: dict[str, Any], drop: bool) -> None:
    with contextlib.suppress(InvalidRequest):
        parameters_of(raw, "demo", drop=drop)
    with contextlib.suppress(InvalidRequest):
        output_format_of(raw)


@given(almost_forms)
def test_whatever_is_sent_as_a_schema_is_one_or_one_of_our_errors(raw: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        output_format_of({"response_format": raw})
