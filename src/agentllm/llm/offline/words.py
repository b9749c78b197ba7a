"""Words of a text: which there are, which carry meaning, which sentences ask for something."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+(?:[.:/+'-][^\W_]+)*")
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?=\S)[^.!?\n]*)*[.!?]*")
_COURTESY = re.compile(
    r"(?:(?:hello|hi|hey|ok|okay|so|now|and|then|well|thanks|please|kindly|just|also"
    r"|(?:can|could|would|will) you|i (?:want|need|would like)(?: you)?(?: to)?|i'd like(?: you)?(?: to)?"
    r"|let's|let us)\b[\s,:!.-]*)+",
    re.IGNORECASE,
)

_FORBIDS = re.compile(r"(?:don't|do not|never)\b", re.IGNORECASE)
_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00d7": "*", "\u00f7": "/"})


def word_set(words: str) -> frozenset[str]:
    """The words of `words`, which are written with spaces between them."""
    return frozenset(words.split())


_NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
NUMBERS = {word: value for value, word in enumerate(_NUMERALS.split())}

_MEANINGLESS = word_set("""
    a about all also am an and any are as at be been by call can could currently did do does each for from get give
    had has have hello help hey hi how i if in into is it its just know let like make many may me might much my need
    next now of on one or our out over please right run shall should show so some tell than thank thanks that the their
    them then there these they this those to today tool two up us use using want was we were what what's when where
    which who whose why will with would you your
""")

_STATEMENTS = word_set("""
    a an the i i'm im i've we we're he she they it it's this that these those my our your their there hello hi hey
    thank thanks yes yeah no ok okay sure great good nice cool wow bye goodbye remember note
""")


def plain(text: str) -> str:
    """`text` with straight quotation marks and with the operators of a keyboard."""
    return text.translate(_PLAIN)


def stem(word: str) -> str:
    """`word` without its ending, so that "tags", "tagged" and "tagging" meet in "tag"."""
    word = word.lower().removesuffix("'s")
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    return f"{word[:-1]}i" if word.endswith("y") else word


def stems(text: str) -> frozenset[str]:
    """The stems of all words of `text`, of compounds the whole and the parts."""
    return frozenset(stem(part) for word in _WORD.findall(text) for part in (word, *_parts(word)))


def meaningful(text: str) -> frozenset[str]:
    """The words of `text`, in lower case, that say what it is about; numbers are not among them."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(word for word in words if not (is_meaningless(word) or word[0].isdigit() or word in NUMBERS))


def is_meaningless(word: str) -> bool:
    return word.lower() in _MEANINGLESS


def name_words(name: str) -> tuple[str, ...]:
    """The words of an identifier: `next_version`, `nextVersion` and `next-version` have the same."""
    return tuple(part.lower() for part in _NAME_PART.findall(name))


def requests(text: str) -> str:
    """The sentences of `text` that ask or command; a greeting or a statement does neither."""
    return " ".join(sentence for sentence in _sentences(text) if _asks(sentence))


def _sentences(text: str) -> Iterator[str]:
    for sentence in _SENTENCE.findall(text):
        if stripped := sentence.strip():
            yield stripped


def _asks(sentence: str) -> bool:
    core = _COURTESY.sub("", sentence, count=1) if _COURTESY.match(sentence) else sentence
    words = _WORD.findall(core)
    if _FORBIDS.match(core):
        return False
    if not words:
        return any(character.isdigit() for character in core)
    return sentence.endswith("?") or "please" in sentence.lower() or words[0].lower() not in _STATEMENTS


def _parts(word: str) -> tuple[str, ...]:
    parts = tuple(re.split(r"[^\w]+", word))
    return parts if len(parts) > 1 else ()
