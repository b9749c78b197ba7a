"""The tree of errors: what its docstring draws is what the classes are."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm import errors
from agentllm.errors import (
    AgentFailed,
    AgentLLMError,
    ConfigurationError,
    InvalidRequest,
    ModelFailed,
    UnknownAgent,
    UnsupportedParameter,
    origin,
)


class Drawn(NamedTuple):
    """A line of the tree in the docstring."""

    parent: str | None
    status: int | None
    type: str | None


def _drawn() -> dict[str, Drawn]:
    tree: dict[str, Drawn] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.fullmatch(r"((?:│   |    )*(?:[├└]── )?)([A-Z]\w+)  +(?:(\d{3}) (\w+)|.+)", line):
            indent, name, status, kind = found.groups()
            del above[len(indent) // 4 :]
            tree[name] = Drawn(above[-1] if above else None, int(status) if status else None, kind)
            above.append(name)
    return tree


DRAWN = _drawn()
CLASSES = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, AgentLLMError)}


def test_the_tree_draws_every_class_and_no_other() -> None:
    assert sorted(DRAWN) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_stands_in_the_tree_below_its_base(name: str) -> None:
    base = CLASSES[name].__base__
    assert base is not None
    assert DRAWN[name].parent == (None if name == "AgentLLMError" else base.__name__)


@pytest.mark.parametrize("name", [name for name, drawn in DRAWN.items() if drawn.status])
def test_a_class_has_the_status_and_type_that_the_tree_says(name: str) -> None:
    assert (CLASSES[name].status, CLASSES[name].type) == (DRAWN[name].status, DRAWN[name].type)


def test_only_the_two_that_have_none_of_their_own_are_drawn_without_a_status() -> None:
    assert {name for name, drawn in DRAWN.items() if not drawn.status} == {"ModelFailed", "ConfigurationError"}


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_a_class_says_in_a_sentence_what_happened(cls: type[AgentLLMError]) -> None:
    assert cls.__doc__
    assert cls.__doc__ != AgentLLMError.__doc__ or cls is AgentLLMError


def test_the_message_is_what_it_was_raised_with() -> None:
    assert ConfigurationError("no").message == "no"


def test_a_bad_request_may_name_its_parameter() -> None:
    assert InvalidRequest("no").param is None
    assert InvalidRequest("no", param="stop").param == "stop"


def test_an_unsupported_parameter_names_itself_the_model_and_the_way_out() -> None:
    error = UnsupportedParameter("seed", "gemini-2.5-pro")
    assert error.param == "seed"
    assert all(word in error.message for word in ("'seed'", "'gemini-2.5-pro'", "drop_params"))


class TestUnknownAgent:
    def test_it_names_what_was_asked_for_and_what_there_is(self) -> None:
        message = UnknownAgent("wether", ["weather", "demo"]).message
        assert "'wether'" in message
        assert message.index("demo") < message.index("weather")

    def test_it_says_so_where_there_is_none(self) -> None:
        assert "none" in UnknownAgent("demo", []).message

    @given(st.text(max_size=1_000))
    def test_a_name_of_any_length_and_form_makes_one_short_line(self, name: str) -> None:
        message = UnknownAgent(name, []).message
        assert len(message.splitlines()) == 1
        assert len(message) < 80 * len("\\U0001f600") + 80


class TestModelFailed:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (418, "api_error"),
        ],
    )
    def test_it_has_the_providers_status_and_its_type(self, status: int, kind: str) -> None:
        error = ModelFailed("no", status=status)
        assert (error.status, error.type) == (status, kind)

    def test_a_provider_that_could_not_be_reached_is_a_bad_gateway(self) -> None:
        assert ModelFailed("no").status == 502

    def test_one_failure_says_nothing_of_the_next(self) -> None:
        ModelFailed("no", status=429)
        assert ModelFailed("no").type == "api_error"
        assert ModelFailed.status == AgentFailed.status


def test_the_origin_of_an_error_names_types_and_places_and_nothing_that_was_said() -> None:
    def look_up() -> None:
        try:
            raise KeyError("secret")
        except KeyError as cause:
            raise ValueError("secret") from cause

    with pytest.raises(ValueError, match="secret") as raised:
        look_up()
    told = origin(raised.value)
    assert told.startswith("ValueError at:\n")
    assert "\nfrom KeyError at:\n" in told
    assert "in look_up" in told
    assert "secret" not in told


def test_an_origin_ends_where_errors_came_from_each_other() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert origin(first).count(" at:") == 2


def test_an_origin_tells_no_context_that_was_suppressed() -> None:
    def look_up() -> None:
        try:
            raise KeyError
        except KeyError:
            raise ValueError("not there") from None

    with pytest.raises(ValueError, match="not there") as raised:
        look_up()
    assert "KeyError" not in origin(raised.value)
