"""Results of tools: which are taken, and where a model is given them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from agentllm.conversations.results import NO_RESULT, check_results, followed_by, in_order
from agentllm.core import Message, ToolCall
from agentllm.errors import AlreadyDecided, InvalidRequest
from tests.conversations.talk import assistant, user


def calls(*ids: str) -> Message:
    return Message("assistant", tool_calls=tuple(ToolCall(id, "tool", "{}") for id in ids))  # noqa: A001


def result(id: str | None, content: str = "42", name: str | None = None) -> Message:  # noqa: A002
    return Message("tool", content, tool_call_id=id, name=name)


def given(*said: Message, last_may_be_open: bool = False) -> list[Message]:
    """What a model is given, without the names of tools."""
    return [replace(message, name=None) for message in in_order(said, last_may_be_open=last_may_be_open)]


class TestChecking:
    @pytest.mark.parametrize(
        ("open_calls", "new"),
        [
            ((), [user("a")]),
            (("c",), [result("c")]),
            (("c", "d"), [result("d"), result("c")]),
            (("c",), [user("something else")]),
            (("c", "d"), [result("c"), user("something else")]),
            ((), [user("a"), calls("c"), result("c")]),
            ((), [user("a"), calls("c"), result("c"), calls("c"), result("c")]),
            ((), [user("a"), calls("c"), user("b")]),
            (("c",), []),
        ],
    )
    def test_results_of_open_calls_are_taken(self, open_calls: Sequence[str], new: list[Message]) -> None:
        check_results(open_calls, new)

    @pytest.mark.parametrize(
        ("open_calls", "new"),
        [
            ((), [result("c")]),
            (("c",), [result("d")]),
            (("c",), [result(None)]),
            (("c",), [result("c"), result("c")]),
            (("c",), [user("something else"), result("c")]),
            ((), [user("a"), calls("c"), user("b"), result("c")]),
            ((), [user("a"), calls("c"), calls("d"), result("c")]),
        ],
    )
    def test_a_result_without_an_open_call_is_refused(self, open_calls: Sequence[str], new: list[Message]) -> None:
        with pytest.raises(InvalidRequest):
            check_results(open_calls, new)

    @pytest.mark.parametrize(
        ("open_calls", "new"), [(("c", "d"), [result("c")]), ((), [user("a"), calls("c", "d"), result("d")])]
    )
    def test_part_of_the_results_is_refused_by_what_is_missing(
        self, open_calls: Sequence[str], new: list[Message]
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            check_results(open_calls, new)
        missing = {"c", "d"} - {message.tool_call_id for message in new}
        assert all(f" {one}." in caught.value.message for one in missing)

    def test_a_result_of_a_call_that_was_answered_is_told_from_one_of_none(self) -> None:
        with pytest.raises(AlreadyDecided):
            check_results((), [result("c")], closed_calls=["c"])
        with pytest.raises(InvalidRequest):
            check_results((), [result("d")], closed_calls=["c"])

    def test_an_id_that_a_client_s_model_uses_again_is_open_again(self) -> None:
        check_results(["c"], [result("c")], closed_calls=["c"])


class TestOrder:
    def test_what_has_no_calls_stays_as_it_is(self) -> None:
        said = (user("a"), assistant("b"), user("c"))
        assert in_order(said) == said

    def test_results_stand_behind_their_call_in_the_order_of_the_calls(self) -> None:
        said = (user("a"), calls("c", "d"), result("d", "2"), result("c", "1"), assistant("b"))
        assert given(*said) == [user("a"), calls("c", "d"), result("c", "1"), result("d", "2"), assistant("b")]

    def test_also_where_the_person_spoke_between(self) -> None:
        said = (calls("c"), user("yes"), result("c"), assistant("done"))
        assert given(*said) == [calls("c"), result("c"), user("yes"), assistant("done")]

    def test_of_several_results_of_a_call_the_last_counts(self) -> None:
        assert given(calls("c"), result("c", "accepted"), result("c", "done")) == [calls("c"), result("c", "done")]

    def test_a_result_after_the_next_answer_is_another_call_s(self) -> None:
        said = [calls("c"), result("c", "1"), calls("c"), result("c", "2")]
        assert given(*said) == said

    def test_they_have_the_name_of_the_tool(self) -> None:
        """Clients leave it out, and some models need it."""
        for name in (None, "tool", "another"):
            assert in_order([calls("c"), result("c", name=name)]) == (calls("c"), result("c", name="tool"))

    def test_a_call_without_a_result_is_told_so(self) -> None:
        assert given(calls("c"), user("never mind"))[1] == result("c", NO_RESULT)

    def test_a_result_without_a_call_is_left_out(self) -> None:
        assert given(result("c"), user("a")) == [user("a")]

    def test_the_last_calls_may_stay_open(self) -> None:
        said = (calls("a"), user("x"), calls("b", "c"), result("c"))
        assert given(*said, last_may_be_open=True) == [calls("a"), result("a", NO_RESULT), *said[1:]]

    def test_what_follows_open_calls_may_come_as_it_is(self) -> None:
        before, new = (result("x"), calls("b", "c")), (result("a member's"), result("c"), user("yes"))
        named = (result("a member's"), result("c", name="tool"), user("yes"))
        assert followed_by(before, new) == (calls("b", "c"), *named)

    @examples(
        st.lists(
            st.one_of(
                st.builds(user, st.text(max_size=2)),
                st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(lambda ids: calls(*ids)),
                st.builds(result, st.sampled_from("abc"), st.text(max_size=2)),
            ),
            max_size=10,
        )
    )
    def test_models_get_one_result_for_each_call_right_behind_it(self, said: list[Message]) -> None:
        ordered = in_order(said)
        wanted: list[str] = []
        for message in ordered:
            if message.role == "tool":
                assert wanted.pop(0) == message.tool_call_id
            else:
                assert wanted == []
                wanted = [call.id for call in message.tool_calls]
        assert wanted == []
        assert [m for m in ordered if m.role != "tool"] == [m for m in said if m.role != "tool"]
