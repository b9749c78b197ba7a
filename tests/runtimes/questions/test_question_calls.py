"""Questions as calls, and what clients answer to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Choice, ClientTool, Decision, Field, Json, Question
from agentllm.runtimes.questions.calls import (
    APPROVE,
    ASK_USER,
    EXPLAIN,
    MOST_PANELS,
    REFUSE,
    as_call,
    as_panel_call,
    decision_in,
    decisions_in_panel,
    fits_in_panel,
    offers_panel,
    panels_of,
)
from agentllm.runtimes.questions.values import Unclear

CONFIRM = Question("q1", "confirmation", "deploy", {"version": "1.2"})
VALUES = Question(
    "q2", "values", "send", {"text": "hi", "to": None}, fields=(Field("to"), Field("count", "int", "", 3))
)
KEEP = Question("q4", "values", "print", {"copies": 3}, fields=(Field("copies", "int", "", 3),))
COLOUR = Choice("Which colour?", "Colour", (("Red", "warm"), ("Blue", "")))
CHOICES = Question("q3", "choices", "ask_user", {}, choices=(COLOUR,))


def panel(*questions: Question) -> Any:
    return json.loads(as_panel_call("c", questions).arguments)


def answered(**answers: object) -> str:
    return json.dumps({"status": "answered", "answers": answers})


def option(label: str) -> dict[str, Json]:
    return {"type": "option", "option_index": 0, "label": label, "description": "…"}


def other(text: str) -> dict[str, Json]:
    return {"type": "other", "text": text}


class TestCalls:
    def test_a_call_is_one_of_the_tool_with_its_arguments(self) -> None:
        call = as_call("c", CONFIRM)
        assert (call.id, call.name, json.loads(call.arguments)) == ("c", "deploy", {"version": "1.2"})

    def test_values_that_are_asked_for_stand_in_it_as_they_are(self) -> None:
        assert json.loads(as_call("c", VALUES).arguments) == {"text": "hi", "to": None, "count": 3}

    def test_a_confirmation_is_accepted_by_true_alone(self) -> None:
        assert decision_in(CONFIRM, '{"accepted": true}') == Decision("q1", approved=True)

    @pytest.mark.parametrize(
        ("result", "note"),
        [
            ('{"accepted": false}', None),
            ('{"accepted": false, "note": "not today"}', "not today"),
            ('{"accepted": "yes"}', None),
            ('{"accepted": 1}', None),
            ('{"values": {}}', None),
            ("{}", None),
            ("", None),
            ("true", "true"),
            ("yes", "yes"),
            ('Error: Tool "deploy" not found.', 'Error: Tool "deploy" not found.'),
        ],
    )
    def test_whatever_else_comes_refuses(self, result: str, note: str | None) -> None:
        assert decision_in(CONFIRM, result) == Decision("q1", approved=False, note=note)

    @pytest.mark.parametrize("result", ['{"values": {"to": "ada"}}', '{"accepted": true, "values": {"to": "ada"}}'])
    def test_values_are_taken(self, result: str) -> None:
        assert decision_in(VALUES, result) == Decision("q2", approved=True, values={"to": "ada", "count": 3})

    @pytest.mark.parametrize("result", ['{"accepted": false, "values": {"to": "ada"}}', "{}", "ada", '{"values": 1}'])
    def test_anything_that_gives_none_refuses(self, result: str) -> None:
        decision = decision_in(VALUES, result)
        assert isinstance(decision, Decision)
        assert not decision.approved

    @pytest.mark.parametrize(
        "result", ['{"values": {}}', '{"accepted": true}', '{"values": {"to": "a", "count": "x"}}']
    )
    def test_values_that_do_not_fit_decide_nothing(self, result: str) -> None:
        assert isinstance(decision_in(VALUES, result), Unclear)

    @pytest.mark.parametrize("chosen", [["Red"], "Red", "red", ["1"]])
    def test_a_choice_is_taken(self, chosen: object) -> None:
        result = json.dumps({"values": {"Colour": chosen}})
        assert decision_in(CHOICES, result) == Decision("q3", approved=True, values={"Which colour?": ["Red"]})


class TestPanel:
    """Open WebUI's limits are those of its 0.12.4."""

    def test_it_is_a_call_of_ask_user_in_open_webui_s_form(self) -> None:
        call = as_panel_call("c", [CONFIRM, VALUES])
        assert (call.id, call.name) == ("c", ASK_USER)
        asked = json.loads(call.arguments)
        assert asked["allow_other"] is True
        assert 60_000 <= asked["timeout_ms"] <= 240_000
        assert [one["id"] for one in asked["questions"]] == ["q1", "q2"]

    @given(
        st.builds(
            Question,
            st.just("q"),
            st.just("confirmation"),
            st.text(min_size=1, max_size=60),
            st.dictionaries(st.text(max_size=5), st.text(max_size=600), max_size=2),
        )
        | st.builds(
            Question,
            st.just("q"),
            st.just("values"),
            st.just("send"),
            st.just({}),
            st.lists(
                st.builds(
                    Field,
                    st.text("ab", min_size=1, max_size=90),
                    st.sampled_from(["str", "bool", "int"]),
                    st.text(max_size=600),
                    st.none() | st.text(max_size=90) | st.integers(),
                ),
                min_size=1,
                max_size=MOST_PANELS,
            ).map(tuple),
        )
    )
    def test_every_question_is_within_its_limits(self, question: Question) -> None:
        for one in panel(question)["questions"]:
            assert 0 < len(one["header"]) <= 48
            assert 0 < len(one["question"]) <= 500
            assert 2 <= len(one["options"]) <= 3
            for answer in one["options"]:
                assert answer["label"] == answer["label"].strip()
                assert 0 < len(answer["label"]) <= 80
                assert 0 < len(answer["description"].strip()) <= 240

    def test_what_a_confirmation_is_about_is_shown_whole_or_not_at_all(self) -> None:
        assert '{"version": "1.2"}' in panel(CONFIRM)["questions"][0]["question"]
        long = Question("q", "confirmation", "deploy", {"text": "x" * 600})
        assert fits_in_panel(CONFIRM)
        assert not fits_in_panel(long)
        assert "xxx" not in panel(long)["questions"][0]["question"]

    @pytest.mark.parametrize(
        ("question", "count"),
        [
            (CONFIRM, 1),
            (VALUES, 1),
            (KEEP, 1),
            (CHOICES, 1),
            (Question("q", "values", "f", {}, fields=(Field("a"),) * (MOST_PANELS + 1)), 0),
            (Question("q", "choices", "f", {}, choices=(Choice("?", "", COLOUR.options, many=True),)), 0),
            (Question("q", "choices", "f", {}, choices=(Choice("?", "", COLOUR.options[:1]),)), 0),
            (Question("q", "choices", "f", {}, choices=(Choice("?", "", COLOUR.options * 2),)), 0),
            (Question("q", "choices", "f", {}, choices=(Choice("?", "", (("x" * 81, ""), ("y", ""))),)), 0),
            (Question("q", "choices", "f", {}, choices=(Choice("?" * 501, "", COLOUR.options),)), 0),
            (Question("q", "choices", "f", {}, choices=(COLOUR,) * (MOST_PANELS + 1)), 0),
        ],
    )
    def test_what_it_has_no_room_for_is_known(self, question: Question, count: int) -> None:
        assert panels_of(question) == count

    @pytest.mark.parametrize(
        ("answer", "decision"),
        [
            (option(APPROVE), Decision("q1", approved=True)),
            (option(REFUSE), Decision("q1", approved=False)),
            (option("something else"), Decision("q1", approved=False)),
            (other("yes"), Decision("q1", approved=True)),
            (other("Which cluster?"), Decision("q1", approved=False, note="Which cluster?")),
            (other(APPROVE), Decision("q1", approved=True)),
            ("Allow", Decision("q1", approved=False)),
            ({"label": APPROVE, "type": ["option"]}, Decision("q1", approved=True)),
            (None, Decision("q1", approved=False)),
        ],
    )
    def test_a_confirmation_is_decided_by_its_option_or_a_clear_yes(self, answer: object, decision: Decision) -> None:
        assert decisions_in_panel([CONFIRM], answered(q1=answer)) == [decision]

    @pytest.mark.parametrize(
        "result",
        [
            "Error: tool call rejected by user.",
            '{"status": "cancelled", "answers": {}, "timed_out": true}',
            '{"status": "cancelled", "answers": {"q1": {"type": "option", "label": "Allow"}}}',
            '{"answers": {"q1": {"type": "option", "label": "Allow"}}}',
            '{"status": "answered", "answers": []}',
            '{"status": "answered", "answers": {"q2": {"type": "option", "label": "Allow"}}}',
            '{"status": "answered", "answers": {}}',
            '{"accepted": true}',
            "",
            "yes",
        ],
    )
    def test_without_its_answer_everything_is_refused(self, result: str) -> None:
        decisions = decisions_in_panel([CONFIRM, VALUES, CHOICES], result)
        assert [isinstance(one, Decision) and one.approved for one in decisions] == [False] * 3

    def test_each_question_takes_its_own_answers(self) -> None:
        result = answered(q1=option(APPROVE), q2=other("ada"), q3=option("Keep 3"))
        assert decisions_in_panel([CONFIRM, VALUES, KEEP], result) == [
            Decision("q1", approved=True),
            Decision("q2", approved=True, values={"to": "ada", "count": 3}),
            Decision("q4", approved=True, values={"copies": 3}),
        ]

    def test_a_value_may_be_changed(self) -> None:
        (decision,) = decisions_in_panel([KEEP], answered(q1=other("5")))
        assert decision == Decision("q4", approved=True, values={"copies": 5})

    @pytest.mark.parametrize("answer", [option(REFUSE), option(EXPLAIN), other("no"), other("cancel"), None])
    def test_values_that_are_not_given_refuse(self, answer: object) -> None:
        (decision,) = decisions_in_panel([VALUES], answered(q1=answer))
        assert isinstance(decision, Decision)
        assert not decision.approved

    def test_values_that_do_not_fit_decide_nothing(self) -> None:
        (decision,) = decisions_in_panel([KEEP], answered(q1=other("many")))
        assert isinstance(decision, Unclear)

    @pytest.mark.parametrize(("label", "value"), [("Yes", True), ("No", False)])
    def test_yes_and_no_are_values_where_they_are_asked_for(self, label: str, value: bool) -> None:
        question = Question("q", "values", "f", {}, fields=(Field("urgent", "bool"),))
        assert label in [one["label"] for one in panel(question)["questions"][0]["options"]]
        (decision,) = decisions_in_panel([question], answered(q1=option(label)))
        assert decision == Decision("q", approved=True, values={"urgent": value})

    @pytest.mark.parametrize(("answer", "label"), [(option("Blue"), "Blue"), (other("Green"), "Green")])
    def test_a_choice_is_taken(self, answer: object, label: str) -> None:
        assert decisions_in_panel([CHOICES], answered(q1=answer)) == [
            Decision("q3", approved=True, values={"Which colour?": [label]})
        ]

    def test_it_is_offered_only_where_the_tool_is_open_webui_s(self) -> None:
        schema: dict[str, Json] = {"type": "object", "properties": {"questions": {"type": "array"}}}
        assert offers_panel([ClientTool("x", "", {}), ClientTool(ASK_USER, "", schema)])
        assert not offers_panel([ClientTool(ASK_USER, "", {"type": "object", "properties": {"text": {}}})])
        assert not offers_panel([ClientTool("questions", "", schema)])
        assert not offers_panel([])
