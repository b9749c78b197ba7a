"""A stored branch as the person sees it.

A front end changes its answers in place: it continues one that others follow already, and people edit
them. So each answer on a branch is the stored version of it that has the text that is shown, with all
that the agent did for it; one that has none is told as it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import NamedTuple, Protocol

from agentllm.conversations.digest import extended
from agentllm.conversations.records import StoredTurn
from agentllm.core import Message

_Exchange = tuple[Message, ...]
"""A question and all that a client shows as the answer to it."""


class Versions(Protocol):
    """The turns of one conversation, as far as its front end changes them in place."""

    def versions(self, message_id: str) -> list[StoredTurn]:
        """The turns whose answer a front end gave that id, the newest first."""

    def path(self, turn: StoredTurn) -> list[StoredTurn]:
        """`turn` and the turns before it, oldest first, no more than an agent is given again."""


class Seen(NamedTuple):
    """The `path` of turns as they are shown, oldest first, and the `new` messages after it."""

    path: Sequence[StoredTurn]
    new: tuple[Message, ...]


def as_seen(
    path: Sequence[StoredTurn], shown: Sequence[Message], new: tuple[Message, ...], begin: str, turns: Versions
) -> Seen | None:
    """`path` as it is `shown` before `new`; None where the client shows more before its beginning.

    Answers are compared, white space aside, and not questions, which front ends send with more around
    them than the person wrote. Turns from before what is shown are left out. The digests of what is not
    as it was stored are made anew, from `begin`, that of nothing.

    Where `new` begins with no question and the last answer is told as it is shown, it is new too:
    what goes on with it was not stored with that text.
    """
    left = _exchanges(shown)
    if not left:
        return Seen(path, new)
    rest, seen, told, begins = list(path), list[StoredTurn](), set[int](), False
    is_last, is_asked = True, bool(new) and new[0].role == "user"
    results = {message.tool_call_id for message in new if message.role == "tool"} if not is_asked else set()
    while rest and left:
        found = _version(rest, left, turns, results if is_last else set())
        rest, answered = _parted(found or rest)
        begins = answered[0].parent is None
        these = left[-len(_answers(answered)) :]
        del left[-len(these) :]
        if is_last and not is_asked and (not found or _is_told_only(answered)):
            new = (*_flat(these), *new)
        elif found:
            seen[:0] = answered
        else:
            seen.insert(0, _told(answered, these))
            told.add(answered[-1].id)
        is_last = False
    return None if left and begins else Seen(_chained(seen, told, begin), new)


def _version(
    path: list[StoredTurn], left: Sequence[_Exchange], turns: Versions, results: set[str | None]
) -> list[StoredTurn] | None:
    """The path to that version of the last answer of `path` that is shown last, itself first, then the newest."""
    shown = _answer(left[-1])
    if _last_answer(path) == shown:
        return _with_questions(path, left)
    others = [other for other in _others(path, shown, turns) if results.issubset(other[-1].calls)]
    same = (other for other in others if _last_answer(other) == shown)
    parts = (part for other in (path, *others) if (part := _as_far_as_shown(other, left[-1])))
    found = next(chain(same, parts), None)
    return found and _with_questions(found, left)


def _others(path: list[StoredTurn], shown: str, turns: Versions) -> list[list[StoredTurn]]:
    """The paths to the other versions of the last answer; where `path` does not begin at the beginning, with no
    more before the answer than it has."""
    last = path[-1]
    if last.message_id is None:
        return []
    before = len(_parted(path)[0])
    found = []
    for turn in turns.versions(last.message_id):
        if turn.id != last.id and (turn.status == "interrupted" or shown.endswith(_squeezed(turn.answer))):
            other_before, answered = _parted(turns.path(turn))
            kept = other_before if path[0].parent is None else other_before[max(0, len(other_before) - before) :]
            found.append([*kept, *answered])
    return found


def _as_far_as_shown(path: list[StoredTurn], shown: _Exchange) -> list[StoredTurn] | None:
    """`path` with as much of its last turn, which was stopped, as its client has; None where that is no part of it.

    A client may have less than was sent, and more than was stored before a process was killed.
    """
    *before, last = path
    answered = _parted(path)[1]
    if last.status != "interrupted":
        return None
    base = answered[-2].answer if len(answered) > 1 and not last.input else ""
    stored, text = _answers(answered)[-1], _answer(shown)
    kept = stored.removesuffix(_squeezed(last.answer)) + _squeezed(base)
    if not text.startswith(kept) or not (text.startswith(stored) or stored.startswith(text)):
        return None
    answer = base + _after(len(kept), "".join(_said(shown)))
    return [*before, replace(last, answer=answer, digest=None)]


def _with_questions(path: list[StoredTurn], left: Sequence[_Exchange]) -> list[StoredTurn]:
    """`path`, in whose last question the answers before it are those that are shown, where it came with such."""
    before, (asked, *more) = _parted(path)
    *earlier, question = _exchanges(asked.input) or [()]
    these = left[-len(earlier) - 1 : -1] if earlier else []
    if list(map(_answer, earlier)) == list(map(_answer, these)):
        return path
    return [*before, replace(asked, input=(*_flat(these), *question), digest=None), *more]


def _is_told_only(answered: Sequence[StoredTurn]) -> bool:
    """Whether all of an answer that is not as it was stored is what is shown of it."""
    return len(answered) == 1 and answered[0].digest is None and not answered[0].output


def _told(answered: Sequence[StoredTurn], shown: Iterable[_Exchange]) -> StoredTurn:
    """An answer that is not as any that was stored: what is shown of it, in the place of the last turn."""
    return replace(
        answered[-1],
        parent=answered[0].parent,
        status="interrupted",
        input=_flat(shown),
        output=(),
        answer="",
        calls=(),
        pending=None,
        digest=None,
    )


def _chained(seen: Iterable[StoredTurn], told: set[int], begin: str) -> tuple[StoredTurn, ...]:
    """The turns with the digests that they have one after the other, and what is told with the state before it."""
    chained: list[StoredTurn] = []
    is_other = False
    for turn in seen:
        before = chained[-1] if chained else None
        is_other = is_other or turn.digest is None or (before is not None and turn.parent != before.id)
        if is_other:
            turn = _after_turn(turn, before, begin)
        if turn.id in told:
            turn = replace(turn, state=before.state if before else None)
        chained.append(turn)
    return tuple(chained)


def _after_turn(turn: StoredTurn, before: StoredTurn | None, begin: str) -> StoredTurn:
    if before is None:
        asked = extended(begin, turn.input) if turn.parent is None else turn.asked
    else:
        asked = extended(before.digest or before.asked, turn.input) if turn.input else before.asked
    calls = tuple(call for message in turn.output for call in message.tool_calls if call.id in turn.calls)
    return replace(turn, asked=asked, digest=extended(asked, [Message("assistant", turn.answer, calls)]))


def _parted(path: Sequence[StoredTurn]) -> tuple[list[StoredTurn], list[StoredTurn]]:
    """The turns before the last answer, and those that it was given in: from its question on."""
    asked = (index for index, turn in enumerate(path) if any(message.role == "user" for message in turn.input))
    start = max(asked, default=0)
    return list(path[:start]), list(path[start:])


def _answers(answered: Sequence[StoredTurn]) -> list[str]:
    """The answers that a client shows of turns that follow each other, one for each question, at least one."""
    shown: list[Message] = []
    for turn in answered:
        if not turn.input and shown:
            shown.pop()
        shown += [*turn.input, Message("assistant", turn.answer)]
    return [_answer(exchange) for exchange in _exchanges(shown)] or [_squeezed(answered[-1].answer)]


def _last_answer(path: Sequence[StoredTurn]) -> str:
    return _answers(_parted(path)[1])[-1]


def _exchanges(messages: Sequence[Message]) -> list[_Exchange]:
    """`messages`, parted before each question but the first."""
    questions = [index for index, message in enumerate(messages) if message.role == "user"]
    parts = pairwise([0, *questions[1:], len(messages)]) if questions else ()
    return [tuple(messages[start:end]) for start, end in parts]


def _said(exchange: _Exchange) -> Iterator[str]:
    """The texts of the answer; what was said before the question is none."""
    is_asked = False
    for message in exchange:
        is_asked = is_asked or message.role == "user"
        if is_asked and message.role == "assistant":
            yield message.content


def _answer(exchange: _Exchange) -> str:
    return _squeezed("".join(_said(exchange)))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _after(count: int, text: str) -> str:
    """`text` after so many characters that are no white space."""
    for index, character in enumerate(text):
        if count == 0:
            return text[index:]
        count -= not character.isspace()
    return ""


def _flat(exchanges: Iterable[_Exchange]) -> tuple[Message, ...]:
    return tuple(message for exchange in exchanges for message in exchange)
