"""A branch is given to the agent as it is seen: each answer in the version that is shown, with the work behind it."""

from __future__ import annotations

import pytest

from agentllm.conversations.digest import extended
from agentllm.conversations.position import Asked, Position, locate
from agentllm.conversations.records import CONTINUE, StoredTurn, messages_of
from agentllm.core import Message, ToolCall
from tests.conversations.talk import BEGIN, Tree, assistant, texts, transcript, user


def asked(tree: Tree, *shown: Message, after: str) -> Position:
    """Where a new question stands that a front end sends with its ids."""
    return locate(Asked(BEGIN, shown, "new", after, appends=True), tree)


def more_of(tree: Tree, *shown: Message, message: str) -> Position:
    """Where a request stands for more of the answer `message`, which `shown` ends with."""
    return locate(Asked(BEGIN, shown, message, "not looked at", appends=True), tree)


def ids(position: Position) -> list[int]:
    return [turn.id for turn in position.path]


def given(position: Position) -> list[Message]:
    return list(messages_of(position.path))


def talked() -> tuple[Tree, StoredTurn, StoredTurn, StoredTurn]:
    """Two questions, and more of the first answer, which was asked for when the second was there already."""
    tree = Tree()
    one = tree.add("u1", answer="a1", message_id="A1", state={"count": 1})
    two = tree.add("u2", answer="a2", after=one, message_id="A2", state={"count": 2})
    more = tree.add(answer="a1 more", after=one, message_id="A1", state={"count": 3})
    return tree, one, two, more


class TestAnAnswerThatWasContinuedUnderOthers:
    def test_is_given_with_the_work_of_all_its_parts_and_of_those_after_it(self) -> None:
        tree, one, two, more = talked()
        position = asked(tree, *transcript([one, more, two]), user("u3"), after="A2")
        assert (ids(position), position.new) == ([one.id, more.id, two.id], (user("u3"),))
        assert given(position) == [*messages_of([one, more]), *two.messages]
        assert position.parent is not None
        assert position.parent.state == two.state

    def test_is_given_with_all_its_parts_where_it_was_continued_again_and_again(self) -> None:
        tree, one, two, more = talked()
        last = tree.add(answer="a1 more and more", after=more, message_id="A1")
        position = asked(tree, *transcript([one, more, last, two]), user("u3"), after="A2")
        assert ids(position) == [one.id, more.id, last.id, two.id]

    def test_stands_in_the_way_that_was_stored_for_those_who_still_show_that(self) -> None:
        tree, one, two, _ = talked()
        position = asked(tree, *transcript([one, two]), user("u3"), after="A2")
        assert position.path == (one, two)

    def test_leads_to_its_newest_part_when_it_is_asked_again_after_it(self) -> None:
        tree, one, _, more = talked()
        position = asked(tree, *transcript([one, more]), user("u2"), after="A1")
        assert position.path == (one, more)

    def test_is_found_again_after_the_turn_that_followed(self) -> None:
        tree, one, two, more = talked()
        three = tree.add("u3", answer="a3", after=two, message_id="A3")
        position = asked(tree, *transcript([one, more, two, three]), user("u4"), after="A3")
        assert ids(position) == [one.id, more.id, two.id, three.id]

    def test_can_be_followed_by_more_of_a_later_one(self) -> None:
        tree, one, two, more = talked()
        position = more_of(tree, *transcript([one, more, two]), message="A2")
        assert (ids(position), position.new, position.said_before) == ([one.id, more.id, two.id], (), "a2")

    def test_has_the_digest_of_what_is_shown_and_is_found_by_it(self) -> None:
        tree, one, two, more = talked()
        shown = [*transcript([one, more, two]), user("u3")]
        position = asked(tree, *shown, after="A2")
        assert position.asked == extended(BEGIN, shown)
        tree.add("u3", answer="a3", after=position.parent, message_id="A3")
        later = asked(tree, *shown, assistant("a3"), user("the other"), assistant("b"), user("x"), after="unknown")
        assert (ids(later), texts(later.new)) == ([one.id, more.id, two.id, 4], ["the other", "b", "x"])

    def test_with_calls_of_the_client_s_tools_has_their_digest_too(self) -> None:
        tree, one, _, more = talked()
        call = ToolCall("c", "weather", "{}")
        called = Message("assistant", "Let me see.", (call,))
        two = tree.add("weather?", answer=called.content, after=one, message_id="B2", calls=("c",), output=(called,))
        result = Message("tool", "cold", tool_call_id="c")
        shown = [*transcript([one, more]), *two.input, called, result]
        position = locate(Asked(BEGIN, tuple(shown), "B2", "A1", appends=True), tree)
        assert (ids(position), position.new) == ([one.id, more.id, two.id], (result,))
        assert position.asked == extended(BEGIN, shown)


class TestWhichVersion:
    def test_an_answer_that_was_taken_back_to_what_it_was_is_that_again(self) -> None:
        tree, one, _, _ = talked()
        for position in (
            asked(tree, *transcript([one]), user("x"), after="A1"),
            more_of(tree, *transcript([one]), message="A1"),
        ):
            assert position.path == (one,)

    def test_one_that_was_changed_and_then_continued_counts_with_that_work(self) -> None:
        tree, one, two, _ = talked()
        changed = tree.add("u1", answer="changed and more", message_id="A1")
        position = asked(tree, *transcript([changed, two]), user("x"), after="A2")
        assert ids(position) == [changed.id, two.id]
        assert one not in position.path

    def test_of_two_that_look_the_same_the_newer_counts(self) -> None:
        tree, one, two, _ = talked()
        again = tree.add(answer="a1 more", after=one, message_id="A1")
        position = asked(tree, *transcript([one, again, two]), user("x"), after="A2")
        assert ids(position) == [one.id, again.id, two.id]

    def test_one_that_has_no_text_in_common_is_told_as_it_is_shown(self) -> None:
        tree, _, two, _ = talked()
        shown = [user("u1"), assistant("a1 and the person's own"), *transcript([two]), user("x")]
        position = asked(tree, *shown, after="A2")
        assert given(position) == [*shown[:2], *two.messages]

    def test_one_without_an_id_is_told_as_it_is_shown(self) -> None:
        tree = Tree()
        one = tree.add("u1", answer="a1")
        two = tree.add("u2", answer="a2", after=one, message_id="A2")
        shown = [user("u1"), assistant("a1 more"), *transcript([two]), user("x")]
        assert given(asked(tree, *shown, after="A2")) == [*shown[:2], *two.messages]

    def test_answers_of_others_between_are_those_that_are_shown(self) -> None:
        tree = Tree()
        one = tree.add(user("u1"), assistant("the other's"), user("u2"), answer="a2", message_id="A2")
        shown = [user("u1"), assistant("the other's and more"), *transcript([one])[2:], user("x")]
        position = asked(tree, *shown, after="A2")
        assert (ids(position), position.asked) == ([one.id], extended(BEGIN, shown))
        assert given(position) == [*shown[:3], *one.output]

    def test_results_belong_to_the_version_that_called_for_them(self) -> None:
        tree = Tree()
        called = Message("assistant", "Let me see.", (ToolCall("c", "weather", "{}"),))
        tree.add("u1", answer="Let me", message_id="A1")
        tree.add("u1", answer="Let me see.", message_id="A1", calls=("c",), output=(called,))
        result = Message("tool", "cold", tool_call_id="c")
        changed = (user("u1"), Message("assistant", "Let me", called.tool_calls), result)
        position = locate(Asked(BEGIN, changed, "A1", "", appends=True), tree)
        assert (position.path, position.new) == ((), changed)

    def test_more_of_an_answer_after_a_client_s_result_is_shown_with_all_before_it(self) -> None:
        tree = Tree()
        called = Message("assistant", "Let me see. ", (ToolCall("c", "weather", "{}"),))
        result = Message("tool", "cold", tool_call_id="c")
        one = tree.add("u1", answer="Let me see. ", message_id="A1", calls=("c",), output=(called,))
        two = tree.add(result, answer="It is", after=one, message_id="A1")
        more = tree.add(answer="It is cold.", after=two, message_id="A1")
        shown = [user("u1"), called, result, assistant("It is cold."), user("x")]
        assert asked(tree, *shown, after="A1").path == (one, two, more)


class TestAnAnswerThatWasStopped:
    def stopped(self) -> tuple[Tree, StoredTurn, StoredTurn]:
        """More of an answer, of which half was sent."""
        tree = Tree()
        one = tree.add("u1", answer="a1", message_id="A1")
        return tree, one, tree.add(answer="a1 half", after=one, message_id="A1", status="interrupted")

    @pytest.mark.parametrize(
        ("text", "more"),
        [("a1 ha", " ha"), ("a1 half", " half"), ("a1 half of", " half of"), ("\na1  ha", "  ha")],
    )
    def test_counts_as_far_as_the_person_has_it_after_the_work_before(self, text: str, more: str) -> None:
        tree, one, half = self.stopped()
        shown = (user("u1"), assistant(text))
        for position in (asked(tree, *shown, user("x"), after="A1"), more_of(tree, *shown, message="A1")):
            assert ids(position) == [one.id, half.id]
            assert given(position) == [*one.messages, CONTINUE, assistant(more)]

    def test_is_none_where_nothing_of_it_came(self) -> None:
        tree, one, _ = self.stopped()
        assert given(asked(tree, user("u1"), assistant("a1"), user("x"), after="A1")) == [*one.messages]

    def test_goes_on_from_there(self) -> None:
        tree, _, _ = self.stopped()
        position = more_of(tree, user("u1"), assistant("a1 ha"), message="A1")
        assert (position.new, position.said_before, position.prompt) == ((), "a1 ha", (CONTINUE,))
        assert position.asked == extended(BEGIN, [user("u1")])
        assert position.parent is not None
        assert position.parent.digest == extended(BEGIN, [user("u1"), assistant("a1 ha")])

    def test_is_told_as_it_is_shown_where_that_is_no_part_of_it(self) -> None:
        tree, _, _ = self.stopped()
        shown = [user("u1"), assistant("changed")]
        assert given(asked(tree, *shown, user("x"), after="A1")) == shown


def test_no_more_turns_are_given_than_were_read() -> None:
    class Short(Tree):
        def path(self, turn: StoredTurn) -> list[StoredTurn]:
            return super().path(turn)[-2:]

    tree = Short()
    zero = tree.add("u0", answer="a0", message_id="A0")
    one = tree.add("u1", answer="a1", after=zero, message_id="A1")
    two = tree.add("u2", answer="a2", after=one, message_id="A2")
    more = tree.add("u1", answer="changed and more", after=zero, message_id="A1")
    position = asked(tree, *transcript([zero, more, two]), user("x"), after="A2")
    assert ids(position) == [more.id, two.id]
