"""Where in the tree of a conversation a request stands: the rules, one by one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.digest import extended
from agentllm.conversations.position import Asked, Position, locate
from agentllm.conversations.records import CONTINUE, StoredTurn, messages_of
from agentllm.core import Message, ToolCall
from tests.conversations.talk import BEGIN, Tree, assistant, texts, transcript, user

GO_ON = CONTINUE.content


def by_ids(tree: Tree, *messages: Message, message: str, parent: str) -> Position:
    """Where a request of Open WebUI stands."""
    return locate(Asked(BEGIN, messages, message, parent, appends=True), tree)


def in_session(tree: Tree, *messages: Message) -> Position:
    """Where a request with a session id stands."""
    return locate(Asked(BEGIN, messages, appends=True), tree)


def by_transcript(tree: Tree, *messages: Message) -> Position:
    """Where a request without one stands."""
    return locate(Asked(BEGIN, messages), tree)


def seen(position: Position) -> list[str]:
    """What the agent is given that a client sees too."""
    given = (*messages_of(position.path), *position.new, *position.prompt)
    return [message.content for message in given if message.role != "tool" and not message.tool_calls]


def ids(position: Position) -> list[int]:
    return [turn.id for turn in position.path]


def chat() -> tuple[Tree, StoredTurn, StoredTurn, StoredTurn]:
    """A conversation of three turns with the ids of a front end."""
    tree = Tree()
    one = tree.add("u1", answer="a1", message_id="A1", state={"count": 1})
    two = tree.add("u2", answer="a2", after=one, message_id="A2", state={"count": 2})
    three = tree.add("u3", answer="a3", after=two, message_id="A3", state={"count": 3})
    return tree, one, two, three


class TestIdsOfAFrontEnd:
    """Open WebUI's: the answer to be, and the answer before the question."""

    def test_a_first_message_begins(self) -> None:
        position = by_ids(Tree(), user("u1"), message="A1", parent="")
        assert (position.path, position.new) == ((), (user("u1"),))

    def test_a_new_message_stands_after_its_parent(self) -> None:
        tree, one, two, three = chat()
        position = by_ids(tree, *transcript([one, two, three]), user("u4"), message="A4", parent="A3")
        assert (position.path, position.new) == ((one, two, three), (user("u4"),))

    def test_an_edit_of_an_earlier_message_leaves_its_branch(self) -> None:
        tree, one, _, _ = chat()
        position = by_ids(tree, *transcript([one]), user("u2, edited"), message="A4", parent="A1")
        assert (position.path, position.new) == ((one,), (user("u2, edited"),))

    def test_an_edit_of_the_first_message_begins_again(self) -> None:
        tree, _, _, _ = chat()
        position = by_ids(tree, user("u1, edited"), message="A4", parent="")
        assert (position.path, position.new) == ((), (user("u1, edited"),))

    def test_another_answer_to_the_same_message_stands_beside_the_first(self) -> None:
        tree, one, two, _ = chat()
        position = by_ids(tree, *transcript([one]), user("u2"), message="A2'", parent="A1")
        assert (position.path, position.new) == ((one,), two.input)
        assert position.asked == two.asked

    def test_a_branch_that_was_left_is_found_again(self) -> None:
        tree, one, two, three = chat()
        edited = tree.add("u2, edited", answer="b2", after=one, message_id="B2")
        there = by_ids(tree, *transcript([one, edited]), user("u3"), message="B3", parent="B2")
        assert there.path == (one, edited)
        back = by_ids(tree, *transcript([one, two, three]), user("u4"), message="A4", parent="A3")
        assert back.path == (one, two, three)

    def test_the_same_id_again_goes_on_with_its_answer(self) -> None:
        tree, one, two, _ = chat()
        position = by_ids(tree, *transcript([one, two]), message="A2", parent="A1")
        assert (position.path, position.new, position.prompt) == ((one, two), (), (CONTINUE,))
        assert position.said_before == "a2"

    def test_it_goes_on_where_it_was_continued_last(self) -> None:
        tree, one, two, _ = chat()
        more = tree.add(answer="a2 more", after=two, message_id="A2")
        position = by_ids(tree, *transcript([one, two, more]), message="A2", parent="A1")
        assert (position.path, position.said_before) == ((one, two, more), "a2 more")
        after = by_ids(tree, *transcript([one, two, more]), user("u3"), message="A4", parent="A2")
        assert (after.path, after.new) == ((one, two, more), (user("u3"),))

    def test_the_state_is_that_of_the_branch(self) -> None:
        tree, one, _, _ = chat()
        position = by_ids(tree, *transcript([one]), user("x"), message="X", parent="A1")
        assert position.parent is not None
        assert position.parent.state == {"count": 1}

    def test_messages_alone_are_enough_for_a_front_end_that_sends_no_history(self) -> None:
        tree, one, two, _ = chat()
        position = by_ids(tree, user("x"), message="X", parent="A2")
        assert (position.path, position.new) == ((one, two), (user("x"),))

    def test_questions_that_are_sent_with_more_around_them_are_those_that_were_stored(self) -> None:
        tree, one, two, _ = chat()
        shown = [user("<file>…</file> u1"), assistant("a1"), user("u2"), assistant("a2"), user("x")]
        assert by_ids(tree, *shown, message="X", parent="A2").path == (one, two)

    def test_a_tool_s_result_stays_with_its_call_and_its_question(self) -> None:
        tree, one, _, _ = chat()
        call = Message("assistant", "Shall I?", (ToolCall("c", "ask_user", "{}"),))
        new = (user("deploy"), call, Message("tool", "yes", tool_call_id="c"))
        position = by_ids(tree, *transcript([one]), *new, message="X", parent="A1")
        assert (position.path, position.new) == ((one,), new)


class TestWhatThePersonSees:
    """The ids place a request, and what its client shows of the branch is what the agent is given."""

    def test_an_answer_that_the_person_changed_counts_as_they_see_it(self) -> None:
        tree, one, _, _ = chat()
        shown = [*transcript([one]), user("u2"), assistant("a2, changed"), user("u3")]
        position = by_ids(tree, *shown, message="X", parent="A2")
        assert (ids(position), position.new) == ([1, 2], (user("u3"),))
        assert [*messages_of(position.path)] == [*messages_of([one]), *shown[2:4]]
        assert position.asked == extended(BEGIN, shown)

    def test_and_what_the_agent_did_after_it_stays(self) -> None:
        tree, _, two, three = chat()
        shown = [user("u1"), assistant("changed"), user("u2"), assistant("a2"), user("u3"), assistant("a3"), user("x")]
        position = by_ids(tree, *shown, message="X", parent="A3")
        assert (ids(position), position.new) == ([1, 2, 3], (user("x"),))
        assert [*messages_of(position.path)] == [*shown[:2], *messages_of([two, three])]
        assert position.asked == extended(BEGIN, shown)

    def test_the_state_is_that_of_the_last_answer_that_is_as_the_agent_gave_it(self) -> None:
        tree, one, two, _ = chat()
        changed = [*transcript([one]), user("u2"), assistant("a2, changed"), user("x")]
        position = by_ids(tree, *changed, message="X", parent="A2")
        assert position.parent is not None
        assert position.parent.state == one.state
        before = [user("u1"), assistant("changed"), user("u2"), assistant("a2"), user("x")]
        position = by_ids(tree, *before, message="X", parent="A2")
        assert position.parent is not None
        assert position.parent.state == two.state

    def test_an_answer_that_the_person_changed_is_continued_as_they_see_it(self) -> None:
        tree, one, _, _ = chat()
        shown = [*transcript([one]), user("u2"), assistant("a2, changed")]
        position = by_ids(tree, *shown, message="A2", parent="A1")
        assert (position.path, position.new, position.said_before) == ((one,), (user("u2"),), "a2, changed")
        assert seen(position) == [*texts(shown), GO_ON]

    def test_white_space_is_no_change(self) -> None:
        tree, one, two, _ = chat()
        shown = [user("u1"), assistant("\n a1 "), user("u2"), assistant("a2"), user("x")]
        assert by_ids(tree, *shown, message="X", parent="A2").path == (one, two)

    @pytest.mark.parametrize("text", ["ha", "half an answer"])
    def test_of_an_answer_that_was_stopped_the_part_counts_that_the_person_has(self, text: str) -> None:
        tree, one, _, _ = chat()
        tree.add("u2", answer="half", after=one, message_id="B2", status="interrupted")
        shown = [*transcript([one]), user("u2"), assistant(text)]
        assert seen(by_ids(tree, *shown, user("x"), message="X", parent="B2")) == [*texts(shown), "x"]
        more = by_ids(tree, *shown, message="B2", parent="A1")
        assert (seen(more), more.said_before) == ([*texts(shown), GO_ON], text)

    def test_an_answer_of_which_nothing_is_shown_is_none(self) -> None:
        tree, one, _, _ = chat()
        tree.add("u2", answer="half", after=one, message_id="B2", status="interrupted")
        shown = [*transcript([one]), user("u2"), user("x")]
        assert seen(by_ids(tree, *shown, message="X", parent="B2")) == texts(shown)

    def test_a_turn_that_failed_is_a_question_without_an_answer(self) -> None:
        tree, one, _, _ = chat()
        failed = tree.add("u2", answer="", after=one, message_id="B2", status="failed")
        position = by_ids(tree, *transcript([one, failed]), user("x"), message="X", parent="B2")
        assert (position.path, position.new) == ((one, failed), (user("x"),))
        assert seen(position) == ["u1", "a1", "u2", "x"]

    def test_an_answer_of_another_agent_is_told_as_it_was_written(self) -> None:
        tree, one, _, _ = chat()
        shown = [*transcript([one]), user("u2"), assistant("the other's"), user("u3")]
        position = by_ids(tree, *shown, message="X", parent="an answer of another agent")
        assert (position.path, position.new) == ((one,), tuple(shown[2:]))

    def test_and_is_remembered_with_the_turn_that_it_came_with(self) -> None:
        tree, one, _, _ = chat()
        two = tree.add(user("u2"), assistant("the other's"), user("u3"), answer="b3", after=one, message_id="B3")
        shown = transcript([one, two])
        position = by_ids(tree, *shown, user("x"), message="X", parent="B3")
        assert (position.path, position.new) == ((one, two), (user("x"),))

    @pytest.mark.parametrize("changed", ["the other's", "b3"])
    def test_if_one_of_the_answers_of_such_a_turn_is_changed_nothing_of_it_is_lost(self, changed: str) -> None:
        tree, one, _, _ = chat()
        two = tree.add(user("u2"), assistant("the other's"), user("u3"), answer="b3", after=one, message_id="B3")
        shown = [assistant("new") if m.content == changed else m for m in transcript([one, two])]
        assert seen(by_ids(tree, *shown, user("x"), message="X", parent="B3")) == [*texts(shown), "x"]

    def test_an_unknown_parent_leaves_it_to_the_transcript(self) -> None:
        tree, one, two, _ = chat()
        position = by_ids(tree, *transcript([one, two]), user("x"), message="X", parent="unknown")
        assert (position.path, position.new) == ((one, two), (user("x"),))

    def test_an_unknown_parent_without_any_answer_does_not_lead_to_the_newest_turn(self) -> None:
        tree, _, _, _ = chat()
        shown = [user("to another agent, which failed"), user("x")]
        position = by_ids(tree, *shown, message="X", parent="unknown")
        assert (position.path, position.new) == ((), tuple(shown))

    def test_an_unknown_answer_to_be_continued_is_taken_from_the_transcript(self) -> None:
        tree, one, _, _ = chat()
        shown = [*transcript([one]), user("u2"), assistant("the other's")]
        position = by_ids(tree, *shown, message="unknown", parent="A1")
        assert (position.path, position.new, position.said_before) == ((one,), (user("u2"),), "the other's")

    def test_what_the_person_deleted_at_the_beginning_is_not_told_again(self) -> None:
        tree, _, two, three = chat()
        shown = [*transcript([two, three]), user("x")]
        position = by_ids(tree, *shown, message="X", parent="A3")
        assert (position.path, position.new) == ((two, three), (user("x"),))

    def test_nor_what_they_deleted_between(self) -> None:
        tree, one, _, three = chat()
        shown = [*transcript([one, three]), user("x")]
        assert seen(by_ids(tree, *shown, message="X", parent="A3")) == texts(shown)


class TestSession:
    def test_the_first_message_begins(self) -> None:
        assert in_session(Tree(), user("u1")) == Position((), (user("u1"),), BEGIN)

    @pytest.mark.parametrize("new", [(user("x"),), (user("x"), user("y")), (Message("tool", "42", tool_call_id="c"),)])
    def test_new_messages_alone_follow_the_newest_turn(self, new: tuple[Message, ...]) -> None:
        tree, one, two, three = chat()
        position = in_session(tree, *new)
        assert (position.path, position.new, position.prompt) == ((one, two, three), new, ())

    def test_the_newest_turn_is_the_one_that_was_begun_last_on_whichever_branch(self) -> None:
        tree, one, _, _ = chat()
        edited = tree.add("u2, edited", answer="b2", after=one)
        assert in_session(tree, user("x")).path == (one, edited)

    def test_a_turn_that_failed_is_left_out(self) -> None:
        tree, one, two, three = chat()
        tree.add("u4", answer="", after=three, status="failed")
        assert in_session(tree, user("x")).path == (one, two, three)

    def test_one_that_was_interrupted_is_not(self) -> None:
        tree, _, _, three = chat()
        tree.add("u4", answer="half", after=three, status="interrupted")
        assert seen(in_session(tree, user("x")))[-3:] == ["u4", "half", "x"]


EITHER = pytest.mark.parametrize("place", [in_session, by_transcript])


@EITHER
class TestTranscript:
    """With and without a session id alike."""

    def place_of(self, tree: Tree, place: object, *messages: Message) -> Position:
        assert callable(place)
        position = place(tree, *messages)
        assert isinstance(position, Position)
        return position

    def test_the_transcript_so_far_is_recognised(self, place: object) -> None:
        tree, one, two, three = chat()
        position = self.place_of(tree, place, *transcript([one, two, three]), user("x"))
        assert (position.path, position.new) == ((one, two, three), (user("x"),))

    def test_on_whichever_branch(self, place: object) -> None:
        tree, one, two, _ = chat()
        edited = tree.add("u2, edited", answer="b2", after=one)
        position = self.place_of(tree, place, *transcript([one, edited]), user("x"))
        assert (position.path, position.new) == ((one, edited), (user("x"),))
        position = self.place_of(tree, place, *transcript([one, two]), user("x"))
        assert (position.path, position.new) == ((one, two), (user("x"),))

    def test_the_same_question_again_stands_beside_the_first(self, place: object) -> None:
        tree, one, two, _ = chat()
        assert self.place_of(tree, place, *transcript([one]), user("u2")).asked == two.asked

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param(3, id="an answer"),
            pytest.param(2, id="a question"),
        ],
    )
    def test_from_where_they_part_the_client_is_believed(self, changed: int, place: object) -> None:
        tree, one, two, three = chat()
        shown = transcript([one, two, three])
        shown[changed] = Message(shown[changed].role, "changed")
        position = self.place_of(tree, place, *shown, user("x"))
        assert (position.path, position.new) == ((one,), (*shown[2:], user("x")))

    def test_white_space_counts(self, place: object) -> None:
        tree, one, _, _ = chat()
        shown = [*transcript([one]), user("u2"), assistant("a2 "), user("x")]
        assert self.place_of(tree, place, *shown).path == (one,)

    def test_an_unknown_transcript_is_a_beginning(self, place: object) -> None:
        tree, _, _, _ = chat()
        shown = [user("x"), assistant("y"), user("z")]
        assert self.place_of(tree, place, *shown) == Position((), tuple(shown), BEGIN)

    def test_one_that_begins_or_ends_otherwise_is_too(self, place: object) -> None:
        tree, one, two, three = chat()
        for shown in ([assistant("welcome"), *transcript([one])], transcript([two, three])):
            assert self.place_of(tree, place, *shown, user("x")).path == ()

    def test_a_transcript_that_ends_with_an_answer_goes_on_with_it(self, place: object) -> None:
        tree, one, two, _ = chat()
        position = self.place_of(tree, place, *transcript([one, two]))
        assert (position.path, position.new, position.said_before) == ((one, two), (), "a2")
        assert seen(position) == ["u1", "a1", "u2", "a2", GO_ON]

    def test_also_with_one_that_is_not_ours(self, place: object) -> None:
        tree, one, _, _ = chat()
        position = self.place_of(tree, place, *transcript([one]), user("u2"), assistant("Once"))
        assert (position.path, position.new, position.said_before) == ((one,), (user("u2"),), "Once")
        assert position.prompt == (assistant("Once"), CONTINUE)

    def test_the_whole_answer_is_recognised_afterwards(self, place: object) -> None:
        tree, one, two, _ = chat()
        more = tree.add(answer="a2 more", after=two)
        position = self.place_of(tree, place, *transcript([one, two, more]), user("x"))
        assert (position.path, position.new) == ((one, two, more), (user("x"),))

    def test_an_answer_that_was_stopped_is_recognised_as_far_as_it_came(self, place: object) -> None:
        tree, one, _, _ = chat()
        half = tree.add("u2", answer="half", after=one, status="interrupted")
        assert self.place_of(tree, place, *transcript([one, half]), user("x")).path == (one, half)

    def test_of_turns_that_look_the_same_the_newest_counts(self, place: object) -> None:
        tree, one, _, _ = chat()
        again = tree.add("u2", answer="a2", after=one)
        assert self.place_of(tree, place, *transcript([one, again]), user("x")).path == (one, again)


class TestAfterAnAnswerOfOurs:
    """By our own id of it, before anything else."""

    def test_new_messages_stand_there(self) -> None:
        tree, one, two, _ = chat()
        named = tree.add("b", answer="B", after=one, answer_id="B")
        position = locate(Asked(BEGIN, (user("x"),), after="B"), tree)
        assert (position.path, position.new) == ((one, named), (user("x"),))
        position = locate(Asked(BEGIN, (*transcript([one, two]), user("x")), "X", "A2", after="B", appends=True), tree)
        assert position.path == (one, named)

    def test_one_that_is_not_there_leaves_it_to_the_rest(self) -> None:
        tree, one, two, _ = chat()
        position = locate(Asked(BEGIN, (*transcript([one, two]), user("x")), after="unknown"), tree)
        assert position.path == (one, two)


class TestResults:
    """Of the client's tools, for the answer that asked for them."""

    CALLED = Message("assistant", "Let me see.", (ToolCall("c", "weather", "{}"),))
    RESULT = Message("tool", "cold", tool_call_id="c")

    def asked(self) -> tuple[Tree, StoredTurn]:
        tree = Tree()
        return tree, tree.add("weather?", answer="Let me see.", message_id="A1", calls=("c",))

    def test_they_are_what_is_new_of_the_same_message_of_a_front_end(self) -> None:
        tree, one = self.asked()
        position = by_ids(tree, user("weather?"), self.CALLED, self.RESULT, message="A1", parent="")
        assert (position.path, position.new, position.prompt) == ((one,), (self.RESULT,), ())

    def test_the_next_ones_follow_the_newest_turn_of_that_message(self) -> None:
        tree, one = self.asked()
        two = tree.add(self.RESULT, answer="And Rome?", after=one, message_id="A1", calls=("c",))
        again = Message("assistant", "And Rome?", self.CALLED.tool_calls)
        shown = (user("weather?"), self.CALLED, self.RESULT, again, self.RESULT)
        position = by_ids(tree, *shown, message="A1", parent="")
        assert (position.path, position.new) == ((one, two), (self.RESULT,))

    def test_the_next_question_stands_after_all_of_them(self) -> None:
        tree, one = self.asked()
        two = tree.add(self.RESULT, answer="It is cold.", after=one, message_id="A1")
        shown = (user("weather?"), self.CALLED, self.RESULT, assistant("It is cold."), user("thanks"))
        position = by_ids(tree, *shown, message="A2", parent="A1")
        assert (position.path, position.new) == ((one, two), (user("thanks"),))

    def test_of_calls_that_the_answer_did_not_make_they_are_told_with_the_transcript(self) -> None:
        tree = Tree()
        tree.add("weather?", answer="Let me see.", message_id="A1")
        shown = (user("weather?"), self.CALLED, self.RESULT)
        position = by_ids(tree, *shown, message="A1", parent="")
        assert (position.path, position.new) == ((), shown)

    def test_of_an_unknown_message_they_are_told_with_the_transcript(self) -> None:
        shown = (user("weather?"), self.CALLED, self.RESULT)
        position = by_ids(Tree(), *shown, message="A1", parent="")
        assert (position.path, position.new) == ((), shown)


def test_questions_alone_without_a_session_id_begin() -> None:
    tree, _, _, _ = chat()
    assert by_transcript(tree, user("u1")).path == ()


words = st.text("ab ", max_size=2)
spoken = st.lists(st.tuples(words, words, st.integers(0, 5)), max_size=6)


def grown(turns: list[tuple[str, str, int]]) -> Tree:
    """A tree whose turns each follow one of those before them, or none."""
    tree = Tree()
    for number, (said, answer, after) in enumerate(turns):
        parent = tree.turns[after % number] if number and after else None
        tree.add(said, answer=answer, after=parent, message_id=f"A{number}")
    return tree


@given(spoken.filter(bool), st.integers(0, 5), words)
def test_every_branch_is_found_by_its_transcript(turns: list[tuple[str, str, int]], which: int, new: str) -> None:
    tree = grown([(said, answer or "a", after) for said, answer, after in turns])
    turn = tree.turns[which % len(tree.turns)]
    shown = transcript(tree.path(turn))
    position = by_transcript(tree, *shown, user(new))
    assert position.new == (user(new),)
    assert transcript(position.path) == shown


@given(spoken.filter(bool), st.integers(0, 5), words)
def test_every_branch_is_found_by_its_id(turns: list[tuple[str, str, int]], which: int, new: str) -> None:
    tree = grown(turns)
    turn = tree.turns[which % len(tree.turns)]
    path = tree.path(turn)
    position = by_ids(tree, *transcript(path), user(new), message="new", parent=turn.message_id or "")
    assert position == Position(tuple(path), (user(new),), BEGIN)


messages = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), words), max_size=8)


@given(spoken, messages, words)
def test_the_client_is_believed_word_for_word(
    turns: list[tuple[str, str, int]], before: list[Message], new: str
) -> None:
    """What is remembered and what is new are together its transcript, but for answers without a text."""

    def told(messages: Iterable[Message]) -> list[Message]:
        return [message for message in messages if message.content or message.role == "user"]

    asked = [*before, user(new)]
    position = by_transcript(grown(turns), *asked)
    assert told([*transcript(position.path), *position.new]) == told(asked)


@given(spoken.filter(bool), st.integers(0, 5), messages, words)
def test_with_ids_the_answers_that_it_shows_are_those_that_the_agent_is_given(
    turns: list[tuple[str, str, int]], parent: int, before: list[Message], new: str
) -> None:
    def answers(said: list[Message]) -> str:
        return "".join("".join(message.content.split()) for message in said if message.role == "assistant")

    tree = grown(turns)
    asked = [user("first"), *before, user(new)]
    position = by_ids(tree, *asked, message="new", parent=f"A{parent % len(tree.turns)}")
    assert answers([*transcript(position.path), *position.new]) == answers(asked)
    assert position.new[-1] == user(new)
