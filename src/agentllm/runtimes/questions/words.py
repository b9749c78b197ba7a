"""A clear yes and a clear no, in the words of a few languages."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_YES = _words(
    "yes y yep yeah yup ok okay sure approve approved confirm confirmed allow allowed accept accepted proceed go "
    "ja klar gerne genehmigt einverstanden freigegeben oui sí si claro sì certo sim tak да ano evet "
    "はい 是 是的 好 好的 可以 同意 네 예 👍 ✅"
)
_NO = _words(
    "no n nope nah never cancel cancelled canceled abort stop deny denied decline declined reject rejected refuse "
    "don't dont nein ne abbrechen abbruch stopp ablehnen non annuler annule cancelar cancela não nao annulla nee "
    "нет nie hayir いいえ 不 不是 不要 取消 否 아니요 아니오 👎 ❌"
)
_CANCEL = _words("cancel cancelled canceled abort abbrechen annuler annule cancelar cancela annulla 取消")
_POLITE = _words("please thanks thank you bitte danke merci gracias grazie obrigado obrigada")
_YES_PHRASES = ("go ahead", "do it", "go for it", "d'accord", "de acuerdo", "va bene", "mach das", "mach es")
_MOST_WORDS = 5

_BETWEEN_WORDS = re.compile(r"[^\w'👍👎✅❌]+")
_LOOKS = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")
"""What changes the look of an emoji and not its meaning."""

_QUESTION = re.compile("[?\N{FULLWIDTH QUESTION MARK}]")


def is_yes(text: str) -> bool:
    """Whether `text` is a clear yes: a few known words and nothing else, and no question."""
    return _is_clear(text, _YES)


def is_no(text: str) -> bool:
    """Whether `text` is a clear no, in the same sense."""
    return _is_clear(text, _NO)


def is_cancel(text: str) -> bool:
    """Whether `text` breaks off what was asked, which a "no" does not where that is an answer."""
    return _is_clear(text, _CANCEL)


def _is_clear(text: str, words: frozenset[str]) -> bool:
    plain = _LOOKS.sub("", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    plain = f" {' '.join(_BETWEEN_WORDS.split(plain))} "
    for phrase in _YES_PHRASES:
        plain = plain.replace(f" {phrase} ", " yes ")
    said = plain.split()
    is_known = words.union(_POLITE).issuperset(said) and not words.isdisjoint(said)
    return is_known and len(said) <= _MOST_WORDS and not _QUESTION.search(text)
