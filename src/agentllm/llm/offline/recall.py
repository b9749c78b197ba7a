"""Recalling what the user said earlier in the conversation, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from agentllm.llm.offline.words import meaningful, plain, stem, word_set

_T = TypeVar("_T")

_ASKS_NAME = re.compile(
    r"\bwhat(?:'s| is| was)? my (?:own )?name\b|\bwho am i\b|\bwhat am i called\b"
    r"|\b(?:know|remember|recall|tell me|say) (?:what )?my name\b|\bmy name\s*\?",
    re.IGNORECASE,
)
_ASKS_FACT = re.compile(
    r"\b(?:what|when|where|who|which)(?:'s| is| are| was| were) my ([\w' -]{1,60}?)\s*(?:\?|$|[.!])"
    r"|\b(?:remember|recall|know) (?:what )?my ([\w' -]{1,60}?)(?: is| are)?\s*(?:\?|$|[.!])",
    re.IGNORECASE,
)
_ASKS_MESSAGE = re.compile(
    r"\b(?:what|which)\b.{0,20}\b(?:my|the) (?:very )?(first|last|latest|previous|second|third) "
    r"(?:message|question|sentence|request|thing|words?)\b"
    r"|\bwhat (?:did|have) i (?:say|said|ask|asked|write|wrote|written|tell|told)(?: you)?\b(?P<rest>[^?]*)"
    r"|\brepeat (?:my|the) (?P<again>first|last|latest|previous) (?:message|question)\b",
    re.IGNORECASE,
)
_ASKS_COUNT = re.compile(r"\bhow many (?:messages|questions|times)\b.*\b(?:i|my|me)\b", re.IGNORECASE)
_ASKS_NOTES = re.compile(
    r"\bwhat (?:did|have) (?:i|you) (?:ask|asked|tell|told|remember|remembered|noted?)\b.*\b(?:remember|note)"
    r"|\bwhat (?:do|can) you (?:remember|recall|know about me)\b|\bwhat have you remembered\b"
    r"|\bwhat should you remember\b",
    re.IGNORECASE,
)

_STATES_NAME = re.compile(
    r"\bmy name(?:'s| is)\s+(?P<stated>[^\W\d_][\w'-]*(?:\s+[^\W\d_][\w'-]*){0,3})"
    r"|\b(?:call me|i go by)\s+(?P<called>[^\W\d_][\w'-]*(?:\s+[^\W\d_][\w'-]*){0,3})"
    r"|\b(?:i am|i'm)\s+(?P<being>[^\W\d_][\w'-]*(?:\s+[^\W\d_][\w'-]*){0,3})",
    re.IGNORECASE,
)
_STATES_FACT = re.compile(r"\bmy ([\w'-]+(?: [\w'-]+){0,4}?) (?:is|are|was|will be) ([^.!?\n]{1,200})", re.IGNORECASE)
_STATES_NOTE = re.compile(
    r"^\W*(?:please )?(?:remember|note|keep in mind|don't forget|do not forget)(?: that|:)?\s+(.{1,500})",
    re.IGNORECASE | re.DOTALL,
)
_ABOUT = re.compile(r"\b(?:about|regarding|on)\s+(.+)", re.IGNORECASE)
_NOT_NAMES = word_set("not and but the a an so very no i please what who later back tomorrow when if at maybe")
_POSITIONS = {"first": 0, "second": 1, "third": 2, "previous": -1, "last": -1, "latest": -1}
_QUOTE = 300
_LISTED = 20


def recall(message: str, earlier: Sequence[str]) -> str | None:
    """The answer to `message` where it asks what the user said in `earlier`, oldest first; else None.

    The latest statement wins. What was not said is answered with just that.
    """
    if _ASKS_NAME.search(message):
        name = _last(_names(earlier))
        return f"Your name is {name}." if name else "You have not told me your name in this conversation."
    if _ASKS_NOTES.search(message):
        return _listed(
            "You asked me to remember:", list(_notes(earlier)), "You have not asked me to remember anything."
        )
    if (asked := _ASKS_MESSAGE.search(message)) is not None:
        return _said(asked, earlier)
    if _ASKS_COUNT.search(message):
        return f"You have sent {len(earlier) + 1} messages in this conversation, with this one."
    return None


def recall_fact(message: str, earlier: Sequence[str]) -> tuple[str, str | None] | None:
    """What `message` asks about ("my favourite colour"), with what was said of it, if anything."""
    asked = _ASKS_FACT.search(message)
    if asked is None:
        return None
    subject = (asked[1] or asked[2]).strip()
    wanted = _key(subject)
    return subject, _last(value for key, value in _facts(earlier) if key == wanted)


def acknowledge(message: str) -> str | None:
    """A word on a statement that can be recalled later; None where there is nothing to keep."""
    if message.rstrip().endswith("?"):
        return None
    if note := _last(_notes([message])):
        return f"You asked me to remember: {quote(note)}. Ask me what you said, and I will tell you."
    if name := _last(_names([message])):
        return f"Your name is {name}; I can recall that in this conversation."
    if fact := _last(_STATES_FACT.finditer(message)):
        return f"Your {fact[1]}: {fact[2].strip()}. I can recall that in this conversation."
    return None


def quote(text: str) -> str:
    """`text` in quotation marks, on one line and cut after 300 characters."""
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= _QUOTE else f"“{line[:_QUOTE]}…”"


def _said(asked: re.Match[str], earlier: Sequence[str]) -> str:
    rest = asked["rest"] or ""
    position = asked[1] or asked["again"] or next((word for word in _POSITIONS if word in rest.lower().split()), None)
    if not earlier:
        return "This is your first message in this conversation."
    if position is not None:
        return _at(position.lower(), earlier)
    if (about := _ABOUT.search(rest)) is not None:
        topic = frozenset(map(stem, meaningful(about[1])))
        found = [text for text in earlier if topic & frozenset(map(stem, meaningful(text)))]
        return _listed("You said:", found, f"You have said nothing about {about[1].strip()} in this conversation.")
    return _listed("You said:", earlier, "")


def _at(position: str, earlier: Sequence[str]) -> str:
    index = _POSITIONS[position]
    if index >= len(earlier):
        return f"You have sent {len(earlier)} messages before this one, so there is no {position} one."
    return f"Your {position} message was: {quote(earlier[index])}"


def _listed(introduction: str, texts: Sequence[str], otherwise: str) -> str:
    if not texts:
        return otherwise
    if len(texts) == 1:
        return f"{introduction} {quote(texts[0])}"
    left_out = max(0, len(texts) - _LISTED)
    note = [f"(before that, {left_out} more)", ""] if left_out else []
    lines = (f"{number}. {quote(text)}" for number, text in enumerate(texts[left_out:], left_out + 1))
    return "\n".join([introduction, "", *note, *lines])


def _names(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for match in _STATES_NAME.finditer(plain(text)):
            name = _name_in(match["stated"] or match["called"] or match["being"], strict=match["being"] is not None)
            if name and not text[match.end() :].lstrip().startswith("?"):
                yield name


def _name_in(words: str, *, strict: bool) -> str | None:
    """The leading words that can be a name: the first, which must be capitalised if `strict`, then capitalised ones."""
    first, *others = words.split()
    if first.lower() in _NOT_NAMES or (strict and not first[0].isupper()):
        return None
    name = [first]
    for word in others:
        if not word[0].isupper() or word.lower() in _NOT_NAMES:
            break
        name.append(word)
    return " ".join(name)


def _facts(texts: Sequence[str]) -> Iterator[tuple[frozenset[str], str]]:
    for text in texts:
        for match in _STATES_FACT.finditer(plain(text)):
            yield _key(match[1]), match[2].strip()


def _notes(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        if (match := _STATES_NOTE.match(plain(text))) is not None and not text.rstrip().endswith("?"):
            yield match[1].strip()


def _key(subject: str) -> frozenset[str]:
    return frozenset(stem(word) for word in re.findall(r"[\w'-]+", subject.lower()))


def _last(values: Iterable[_T]) -> _T | None:
    return next(reversed([*values]), None)
