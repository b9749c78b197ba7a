"""What a person's answer means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Choice, Decision, Field, Question
from agentllm.runtimes.questions.values import Unclear, decide, decide_values, json_object, kind_of, type_of

CONFIRM = Question("q", "confirmation", "deploy", {"version": "1.2"})


def values(*fields: Field) -> Question:
    return Question("q", "values", "send", {}, fields=fields)


def choices(*asked: Choice) -> Question:
    return Question("q", "choices", "ask_user", {}, choices=asked)


TO, COUNT, URGENT = Field("to"), Field("count", "int"), Field("urgent", "bool")
COLOUR = Choice("Which colour?", "Colour", (("Red", "warm"), ("Blue", "cold")))
SIZES = Choice("Which sizes?", "Sizes", (("S", ""), ("M", ""), ("L", "")), many=True)


def given_values(question: Question, text: str) -> Any:
    decision = decide(question, text)
    assert isinstance(decision, Decision), decision
    return dict(decision.values) if decision.approved else None


class TestConfirmation:
    @pytest.mark.parametrize("text", ["yes", "Ja, bitte.", "👍"])
    def test_a_clear_yes_approves(self, text: str) -> None:
        assert decide(CONFIRM, text) == Decision("q", approved=True)

    @pytest.mark.parametrize("text", ["no", "cancel", "", " \n"])
    def test_a_clear_no_refuses_without_a_note(self, text: str) -> None:
        assert decide(CONFIRM, text) == Decision("q", approved=False)

    @pytest.mark.parametrize(
        "text", ["yes?", "Which cluster is that?", "yes, but only on Monday", '{"accepted": true}']
    )
    def test_any_other_text_refuses_with_the_person_s_words(self, text: str) -> None:
        assert decide(CONFIRM, f" {text} ") == Decision("q", approved=False, note=text)

    @given(st.text(max_size=20))
    def test_every_text_is_a_decision(self, text: str) -> None:
        assert isinstance(decide(CONFIRM, text), Decision)


class TestValues:
    @pytest.mark.parametrize(
        "text",
        [
            "to: ada@example.org\ncount: 3\nurgent: yes",
            "- `to`: ada@example.org\n\n- COUNT = 3\n- urgent = true\n",
            '{"to": "ada@example.org", "count": 3, "urgent": true}',
            '{"To": "ada@example.org", "count": "3", "urgent": "ja"}',
        ],
    )
    def test_they_are_read_from_lines_or_json(self, text: str) -> None:
        expected = {"to": "ada@example.org", "count": 3, "urgent": True}
        assert given_values(values(TO, COUNT, URGENT), text) == expected

    @pytest.mark.parametrize(
        ("field", "text", "expected"),
        [
            (TO, "ada", "ada"),
            (TO, " two\nlines: of text ", "two\nlines: of text"),
            (TO, "to: ada", "ada"),
            (TO, '{"to": "ada"}', "ada"),
            (TO, '{"other": 1}', '{"other": 1}'),
            (TO, "12", "12"),
            (COUNT, " -3 ", -3),
            (Field("count", "Optional[int]"), "3", 3),
            (Field("x", "float"), "2.5", 2.5),
            (URGENT, "no", False),
            (URGENT, "false", False),
            (URGENT, "Yes!", True),
            (Field("tags", "list[str]"), "a, b,, c", ["a", "b", "c"]),
            (Field("tags", "list"), '["a", 1]', ["a", 1]),
            (Field("body", "dict"), '{"a": 1}', {"a": 1}),
            (Field("x", "Colour"), "red", "red"),
        ],
    )
    def test_of_a_single_one_the_whole_message_is_the_value(self, field: Field, text: str, expected: object) -> None:
        assert given_values(values(field), text) == {field.name: expected}

    @pytest.mark.parametrize("text", ["no", "cancel", "Nein, danke"])
    @pytest.mark.parametrize("fields", [(TO,), (TO, COUNT), (COUNT, URGENT)])
    def test_a_clear_no_refuses(self, fields: tuple[Field, ...], text: str) -> None:
        assert given_values(values(*fields), text) is None

    def test_a_no_is_a_value_where_yes_or_no_is_asked(self) -> None:
        assert given_values(values(URGENT), "no") == {"urgent": False}
        assert given_values(values(URGENT), "cancel") is None

    def test_what_is_not_named_keeps_the_value_that_it_has(self) -> None:
        question = values(Field("to", value="bob"), COUNT)
        assert given_values(question, "count: 1") == {"to": "bob", "count": 1}
        assert given_values(question, "to:\ncount: 1") == {"to": "bob", "count": 1}

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ((TO, COUNT), "ada"),
            ((TO, COUNT), "to: ada"),
            ((TO, COUNT), "to: ada\ncount: three"),
            ((TO, COUNT), "to: ada\ncount: 3\nhaste: 1"),
            ((TO, COUNT), '{"to": "ada", "count": 3, "haste": 1}'),
            ((TO, COUNT), '{"to": ["ada"], "count": 3}'),
            ((TO, COUNT), '{"to": "ada", "count": true}'),
            ((COUNT,), "1.5"),
            ((COUNT,), "9" * 5_000),
            ((COUNT,), ""),
            ((Field("x", "float"),), "nan"),
            ((Field("x", "float"),), "inf"),
            ((Field("x", "float"),), "1e999"),
            ((URGENT,), "perhaps"),
            ((Field("tags", "list"),), "[1, NaN]"),
            ((Field("tags", "list"),), '["a"'),
            ((Field("body", "dict"),), "[1]"),
            ((Field("body", "dict"),), "[" * 100_000),
        ],
    )
    def test_what_cannot_be_read_is_told_and_decides_nothing(self, fields: tuple[Field, ...], text: str) -> None:
        decision = decide(values(*fields), text)
        assert isinstance(decision, Unclear)
        assert decision.problem

    def test_every_problem_is_told_at_once(self) -> None:
        decision = decide(values(COUNT, URGENT), "count: x\nurgent: x")
        assert isinstance(decision, Unclear)
        assert "`count`" in decision.problem
        assert "`urgent`" in decision.problem

    @given(st.text(max_size=30), st.sampled_from(["str", "int", "float", "bool", "list", "dict", "Thing", ""]))
    def test_every_text_is_a_decision_or_told(self, text: str, kind: str) -> None:
        assert decide(values(Field("a", kind)), text) is not None
        assert decide(values(Field("a", kind), Field("b", kind)), text) is not None


class TestChoices:
    @pytest.mark.parametrize(
        ("text", "label"), [("2", "Blue"), ("2.", "Blue"), ("blue", "Blue"), ("Green", "Green"), ("3", "3")]
    )
    def test_one_is_chosen_by_number_or_name_or_in_own_words(self, text: str, label: str) -> None:
        assert given_values(choices(COLOUR), text) == {"Which colour?": [label]}

    @pytest.mark.parametrize("text", ["S, L", "1,3", "s\nl", "1; L;"])
    def test_several_are(self, text: str) -> None:
        assert given_values(choices(SIZES), text) == {"Which sizes?": ["S", "L"]}

    @pytest.mark.parametrize(
        "text",
        ["Red\nS, M", "Colour: 1\nSizes: 1, 2", "- sizes: S,M\n- colour: red", '{"Colour": "Red", "Sizes": ["S", 2]}'],
    )
    def test_several_questions_are_answered_in_lines(self, text: str) -> None:
        assert given_values(choices(COLOUR, SIZES), text) == {"Which colour?": ["Red"], "Which sizes?": ["S", "M"]}

    def test_a_clear_no_refuses_unless_it_is_to_choose(self) -> None:
        assert given_values(choices(COLOUR), "cancel") is None
        yes_or_no = Choice("Sure?", "", (("Yes", ""), ("No", "")))
        assert given_values(choices(yes_or_no), "no") == {"Sure?": ["No"]}

    @pytest.mark.parametrize("text", ["Red", "Red\nS\nM", "", '{"Colour": ["Red", "Blue"], "Sizes": "S"}'])
    def test_what_cannot_be_read_is_told(self, text: str) -> None:
        assert isinstance(decide(choices(COLOUR, SIZES), text), Unclear)


def test_values_come_by_the_names_of_fields_in_any_case() -> None:
    assert decide_values(values(TO), {"TO": "ada"}) == Decision("q", approved=True, values={"to": "ada"})


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_object_is_none(text: str) -> None:
    assert json_object(text) is None


def test_types_are_known_by_their_names() -> None:
    assert type_of(Field("a", "List[int]")) == "list"
    assert kind_of(Field("a", "Thing")) == kind_of(Field("a", "str"))
